/*
 * record.h - turn a record's bytes into the structures of NSS
 *
 * Knows records, not pages. The caller's structure is filled last, and only on
 * success; every pointer in it points into the caller's buffer.
 */
#ifndef NSS_IAM_RECORD_H
#define NSS_IAM_RECORD_H

#include <grp.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>

#include "bolt.h"

enum record_status {
	RECORD_PACKED,
	RECORD_SHORT,   /* the buffer is too small */
	RECORD_REFUSED, /* its ids are outside the range */
	RECORD_DAMAGED  /* the bytes are no record, or not the one asked for */
};

/* What a record must say of itself: the ids' range, and its name (if not NULL) or its id. */
struct record_want {
	uint32_t low, high;
	const char *name;
	size_t name_len;
	uint32_t id;
};

enum record_status record_passwd(const struct bolt_bytes *record, const struct record_want *want,
				 struct passwd *ret, char *buffer, size_t size);

enum record_status record_group(const struct bolt_bytes *record, const struct record_want *want,
				struct group *ret, char *buffer, size_t size);

#endif
