/*
 * cases.h - what limits.c and lifetime.c share: cases, each in a child of its own
 * that begins with the good file served, and what a case looks at
 */
#ifndef NSS_IAM_TESTS_CASES_H
#define NSS_IAM_TESTS_CASES_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char path[300];
static const char *good, *variant, *current;

static void install(const char *from, const char *to)
{
	char b[65536], temporary[400];
	ssize_t n;

	snprintf(temporary, sizeof(temporary), "%s.tmp", to);
	int in = open(from, O_RDONLY), out = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	while ((n = read(in, b, sizeof(b))) > 0)
		check(write(out, b, (size_t)n) == n, "write");
	close(in);
	close(out);
	check(rename(temporary, to) == 0, "rename to %s", to);
}

static struct passwd pw;
static char space[2048];

static void expect(enum nss_status status, int error)
{
	int got_error = 0;

	errno = 4711;
	enum nss_status got = nss.getpwnam("alice.smith", &pw, space, sizeof(space), &got_error);
	check(got == status && got_error == error, "%s: status %d, *errnop %d, expected %d, %d", current, got, got_error,
		status, error);
	check(errno == 4711, "%s: errno is changed", current);
}

static void found(void) { expect(NSS_STATUS_SUCCESS, 0); }

/* How many lines of /proc/self/maps name what; with smaps, kilobytes of its private memory. */
__attribute__((unused))
static long maps(const char *what, int private_memory)
{
	FILE *f = fopen(private_memory ? "/proc/self/smaps" : "/proc/self/maps", "r");
	char line[512];
	long n = 0, kb;
	int inside = 0;

	while (fgets(line, sizeof(line), f) != NULL) {
		if (strchr(line, '-') != NULL && strchr(line, '-') < line + 17)
			inside = strstr(line, what) != NULL, n += inside && !private_memory;
		else if (inside && private_memory && sscanf(line, "Anonymous: %ld kB", &kb) == 1)
			n += kb;
	}
	fclose(f);
	return n;
}

static int serves(const char *which)
{
	found();
	return strstr(pw.pw_gecos, which) != NULL;
}

__attribute__((unused))
static void run(const char *name, void (*body)(void))
{
	current = name;
	install(good, path);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		checks = failures = 0;
		alarm(240);
		open_module();
		body();
		fflush(NULL);
		_exit(failures != 0 || checks == 0);
	}
	int status;
	waitpid(pid, &status, 0);
	check(status == 0, "%s: exit status %#x", name, (unsigned)status);
}

#endif
