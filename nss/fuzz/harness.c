/*
 * harness.c - what the fuzz targets share
 *
 * The entry points are the real ones. In place of mapping.c stands a mapping
 * of the bytes under test.
 */
#include "harness.h"

#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../mapping.h"

enum nss_status _nss_iam_getpwnam_r(const char *, struct passwd *, char *, size_t, int *);
enum nss_status _nss_iam_getpwuid_r(uid_t, struct passwd *, char *, size_t, int *);
enum nss_status _nss_iam_setpwent(int);
enum nss_status _nss_iam_getpwent_r(struct passwd *, char *, size_t, int *);
enum nss_status _nss_iam_getgrnam_r(const char *, struct group *, char *, size_t, int *);
enum nss_status _nss_iam_getgrgid_r(gid_t, struct group *, char *, size_t, int *);
enum nss_status _nss_iam_setgrent(int);
enum nss_status _nss_iam_getgrent_r(struct group *, char *, size_t, int *);
enum nss_status _nss_iam_initgroups_dyn(const char *, gid_t, long *, long *, gid_t **, long, int *);

enum { BUFFER = 8192, ENTRIES = 8, NAMES = 3 };

static struct file file;
static int unreadable;

int mapping_enter(struct mapping_hold *hold)
{
	hold->file = &file;
	return unreadable;
}

void mapping_leave(struct mapping_hold *hold)
{
	(void)hold;
}

static void promise(bool kept, const char *what)
{
	if (!kept) {
		fprintf(stderr, "broken: %s\n", what);
		abort();
	}
}

unsigned char *harness_load(const char *path, size_t *ret_size)
{
	FILE *f = fopen(path, "rb");

	if (f == NULL || fseek(f, 0, SEEK_END) != 0) {
		perror(path);
		exit(1);
	}
	*ret_size = (size_t)ftell(f);
	rewind(f);
	unsigned char *base = malloc(*ret_size);
	if (fread(base, 1, *ret_size, f) != *ret_size) {
		perror(path);
		exit(1);
	}
	fclose(f);
	return base;
}

void harness_seal(unsigned char *base, size_t size)
{
	for (size_t page = 0; page < 2 && size >= (page + 1) * FORMAT_PAGE_SIZE; page++) {
		unsigned char *meta = base + page * FORMAT_PAGE_SIZE + 16;
		uint64_t sum = 14695981039346656037u;

		for (int i = 0; i < 56; i++)
			sum = (sum ^ meta[i]) * 1099511628211u;
		memcpy(meta + 56, &sum, sizeof(sum));
	}
}

/* A buffer of the size asked for, exactly, so that a byte past it is noticed. */
static char *exact(size_t size)
{
	static char *last;

	free(last);
	last = malloc(size == 0 ? 1 : size);
	return last;
}

static bool inside(const char *text, const char *buffer, size_t size)
{
	return text >= buffer && text < buffer + size && memchr(text, 0, (size_t)(buffer + size - text)) != NULL;
}

static void check_status(enum nss_status status, int error, int before)
{
	switch (status) {
	case NSS_STATUS_SUCCESS:
		promise(error == before, "*errnop is left alone on success");
		break;
	case NSS_STATUS_NOTFOUND:
		promise(error == ENOENT || error == before, "*errnop says not found");
		break;
	case NSS_STATUS_TRYAGAIN:
		promise(error == ERANGE, "*errnop says that the buffer is short");
		break;
	case NSS_STATUS_UNAVAIL:
		promise(error == ENOENT, "*errnop says that there is no such file");
		break;
	default:
		promise(false, "the status is one of NSS");
	}
	promise(errno == 4711, "errno is left alone");
}

static void check_user(const struct passwd *pw, const char *buffer, size_t size)
{
	promise(inside(pw->pw_name, buffer, size) && inside(pw->pw_passwd, buffer, size) &&
		inside(pw->pw_gecos, buffer, size) && inside(pw->pw_dir, buffer, size) &&
		inside(pw->pw_shell, buffer, size), "a user's strings are in the buffer");
	promise(pw->pw_uid >= file.low && pw->pw_uid <= file.high && pw->pw_gid >= file.low &&
		pw->pw_gid <= file.high && pw->pw_uid >= FORMAT_MIN_ID && pw->pw_uid <= FORMAT_MAX_ID,
		"a user's uid and gid are in the range");
	promise(strcmp(pw->pw_passwd, "*") == 0 || strcmp(pw->pw_passwd, "x") == 0, "no password is served");
	promise(pw->pw_name[0] != 0, "a user has a name");
}

static void check_group(const struct group *gr, const char *buffer, size_t size)
{
	promise(inside(gr->gr_name, buffer, size) && inside(gr->gr_passwd, buffer, size),
		"a group's strings are in the buffer");
	promise(gr->gr_gid >= file.low && gr->gr_gid <= file.high, "a group's gid is in the range");
	promise((uintptr_t)gr->gr_mem % sizeof(char *) == 0, "members are aligned");
	for (char **m = gr->gr_mem;; m++) {
		promise((char *)(m + 1) <= buffer + size && (char *)m >= buffer, "members are in the buffer");
		if (*m == NULL)
			break;
		promise(inside(*m, buffer, size) && **m != 0, "a member's name is in the buffer");
	}
}

static void ask_name(const char *name, size_t size)
{
	struct passwd pw;
	struct group gr;
	int error = 4712;
	char *buffer = exact(size);
	enum nss_status status = _nss_iam_getpwnam_r(name, &pw, buffer, size, &error);

	check_status(status, error, 4712);
	if (status == NSS_STATUS_SUCCESS) {
		check_user(&pw, buffer, size);
		promise(strcmp(pw.pw_name, name) == 0, "the user is the one asked for");
	}
	error = 4712;
	buffer = exact(size);
	status = _nss_iam_getgrnam_r(name, &gr, buffer, size, &error);
	check_status(status, error, 4712);
	if (status == NSS_STATUS_SUCCESS) {
		check_group(&gr, buffer, size);
		promise(strcmp(gr.gr_name, name) == 0, "the group is the one asked for");
	}
	long start = 1, room = 1 + (long)(size % 7), had = room;
	gid_t *groups = malloc((size_t)room * sizeof(gid_t));
	groups[0] = 5;
	error = 4712;
	status = _nss_iam_initgroups_dyn(name, 5, &start, &room, &groups, (long)(size % 5) * 100, &error);
	check_status(status, error, 4712);
	promise(start >= 1 && start <= room && room >= had && groups[0] == 5, "groups are in the array");
	for (long i = 1; i < start; i++)
		promise(groups[i] != 0 && groups[i] != 5, "root's group is not served");
	free(groups);
}

static void ask_id(uint32_t id, size_t size)
{
	struct passwd pw;
	struct group gr;
	int error = 4712;
	char *buffer = exact(size);
	enum nss_status status = _nss_iam_getpwuid_r(id, &pw, buffer, size, &error);

	check_status(status, error, 4712);
	if (status == NSS_STATUS_SUCCESS) {
		check_user(&pw, buffer, size);
		promise(pw.pw_uid == id, "the uid is the one asked for");
	}
	error = 4712;
	buffer = exact(size);
	status = _nss_iam_getgrgid_r(id, &gr, buffer, size, &error);
	check_status(status, error, 4712);
	if (status == NSS_STATUS_SUCCESS) {
		check_group(&gr, buffer, size);
		promise(gr.gr_gid == id, "the gid is the one asked for");
	}
}

static void enumerate_users(void)
{
	struct passwd pw;
	uint64_t last = 0;
	char *buffer = malloc(BUFFER);

	_nss_iam_setpwent(0);
	for (int i = 0; i < ENTRIES; i++) {
		int error = 4712;
		enum nss_status status = _nss_iam_getpwent_r(&pw, buffer, BUFFER, &error);

		check_status(status, error, 4712);
		if (status != NSS_STATUS_SUCCESS)
			break;
		check_user(&pw, buffer, BUFFER);
		promise(pw.pw_uid > last, "an enumeration goes up");
		last = pw.pw_uid;
		if (i % 8 == 0)
			ask_id(pw.pw_uid, 2000);
	}
	free(buffer);
}

static void enumerate_groups(void)
{
	struct group gr;
	uint64_t last = 0;
	char *buffer = malloc(BUFFER);

	_nss_iam_setgrent(0);
	for (int i = 0; i < ENTRIES; i++) {
		int error = 4712;
		enum nss_status status = _nss_iam_getgrent_r(&gr, buffer, BUFFER, &error);

		check_status(status, error, 4712);
		if (status != NSS_STATUS_SUCCESS)
			break;
		check_group(&gr, buffer, BUFFER);
		promise(gr.gr_gid > last, "an enumeration goes up");
		last = gr.gr_gid;
	}
	free(buffer);
}

void harness_ask(const unsigned char *base, size_t size, uint32_t choice)
{
	static const char *const names[] = { "a", "aa", "al", "alice", "alice.smith", "zzz", "maria.silva12", "nobody",
					     "iam-users", "team-3", "team-1", "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" };
	static const size_t sizes[] = { BUFFER, 0, 8, 60, 120, 1024 };

	unreadable = file_parse(base, size, &file);
	promise(unreadable == 0 || unreadable == EINVAL, "a bad file is EINVAL");
	errno = 4711;
	for (size_t i = 0; i < NAMES; i++)
		ask_name(names[(choice + i * 5) % (sizeof(names) / sizeof(*names))], sizes[i == 0 ? 0 : choice % 6]);
	if (unreadable != 0)
		return;
	ask_id(choice % 2 == 0 ? 2001000040 : file.low, BUFFER);
	ask_id(choice, sizes[choice % 6]);
	enumerate_users();
	enumerate_groups();
}
