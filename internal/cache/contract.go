// Package cache owns the two bbolt files that hosts serve from: what is in
// them byte by byte, how they are written and published, and how Go programs
// read them. The C reader of nss.db is in nss/; its contract is this file.
//
// nss.db has these buckets, all integers little-endian unless said otherwise:
//
//	meta         "version" u32 · "range" u32 low, u32 high · "generation" u64
//	             "written" i64 Unix seconds · "digest" SHA-256 of the five next buckets
//	passwd.name  login name          → passwd record
//	passwd.uid   uid u32 big-endian  → passwd record
//	group.name   group name          → group record
//	group.gid    gid u32 big-endian  → group record
//	initgroups   login name          → gid u32, gid u32 …   (absent: no supplementary group)
//	index        name of one of the five above → head of the index of its keys
//	index.tables name of one of the five above → the cells and pilots it says, with room to align them
//
// Big-endian number keys sort as numbers do, so that an enumeration can go on
// from the last number it returned, in whatever file is then the newest.
//
// A passwd record:
//
//	 0  u32 uid
//	 4  u32 gid
//	 8  u16 length of name     10  u16 length of gecos
//	12  u16 length of home     14  u16 length of shell
//	16  u8  flags: 1 = former user (password field "x" in place of "*")
//	17  name NUL gecos NUL home NUL shell NUL
//
// A group record:
//
//	 0  u32 gid
//	 4  u32 number of members
//	 8  u32 length of all member names, each with its NUL
//	12  u16 length of name
//	14  name NUL, one byte per member: the length of its name, then
//	    member NUL member NUL …
//
// The number and the total length stand in front so that a reader can refuse
// a short buffer without walking the members.
//
// An index leads to a bucket's keys in one step, where the tree takes three.
// The buckets hold everything without it, and a reader may walk their trees
// instead; it must where an index has no cells. The head:
//
//	 0  u32 where the cells begin, in bytes from the file's beginning, a multiple of 64
//	 4  u32 number of cells      8  u32 bytes of a cell, 64 to 256, a multiple of 64
//	12  u32 where the pilots begin
//	16  u32 number of pilots    20  u32 seed of the hash
//
// A cell holds one key with its value, or its first four bytes are 0:
//
//	0  u16 length of the value; 65535: it stands elsewhere
//	2  u8 where in the cell the key is      3  u8 length of the key
//	4  the value, and the key in it or behind it;
//	   or u32 where the value is in the file, u32 its length, then the key
//
// Of all cells a key can only be in one, so that a lookup waits for memory
// once however many keys there are: the hash's lower half chooses a pilot (u16,
// few enough of them to stay in a processor's cache), and hash and pilot
// together choose the cell. The writer picks pilots under which no two keys meet.
package cache

import "github.com/nss-iam/nss-iam/internal/accounts"

// Version is the format's version. A reader that meets another refuses the file.
const Version = 1

// PageSize is bbolt's page size in both files, whatever the machine's is.
const PageSize = 4096

// Names of the files in the cache folder.
const (
	NSSFile  = "nss.db"
	KeysFile = "keys.db"
)

// Bounds that the writer keeps and every reader checks.
const (
	MaxNameLen  = 32      // login and group names, bytes (shadow-utils and utmp)
	MaxFieldLen = 255     // gecos, home and shell, bytes
	MaxGroups   = 65536   // supplementary groups of one user (Linux NGROUPS_MAX)
	MaxFileSize = 1 << 30 // a larger file is not mapped
	MinID       = accounts.MinID
	MaxID       = accounts.MaxID
)
