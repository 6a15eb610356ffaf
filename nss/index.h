/*
 * index.h - find a key in one step, by the index of its bucket
 *
 * An index only says where to look. The key there is compared with the one asked
 * for, so a wrong index gives no wrong answer.
 */
#ifndef NSS_IAM_INDEX_H
#define NSS_IAM_INDEX_H

#include "bolt.h"
#include "format.h"

struct index {
	uint32_t cells, cell_count; /* where they lie in the file; no cell: there is no index */
	uint32_t cell_size;
	uint32_t pilots, pilot_count;
	uint32_t seed;
};

/* index_open reads the head of an index in a file of size bytes. */
void index_open(const struct bolt_bytes *head, uint64_t size, struct index *ret);

/*
 * index_get finds the value of a key of 1 to FORMAT_MAX_NAME bytes in a file of
 * size bytes. BOLT_DAMAGED: there is no index, or it is wrong; the caller then
 * searches the tree.
 */
enum bolt_status index_get(const struct index *index, const unsigned char *base, uint64_t size,
			   const void *key, size_t len, struct bolt_bytes *ret_value);

#endif
