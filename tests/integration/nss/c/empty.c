/*
 * empty.c - an NSS module that answers without looking: the floor of any module
 */
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <string.h>

static enum nss_status user(const char *name, uid_t uid, struct passwd *ret, char *buffer, size_t size, int *errnop)
{
	size_t len = strlen(name);

	if (size < len + 2) {
		*errnop = ERANGE;
		return NSS_STATUS_TRYAGAIN;
	}
	memcpy(buffer, name, len + 1);
	buffer[len + 1] = 0;
	*ret = (struct passwd){ .pw_name = buffer, .pw_passwd = buffer + len + 1, .pw_uid = uid, .pw_gid = uid,
				.pw_gecos = buffer + len + 1, .pw_dir = buffer + len + 1, .pw_shell = buffer + len + 1 };
	return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_empty_getpwnam_r(const char *name, struct passwd *ret, char *buffer, size_t size, int *errnop)
{
	if (name[0] == '-') {
		*errnop = ENOENT;
		return NSS_STATUS_NOTFOUND;
	}
	return user(name, 2001000000, ret, buffer, size, errnop);
}

enum nss_status _nss_empty_getpwuid_r(uid_t uid, struct passwd *ret, char *buffer, size_t size, int *errnop)
{
	return user("alice", uid, ret, buffer, size, errnop);
}

enum nss_status _nss_empty_initgroups_dyn(const char *name, gid_t group, long *start, long *size, gid_t **groups,
					  long limit, int *errnop)
{
	(void)name, (void)group, (void)limit, (void)errnop;
	for (gid_t i = 0; i < 3 && *start < *size; i++)
		(*groups)[(*start)++] = 2001000000 + i;
	return NSS_STATUS_SUCCESS;
}
