/*
 * lookup.h - answer from a database: by name, by id, the next one
 *
 * Knows neither users nor groups: a database says in which buckets its records
 * are and how they are packed.
 */
#ifndef NSS_IAM_LOOKUP_H
#define NSS_IAM_LOOKUP_H

#include <nss.h>
#include <stdatomic.h>
#include <stdint.h>

#include "format.h"
#include "record.h"

struct lookup_database {
	enum format_bucket by_name, by_id;
	/* record_passwd or record_group; ret is the structure that it fills. */
	enum record_status (*pack)(const struct bolt_bytes *record, const struct record_want *want,
				   void *ret, char *buffer, size_t size);
};

/* The lowest id that an enumeration has not returned yet: it means the same in any file. */
typedef _Atomic(uint64_t) lookup_cursor;

/* These are whole entry points. The name may lie in the buffer, as nss_compat's does. */
enum nss_status lookup_name(const struct lookup_database *db, const char *name,
			    void *ret, char *buffer, size_t size, int *errnop);
enum nss_status lookup_id(const struct lookup_database *db, uint32_t id,
			  void *ret, char *buffer, size_t size, int *errnop);
enum nss_status lookup_next(const struct lookup_database *db, lookup_cursor *cursor,
			    void *ret, char *buffer, size_t size, int *errnop);
enum nss_status lookup_rewind(lookup_cursor *cursor);

#endif
