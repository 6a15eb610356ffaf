/*
 * dump.c - everything a service answers through glibc, as text
 *
 * usage: dump SERVICE PASSWD GROUP
 *
 * Asks for each user and group of the two files by name and by id, for
 * each user's groups, and for both enumerations.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern int __nss_configure_lookup(const char *database, const char *services);

static void user(const char *how, const struct passwd *pw)
{
	if (pw == NULL)
		printf("%s: none\n", how);
	else
		printf("%s: %s:%s:%u:%u:%s:%s:%s\n", how, pw->pw_name, pw->pw_passwd, pw->pw_uid, pw->pw_gid, pw->pw_gecos,
			pw->pw_dir, pw->pw_shell);
}

static void group(const char *how, const struct group *gr)
{
	if (gr == NULL) {
		printf("%s: none\n", how);
		return;
	}
	printf("%s: %s:%s:%u:", how, gr->gr_name, gr->gr_passwd, gr->gr_gid);
	for (char **m = gr->gr_mem; *m != NULL; m++)
		printf("%s,", *m);
	printf("\n");
}

static int ascending(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return (x > y) - (x < y);
}

static void groups(const char *name, gid_t gid)
{
	static gid_t list[70000];
	int n = 70000;

	getgrouplist(name, gid, list, &n);
	qsort(list, (size_t)n, sizeof(gid_t), ascending);
	printf("groups %s:", name);
	for (int i = 0; i < n; i++)
		printf(" %u", list[i]);
	printf("\n");
}

int main(int argc, char **argv)
{
	char *line = NULL;
	size_t size = 0;

	if (argc != 4)
		return 2;
	FILE *users = fopen(argv[2], "r"), *all = fopen(argv[3], "r");
	__nss_configure_lookup("passwd", argv[1]);
	__nss_configure_lookup("group", argv[1]);
	__nss_configure_lookup("initgroups", argv[1]);
	while (getline(&line, &size, users) > 0) {
		char *name = strtok(line, ":"), longer[100];
		strtok(NULL, ":");
		uid_t uid = (uid_t)strtoul(strtok(NULL, ":"), NULL, 10);
		user("name", getpwnam(name));
		user("uid", getpwuid(uid));
		user("uid after", getpwuid(uid + 1));
		snprintf(longer, sizeof(longer), "%s-", name);
		user("longer name", getpwnam(longer));
		groups(name, uid);
	}
	while (getline(&line, &size, all) > 0) {
		char *name = strtok(line, ":");
		strtok(NULL, ":");
		gid_t gid = (gid_t)strtoul(strtok(NULL, ":"), NULL, 10);
		group("name", getgrnam(name));
		group("gid", getgrgid(gid));
	}
	setpwent();
	for (struct passwd *pw; (pw = getpwent()) != NULL;)
		user("enumerated", pw);
	endpwent();
	setgrent();
	for (struct group *gr; (gr = getgrent()) != NULL;)
		group("enumerated", gr);
	endgrent();
	return 0;
}
