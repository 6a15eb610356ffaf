/*
 * lookups.c - time an NSS service through glibc
 *
 * usage: lookups SERVICE PASSWD-FILE MODE
 *
 * MODE is name, uid, initgroups, missing, threads (two threads by name;
 * nanoseconds of wall clock for each lookup), short (the refusal of a short
 * buffer for the group that is everybody's), or first (the first lookup of a
 * process, loading included; started again for each sample).
 *
 * The users are those of a file in passwd(5)'s format, taken in a fixed
 * shuffled order. Printed is the median of the samples, in nanoseconds a
 * lookup. An answer that is not the one expected ends the program with 1.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern int __nss_configure_lookup(const char *database, const char *services);

enum { SAMPLES = 15, FIRSTS = 101, BUFFER = 8192 };

/* Held by value, so that going through them in order costs no cache miss of our own. */
struct user {
	char name[36];
	uid_t uid;
	gid_t gid;
};

static struct user *users;
static size_t count, chunk;
static int lenient; /* the empty module's answers are not looked at */

static void fail(const char *what, const char *name)
{
	fprintf(stderr, "lookups: %s of \"%s\": %s\n", what, name, errno != 0 ? strerror(errno) : "not found or wrong");
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void read_users(const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t size = 0, room = 0;

	if (f == NULL)
		fail("open", path);
	while (getline(&line, &size, f) > 0) {
		if (count == room) {
			room = room == 0 ? 1024 : room * 2;
			users = realloc(users, room * sizeof(*users));
		}
		char *name = strtok(line, ":");
		strtok(NULL, ":");
		users[count].uid = (uid_t)strtoul(strtok(NULL, ":"), NULL, 10);
		users[count].gid = (gid_t)strtoul(strtok(NULL, ":"), NULL, 10);
		snprintf(users[count++].name, sizeof(users->name), "%s", name);
	}
	fclose(f);
	unsigned long random = 20261122;
	for (size_t i = count - 1; i > 0; i--) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		size_t j = (random >> 33) % (i + 1);
		struct user t = users[i];
		users[i] = users[j];
		users[j] = t;
	}
}

static void by_name(size_t from, size_t n)
{
	char buffer[BUFFER];
	struct passwd pw, *result;

	for (size_t i = from; i < from + n; i++) {
		const struct user *u = &users[i % count];
		if (getpwnam_r(u->name, &pw, buffer, sizeof(buffer), &result) != 0 || result == NULL ||
		    (!lenient && pw.pw_uid != u->uid))
			fail("getpwnam", u->name);
	}
}

static void by_uid(size_t from, size_t n)
{
	char buffer[BUFFER];
	struct passwd pw, *result;

	for (size_t i = from; i < from + n; i++) {
		const struct user *u = &users[i % count];
		if (getpwuid_r(u->uid, &pw, buffer, sizeof(buffer), &result) != 0 || result == NULL ||
		    (!lenient && strcmp(pw.pw_name, u->name) != 0))
			fail("getpwuid", u->name);
	}
}

static void groups(size_t from, size_t n)
{
	gid_t list[1024];

	for (size_t i = from; i < from + n; i++) {
		const struct user *u = &users[i % count];
		int size = 1024;
		if (getgrouplist(u->name, u->gid, list, &size) < 1)
			fail("getgrouplist", u->name);
	}
}

static void missing(size_t from, size_t n)
{
	char buffer[BUFFER], name[64];
	struct passwd pw, *result;

	for (size_t i = from; i < from + n; i++) {
		const char *known = users[i % count].name;
		size_t len = strlen(known);
		if (lenient) {
			name[0] = '-';
			name[1] = 0;
		} else { /* a name between two that are there */
			memcpy(name, known, len + 1);
			name[len - 1] = '_';
			name[len] = 0;
		}
		getpwnam_r(name, &pw, buffer, sizeof(buffer), &result);
		if (result != NULL)
			fail("getpwnam, not expected,", name);
	}
}

static void refused(size_t from, size_t n)
{
	char buffer[1024];
	struct group gr, *result;

	for (size_t i = from; i < from + n; i++) {
		if (getgrnam_r("iam-users", &gr, buffer, sizeof(buffer), &result) != ERANGE)
			fail("refusal of a short buffer", "iam-users");
	}
}

static void *thread(void *start)
{
	by_name((size_t)start, chunk);
	return NULL;
}

static void two_threads(size_t from, size_t n)
{
	pthread_t a, b;

	(void)n;
	pthread_create(&a, NULL, thread, (void *)from);
	pthread_create(&b, NULL, thread, (void *)(from + chunk));
	pthread_join(a, NULL);
	pthread_join(b, NULL);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *samples, size_t n)
{
	qsort(samples, n, sizeof(*samples), ascending);
	return samples[n / 2];
}

static double steady(void (*lookup)(size_t, size_t), size_t threads)
{
	double samples[SAMPLES];

	/* As many lookups as fill about 20 ms, found by trying. */
	lookup(0, count < 5000 ? count : 5000);
	for (chunk = 1;; chunk *= 2) {
		double start = now();
		lookup(0, chunk);
		if (now() - start > 1e7)
			break;
	}
	for (size_t i = 0; i < SAMPLES; i++) {
		double start = now();
		lookup(i * chunk * threads, chunk);
		samples[i] = (now() - start) / (double)(chunk * threads);
	}
	return median(samples, SAMPLES);
}

static double first(void)
{
	double samples[FIRSTS];

	for (size_t i = 0; i < FIRSTS; i++) {
		int pipe_fd[2];

		if (pipe(pipe_fd) != 0)
			fail("pipe", "");
		pid_t pid = fork();
		if (pid == 0) {
			double start = now();
			by_name(i, 1);
			double took = now() - start;
			if (write(pipe_fd[1], &took, sizeof(took)) != sizeof(took))
				_exit(1);
			_exit(0);
		}
		int status;
		waitpid(pid, &status, 0);
		if (status != 0 || read(pipe_fd[0], &samples[i], sizeof(samples[i])) != sizeof(samples[i]))
			exit(1);
		close(pipe_fd[0]);
		close(pipe_fd[1]);
	}
	return median(samples, FIRSTS);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: lookups SERVICE PASSWD-FILE MODE\n");
		return 2;
	}
	const char *mode = argv[3];
	lenient = strcmp(argv[1], "empty") == 0;
	read_users(argv[2]);
	if (strcmp(argv[1], "system") != 0) {
		__nss_configure_lookup("passwd", argv[1]);
		__nss_configure_lookup("group", argv[1]);
		__nss_configure_lookup("initgroups", argv[1]);
	}
	double ns;
	if (strcmp(mode, "name") == 0)
		ns = steady(by_name, 1);
	else if (strcmp(mode, "uid") == 0)
		ns = steady(by_uid, 1);
	else if (strcmp(mode, "initgroups") == 0)
		ns = steady(groups, 1);
	else if (strcmp(mode, "missing") == 0)
		ns = steady(missing, 1);
	else if (strcmp(mode, "short") == 0)
		ns = steady(refused, 1);
	else if (strcmp(mode, "threads") == 0)
		ns = steady(two_threads, 2);
	else if (strcmp(mode, "first") == 0)
		ns = first();
	else
		return 2;
	printf("%.1f\n", ns);
	return 0;
}
