/*
 * passwd.c - the entry points of the passwd database
 */
#include "call.h"
#include "lookup.h"

enum nss_status _nss_iam_getpwnam_r(const char *name, struct passwd *ret, char *buffer, size_t size, int *errnop);
enum nss_status _nss_iam_getpwuid_r(uid_t uid, struct passwd *ret, char *buffer, size_t size, int *errnop);
enum nss_status _nss_iam_setpwent(int stayopen);
enum nss_status _nss_iam_getpwent_r(struct passwd *ret, char *buffer, size_t size, int *errnop);
enum nss_status _nss_iam_endpwent(void);

static enum record_status pack(const struct bolt_bytes *record, const struct record_want *want,
			       void *ret, char *buffer, size_t size)
{
	return record_passwd(record, want, ret, buffer, size);
}

static const struct lookup_database database = { FORMAT_PASSWD_NAME, FORMAT_PASSWD_UID, pack };
static lookup_cursor cursor;

ENTRY_POINT enum nss_status _nss_iam_getpwnam_r(const char *name, struct passwd *ret, char *buffer, size_t size,
						int *errnop)
{
	return lookup_name(&database, name, ret, buffer, size, errnop);
}

ENTRY_POINT enum nss_status _nss_iam_getpwuid_r(uid_t uid, struct passwd *ret, char *buffer, size_t size, int *errnop)
{
	return lookup_id(&database, uid, ret, buffer, size, errnop);
}

ENTRY_POINT enum nss_status _nss_iam_setpwent(int stayopen)
{
	(void)stayopen;
	return lookup_rewind(&cursor);
}

ENTRY_POINT enum nss_status _nss_iam_getpwent_r(struct passwd *ret, char *buffer, size_t size, int *errnop)
{
	return lookup_next(&database, &cursor, ret, buffer, size, errnop);
}

ENTRY_POINT enum nss_status _nss_iam_endpwent(void)
{
	return lookup_rewind(&cursor);
}
