/*
 * index.c - find a key in one step, by the index of its bucket
 */
#include "index.h"

#include <stdbool.h>

void index_open(const struct bolt_bytes *head, uint64_t size, struct index *ret)
{
	ret->entries = 0;
	if (head->len != INDEX_HEAD)
		return;

	uint32_t at = load32(head->data + INDEX_TABLE), entries = load32(head->data + INDEX_ENTRIES);

	if ((entries & (entries - 1)) != 0 || at > size || entries > (size - at) / INDEX_ENTRY)
		return;
	ret->at = at;
	ret->entries = entries;
	ret->seed = load64(head->data + INDEX_SEED);
}

static inline uint64_t mix(uint64_t hash, uint64_t chunk)
{
	return (hash ^ hash >> 29 ^ chunk) * INDEX_FACTOR;
}

/* index_hash is indexHash of internal/cache. */
static inline uint64_t index_hash(uint64_t seed, const unsigned char *key, size_t len)
{
	uint64_t hash = (seed + len) * INDEX_FACTOR, chunk;

	for (; len >= sizeof(chunk); key += sizeof(chunk), len -= sizeof(chunk)) {
		memcpy(&chunk, key, sizeof(chunk));
		hash = mix(hash, chunk);
	}
	if (len > 0) {
		chunk = 0;
		for (size_t i = 0; i < len; i++)
			chunk |= (uint64_t)key[i] << (8 * i);
		hash = mix(hash, chunk);
	}
	return hash ^ hash >> 32;
}

enum index_status index_get(const struct index *index, const unsigned char *base, uint64_t size,
			    const void *key, size_t len, struct bolt_bytes *ret_value)
{
	if (index->entries == 0)
		return INDEX_USELESS;

	const unsigned char *table = base + index->at;
	uint64_t mask = index->entries - 1;
	uint64_t hash = index_hash(index->seed, key, len);
	uint64_t want = (hash >> 58) << INDEX_KEY_BITS | len;

	for (uint64_t probe = 0; probe < INDEX_PROBES; probe++) {
		uint64_t entry = load64(table + ((hash + probe) & mask) * INDEX_ENTRY);

		if (entry == 0)
			return INDEX_ABSENT;
		if (entry >> (INDEX_OFFSET_BITS + INDEX_LEN_BITS) != want)
			continue;

		uint64_t at = entry & ((1u << INDEX_OFFSET_BITS) - 1);
		uint64_t value_len = entry >> INDEX_OFFSET_BITS & ((1u << INDEX_LEN_BITS) - 1);

		if (at > size || len + value_len > size - at)
			return INDEX_USELESS;
		if (memcmp(base + at, key, len) != 0)
			continue;
		ret_value->data = base + at + len;
		ret_value->len = value_len;
		return INDEX_FOUND;
	}
	return INDEX_USELESS;
}
