/*
 * format.h - what nss.db holds: the constants of internal/cache/contract.go
 *
 * That file is the contract. seam_test.go compares every constant here with
 * it, and reads with this reader what the writer of internal/cache writes.
 */
#ifndef NSS_IAM_FORMAT_H
#define NSS_IAM_FORMAT_H

#include <stdint.h>
#include <string.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "nss.db is little-endian, and so must be its reader"
#endif

enum {
	FORMAT_OLDEST_VERSION = 1, /* what this reader takes; see contract.go */
	FORMAT_NEWEST_VERSION = 1,
	FORMAT_PAGE_SIZE = 4096,
	FORMAT_MAX_NAME = 32,
	FORMAT_MAX_FIELD = 255,
	FORMAT_MAX_GROUPS = 65536,
	FORMAT_MAX_FILE = 1 << 30,
	FORMAT_MIN_ID = 65536,
	FORMAT_MAX_ID = 2147352575
};

/* The buckets that have an index, in the order of format_buckets. */
enum format_bucket {
	FORMAT_PASSWD_NAME,
	FORMAT_PASSWD_UID,
	FORMAT_GROUP_NAME,
	FORMAT_GROUP_GID,
	FORMAT_INITGROUPS,
	FORMAT_BUCKETS
};

#define FORMAT_FILE "nss.db"
#define FORMAT_META "meta"
#define FORMAT_META_VERSION "version" /* u32 */
#define FORMAT_META_RANGE "range"     /* u32 low, u32 high */

#define FORMAT_INDEX "index" /* bucket name -> head of the index of its keys */

extern const char *const format_buckets[FORMAT_BUCKETS];

/* A passwd record: where its fields are. */
enum {
	PASSWD_UID = 0,
	PASSWD_GID = 4,
	PASSWD_NAME_LEN = 8,
	PASSWD_GECOS_LEN = 10,
	PASSWD_HOME_LEN = 12,
	PASSWD_SHELL_LEN = 14,
	PASSWD_FLAGS = 16,
	PASSWD_HEADER = 17,
	PASSWD_FORMER = 1 /* in the flags */
};

/* A group record: where its fields are. */
enum {
	GROUP_GID = 0,
	GROUP_MEMBERS = 4,
	GROUP_MEMBERS_LEN = 8,
	GROUP_NAME_LEN = 12,
	GROUP_HEADER = 14
};

/* An index: its head and a cell. */
enum {
	INDEX_CELLS = 0,
	INDEX_CELL_COUNT = 4,
	INDEX_CELL_SIZE = 8,
	INDEX_PILOTS = 12,
	INDEX_PILOT_COUNT = 16,
	INDEX_SEED = 20,
	INDEX_HEAD = 24,

	CELL_HEADER = 4, /* u16 length of the value, u8 where the key is, u8 its length */
	CELL_ELSEWHERE = 0xFFFF, /* as length: then u32 where the value is, u32 its length */
	CELL_WHERE = 4,
	CELL_LENGTH = 8,
	CELL_STEP = 64, /* a cache line */
	CELL_MAX = 256
};
#define INDEX_FACTOR 0x9E3779B97F4A7C15u

/*
 * Each load reads the bytes once. The empty asm keeps the compiler from
 * reading them again after they were checked: somebody may be writing the file.
 */
static inline uint16_t load16(const unsigned char *at)
{
	uint16_t v;
	memcpy(&v, at, sizeof(v));
	__asm__("" : "+r"(v));
	return v;
}

static inline uint32_t load32(const unsigned char *at)
{
	uint32_t v;
	memcpy(&v, at, sizeof(v));
	__asm__("" : "+r"(v));
	return v;
}

static inline uint64_t load64(const unsigned char *at)
{
	uint64_t v;
	memcpy(&v, at, sizeof(v));
	__asm__("" : "+r"(v));
	return v;
}

#endif
