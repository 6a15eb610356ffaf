/*
 * limits.c - lookups in processes that may do little
 *
 * usage: limits FOLDER GOOD VARIANT ROOT
 *
 * FOLDER/nss.db is what the module looks at; ROOT is an empty folder to chroot
 * to. Each case runs in a child of its own.
 */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "cases.h"

static char root[300], inner_variant[700];
static const char *folder;

static void limit(int resource, rlim_t to)
{
	struct rlimit l = { to, to };

	check(setrlimit(resource, &l) == 0, "%s: setrlimit", current);
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
#define DENY(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), \
		   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES)
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
	return verdict("limits");
}
