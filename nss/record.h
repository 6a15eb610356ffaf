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
	RECORD_REFUSED, /* its ids are outside the range, or it has none to give */
	RECORD_DAMAGED, /* the bytes are no record, or not the one asked for */
	RECORD_NO_MEMORY
};

/* What a record must hold: ids in the range, and this name (with its NUL, not empty) or, if that is NULL, this id. */
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

/* The array of initgroups_dyn. It grows by realloc, as glibc's callers of that function expect. */
struct record_gids {
	long *start, *size;
	gid_t **groups;
	long limit; /* 0 or less: none */
};

/* record_gids appends the gids of an initgroups record, except group: the caller has that one already. */
enum record_status record_gids(const struct bolt_bytes *record, gid_t group, const struct record_gids *list);

#endif
