/*
 * static.c - linked statically with glibc, it loads the module like other programs
 *
 * usage: static USER SIZE
 *
 * Prints how many groups the user has, found with a first array of SIZE. The
 * module makes an array larger by the realloc of a C library that is not the one
 * of a program linked statically.
 */
#define _GNU_SOURCE
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;

	int count = atoi(argv[2]);
	gid_t *groups = calloc((size_t)count + 1, sizeof(gid_t));
	struct passwd *user = getpwnam(argv[1]);

	if (groups == NULL || user == NULL)
		return 1;
	getgrouplist(argv[1], user->pw_gid, groups, &count);
	printf("%d\n", count);
	return 0;
}
