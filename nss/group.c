/*
 * group.c - the entry points of the group database
 */
#include "call.h"
#include "lookup.h"

enum nss_status _nss_iam_getgrnam_r(const char *name, struct group *ret, char *buffer, size_t size, int *errnop);
enum nss_status _nss_iam_getgrgid_r(gid_t gid, struct group *ret, char *buffer, size_t size, int *errnop);
enum nss_status _nss_iam_setgrent(int stayopen);
enum nss_status _nss_iam_getgrent_r(struct group *ret, char *buffer, size_t size, int *errnop);
enum nss_status _nss_iam_endgrent(void);

static enum record_status pack(const struct bolt_bytes *record, const struct record_want *want,
			       void *ret, char *buffer, size_t size)
{
	return record_group(record, want, ret, buffer, size);
}

static const struct lookup_database database = { FORMAT_GROUP_NAME, FORMAT_GROUP_GID, pack };
static lookup_cursor cursor;

ENTRY_POINT enum nss_status _nss_iam_getgrnam_r(const char *name, struct group *ret, char *buffer, size_t size,
						int *errnop)
{
	return lookup_name(&database, name, ret, buffer, size, errnop);
}

ENTRY_POINT enum nss_status _nss_iam_getgrgid_r(gid_t gid, struct group *ret, char *buffer, size_t size, int *errnop)
{
	return lookup_id(&database, gid, ret, buffer, size, errnop);
}

ENTRY_POINT enum nss_status _nss_iam_setgrent(int stayopen)
{
	(void)stayopen;
	return lookup_rewind(&cursor);
}

ENTRY_POINT enum nss_status _nss_iam_getgrent_r(struct group *ret, char *buffer, size_t size, int *errnop)
{
	return lookup_next(&database, &cursor, ret, buffer, size, errnop);
}

ENTRY_POINT enum nss_status _nss_iam_endgrent(void)
{
	return lookup_rewind(&cursor);
}
