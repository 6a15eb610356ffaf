/*
 * lifetime.c - how long a process keeps a file: readers that never leave, forks,
 * canceled threads, and what is left of it all
 *
 * usage: lifetime FOLDER GOOD VARIANT
 *
 * FOLDER/nss.db is what the module looks at. Each case runs in a child of its own.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

#include "cases.h"

static sigjmp_buf out;

static void jump_out(int number)
{
	(void)number;
	siglongjmp(out, 1);
}

/* Lookups that a signal handler jumped out of hold their file for ever: of twelve files one after the other. */
static void readers_lost(void)
{
	struct sigaction action = { .sa_handler = jump_out };
	struct itimerval soon = { .it_value = { 0, 1000 } };

	check(sigaction(SIGPROF, &action, NULL) == 0, "sigaction");
	for (volatile int file = 0; file < 12; file++) {
		install(file % 2 == 0 ? good : variant, path);
		next_check();
		for (volatile int jumps = 0; jumps < 20; jumps++) {
			struct passwd lost;
			char b[2048];
			int error;

			if (sigsetjmp(out, 1) == 0) {
				setitimer(ITIMER_PROF, &soon, NULL);
				for (;;)
					nss.getpwnam("alice", &lost, b, sizeof(b), &error);
			}
		}
		check(serves(file % 2 == 0 ? "variant 0" : "variant 1"), "file %d: an old one is served: %s", file, pw.pw_gecos);
	}
	printf("lifetime: %ld files are mapped after 240 lost readers\n", maps("/nss.db", 0));
}

static atomic_int stop;

static void *look_on(void *argument)
{
	struct passwd mine;
	char b[2048];
	int error;

	for (; !stop; )
		nss.getpwnam(argument, &mine, b, sizeof(b), &error);
	return NULL;
}

/* A child of a process with busy threads has busy threads of its own when it forks, and so on. */
static void generations(void)
{
	for (int generation = 0; generation < 12; generation++) {
		pthread_t threads[4];

		for (int i = 0; i < 4; i++)
			check(pthread_create(&threads[i], NULL, look_on, "alice") == 0, "pthread_create");
		install(generation % 2 == 0 ? variant : good, path);
		next_check();

		pid_t pid = fork();
		if (pid == 0) {
			/* The threads are gone, and what they counted is not. */
			check(serves(generation % 2 == 0 ? "variant 1" : "variant 0"), "generation %d: an old file is served", generation);
			if (failures != 0)
				_exit(1);
			continue;
		}
		int status;
		waitpid(pid, &status, 0);
		check(status == 0, "generation %d: exit status %#x", generation, (unsigned)status);
		stop = 1;
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		return;
	}
	printf("lifetime: %ld files are mapped after twelve generations\n", maps("/nss.db", 0));
}

static atomic_int looked;

static void *canceled(void *argument)
{
	int old;

	(void)argument;
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	for (unsigned i = 0;; i++) {
		struct passwd mine;
		char b[2048];
		int error;

		nss.getpwnam("alice", &mine, b, sizeof(b), &error);
		nss.getpwuid(2041000000u + i % 100000, &mine, b, sizeof(b), &error);
		atomic_fetch_add(&looked, 1);
	}
	return NULL;
}

static void cancellation(void)
{
	found();
	for (int i = 0; i < 300; i++) {
		pthread_t t;

		atomic_store(&looked, 0);
		pthread_create(&t, NULL, canceled, NULL);
		while (atomic_load(&looked) < 1 + i % 7)
			sched_yield();
		pthread_cancel(t);
		pthread_join(t, NULL);
		if (i % 100 == 0) {
			install(i % 200 == 0 ? variant : good, path);
			next_check();
		}
	}
	install(good, path);
	next_check();
	found();
	found();
	check(maps("/nss.db", 0) == 1, "%ld files are mapped after cancellations", maps("/nss.db", 0));
}

static int count(const char *of)
{
	DIR *d = opendir(of);
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void leaves_nothing(void)
{
	int files = count("/proc/self/fd"), threads = count("/proc/self/task");
	struct sigaction action;

	for (int i = 0; i < 1000; i++)
		found();
	nss.setpwent(0);
	int error;
	while (nss.getpwent(&pw, space, sizeof(space), &error) == NSS_STATUS_SUCCESS)
		continue;
	nss.endpwent();
	check(count("/proc/self/fd") == files, "descriptors: %d, were %d", count("/proc/self/fd"), files);
	check(count("/proc/self/task") == threads, "threads: %d, were %d", count("/proc/self/task"), threads);
	for (int i = 1; i < 65; i++) {
		if (sigaction(i, NULL, &action) == 0)
			check(action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN, "signal %d has a handler", i);
	}
	/* And the page of its zeroed data, which has no name. */
	long kb = maps("libnss_iam", 1) + maps("/nss.db", 1) + 4;
	check(kb < 16, "%ld KiB of private memory", kb);
	printf("lifetime: %ld KiB of private memory\n", kb);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	good = argv[2];
	variant = argv[3];
	snprintf(path, sizeof(path), "%s/nss.db", argv[1]);
	run("readers that never leave", readers_lost);
	run("forks of forks", generations);
	run("cancellation at any instruction", cancellation);
	run("what is left in the process", leaves_nothing);
	return verdict("lifetime");
}
