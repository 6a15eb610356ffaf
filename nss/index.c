/*
 * index.c - find a key in one step, by the index of its bucket
 */
#include "index.h"

#include <stdbool.h>

void index_open(const struct bolt_bytes *head, uint64_t size, struct index *ret)
{
	ret->cell_count = 0;
	if (head->len != INDEX_HEAD)
		return;

	struct index index = {
		.cells = load32(head->data + INDEX_CELLS),
		.cell_count = load32(head->data + INDEX_CELL_COUNT),
		.cell_size = load32(head->data + INDEX_CELL_SIZE),
		.pilots = load32(head->data + INDEX_PILOTS),
		.pilot_count = load32(head->data + INDEX_PILOT_COUNT),
		.seed = load32(head->data + INDEX_SEED),
	};

	if (index.cell_size < CELL_STEP || index.cell_size > CELL_MAX || index.pilot_count == 0 ||
	    index.cells > size || index.cell_count > (size - index.cells) / index.cell_size ||
	    index.pilots > size || index.pilot_count > (size - index.pilots) / sizeof(uint16_t))
		return;
	*ret = index;
}

static inline uint64_t mix(uint64_t hash, uint64_t chunk)
{
	return (hash ^ hash >> 29 ^ chunk) * INDEX_FACTOR;
}

/* index_hash is indexHash of internal/cache. */
static inline uint64_t index_hash(uint32_t seed, const unsigned char *key, size_t len)
{
	uint64_t hash = ((uint64_t)seed + len) * INDEX_FACTOR, chunk = 0;
	size_t left = len;

	for (; left >= sizeof(chunk); key += sizeof(chunk), left -= sizeof(chunk))
		hash = mix(hash, load64(key));
	if (left > 0) {
		if (len > sizeof(chunk)) /* the last bytes, shifted down over those before */
			chunk = load64(key + left - sizeof(chunk)) >> (8 * (sizeof(chunk) - left));
		for (size_t i = 0; len < sizeof(chunk) && i < left; i++)
			chunk |= (uint64_t)key[i] << (8 * i);
		hash = mix(hash, chunk);
	}
	return hash ^ hash >> 32;
}

/* scale maps a hash below 2^32 evenly to a value below n. */
static inline uint64_t scale(uint64_t x, uint32_t n)
{
	return (x & 0xffffffff) * n >> 32;
}

/* cell_of is the one cell that can hold a key. All its cache lines are prefetched. */
static inline const unsigned char *cell_of(const struct index *index, const unsigned char *base,
					   const void *key, size_t len)
{
	uint64_t hash = index_hash(index->seed, key, len);
	uint64_t pilot = load16(base + index->pilots + scale(hash, index->pilot_count) * sizeof(uint16_t));
	uint64_t place = scale(mix(hash, pilot * INDEX_FACTOR) >> 32, index->cell_count);
	const unsigned char *cell = base + index->cells + place * index->cell_size;

	for (uint32_t i = 0; i < index->cell_size; i += CELL_STEP)
		__builtin_prefetch(cell + i);
	return cell;
}

enum bolt_status index_get(const struct index *index, const unsigned char *base, uint64_t size,
			   const void *key, size_t len, struct bolt_bytes *ret_value)
{
	if (index->cell_count == 0)
		return BOLT_DAMAGED;

	const unsigned char *cell = cell_of(index, base, key, len);
	uint32_t header = load32(cell);
	uint32_t value_len = header & 0xffff, key_at = header >> 16 & 0xff, key_len = header >> 24;

	if (key_len > index->cell_size || key_at > index->cell_size - key_len)
		return BOLT_DAMAGED;
	if (key_len != len || memcmp(cell + key_at, key, len) != 0)
		return BOLT_ABSENT;
	if (value_len != CELL_ELSEWHERE) {
		if (value_len > index->cell_size - CELL_HEADER)
			return BOLT_DAMAGED;
		ret_value->data = cell + CELL_HEADER;
		ret_value->len = value_len;
		return BOLT_FOUND;
	}

	uint64_t where = load32(cell + CELL_WHERE), length = load32(cell + CELL_LENGTH);

	if (where > size || length > size - where)
		return BOLT_DAMAGED;
	ret_value->data = base + where;
	ret_value->len = length;
	return BOLT_FOUND;
}
