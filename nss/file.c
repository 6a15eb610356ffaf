/*
 * file.c - open nss.db: find it, distrust it, map it, close it
 *
 * System calls go through syscall() where the function has a symbol newer than
 * glibc 2.17 (stat, fstat), so that one build runs on every distribution, or is
 * a cancellation point (open, pread, close).
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char path[] = NSS_IAM_DIR "/" FORMAT_FILE;

const char *const format_buckets[FORMAT_BUCKETS] = {
	[FORMAT_PASSWD_NAME] = "passwd.name",
	[FORMAT_PASSWD_UID] = "passwd.uid",
	[FORMAT_GROUP_NAME] = "group.name",
	[FORMAT_GROUP_GID] = "group.gid",
	[FORMAT_INITGROUPS] = "initgroups",
};

static void close_fd(int fd)
{
	syscall(SYS_close, fd);
}

static void identify(const struct stat *st, struct file_id *ret)
{
	*ret = (struct file_id){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.modified = st->st_mtim,
		.changed = st->st_ctim,
	};
}

/* find opens the file and checks who may write it. The caller closes ret_fd. */
static int find(struct file_id *ret_id, int *ret_fd)
{
	struct stat st;
	int error = 0;
	/* O_NONBLOCK: a fifo in the file's place must not hold us. */
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path,
			      O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return place_error();
	if (syscall(SYS_fstat, fd, &st) != 0)
		error = place_error();
	else if (!S_ISREG(st.st_mode) || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0 ||
		 !place_trusts(st.st_uid))
		error = EACCES;
	else if (st.st_size < FORMAT_PAGE_SIZE || st.st_size > FORMAT_MAX_FILE)
		error = EINVAL;
	if (error != 0) {
		close_fd(fd);
		return error;
	}
	identify(&st, ret_id);
	*ret_fd = fd;
	return 0;
}

/*
 * map is mmap, also for a process that locks all its memory (mlockall with
 * MCL_FUTURE) and may not lock as much as the file. Then it maps one page,
 * unlocks it, and grows the mapping: the part that is added is not locked.
 */
static unsigned char *map(size_t size, int protection, int flags, int fd)
{
	unsigned char *base = mmap(NULL, size, protection, flags, fd, 0);

	if (base != MAP_FAILED || errno != EAGAIN)
		return base;
	base = mmap(NULL, FORMAT_PAGE_SIZE, protection, flags, fd, 0);
	if (base == MAP_FAILED)
		return base;

	unsigned char *grown = MAP_FAILED;
	if (munlock(base, FORMAT_PAGE_SIZE) == 0)
		grown = mremap(base, FORMAT_PAGE_SIZE, size, MREMAP_MAYMOVE);
	if (grown == MAP_FAILED)
		munmap(base, FORMAT_PAGE_SIZE);
	return grown;
}

/* read_all fills a new mapping with a file's bytes. */
static int read_all(int fd, size_t size, unsigned char **ret_base)
{
	size_t have = 0;
	unsigned char *base = map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (base == MAP_FAILED)
		return place_error();
	while (have < size) {
		ssize_t n = syscall(SYS_pread64, fd, base + have, size - have, (off_t)have);

		if (n <= 0) {
			int error = n == 0 ? EINVAL : place_error();

			munmap(base, size);
			return error;
		}
		have += (size_t)n;
	}
	*ret_base = base;
	return 0;
}

static int map_or_read(int fd, size_t size, unsigned char **ret_base)
{
	unsigned char *base = map(size, PROT_READ, MAP_PRIVATE, fd);

	if (base != MAP_FAILED) {
		*ret_base = base;
		return 0;
	}
	/* SELinux may allow reading a file and forbid mapping it. */
	if (errno == EACCES || errno == EPERM || errno == ENODEV)
		return read_all(fd, size, ret_base);
	return place_error();
}

int file_open(struct file *ret)
{
	unsigned char *base = NULL;
	int fd = -1, error = find(&ret->id, &fd);

	if (error != 0)
		return error;
	error = place_now(&ret->place);
	if (error == 0)
		error = map_or_read(fd, (size_t)ret->id.size, &base);
	close_fd(fd);
	if (error != 0)
		return error;
	error = file_parse(base, (uint64_t)ret->id.size, ret);
	if (error != 0)
		munmap(base, (size_t)ret->id.size);
	return error;
}

void file_unmap(const struct file *file)
{
	munmap((void *)(uintptr_t)file->db.base, (size_t)file->id.size);
}

int file_parse(const unsigned char *base, uint64_t size, struct file *ret)
{
	struct bolt_bucket meta, index;
	struct bolt_bytes version, range, value;
	uint32_t number;

	if (bolt_open(base, size, &ret->db) != BOLT_FOUND ||
	    bolt_find(&ret->db, FORMAT_META, &meta) != BOLT_FOUND)
		return EINVAL;
	if (bolt_get(&ret->db, &meta, FORMAT_META_VERSION, strlen(FORMAT_META_VERSION), &version) != BOLT_FOUND ||
	    version.len != 4)
		return EINVAL;
	number = load32(version.data);
	if (number < FORMAT_OLDEST_VERSION || number > FORMAT_NEWEST_VERSION)
		return EINVAL;
	if (bolt_get(&ret->db, &meta, FORMAT_META_RANGE, strlen(FORMAT_META_RANGE), &range) != BOLT_FOUND ||
	    range.len != 8)
		return EINVAL;
	ret->low = load32(range.data);
	ret->high = load32(range.data + 4);
	if (ret->low < FORMAT_MIN_ID || ret->high > FORMAT_MAX_ID || ret->low > ret->high)
		return EINVAL;
	for (int i = 0; i < FORMAT_BUCKETS; i++) {
		if (bolt_find(&ret->db, format_buckets[i], &ret->bucket[i]) != BOLT_FOUND)
			return EINVAL;
		ret->index[i].cell_count = 0;
	}
	ret->size = size;
	/* Without an index the tree is searched. */
	if (bolt_find(&ret->db, FORMAT_INDEX, &index) != BOLT_FOUND)
		return 0;
	for (int i = 0; i < FORMAT_BUCKETS; i++) {
		if (bolt_get(&ret->db, &index, format_buckets[i], strlen(format_buckets[i]), &value) == BOLT_FOUND)
			index_open(&value, size, &ret->index[i]);
	}
	return 0;
}

enum bolt_status file_get(const struct file *file, enum format_bucket bucket, const void *key, size_t len,
			  struct bolt_bytes *ret_value)
{
	enum bolt_status status = index_get(&file->index[bucket], file->db.base, file->size, key, len, ret_value);

	return status != BOLT_DAMAGED ? status : bolt_get(&file->db, &file->bucket[bucket], key, len, ret_value);
}

int file_look(struct file_id *ret)
{
	struct stat st;
	int error = place_look(path, &st);

	if (error == 0)
		identify(&st, ret);
	return error;
}

bool file_same_inode(const struct file_id *a, const struct file_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool file_same(const struct file_id *a, const struct file_id *b)
{
	return file_same_inode(a, b) && a->size == b->size &&
	       same_time(&a->modified, &b->modified) && same_time(&a->changed, &b->changed);
}
