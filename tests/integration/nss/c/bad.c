/*
 * bad.c - whatever stands at the path: the status that NSS asks for, never a crash
 *
 * usage: bad FOLDER GOOD VARIANT
 *
 * FOLDER/nss.db is what the module looks at. GOOD and VARIANT are two files
 * with the same names and ids.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char path[300], new[310];
static const char *good, *variant;
static const char *current; /* the case, for messages */

static void copy(const char *from, const char *to, long size)
{
	char b[65536];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	ssize_t n;

	while (size != 0 && (n = read(in, b, size > 0 && size < (long)sizeof(b) ? (size_t)size : sizeof(b))) > 0) {
		check(write(out, b, (size_t)n) == n, "%s: write", current);
		if (size > 0)
			size -= n;
	}
	fchmod(out, 0644);
	close(in);
	close(out);
}

static void gone(void) { if (remove(path) != 0 && errno == EISDIR) rmdir(path); }
static void place(void) { rmdir(path); check(rename(new, path) == 0, "%s: rename", current); }

static void put(long at, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY);

	check(pwrite(fd, bytes, len, at) == (ssize_t)len, "%s: write", current);
	close(fd);
}

static void is_good(void) { copy(good, new, -1); place(); }
static void is_missing(void) { gone(); }
static void is_folder(void) { gone(); mkdir(path, 0755); }
static void is_fifo(void) { gone(); mkfifo(path, 0644); }
static void is_link(void) { gone(); check(symlink(good, path) == 0, "symlink"); }
static void is_device(void) { gone(); check(syscall(SYS_mknodat, AT_FDCWD, path, S_IFCHR | 0644, makedev(1, 5)) == 0,
	"mknod"); }
static void is_socket(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	gone();
	snprintf(a.sun_path, sizeof(a.sun_path), "%.100s", path);
	check(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "bind");
	close(fd);
}
static void is_empty(void) { copy(good, new, 0); place(); }
static void is_one_page(void) { copy(good, new, 4096); place(); }
static void is_two_pages(void) { copy(good, new, 8192); place(); }
static void is_half(void) { copy(good, new, 100000); place(); }
static void is_odd(void) { copy(good, new, 4095); place(); }
static void is_text(void) { copy("/etc/services", new, -1); place(); }
static void is_zeros(void) { copy("/dev/zero", new, 1000000); place(); }
static void is_foreign(void) { is_good(); check(chown(path, 1000, 0) == 0, "chown"); }
static void is_group_writable(void) { is_good(); chmod(path, 0664); }
static void is_world_writable(void) { is_good(); chmod(path, 0646); }
static void is_huge(void) { is_good(); check(truncate(path, (1L << 30) + 4096) == 0, "truncate"); }
static void first_meta_torn(void) { is_good(); put(100, "torn", 4); put(40, "torn", 4); }
static void second_meta_torn(void) { is_good(); put(4096 + 40, "torn", 4); }
static void both_metas_torn(void) { is_good(); put(40, "torn", 4); put(4096 + 40, "torn", 4); }
static void has_wrong_page_size(void) { is_good(); put(16 + 8, "\0\x20\0\0", 4); put(4096 + 16 + 8, "\0\x20\0\0", 4); }

static enum nss_status ask(int *error)
{
	struct passwd pw;
	struct group gr;
	char b[2048];
	int e = 4712;

	*error = 4712;
	errno = 4711;
	enum nss_status status = nss.getpwnam("alice", &pw, b, sizeof(b), error);
	check(errno == 4711, "%s: errno is changed", current);
	check(status == NSS_STATUS_SUCCESS ? strcmp(pw.pw_name, "alice") == 0 : 1, "%s: not alice", current);
	enum nss_status other = nss.getgrnam("alice", &gr, b, sizeof(b), &e);
	check(other == status && e == *error, "%s: by group, status %d, *errnop %d", current, other, e);
	e = 4712;
	nss.setpwent(0);
	other = nss.getpwent(&pw, b, sizeof(b), &e);
	check(other == status && e == *error, "%s: enumeration, status %d, *errnop %d", current, other, e);
	e = 4712;
	nss.setgrent(0);
	other = nss.getgrent(&gr, b, sizeof(b), &e);
	check((other == status && e == *error) || e == ERANGE, "%s: groups, status %d, *errnop %d", current, other, e);
	long start = 0, size = 1;
	gid_t *groups = malloc(sizeof(gid_t));
	e = 4712;
	other = nss.initgroups("alice", 0, &start, &size, &groups, -1, &e);
	check(other == status && e == *error, "%s: initgroups, status %d, *errnop %d", current, other, e);
	check(errno == 4711, "%s: errno is changed", current);
	free(groups);
	return status;
}

/* in_child runs a case in a process of its own, which has two minutes. */
static void in_child(void (*body)(const void *), const void *argument)
{
	fflush(NULL);
	pid_t pid = fork();

	if (pid == 0) {
		checks = failures = 0;
		alarm(120);
		open_module();
		body(argument);
		fflush(NULL);
		_exit(failures != 0);
	}
	int status;
	waitpid(pid, &status, 0);
	check(status == 0, "%s: exit status %#x", current, (unsigned)status);
}

struct fresh {
	const char *name;
	void (*set)(void);
	enum nss_status status;
	int error;
};

static void fresh(const void *argument)
{
	const struct fresh *f = argument;
	int error;

	for (int i = 0; i < 2; i++) { /* the second time it is remembered */
		enum nss_status status = ask(&error);
		check(status == f->status && error == f->error, "%s: status %d, *errnop %d, expected %d, %d", f->name, status,
			error, f->status, f->error);
	}
	is_good();
	next_check();
	check(ask(&error) == NSS_STATUS_SUCCESS, "%s, then a good file: not served", f->name);
}

struct held {
	const char *name;
	void (*set)(void);
	enum nss_status status;
	int error;
};

static void held(const void *argument)
{
	const struct held *h = argument;
	int error;

	check(ask(&error) == NSS_STATUS_SUCCESS, "%s: the good file is not served", h->name);
	h->set();
	next_check();
	enum nss_status status = ask(&error);
	check(status == h->status && error == h->error, "held, then %s: status %d, *errnop %d", h->name, status, error);
	copy(variant, new, -1);
	place();
	next_check();
	check(ask(&error) == NSS_STATUS_SUCCESS, "held, then %s, then a good file: not served", h->name);
}

static void emptied_in_place(void) { check(truncate(path, 0) == 0, "truncate"); }
static void halved_in_place(void) { check(truncate(path, 100000) == 0, "truncate"); }
static void torn_in_place(void) { put(40, "torn", 4); put(4096 + 40, "torn", 4); }
static void opened_to_all(void) { chmod(path, 0666); }

static void unreadable(const void *argument)
{
	int error;

	(void)argument;
	check(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0, "setresuid");
	enum nss_status status = ask(&error);
	check(status == NSS_STATUS_UNAVAIL && error == ENOENT, "unreadable: status %d, *errnop %d", status, error);
}

/*
 * A record with a gid that may not be served is refused, and those behind it in an
 * enumeration are answered. No writer of ours makes such a file.
 */
static void one_refused(const void *argument)
{
	struct passwd pw;
	char b[2048], third[64] = "";
	int error, all = 0, rest = 0, patched = 0;
	uint32_t ids[2] = { 0, 0 };

	(void)argument;
	nss.setpwent(0);
	while (nss.getpwent(&pw, b, sizeof(b), &error) == NSS_STATUS_SUCCESS)
		if (++all == 3) {
			snprintf(third, sizeof(third), "%s", pw.pw_name);
			ids[0] = ids[1] = pw.pw_uid;
		}

	FILE *f = fopen(path, "r+");
	static char content[64 << 20];
	size_t len = fread(content, 1, sizeof(content), f);
	for (char *at = content; (at = memmem(at, len - (size_t)(at - content), ids, sizeof(ids))) != NULL; at++) {
		fseek(f, at - content + 4, SEEK_SET);
		fwrite("\0\0\0", 1, 4, f); /* the gid of root */
		patched++;
	}
	fclose(f);
	next_check();
	nss.setpwent(0);
	while (nss.getpwent(&pw, b, sizeof(b), &error) == NSS_STATUS_SUCCESS) {
		check(strcmp(pw.pw_name, third) != 0, "a refused record is answered");
		rest++;
	}
	check(patched > 0 && all > 3 && rest == all - 1, "%d of %d records are answered after %d were patched", rest, all,
		patched);
	check(nss.getpwnam(third, &pw, b, sizeof(b), &error) == NSS_STATUS_NOTFOUND, "the refused record is found by name");
}

/*
 * single_user tells whether this is the user namespace that an ordinary user can make:
 * it has one user, so files of others, devices and other users cannot be made in it.
 */
static int single_user(void)
{
	unsigned inside = 0, outside = 0, count = 0;
	FILE *map = fopen("/proc/self/uid_map", "r");

	if (map == NULL)
		return 0;
	int fields = fscanf(map, "%u %u %u", &inside, &outside, &count);
	fclose(map);
	return fields == 3 && count == 1;
}

static int only_for_root(void (*set)(void)) { return set == is_foreign || set == is_device; }

int main(int argc, char **argv)
{
	enum { OK = NSS_STATUS_SUCCESS, NO = NSS_STATUS_UNAVAIL, PRESET = 4712 };
	static const struct fresh cases[] = {
		{ "a good file", is_good, OK, PRESET },
		{ "no file", is_missing, NO, ENOENT },
		{ "a folder", is_folder, NO, ENOENT },
		{ "a fifo", is_fifo, NO, ENOENT },
		{ "a symbolic link", is_link, NO, ENOENT },
		{ "a device", is_device, NO, ENOENT },
		{ "a socket", is_socket, NO, ENOENT },
		{ "an empty file", is_empty, NO, ENOENT },
		{ "one page", is_one_page, NO, ENOENT },
		{ "two pages", is_two_pages, NO, ENOENT },
		{ "half a file", is_half, NO, ENOENT },
		{ "less than a page", is_odd, NO, ENOENT },
		{ "text", is_text, NO, ENOENT },
		{ "zeros", is_zeros, NO, ENOENT },
		{ "somebody else's file", is_foreign, NO, ENOENT },
		{ "a file its group may write", is_group_writable, NO, ENOENT },
		{ "a file all may write", is_world_writable, NO, ENOENT },
		{ "a huge file", is_huge, NO, ENOENT },
		{ "a torn first meta page", first_meta_torn, OK, PRESET },
		{ "a torn second meta page", second_meta_torn, OK, PRESET },
		{ "two torn meta pages", both_metas_torn, NO, ENOENT },
		{ "another page size", has_wrong_page_size, NO, ENOENT },
	};
	static const struct held afterwards[] = {
		{ "no file", is_missing, OK, PRESET },
		{ "a folder", is_folder, OK, PRESET },
		{ "a fifo", is_fifo, OK, PRESET },
		{ "text", is_text, OK, PRESET },
		{ "an empty file", is_empty, OK, PRESET },
		{ "somebody else's file", is_foreign, OK, PRESET },
		{ "the same emptied", emptied_in_place, NO, ENOENT },
		{ "the same cut short", halved_in_place, NO, ENOENT },
		{ "the same torn", torn_in_place, NO, ENOENT },
		{ "the same opened to all", opened_to_all, NO, ENOENT },
	};

	if (argc != 4)
		return 2;
	snprintf(path, sizeof(path), "%s/nss.db", argv[1]);
	snprintf(new, sizeof(new), "%s.new", path);
	good = argv[2];
	variant = argv[3];
	int single = single_user();
	if (single)
		printf("bad: left out without root: a device, somebody else's file, a file that may not be read\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (single && only_for_root(cases[i].set))
			continue;
		current = cases[i].name;
		gone();
		cases[i].set();
		in_child(fresh, &cases[i]);
		gone();
	}
	for (size_t i = 0; i < sizeof(afterwards) / sizeof(*afterwards); i++) {
		if (single && only_for_root(afterwards[i].set))
			continue;
		current = afterwards[i].name;
		is_good();
		in_child(held, &afterwards[i]);
		gone();
	}
	current = "one refused record";
	is_good();
	in_child(one_refused, NULL);
	gone();
	if (!single) {
		current = "a file that may not be read";
		is_good();
		chmod(path, 0600);
		in_child(unreadable, NULL);
		gone();
	}
	return verdict("bad");
}
