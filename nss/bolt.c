/*
 * bolt.c - look keys up in the bytes of a bbolt file
 *
 * The format is that of go.etcd.io/bbolt, internal/common: pages of a header
 * (id u64, flags u16, count u16, overflow u32) and count elements of 16 bytes.
 * An element says where its key and value are, counted from the element itself.
 */
#include "bolt.h"

#include <stdbool.h>

#include "format.h"

enum {
	PAGE_ID = 0,
	PAGE_FLAGS = 8,
	PAGE_COUNT = 10,
	PAGE_OVERFLOW = 12,
	PAGE_HEADER = 16,

	FLAG_BRANCH = 1,
	FLAG_LEAF = 2,
	FLAG_META = 4,

	ELEMENT = 16,
	BRANCH_POS = 0, /* pos u32, key length u32, page u64 */
	BRANCH_PAGE = 8,
	LEAF_FLAGS = 0, /* flags u32, pos u32, key length u32, value length u32 */
	LEAF_POS = 4,
	LEAF_VALUE_LEN = 12,
	LEAF_IS_BUCKET = 1,

	BUCKET_ROOT = 0, /* root u64, sequence u64, then the page if it is inline */
	BUCKET_HEADER = 16,

	META_MAGIC = 0, /* all of these counted from the end of the page header */
	META_VERSION = 4,
	META_PAGE_SIZE = 8,
	META_ROOT = 16,
	META_PAGES = 40,
	META_TXID = 48,
	META_CHECKSUM = 56,
	BOLT_VERSION = 2,

	MAX_DEPTH = 16,
	MAX_EMPTY = 64 /* leaves without a key that one seek passes over; bbolt leaves none */
};

static const uint32_t bolt_magic = 0xED0CDAEDu;

struct page {
	const unsigned char *at;
	size_t len;
	uint32_t count;
	uint32_t pos; /* which field of an element says where its key is: BRANCH_POS or LEAF_POS */
	bool leaf;
};

static uint64_t fnv1a(const unsigned char *at, size_t len)
{
	uint64_t sum = 14695981039346656037u;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ at[i]) * 1099511628211u;
	return sum;
}

static bool meta_intact(const unsigned char *page)
{
	const unsigned char *meta = page + PAGE_HEADER;

	return load32(meta + META_MAGIC) == bolt_magic &&
	       load32(meta + META_VERSION) == BOLT_VERSION &&
	       load64(meta + META_CHECKSUM) == fnv1a(meta, META_CHECKSUM);
}

enum bolt_status bolt_open(const unsigned char *base, uint64_t size, struct bolt *ret)
{
	const unsigned char *first = base, *second = base + FORMAT_PAGE_SIZE, *meta;

	if (size < 2 * FORMAT_PAGE_SIZE || size > FORMAT_MAX_FILE)
		return BOLT_DAMAGED;
	if (!meta_intact(second))
		meta = first;
	else if (!meta_intact(first))
		meta = second;
	else
		meta = load64(second + PAGE_HEADER + META_TXID) >
			       load64(first + PAGE_HEADER + META_TXID) ? second : first;
	if (!meta_intact(meta) || (load16(meta + PAGE_FLAGS) & FLAG_META) == 0)
		return BOLT_DAMAGED;
	meta += PAGE_HEADER;

	struct bolt db = {
		.base = base,
		.pages = load64(meta + META_PAGES),
		.root = load64(meta + META_ROOT),
	};
	if (load32(meta + META_PAGE_SIZE) != FORMAT_PAGE_SIZE ||
	    db.pages > size / FORMAT_PAGE_SIZE || db.root < 2 || db.root >= db.pages)
		return BOLT_DAMAGED;
	*ret = db;
	return BOLT_FOUND;
}

/* page_read checks and reads the header of a page: len bytes at the address at. */
static bool page_read(const unsigned char *at, size_t len, struct page *ret)
{
	uint16_t flags = load16(at + PAGE_FLAGS);
	uint16_t count = load16(at + PAGE_COUNT);

	if (flags != FLAG_LEAF && flags != FLAG_BRANCH)
		return false;
	if (count > (len - PAGE_HEADER) / ELEMENT)
		return false;
	ret->at = at;
	ret->len = len;
	ret->count = count;
	ret->leaf = flags == FLAG_LEAF;
	ret->pos = ret->leaf ? LEAF_POS : BRANCH_POS;
	return true;
}

static bool page_get(const struct bolt *db, uint64_t id, struct page *ret)
{
	if (id < 2 || id >= db->pages)
		return false;

	const unsigned char *at = db->base + id * FORMAT_PAGE_SIZE;
	uint32_t overflow = load32(at + PAGE_OVERFLOW);

	if (load64(at + PAGE_ID) != id || overflow >= db->pages - id)
		return false;
	return page_read(at, ((size_t)overflow + 1) * FORMAT_PAGE_SIZE, ret);
}

static bool page_first(const struct bolt *db, const struct bolt_bucket *bucket, struct page *ret)
{
	if (bucket->root != 0)
		return page_get(db, bucket->root, ret);
	return page_read(db->base + bucket->inline_at, bucket->inline_len, ret) && ret->leaf;
}

/* page_key finds key i of a page; i is less than its count. */
static inline bool page_key(const struct page *page, uint32_t i, struct bolt_bytes *ret)
{
	size_t offset = PAGE_HEADER + (size_t)i * ELEMENT;
	size_t left = page->len - offset;
	const unsigned char *element = page->at + offset;
	uint32_t pos = load32(element + page->pos);
	uint32_t len = load32(element + page->pos + 4);

	if (pos > left || len > left - pos)
		return false;
	ret->data = element + pos;
	ret->len = len;
	return true;
}

/* page_value finds the value that follows key i of a leaf. */
static bool page_value(const struct page *page, uint32_t i, const struct bolt_bytes *key,
		       struct bolt_bytes *ret, uint32_t *ret_flags)
{
	const unsigned char *element = page->at + PAGE_HEADER + (size_t)i * ELEMENT;
	const unsigned char *value = key->data + key->len;
	size_t left = (size_t)(page->at + page->len - value);
	uint32_t len = load32(element + LEAF_VALUE_LEN);

	if (len > left)
		return false;
	ret->data = value;
	ret->len = len;
	*ret_flags = load32(element + LEAF_FLAGS);
	return true;
}

static inline int compare(const struct bolt_bytes *a, const struct bolt_bytes *b)
{
	int order = memcmp(a->data, b->data, a->len < b->len ? a->len : b->len);

	return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/*
 * page_search finds the first key of a page that is not less than want: its
 * index, or the page's count. The key itself is set if it equals want.
 */
static bool page_search(const struct page *page, const struct bolt_bytes *want,
			uint32_t *ret_index, struct bolt_bytes *ret_equal)
{
	uint32_t low = 0, high = page->count;

	ret_equal->data = NULL;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		struct bolt_bytes key;

		if (!page_key(page, middle, &key))
			return false;
		int order = compare(&key, want);
		if (order == 0) {
			*ret_index = middle;
			*ret_equal = key;
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_index = low;
	return true;
}

/* page_child opens the page below element i of a branch. */
static bool page_child(const struct bolt *db, const struct page *page, uint32_t i, struct page *ret)
{
	const unsigned char *element = page->at + PAGE_HEADER + (size_t)i * ELEMENT;

	return page_get(db, load64(element + BRANCH_PAGE), ret);
}

/* branch_search finds the element of a branch whose child can hold want. */
static bool branch_search(const struct page *page, const struct bolt_bytes *want, uint32_t *ret_index)
{
	struct bolt_bytes equal;
	uint32_t i;

	if (page->count == 0 || !page_search(page, want, &i, &equal))
		return false;
	*ret_index = equal.data != NULL || i == 0 ? i : i - 1;
	return true;
}

static enum bolt_status get(const struct bolt *db, const struct bolt_bucket *bucket,
			    const struct bolt_bytes *want, struct bolt_bytes *ret_value,
			    uint32_t *ret_flags)
{
	struct page page;
	struct bolt_bytes equal;
	uint32_t i;

	if (!page_first(db, bucket, &page))
		return BOLT_DAMAGED;
	for (int depth = 0; !page.leaf; depth++) {
		if (depth == MAX_DEPTH || !branch_search(&page, want, &i) ||
		    !page_child(db, &page, i, &page))
			return BOLT_DAMAGED;
	}
	if (!page_search(&page, want, &i, &equal))
		return BOLT_DAMAGED;
	if (equal.data == NULL)
		return BOLT_ABSENT;
	return page_value(&page, i, &equal, ret_value, ret_flags) ? BOLT_FOUND : BOLT_DAMAGED;
}

enum bolt_status bolt_get(const struct bolt *db, const struct bolt_bucket *bucket,
			  const void *key, size_t key_len, struct bolt_bytes *ret_value)
{
	struct bolt_bytes want = { key, key_len }, value;
	uint32_t flags;
	enum bolt_status status = get(db, bucket, &want, &value, &flags);

	if (status != BOLT_FOUND)
		return status;
	if ((flags & LEAF_IS_BUCKET) != 0)
		return BOLT_ABSENT;
	*ret_value = value;
	return BOLT_FOUND;
}

enum bolt_status bolt_find(const struct bolt *db, const char *name, struct bolt_bucket *ret)
{
	struct bolt_bucket top = { .root = (uint32_t)db->root };
	struct bolt_bytes want = { (const unsigned char *)name, strlen(name) }, value;
	uint32_t flags;
	enum bolt_status status = get(db, &top, &want, &value, &flags);

	if (status != BOLT_FOUND)
		return status;
	if ((flags & LEAF_IS_BUCKET) == 0)
		return BOLT_ABSENT;
	if (value.len < BUCKET_HEADER)
		return BOLT_DAMAGED;

	uint64_t root = load64(value.data + BUCKET_ROOT);
	if (root >= db->pages)
		return BOLT_DAMAGED;

	struct bolt_bucket found = { .root = (uint32_t)root };
	if (root == 0) {
		if (value.len - BUCKET_HEADER < PAGE_HEADER)
			return BOLT_DAMAGED;
		found.inline_at = (uint32_t)(value.data + BUCKET_HEADER - db->base);
		found.inline_len = (uint32_t)(value.len - BUCKET_HEADER);
	}
	*ret = found;
	return BOLT_FOUND;
}

/* A way down the tree: the pages from the top, and the element taken in each. */
struct way {
	struct page page[MAX_DEPTH + 1];
	uint32_t index[MAX_DEPTH + 1];
	int depth;
};

/* way_down goes from the last page of the way down to the leaf for want; NULL: to the first leaf. */
static bool way_down(const struct bolt *db, struct way *way, const struct bolt_bytes *want)
{
	struct bolt_bytes equal;

	for (;;) {
		struct page *page = &way->page[way->depth];
		uint32_t *i = &way->index[way->depth];

		*i = 0;
		if (page->leaf)
			return want == NULL || page_search(page, want, i, &equal);
		if (page->count == 0 || (want != NULL && !branch_search(page, want, i)))
			return false;
		if (way->depth == MAX_DEPTH || !page_child(db, page, *i, page + 1))
			return false;
		way->depth++;
	}
}

/* way_on moves the way to the next leaf. */
static enum bolt_status way_on(const struct bolt *db, struct way *way)
{
	do {
		if (way->depth == 0)
			return BOLT_ABSENT;
		way->depth--;
	} while (++way->index[way->depth] >= way->page[way->depth].count);

	struct page *page = &way->page[way->depth];
	if (!page_child(db, page, way->index[way->depth], page + 1))
		return BOLT_DAMAGED;
	way->depth++;
	return way_down(db, way, NULL) ? BOLT_FOUND : BOLT_DAMAGED;
}

enum bolt_status bolt_seek(const struct bolt *db, const struct bolt_bucket *bucket,
			   const void *key, size_t key_len,
			   struct bolt_bytes *ret_key, struct bolt_bytes *ret_value)
{
	struct bolt_bytes want = { key, key_len }, found, value;
	struct way way;
	uint32_t flags;

	way.depth = 0;
	if (!page_first(db, bucket, &way.page[0]) || !way_down(db, &way, &want))
		return BOLT_DAMAGED;
	for (int empty = 0; way.index[way.depth] >= way.page[way.depth].count; empty++) {
		enum bolt_status status = empty > MAX_EMPTY ? BOLT_DAMAGED : way_on(db, &way);

		if (status != BOLT_FOUND)
			return status;
	}

	const struct page *leaf = &way.page[way.depth];
	uint32_t i = way.index[way.depth];
	if (!page_key(leaf, i, &found) || compare(&found, &want) < 0 ||
	    !page_value(leaf, i, &found, &value, &flags) || (flags & LEAF_IS_BUCKET) != 0)
		return BOLT_DAMAGED;
	*ret_key = found;
	*ret_value = value;
	return BOLT_FOUND;
}
