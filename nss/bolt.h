/*
 * bolt.h - look keys up in the bytes of a bbolt file
 *
 * Knows pages, not users. Every byte is distrusted: nothing outside the file
 * is read, and every call ends after a bounded number of pages, whatever the
 * file holds. Results point into the file.
 */
#ifndef NSS_IAM_BOLT_H
#define NSS_IAM_BOLT_H

#include <stddef.h>
#include <stdint.h>

enum bolt_status { BOLT_FOUND, BOLT_ABSENT, BOLT_DAMAGED };

struct bolt {
	const unsigned char *base;
	uint64_t pages; /* all pages in use lie below this number */
	uint64_t root;  /* page of the bucket of buckets */
};

struct bolt_bucket {
	uint32_t root;      /* its first page; 0: it is one page inside another */
	uint32_t inline_at; /* then: where it begins, in bytes from the file's beginning */
	uint32_t inline_len;
};

struct bolt_bytes {
	const unsigned char *data;
	size_t len;
};

/* bolt_open chooses the newer intact meta page of size bytes at base. */
enum bolt_status bolt_open(const unsigned char *base, uint64_t size, struct bolt *ret);

/* bolt_find finds a top-level bucket. */
enum bolt_status bolt_find(const struct bolt *db, const char *name, struct bolt_bucket *ret);

/* bolt_get finds the value of a key. */
enum bolt_status bolt_get(const struct bolt *db, const struct bolt_bucket *bucket,
			  const void *key, size_t key_len, struct bolt_bytes *ret_value);

/* bolt_seek finds the first key that is not less than the one given. */
enum bolt_status bolt_seek(const struct bolt *db, const struct bolt_bucket *bucket,
			   const void *key, size_t key_len,
			   struct bolt_bytes *ret_key, struct bolt_bytes *ret_value);

#endif
