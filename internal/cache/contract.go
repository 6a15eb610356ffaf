// Package cache owns the two bbolt files that hosts serve from: what is in
// them byte by byte, how they are written and published, and how Go programs
// read them. The C reader of nss.db is in nss/; its contract is this file, and
// a test there compares every constant below with nss/format.h.
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
//	index.tables name of one of the five above → the cells and pilots that the head names, with room to align them
//
// Big-endian id keys sort as ids do, so that an enumeration can go on
// from the last id it returned, in whatever file is then the newest.
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
// A key can be in one cell only, so a lookup waits for memory once, however many
// keys there are: the hash's lower half chooses a pilot (u16, few enough of them to
// stay in a processor's cache), and hash and pilot together choose the cell. The
// writer picks pilots under which no two keys meet.
package cache

import "github.com/nss-iam/nss-iam/internal/accounts"

// Versions of nss.db. Version is what is written. A reader takes every version
// from OldestVersion to NewestVersion and refuses the file otherwise.
//
// A process that looks people up may live for months with the module that it
// loaded first, so that a new version takes two releases: the first reads it and
// still writes the one before, the second writes it.
const (
	Version       = 1
	OldestVersion = 1
	NewestVersion = 1
)

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

// Buckets of nss.db.
const (
	BucketMeta       = "meta"
	BucketPasswdName = "passwd.name"
	BucketPasswdUID  = "passwd.uid"
	BucketGroupName  = "group.name"
	BucketGroupGID   = "group.gid"
	BucketInitgroups = "initgroups"
	BucketIndex      = "index"
	BucketTables     = "index.tables" // only the writer's: the index says where they lie
)

// Indexed are the buckets that have an index, and hold what is served.
var Indexed = []string{BucketPasswdName, BucketPasswdUID, BucketGroupName, BucketGroupGID, BucketInitgroups}

// Keys of the bucket meta that every reader looks at.
const (
	MetaVersion = "version"
	MetaRange   = "range"
)

// Where the fields of a passwd record are.
const (
	PasswdUID      = 0
	PasswdGID      = 4
	PasswdNameLen  = 8 // the four lengths follow each other, as the four texts do
	PasswdGecosLen = 10
	PasswdHomeLen  = 12
	PasswdShellLen = 14
	PasswdFlags    = 16
	PasswdHeader   = 17
	PasswdFormer   = 1 // in the flags
)

// Where the fields of a group record are.
const (
	GroupGID        = 0
	GroupMembers    = 4
	GroupMembersLen = 8
	GroupNameLen    = 12
	GroupHeader     = 14
)

// Where the fields of an index's head are, and the measures of its cells.
const (
	IndexCells      = 0
	IndexCellCount  = 4
	IndexCellSize   = 8
	IndexPilots     = 12
	IndexPilotCount = 16
	IndexSeed       = 20
	IndexHead       = 24

	CellHeader    = 4      // u16 length of the value, u8 where the key is, u8 its length
	CellElsewhere = 0xFFFF // as length: the value is elsewhere in the file
	CellWhere     = 4
	CellLength    = 8
	CellStep      = 64 // a cache line: cells begin on one, and have so many bytes or a multiple
	CellMax       = 256

	IndexFactor = 0x9E3779B97F4A7C15 // of the hash
)
