/*
 * index.h - find a key in one step, by the index of its bucket
 *
 * An index only says where to look: what lies there is the key asked for, or
 * it is not taken.
 */
#ifndef NSS_IAM_INDEX_H
#define NSS_IAM_INDEX_H

#include "bolt.h"
#include "format.h"

struct index {
	uint32_t at;      /* where the table lies in the file */
	uint32_t entries; /* a power of two; 0: there is no index */
	uint64_t seed;
};

enum index_status {
	INDEX_FOUND,
	INDEX_ABSENT,
	INDEX_USELESS /* there is none, or it leads astray: walk the tree */
};

/* index_open reads the head of an index in a file of size bytes. */
void index_open(const struct bolt_bytes *head, uint64_t size, struct index *ret);

/* index_get finds the value of a key of at most FORMAT_MAX_NAME bytes in a file of size bytes. */
enum index_status index_get(const struct index *index, const unsigned char *base, uint64_t size,
			    const void *key, size_t len, struct bolt_bytes *ret_value);

#endif
