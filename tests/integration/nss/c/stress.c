/*
 * stress.c - threads that look up and fork while the file is replaced
 *
 * usage: stress SECONDS REPLACEMENTS THREADS FOLDER FILE FILE
 *
 * Two files with the same names and ids take FOLDER/nss.db's place in turn.
 * Every lookup must succeed; in the end one file is mapped, and no descriptor
 * more is open than in the beginning. How many children keep a superseded file
 * is printed: those that were forked while another thread was in a lookup of it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static atomic_int stop;
static atomic_long lookups, forks, kept[4]; /* kept[n]: children that keep n superseded files; kept[3]: that or more */
static char folder[200];

static const char *const names[] = { "a", "aa", "alice", "alice.smith", "alice-s", "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn" };

static void look_up(unsigned n)
{
	const char *name = names[n % 6];
	char b[2048];
	struct passwd pw, by;
	struct group gr;
	int error = 0;

	enum nss_status status = nss.getpwnam(name, &pw, b, sizeof(b), &error);
	check(status == NSS_STATUS_SUCCESS && strcmp(pw.pw_name, name) == 0, "%s: status %d, *errnop %d", name, status, error);
	if (status != NSS_STATUS_SUCCESS)
		return;
	uid_t uid = pw.pw_uid;
	status = nss.getpwuid(uid, &by, b, sizeof(b), &error);
	check(status == NSS_STATUS_SUCCESS && by.pw_uid == uid && strcmp(by.pw_name, name) == 0, "%s by uid: status %d",
		name, status);
	status = nss.getgrgid(uid, &gr, b, sizeof(b), &error);
	check(status == NSS_STATUS_SUCCESS && strcmp(gr.gr_name, name) == 0, "group %s: status %d", name, status);
	long start = 0, size = 4;
	gid_t *groups = malloc(4 * sizeof(gid_t));
	status = nss.initgroups(name, uid, &start, &size, &groups, -1, &error);
	check(status == (n % 6 == 3 ? NSS_STATUS_NOTFOUND : NSS_STATUS_SUCCESS), "groups of %s: status %d", name, status);
	free(groups);
	atomic_fetch_add(&lookups, 4);
}

static int mapped(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, "/nss.db") != NULL;
	fclose(f);
	return n;
}

static int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void *looker(void *argument)
{
	for (unsigned n = (unsigned)(size_t)argument; !stop; n++)
		look_up(n);
	return NULL;
}

/* A child at any moment of its parent's: it looks up, and may keep files that were superseded. */
static void *forker(void *argument)
{
	(void)argument;
	for (unsigned round = 0; !stop; round++) {
		pid_t pid = fork();

		if (pid < 0)
			continue;
		if (pid == 0) {
			failures = 0;
			alarm(120);
			for (unsigned n = 0; n < 20; n++)
				look_up(n);
			if (round % 4 != 0)
				_exit(failures != 0 ? 1 : 0);
			next_check();
			look_up(0);
			_exit(failures != 0 ? 1 : 2 + (mapped() < 4 ? mapped() - 1 : 3));
		}
		int status = 0;
		waitpid(pid, &status, 0);
		int superseded = status == 0 ? 0 : (status >> 8) - 2;
		check((status & 0xff) == 0 && superseded >= 0 && superseded <= 3, "a child: exit status %#x", (unsigned)status);
		if (superseded >= 0 && superseded <= 3)
			atomic_fetch_add(&kept[superseded], 1);
		atomic_fetch_add(&forks, 1);
	}
	return NULL;
}

static void replace(char **files, int i)
{
	char new[220], to[220];

	snprintf(to, sizeof(to), "%s/nss.db", folder);
	snprintf(new, sizeof(new), "%s/nss.db.new", folder);
	/* A copy each time: a new inode, as the writer makes. */
	int in = open(files[i % 2], O_RDONLY | O_CLOEXEC), out = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	char b[65536];
	ssize_t n;
	while ((n = read(in, b, sizeof(b))) > 0)
		check(write(out, b, (size_t)n) == n, "write");
	close(in);
	close(out);
	check(rename(new, to) == 0, "rename");
}

int main(int argc, char **argv)
{
	pthread_t threads[64];

	if (argc != 7)
		return 2;
	int seconds = atoi(argv[1]), replacements = atoi(argv[2]), count = atoi(argv[3]);
	snprintf(folder, sizeof(folder), "%s", argv[4]);
	replace(argv + 5, 0);
	open_module();
	look_up(0);
	int files = open_files();
	for (int i = 0; i < count; i++)
		pthread_create(&threads[i], NULL, i < 2 ? forker : looker, (void *)(size_t)i);
	/* Before the threads that never sleep, and whatever else a busy machine does. Where it may not: no sooner. */
	setpriority(PRIO_PROCESS, 0, -10);
	struct timespec pause = { 0, (long)(1e9 * seconds / replacements) % 1000000000 };
	time_t end = time(NULL) + seconds;
	int done = 0;
	for (; done < replacements || time(NULL) < end; done++) {
		replace(argv + 5, done);
		nanosleep(&pause, NULL);
	}
	stop = 1;
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	next_check();
	look_up(0);
	look_up(1);
	check(mapped() == 1, "%d files are mapped in the end", mapped());
	check(open_files() == files, "%d files are open, %d were", open_files(), files);
	printf("stress: %d replacements, %ld lookups, %ld forks; "
	       "children that keep 1, 2, more superseded files: %ld, %ld, %ld\n",
	       done, (long)lookups, (long)forks, (long)kept[1], (long)kept[2], (long)kept[3]);
	return verdict("stress");
}
