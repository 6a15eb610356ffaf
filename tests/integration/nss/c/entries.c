/*
 * entries.c - every entry point, called directly
 *
 * usage: entries PASSWD GROUP FOLDER VARIANT
 *
 * The module serves FOLDER/nss.db; PASSWD and GROUP are the same people in
 * text, in the order of their numbers. VARIANT is another nss.db with the same
 * names and ids, which takes the file's place in the middle.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

enum { PRESET = 4711, ENOUGH = 1 << 20 };

/* A buffer of exactly size bytes, skew bytes after an aligned address: a sanitizer sees a byte past it. */
static char *block;
static char *buffer(size_t size, size_t skew)
{
	free(block);
	block = malloc(size + skew + (size + skew == 0));
	return block + skew;
}

static int untouched(const void *at, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (((const unsigned char *)at)[i] != 0xA5)
			return 0;
	}
	return 1;
}

static void user_by_name(const char *name, size_t need)
{
	for (size_t size = 0; size <= need + 9; size++) {
		struct passwd pw;
		int error = PRESET + 1;
		char *b = buffer(size, size % 8);

		memset(&pw, 0xA5, sizeof(pw));
		errno = PRESET;
		enum nss_status status = nss.getpwnam(name, &pw, b, size, &error);
		check(errno == PRESET, "%s, %zu bytes: errno is changed", name, size);
		if (size < need) {
			check(status == NSS_STATUS_TRYAGAIN && error == ERANGE, "%s, %zu bytes: status %d, *errnop %d", name, size, status,
				error);
			check(untouched(&pw, sizeof(pw)), "%s, %zu bytes: struct passwd is touched", name, size);
			continue;
		}
		check(status == NSS_STATUS_SUCCESS && error == PRESET + 1, "%s, %zu bytes: status %d, *errnop %d", name, size,
			status, error);
		check(strcmp(pw.pw_name, name) == 0, "%s, %zu bytes: got %s", name, size, pw.pw_name);
		size_t used = strlen(pw.pw_name) + strlen(pw.pw_passwd) + strlen(pw.pw_gecos) +
			strlen(pw.pw_dir) + strlen(pw.pw_shell) + 5;
		check(used == need, "%s: uses %zu bytes, expected %zu", name, used, need);

		struct passwd again;
		error = PRESET + 1;
		b = buffer(size, (size + 3) % 8);
		status = nss.getpwuid(pw.pw_uid, &again, b, size, &error);
		check(status == NSS_STATUS_SUCCESS && strcmp(again.pw_name, name) == 0, "%s by uid: status %d", name, status);
		return;
	}
	check(0, "%s: never enough", name);
}

static void group_by_name(const char *name, size_t step)
{
	static char plenty[ENOUGH];
	struct group want, gr;
	int error = 0;

	enum nss_status status = nss.getgrnam(name, &want, plenty, sizeof(plenty), &error);
	check(status == NSS_STATUS_SUCCESS, "%s: status %d", name, status);
	size_t need = strlen(want.gr_name) + strlen(want.gr_passwd) + 2 + sizeof(char *), members = 0;
	for (; want.gr_mem[members] != NULL; members++)
		need += strlen(want.gr_mem[members]) + 1 + sizeof(char *);
	for (size_t size = 0;; size += size + step < need ? step : 1) {
		size_t skew = size % 8, pad = -skew % 8; /* malloc aligns to 16 */
		char *b = buffer(size, skew);

		memset(&gr, 0xA5, sizeof(gr));
		error = PRESET + 1;
		errno = PRESET;
		status = nss.getgrnam(name, &gr, b, size, &error);
		check(errno == PRESET, "%s, %zu bytes: errno is changed", name, size);
		if (size < need + pad) {
			check(status == NSS_STATUS_TRYAGAIN && error == ERANGE, "%s, %zu bytes: status %d, *errnop %d", name, size, status,
				error);
			check(untouched(&gr, sizeof(gr)), "%s, %zu bytes: struct group is touched", name, size);
			continue;
		}
		check(status == NSS_STATUS_SUCCESS && error == PRESET + 1, "%s, %zu bytes: status %d, *errnop %d", name, size,
			status, error);
		check((uintptr_t)gr.gr_mem % sizeof(char *) == 0, "%s, skew %zu: pointers are not aligned", name, skew);
		for (size_t i = 0; i <= members; i++)
			check(i == members ? gr.gr_mem[i] == NULL : strcmp(gr.gr_mem[i], want.gr_mem[i]) == 0, "%s: member %zu", name, i);
		if (size > need + 8)
			return;
	}
}

static void absent(const char *name)
{
	struct passwd pw;
	struct group gr;
	char b[1024];
	int error = PRESET + 1;

	errno = PRESET;
	enum nss_status status = nss.getpwnam(name, &pw, b, sizeof(b), &error);
	check(status == NSS_STATUS_NOTFOUND && error == ENOENT && errno == PRESET, "user \"%s\": status %d, *errnop %d",
		name, status, error);
	error = PRESET + 1;
	status = nss.getgrnam(name, &gr, b, sizeof(b), &error);
	check(status == NSS_STATUS_NOTFOUND && error == ENOENT && errno == PRESET, "group \"%s\": status %d, *errnop %d",
		name, status, error);
	long start = 1, size = 4;
	gid_t *groups = calloc(4, sizeof(gid_t));
	error = PRESET + 1;
	status = nss.initgroups(name, 1, &start, &size, &groups, -1, &error);
	check(status == NSS_STATUS_NOTFOUND && error == ENOENT && errno == PRESET && start == 1,
		"groups of \"%s\": status %d", name, status);
	free(groups);
}

static void absent_id(uint32_t id)
{
	struct passwd pw;
	struct group gr;
	char b[1024];
	int error = PRESET + 1;

	enum nss_status status = nss.getpwuid(id, &pw, b, sizeof(b), &error);
	check(status == NSS_STATUS_NOTFOUND && error == ENOENT, "uid %u: status %d, *errnop %d", id, status, error);
	error = PRESET + 1;
	status = nss.getgrgid(id, &gr, b, sizeof(b), &error);
	check(status == NSS_STATUS_NOTFOUND && error == ENOENT, "gid %u: status %d, *errnop %d", id, status, error);
}

/* The name lies in the caller's buffer, as glibc's nss_compat has it, at every place where it can be overwritten. */
static void name_in_buffer(const char *name)
{
	char b[2048];
	struct passwd pw;
	struct group gr;
	int error = PRESET + 1;

	for (size_t at = 0; at < 200; at++) {
		memset(b, 'x', sizeof(b));
		strcpy(b + at, name);
		enum nss_status status = nss.getpwnam(b + at, &pw, b, sizeof(b), &error);
		check(status == NSS_STATUS_SUCCESS && strcmp(pw.pw_name, name) == 0,
			"%s in the buffer at %zu: status %d, *errnop %d", name, at, status, error);
		memset(b, 'x', sizeof(b));
		strcpy(b + at, name);
		status = nss.getgrnam(b + at, &gr, b, sizeof(b), &error);
		check(status == NSS_STATUS_SUCCESS && strcmp(gr.gr_name, name) == 0,
			"group %s in the buffer at %zu: status %d, *errnop %d", name, at, status, error);
	}
}

/* initgroups with the array at every size and limit. */
static void groups_of(const char *name, gid_t group, long expected)
{
	static const long limits[] = { -1, 0, 1, 2, 3, 5, 64, 65536 };

	for (size_t l = 0; l < sizeof(limits) / sizeof(*limits); l++) {
		for (long had = 1; had <= 70; had += had < 6 ? 1 : 16) {
			long limit = limits[l], size = limit > 0 && limit < had ? limit : had;
			for (long at = 0; at <= size; at++) {
				long start = at, room = size;
				gid_t *list = malloc((size_t)size * sizeof(gid_t));
				for (long i = 0; i < size; i++)
					list[i] = 77;
				int error = PRESET + 1;
				errno = PRESET;
				enum nss_status status = nss.initgroups(name, group, &start, &room, &list, limit, &error);
				long most = limit > 0 && limit < at + expected ? limit : at + expected;
				check(status == NSS_STATUS_SUCCESS && error == PRESET + 1 && errno == PRESET,
				      "%s, start %ld, size %ld, limit %ld: status %d, *errnop %d", name, at, size, limit, status, error);
				check(start == most, "%s, start %ld, size %ld, limit %ld: ends at %ld, expected %ld", name, at, size, limit,
					start, most);
				check(room >= start && (limit <= 0 || room <= limit || room == size), "%s: size became %ld", name, room);
				for (long i = 0; i < start; i++)
					check(i < at ? list[i] == 77 : list[i] != group && list[i] != 0, "%s: entry %ld is %u", name, i, list[i]);
				free(list);
			}
		}
	}
}

/* A line of a file in passwd(5)'s or group(5)'s format: its name and id. */
static int line_of(FILE *f, char *name, uint32_t *id)
{
	static char *line;
	static size_t size;

	if (getline(&line, &size, f) <= 0)
		return 0;
	char *rest = strchr(line, ':');
	*rest = 0;
	strcpy(name, line);
	*id = (uint32_t)strtoul(strchr(rest + 1, ':') + 1, NULL, 10);
	return 1;
}

/* The whole enumeration, with lookups in between, short buffers, and a replacement in the middle. */
static void enumerate(const char *passwd, const char *group, const char *folder, const char *variant)
{
	static char big[ENOUGH];
	char b[2048], other[1024], name[64], to[300], new[300];
	struct passwd pw, pw2;
	struct group gr;
	uint32_t id;
	int error, n = 0;
	FILE *f = fopen(passwd, "r"), *g = fopen(group, "r");

	nss.setpwent(0);
	nss.setgrent(0);
	for (; line_of(f, name, &id); n++) {
		error = PRESET + 1;
		errno = PRESET;
		for (int i = 0; i < n % 3; i++) {
			enum nss_status status = nss.getpwent(&pw, b, (size_t)(n % 20), &error);
			check(status == NSS_STATUS_TRYAGAIN && error == ERANGE, "user %d: a short buffer gives %d, %d", n, status, error);
		}
		error = PRESET + 1;
		enum nss_status status = nss.getpwent(&pw, b, sizeof(b), &error);
		check(status == NSS_STATUS_SUCCESS && error == PRESET + 1 && errno == PRESET, "user %d: status %d, *errnop %d", n,
			status, error);
		check(status == NSS_STATUS_SUCCESS && strcmp(pw.pw_name, name) == 0 && pw.pw_uid == id, "user %d: expected %s", n,
			name);
		if (n % 16 == 0) {
			check(nss.getpwuid(id, &pw2, other, sizeof(other), &error) == NSS_STATUS_SUCCESS, "%s: by uid in between", name);
			check(nss.getpwnam("alice", &pw2, other, sizeof(other), &error) == NSS_STATUS_SUCCESS, "alice in between");
		}
		if (n == 2500) {
			snprintf(to, sizeof(to), "%s/nss.db", folder);
			snprintf(new, sizeof(new), "%s/nss.db.new", folder);
			check(link(variant, new) == 0 && rename(new, to) == 0, "replacing the file");
			next_check();
		}
		if (n == 2600)
			check(strstr(pw.pw_gecos, "variant 1") != NULL, "the new file is not served: %s", pw.pw_gecos);
	}
	error = PRESET + 1;
	errno = PRESET;
	for (int i = 0; i < 3; i++)
		check(nss.getpwent(&pw, b, sizeof(b), &error) == NSS_STATUS_NOTFOUND, "the end of the users");
	check(error == PRESET + 1 && errno == PRESET, "the end of the users: *errnop %d", error);
	check(n >= 5000, "only %d users", n);
	nss.endpwent();
	check(nss.getpwent(&pw, b, sizeof(b), &error) == NSS_STATUS_SUCCESS, "after the end it begins again");
	nss.endpwent();

	for (n = 0; line_of(g, name, &id); n++) {
		if (n % 7 == 0) {
			error = PRESET + 1;
			check(nss.getgrent(&gr, big, 9, &error) == NSS_STATUS_TRYAGAIN && error == ERANGE, "group %d: a short buffer", n);
		}
		enum nss_status status = nss.getgrent(&gr, big, sizeof(big), &error);
		check(status == NSS_STATUS_SUCCESS && strcmp(gr.gr_name, name) == 0 && gr.gr_gid == id, "group %d: expected %s", n,
			name);
	}
	error = PRESET + 1;
	errno = PRESET;
	check(nss.getgrent(&gr, big, sizeof(big), &error) == NSS_STATUS_NOTFOUND, "the end of the groups");
	check(error == PRESET + 1 && errno == PRESET, "the end of the groups: *errnop %d", error);
	nss.endgrent();
	fclose(f);
	fclose(g);
}

int main(int argc, char **argv)
{
	static const char *const names[] = {
		"", "ali", "alic", "alice.", "alicf", "alice.smith1", "ALICE", "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn", "b", "aaa",
		"\xff\xff", "root", "a:b", "nosuchuserwithaverylongnamethatnobodyeverhas",
	};
	char b[ENOUGH / 4];
	struct group gr;
	int error;

	if (argc != 5)
		return 2;
	open_module();
	user_by_name("a", 2 + 2 + sizeof("Person 0, variant 0") + sizeof("/home/a") + sizeof("/bin/bash"));
	user_by_name("al", 3 + 2 + 1 + sizeof("/home/al") + 1);
	user_by_name("alice", 6 + 2 + 256 * 3);
	user_by_name("alice.smith", 12 + 2 + sizeof("Person 4, variant 0") +
		sizeof("/home/alice.smith") + sizeof("/bin/bash"));
	user_by_name("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
		33 + 2 + sizeof("Person 6, variant 0") + 33 + 6 + sizeof("/bin/bash"));
	user_by_name("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn", 32 + 2 + sizeof("Person 7, variant 0") + 32 + 6 + sizeof("/bin/bash"));
	group_by_name("alice", 1);
	group_by_name("team-0", 1);
	group_by_name("iam-users", 997);
	name_in_buffer("alice");
	name_in_buffer("nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		absent(names[i]);
	static const uint32_t ids[] = { 0, 1, 1000, 65534, 65535, 65536, 2000999999, 2147000000, 2147352575, 2147352576,
		4294967294u, 4294967295u };
	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		absent_id(ids[i]);
	groups_of("a", 2001000000, 2);
	groups_of("a", (gid_t)-1, 3);
	groups_of("aa", (gid_t)-1, 501);
	check(nss.getgrgid(2001000000, &gr, b, sizeof(b), &error) == NSS_STATUS_SUCCESS && strcmp(gr.gr_name,
		"iam-users") == 0, "the group of everybody");
	size_t members = 0;
	while (gr.gr_mem[members] != NULL)
		members++;
	check(members == 4989, "the group of everybody has %zu members", members);
	enumerate(argv[1], argv[2], argv[3], argv[4]);
	free(block);
	return verdict("entries");
}
