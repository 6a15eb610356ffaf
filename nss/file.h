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
#include "place.h"

/* Which file it is, and in which state. */
struct file_id {
	uint64_t dev, ino;
	int64_t size;
	struct timespec modified, changed;
};

/* An open file: its bytes and where the buckets in them begin. */
struct file {
	struct bolt db;
	uint64_t size;
	struct bolt_bucket bucket[FORMAT_BUCKETS];
	struct index index[FORMAT_BUCKETS];
	uint32_t low, high; /* the range that every id in it must be in */
	struct file_id id;
	struct place place; /* where it was found */
};

/*
 * file_open opens the file at the path, checks who may write it, maps it and
 * parses it. A file that may not be mapped is read into memory. No descriptor
 * stays open. file_unmap releases the memory.
 */
int file_open(struct file *ret);
void file_unmap(const struct file *file);

/* file_parse finds the buckets, their indices and the range in id.size bytes at base. */
int file_parse(const unsigned char *base, uint64_t size, struct file *ret);

/* file_get finds the value of a key of at most FORMAT_MAX_NAME bytes. */
enum bolt_status file_get(const struct file *file, enum format_bucket bucket, const void *key, size_t len,
			  struct bolt_bytes *ret_value);

/* file_look says which file is at the path now. */
int file_look(struct file_id *ret);

bool file_same_inode(const struct file_id *a, const struct file_id *b);
bool file_same(const struct file_id *a, const struct file_id *b);

#endif
