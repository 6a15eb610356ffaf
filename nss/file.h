/*
 * file.h - open nss.db: find it, distrust it, map it, close it
 *
 * Functions return 0 or an errno value, never ERANGE; they change errno.
 */
#ifndef NSS_IAM_FILE_H
#define NSS_IAM_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "bolt.h"
#include "format.h"
#include "index.h"

/* Which file it is, and in which state. */
struct file_id {
	uint64_t dev, ino;
	int64_t size;
	struct timespec modified, changed;
};

struct file_root {
	uint64_t dev, ino;
};

/* An open file: its bytes and where the buckets in them begin. */
struct file {
	struct bolt db;
	uint64_t size;
	struct bolt_bucket bucket[FORMAT_BUCKETS];
	struct index index[FORMAT_BUCKETS];
	uint32_t low, high; /* the range that every id in it must be in */
	struct file_id id;
	struct file_root root; /* the "/" under which it was found */
};

/* file_find opens the file and checks who may write it. The caller closes ret_fd. */
int file_find(struct file_id *ret_id, int *ret_fd);
void file_close(int fd);

/*
 * file_map maps an open file, or reads it to a mapping where it may not be
 * mapped. The mapping is id->size bytes long, and is the caller's to munmap.
 */
int file_map(int fd, const struct file_id *id, unsigned char **ret_base);

/* file_parse finds the buckets, their indices and the range in id.size bytes at base. */
int file_parse(const unsigned char *base, uint64_t size, struct file *ret);

/* file_get finds the value of a key of at most FORMAT_MAX_NAME bytes. */
enum bolt_status file_get(const struct file *file, enum format_bucket bucket, const void *key, size_t len,
			  struct bolt_bytes *ret_value);

/* file_look tells what stands at the path now; file_root, which inode "/" is. */
int file_look(struct file_id *ret);
int file_root(struct file_root *ret);

bool file_same_inode(const struct file_id *a, const struct file_id *b);
bool file_same(const struct file_id *a, const struct file_id *b);

#endif
