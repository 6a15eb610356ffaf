/*
 * limits.c - lookups in processes that may do little
 *
 * usage: limits FOLDER GOOD VARIANT ROOT
 *
 * FOLDER/nss.db is what the module looks at; ROOT is an empty folder to chroot
 * to. Each case runs in a child of its own.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char path[300], root[300], inner_variant[700];
static const char *folder, *good, *variant, *current;

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

static void limit(int resource, rlim_t to)
{
	struct rlimit l = { to, to };

	check(setrlimit(resource, &l) == 0, "%s: setrlimit", current);
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

/* How many lines of /proc/self/maps name what; with smaps, kilobytes of its private memory. */
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

static void no_descriptor_before(void)
{
	limit(RLIMIT_NOFILE, 0);
	expect(NSS_STATUS_TRYAGAIN, EMFILE);
	expect(NSS_STATUS_TRYAGAIN, EMFILE);
}

static void no_descriptor_after(void)
{
	char newer[310];

	snprintf(newer, sizeof(newer), "%s.newer", path);
	install(variant, newer);
	found();
	limit(RLIMIT_NOFILE, 0);
	for (int i = 3; i < 1024; i++)
		close(i);
	found();
	check(rename(newer, path) == 0, "rename");
	next_check();
	found(); /* a newer file cannot be opened: the one in hand goes on */
}

static void no_process(void)
{
	check(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0, "setresuid");
	limit(RLIMIT_NPROC, 1);
	found();
}

static void no_memory(void)
{
	limit(RLIMIT_AS, 1);
	expect(NSS_STATUS_TRYAGAIN, ENOMEM);
}

static void no_memory_after(void)
{
	found();
	limit(RLIMIT_AS, 1);
	found();
	next_check();
	found();
}

static void no_stack(void)
{
	limit(RLIMIT_STACK, 64 * 1024);
	found();
}

static void chroot_before(void)
{
	check(chroot(root) == 0 && chdir("/") == 0, "chroot");
	expect(NSS_STATUS_UNAVAIL, ENOENT);
}

static void chroot_after(void)
{
	found();
	check(chroot(root) == 0 && chdir("/") == 0, "chroot");
	found();
	next_check();
	found();
	next_check();
	found();
}

/* make_inner puts the other file at the same path below root. */
static void make_inner(void)
{
	size_t at = (size_t)snprintf(inner_variant, sizeof(inner_variant), "%s", root);

	for (const char *p = path; *p != 0 && at < sizeof(inner_variant) - 1; p++) {
		if (*p == '/' && p > path)
			mkdir(inner_variant, 0755);
		inner_variant[at++] = *p;
		inner_variant[at] = 0;
	}
	install(variant, inner_variant);
}

/* A container's file does not take the place of the host's. */
static void chroot_with_another(void)
{
	make_inner();
	found();
	check(chroot(root) == 0 && chdir("/") == 0, "chroot");
	next_check();
	found();
	check(strstr(pw.pw_gecos, "variant 0") != NULL, "the container's file is served: %s", pw.pw_gecos);
}

/* As sshd's: files may not be opened, and most of the rest kills. */
static void sandboxed(void)
{
#define ALLOW(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define DENY(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES)
	static struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(write), ALLOW(exit_group), ALLOW(clock_gettime), ALLOW(clock_nanosleep), ALLOW(nanosleep),
		ALLOW(mmap), ALLOW(munmap), ALLOW(close), DENY(openat), DENY(newfstatat), DENY(fstat),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
		"seccomp");
}

static void sandbox_after(void)
{
	found();
	sandboxed();
	for (int i = 0; i < 100000; i++)
		found();
	next_check();
	found();
}

/* refuse lets a call fail if the lower half of one of its arguments is, or is not, a value. */
static void refuse(unsigned call, unsigned argument, unsigned value, int if_equal, int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + argument * sizeof(__u64)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, if_equal ? 0 : 1, if_equal ? 1 : 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0,
		"seccomp");
}

static void found_in_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		found();
		next_check();
		found();
		_exit(failures != 0);
	}
	int status;
	waitpid(pid, &status, 0);
	check(status == 0, "%s: a child: exit status %#x", current, (unsigned)status);
}

/* As SELinux may: the file may be read, and not mapped. */
static void no_mapping(void)
{
	refuse(SYS_mmap, 4, (unsigned)-1, 0, EACCES);
	found();
	check(maps("/nss.db", 0) == 0, "%s: it is mapped", current);
	found_in_child();

	long lines = maps("", 0);
	for (int i = 0; i < 6; i++) {
		install(i % 2 == 0 ? variant : good, path);
		next_check();
		found();
		check(strstr(pw.pw_gecos, i % 2 == 0 ? "variant 1" : "variant 0") != NULL, "%s: a newer file is not served: %s",
			current, pw.pw_gecos);
	}
	found();
	check(maps("", 0) <= lines + 1, "%s: %ld mappings, %ld before", current, maps("", 0), lines);
}

static int serves(const char *which)
{
	found();
	return strstr(pw.pw_gecos, which) != NULL;
}

/* The first lookup was in a chroot with a file of its own; back outside, the host's is served. */
static void chroot_and_back(void)
{
	int outside = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	make_inner();
	check(chroot(root) == 0 && chdir("/") == 0, "chroot");
	check(serves("variant 1"), "%s: inside, %s", current, pw.pw_gecos);
	check(fchdir(outside) == 0 && chroot(".") == 0, "chroot back");
	next_check();
	check(serves("variant 0"), "%s: back outside, %s", current, pw.pw_gecos);
}

/* A daemon that went into a chroot, where the folder is the host's by a bind mount. */
static void chroot_with_the_folder(void)
{
	char inner[700], newer[310];

	make_inner();
	snprintf(newer, sizeof(newer), "%s.newer", path);
	install(variant, newer);
	snprintf(inner, sizeof(inner), "%s%s", root, folder);
	check(unshare(CLONE_NEWNS) == 0 && mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	      mount(folder, inner, NULL, MS_BIND, NULL) == 0, "%s: bind", current);
	check(serves("variant 0"), "%s: %s", current, pw.pw_gecos);
	check(chroot(root) == 0 && chdir("/") == 0, "chroot");
	check(rename(newer, path) == 0, "%s: rename", current);
	next_check();
	check(serves("variant 1"), "%s: a newer file is not served: %s", current, pw.pw_gecos);
}

/* As in bubblewrap and podman: no owner has a number here, neither the file's nor that of "/". */
static void user_namespace(void)
{
	if (unshare(CLONE_NEWUSER) != 0) {
		check(getenv("CI") == NULL, "%s: unshare", current);
		printf("limits: no user namespace here: %s\n", strerror(errno));
		return;
	}
	found();
	install(variant, path);
	next_check();
	check(serves("variant 1"), "%s: a newer file is not served: %s", current, pw.pw_gecos);
}

/* All memory is to be locked, and a file of this size may not be. */
static void memory_locked(void)
{
	install(good, path);
	limit(RLIMIT_MEMLOCK, 1 << 20);
	check(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0, "setresuid");
	check(mlockall(MCL_FUTURE) == 0, "%s: mlockall", current);
	check(mmap(NULL, 4 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EAGAIN,
		"%s: all the same, 4 MiB are mapped", current);
	for (int i = 0; i < 100; i++)
		found();
}

static void memory_locked_no_mapping(void)
{
	refuse(SYS_mmap, 4, (unsigned)-1, 0, EACCES);
	memory_locked();
	check(maps("/nss.db", 0) == 0, "%s: it is mapped", current);
}

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
	printf("limits: %ld files are mapped after 240 lost readers\n", maps("/nss.db", 0));
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
	printf("limits: %ld files are mapped after twelve generations\n", maps("/nss.db", 0));
}

static atomic_int looked;

static void *cancelled(void *argument)
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
		pthread_create(&t, NULL, cancelled, NULL);
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
	printf("limits: %ld KiB of private memory\n", kb);
}

static void run(const char *name, void (*body)(void))
{
	current = name;
	install(good, path);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		checks = failures = 0;
		alarm(60);
		open_module();
		body();
		fflush(NULL);
		_exit(failures != 0 || checks == 0);
	}
	int status;
	waitpid(pid, &status, 0);
	check(status == 0, "%s: exit status %#x", name, (unsigned)status);
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	folder = argv[1];
	good = argv[2];
	variant = argv[3];
	snprintf(root, sizeof(root), "%s", argv[4]);
	snprintf(path, sizeof(path), "%s/nss.db", folder);
	run("no descriptor is left, before the first lookup", no_descriptor_before);
	run("no descriptor is left, after it", no_descriptor_after);
	run("no process is left", no_process);
	run("no memory is left, before the first lookup", no_memory);
	run("no memory is left, after it", no_memory_after);
	run("a small stack", no_stack);
	run("chroot before the first lookup", chroot_before);
	run("chroot after it", chroot_after);
	run("chroot to a folder with another file", chroot_with_another);
	run("the first lookup in a chroot, and back", chroot_and_back);
	run("chroot with the same folder in it", chroot_with_the_folder);
	run("sandbox after the first lookup", sandbox_after);
	run("a file that may be read, and not mapped", no_mapping);
	run("a user namespace", user_namespace);
	run("all memory locked", memory_locked);
	run("all memory locked, and a file that may not be mapped", memory_locked_no_mapping);
	run("readers that never leave", readers_lost);
	run("forks of forks", generations);
	run("cancellation at any instruction", cancellation);
	run("what is left in the process", leaves_nothing);
	return verdict("limits");
}
