/*
 * peers.c - what the tests of other projects assert of an NSS module
 *
 * usage: peers PASSWD
 *
 * The behaviors are those of systemd's test-nss-users, glibc's tst-nss-getpwent,
 * tst-cancel-getpwuid_r and tst-getpw, and libnss-cache's last_pw_errno_test; the
 * code is ours. PASSWD has the users that the module serves. That nss-pam-ldapd's
 * comparisons of getent hold is what dump.c is for.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "check.h"

enum { PRESET = 999, MOST = 6000 };

static char names[MOST][40];
static uid_t uids[MOST];
static int users;

static void read_users(const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t size = 0;

	for (; f != NULL && users < MOST && getline(&line, &size, f) > 0; users++) {
		snprintf(names[users], sizeof(names[users]), "%.39s", strtok(line, ":"));
		strtok(NULL, ":");
		uids[users] = (uid_t)strtoul(strtok(NULL, ":"), NULL, 10);
	}
}

static void allowed(const char *what, size_t size, enum nss_status status, int error, int exists)
{
	if (!exists)
		check(status == NSS_STATUS_NOTFOUND && error == ENOENT, "%s, %zu bytes: status %d, *errnop %d", what, size, status,
			error);
	else if (status != NSS_STATUS_SUCCESS)
		check(status == NSS_STATUS_TRYAGAIN && error == ERANGE, "%s, %zu bytes: status %d, *errnop %d", what, size, status,
			error);
	check(errno == PRESET, "%s, %zu bytes: errno is changed", what, size);
}

/* systemd: each entry point, with buffers of every size; what it knows, what it does not, what is another's. */
static void every_buffer(const char *name, uid_t id, int exists)
{
	for (size_t size = 1; size <= 1200; size += 7) {
		struct passwd pw;
		struct group gr;
		char *b = malloc(size);
		int error = PRESET;

		errno = PRESET;
		enum nss_status status = nss.getpwnam(name, &pw, b, size, &error);
		allowed(name, size, status, error, exists);
		status = nss.getgrnam(name, &gr, b, size, &error);
		allowed(name, size, status, error, exists);
		status = nss.getpwuid(id, &pw, b, size, &error);
		allowed("the uid", size, status, error, exists);
		status = nss.getgrgid(id, &gr, b, size, &error);
		allowed("the gid", size, status, error, exists);
		free(b);
	}
}

/* glibc: an enumeration names everybody once, twice in a row, with lookups in
 * between; libnss-cache: errno is 0 at its end. */
static void everybody_twice(void)
{
	for (int round = 0; round < 2; round++) {
		const struct passwd *pw;
		int n = 0;

		setpwent();
		for (errno = 0; (pw = getpwent()) != NULL; n++) {
			check(n < users && pw->pw_uid == uids[n] && strcmp(pw->pw_name, names[n]) == 0, "round %d, user %d: %s", round, n,
				pw->pw_name);
			if (n % 100 == 0 && n < users) {
				struct passwd other, *found = NULL;
				char b[2048];

				check(getpwuid_r(uids[n], &other, b, sizeof(b), &found) == 0 && found != NULL, "uid %u in between", uids[n]);
			}
			errno = 0;
		}
		check(errno == 0, "round %d: errno at the end", round);
		check(n == users, "round %d: %d users of %d", round, n, users);
		endpwent();
	}
}

static sem_t looking;

static void *look_for_ever(void *argument)
{
	struct passwd pw, *found;
	char b[2048];

	(void)argument;
	sem_post(&looking);
	for (;;) {
		getpwuid_r(uids[0], &pw, b, sizeof(b), &found);
		pthread_testcancel();
	}
	return NULL;
}

/* glibc: a thread that is canceled in lookups ends, and leaves nothing behind that others would wait for. */
static void canceled(void)
{
	for (int i = 0; i < 20; i++) {
		pthread_t thread;
		void *result = NULL;
		struct passwd pw, *found = NULL;
		char b[2048];

		sem_init(&looking, 0, 0);
		check(pthread_create(&thread, NULL, look_for_ever, NULL) == 0, "pthread_create");
		sem_wait(&looking);
		usleep((useconds_t)i * 50);
		check(pthread_cancel(thread) == 0, "pthread_cancel");
		check(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED, "the thread is not canceled");
		check(getpwuid_r(uids[0], &pw, b, sizeof(b), &found) == 0 && found != NULL, "a lookup after the thread");
	}
}

/* glibc: getpw(3) writes the line that /etc/passwd would have, and knows who is not there. */
static void as_a_line(void)
{
	char line[2048], start[64];
	int (*getpw)(uid_t, char *);

	*(void **)&getpw = dlsym(RTLD_DEFAULT, "getpw"); /* by its name, the linker warns of it */
	check(getpw(uids[0], line) == 0, "getpw of %u", uids[0]);
	snprintf(start, sizeof(start), "%s:*:%u:%u:", names[0], uids[0], uids[0]);
	check(strncmp(line, start, strlen(start)) == 0, "getpw of %u: %s", uids[0], line);
	check(getpw(uids[0] + 1, line) == -1 || uids[1] == uids[0] + 1, "getpw of somebody who is not there");
	check(getpw((uid_t)-1, line) == -1, "getpw of -1");
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	alarm(240);
	read_users(argv[1]);
	check(users > 10, "%d users", users);
	__nss_configure_lookup("passwd", "iam");
	__nss_configure_lookup("group", "iam");
	open_module();
	every_buffer(names[0], uids[0], 1);
	every_buffer("alice", uids[1], 1);
	every_buffer("root", 0, 0);
	every_buffer("nobody", 65534, 0);
	every_buffer("foo_no_such_user", 4294967295u, 0);
	every_buffer("0", 1000, 0);
	every_buffer("65534", 65535, 0);
	everybody_twice();
	canceled();
	as_a_line();
	return verdict("peers");
}
