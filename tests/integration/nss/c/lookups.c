/*
 * lookups.c - time an NSS service through glibc
 *
 * usage: lookups SERVICE PASSWD-FILE MODE...
 *
 * A MODE is
 *   name, uid, initgroups   getpwnam_r, getpwuid_r, getgrouplist, over all users
 *   few         by name, over a thousand of the users only
 *   fifty       getgrouplist, over fifty of the users only
 *   missing, missing-fifty  by names that are not there: as many as users, or fifty
 *   threads     two threads by name; wall clock for each lookup
 *   short       the refusal of a short buffer for the group that is everybody's
 *   first       the first lookup of a process, the module's loading included
 *   id-large    the program id, for a member of the group that is everybody's
 *   id-small    the same for users who are in small groups only
 *   warm        each user once by name and uid, and the groups of fifty; prints nothing
 *
 * The users are those of a file in passwd(5)'s format, taken in a fixed
 * shuffled order. For each mode a line is printed: the mode, and the median of
 * its samples in nanoseconds a lookup. An answer that is not the one expected
 * ends the program with 1. id is not told the service: nsswitch.conf must name it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern int __nss_configure_lookup(const char *database, const char *services);

enum { SAMPLES = 5, FIRSTS = 25, IDS = 9, FEW = 1000, FIFTY = 50, BUFFER = 8192, EVERYBODY = 2001000000 };

extern char **environ;

/* Held by value, so that going through them in order costs no cache miss of our own. */
struct user {
	char name[36];
	uid_t uid;
	gid_t gid;
};

static struct user *users;
static size_t all, count, chunk; /* users in the file, users in use, lookups of a sample */
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
	double samples[SAMPLES], start = now();

	/* All of them once, as far as a tenth of a second goes. */
	for (size_t i = 0; i < count && now() - start < 1e8; i += 100)
		lookup(i, count - i < 100 ? count - i : 100);
	/* As many lookups as fill 10 ms, found by trying. */
	for (chunk = 1;; chunk *= 2) {
		start = now();
		lookup(0, chunk);
		if (now() - start > 5e6)
			break;
	}
	for (size_t i = 0; i < SAMPLES; i++) {
		start = now();
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

/* run_id runs id for a user, its output thrown away. */
static double run_id(const char *name)
{
	char *argv[] = { "id", (char *)name, NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status;
	double start = now();

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
	if (posix_spawnp(&pid, "id", &actions, NULL, argv, environ) != 0 || waitpid(pid, &status, 0) != pid || status != 0)
		fail("id", name);
	posix_spawn_file_actions_destroy(&actions);
	return now() - start;
}

/*
 * ids runs id for users who are in the group that is everybody's, or are not:
 * of those that mknss makes, the ones whose number is 9 modulo 500.
 */
static double ids(int large)
{
	double samples[IDS];
	gid_t list[1024];

	for (size_t i = 0, n = 0; n < IDS; i++) {
		const struct user *u = &users[i % count];
		const char *digits = u->name + strcspn(u->name, "0123456789");
		int size = 1024, member = 0;

		if (i == 20 * count)
			fail("users for id", "");
		if (*digits == 0 || (atoi(digits) % 500 == 9) == large)
			continue;
		getgrouplist(u->name, u->gid, list, &size);
		for (int k = 0; k < size; k++)
			member |= list[k] == EVERYBODY;
		if (member != large)
			fail("groups for id", u->name);
		samples[n++] = run_id(u->name);
	}
	return median(samples, IDS);
}

static double id_large(void) { return ids(1); }
static double id_small(void) { return ids(0); }
static double name(void) { return steady(by_name, 1); }
static double uid(void) { return steady(by_uid, 1); }
static double all_groups(void) { return steady(groups, 1); }
static double missing_names(void) { return steady(missing, 1); }
static double threads(void) { return steady(two_threads, 2); }
static double short_buffer(void) { return steady(refused, 1); }

/* over times lookups of the first n users only. */
static double over(size_t n, void (*lookup)(size_t, size_t))
{
	count = all < n ? all : n;
	double ns = steady(lookup, 1);
	count = all;
	return ns;
}

static double few(void) { return over(FEW, by_name); }
static double fifty(void) { return over(FIFTY, groups); }
static double missing_fifty(void) { return over(FIFTY, missing); }

static double warm(void)
{
	by_name(0, count);
	by_uid(0, count);
	groups(0, FIFTY);
	return 0;
}

static const struct {
	const char *name;
	double (*run)(void);
} modes[] = {
	{ "name", name }, { "uid", uid }, { "initgroups", all_groups }, { "few", few }, { "fifty", fifty },
		{ "missing-fifty", missing_fifty },
	{ "missing", missing_names }, { "threads", threads }, { "short", short_buffer }, { "first", first }, { "id-large",
		id_large },
	{ "id-small", id_small }, { "warm", warm },
};
enum { MODES = sizeof(modes) / sizeof(*modes) };

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: lookups SERVICE PASSWD-FILE MODE...\n");
		return 2;
	}
	lenient = strcmp(argv[1], "empty") == 0 || strcmp(argv[1], "array") == 0;
	read_users(argv[2]);
	all = count;
	__nss_configure_lookup("passwd", argv[1]);
	__nss_configure_lookup("group", argv[1]);
	__nss_configure_lookup("initgroups", argv[1]);
	for (int i = 3; i < argc; i++) {
		size_t m = 0;

		while (m < MODES && strcmp(modes[m].name, argv[i]) != 0)
			m++;
		if (m == MODES) {
			fprintf(stderr, "lookups: no mode \"%s\"\n", argv[i]);
			return 2;
		}
		double ns = modes[m].run();
		if (modes[m].run != warm)
			printf("%s %.1f\n", argv[i], ns);
		fflush(stdout);
	}
	return 0;
}
