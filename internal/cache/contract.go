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
//	index.tables name of one of the five above → the table it says, with room to align it
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
// An index is a hash table that leads to a bucket's keys in one step, where the
// tree takes three. The buckets hold everything without it, and a reader may
// walk their trees instead; it must where an index has no entries. The head:
//
//	0  u32 where the table begins, in bytes from the file's beginning
//	4  u32 number of entries, a power of two, at most half of them used
//	8  u64 seed of the hash
//
// The table's entries are u64, 0 for a free one, else from the lowest bit:
// 30 bits where the key lies in the file, its value right behind it; 22 bits
// length of the value; 6 bits length of the key; the hash's 6 highest bits.
//
// A key's entry is one of the 16 from the hash modulo the number of entries on,
// around the end, with no free one before it.
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
