/*
 * instructions.c - the same lookups again and again, for callgrind to count
 *
 * usage: instructions PASSWD-FILE KIND ROUNDS
 *
 * KIND is name, uid, groups or missing. A round is one lookup of each of the
 * file's first thousand users, through glibc.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern int __nss_configure_lookup(const char *database, const char *services);

enum { USERS = 1000 };

static char names[USERS][64], missing[USERS][72];
static uid_t uids[USERS];

static int read_users(const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;
	int n = 0;

	for (; f != NULL && n < USERS && getline(&line, &size, f) > 0; n++) {
		char *name = strtok(line, ":");

		strtok(NULL, ":");
		uids[n] = (uid_t)strtoul(strtok(NULL, ":"), NULL, 10);
		snprintf(names[n], sizeof(names[n]), "%.60s", name);
		snprintf(missing[n], sizeof(missing[n]), "%.30s-", name);
	}
	return n;
}

static int lookup(const char *kind, int i)
{
	struct passwd pw, *found = NULL;
	char buffer[2048];
	gid_t groups[1024];
	int count = 1024;

	switch (kind[0]) {
	case 'n':
		return getpwnam_r(names[i], &pw, buffer, sizeof(buffer), &found) == 0 && found != NULL;
	case 'u':
		return getpwuid_r(uids[i], &pw, buffer, sizeof(buffer), &found) == 0 && found != NULL;
	case 'g':
		return getgrouplist(names[i], uids[i], groups, &count) > 0;
	default:
		return getpwnam_r(missing[i], &pw, buffer, sizeof(buffer), &found) == 0 && found == NULL;
	}
}

int main(int argc, char **argv)
{
	if (argc != 4 || read_users(argv[1]) != USERS)
		return 2;
	__nss_configure_lookup("passwd", "iam");
	__nss_configure_lookup("group", "iam");
	__nss_configure_lookup("initgroups", "iam");
	for (int round = atoi(argv[3]); round > 0; round--) {
		for (int i = 0; i < USERS; i++) {
			if (!lookup(argv[2], i)) {
				fprintf(stderr, "instructions: %s of %s: a wrong answer\n", argv[2], names[i]);
				return 1;
			}
		}
	}
	return 0;
}
