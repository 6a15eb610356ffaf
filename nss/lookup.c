/*
 * lookup.c - answer from a database: by name, by id, the next one
 */
#include "lookup.h"

#include <arpa/inet.h>

#include "call.h"

/* The structure and the buffer that the caller gave. */
struct space {
	void *ret;
	char *buffer;
	size_t size;
};

/* pack answers with a record that was found in file. */
static struct answer pack(const struct lookup_database *db, const struct file *file, const struct bolt_bytes *record,
			  struct record_want *want, const struct space *space)
{
	want->low = file->low;
	want->high = file->high;
	return answers_record[db->pack(record, want, space->ret, space->buffer, space->size)];
}

static inline struct answer by_key(const struct lookup_database *db, enum format_bucket bucket, const void *key,
				   size_t len, struct record_want *want, const struct space *space)
{
	struct mapping_hold hold;
	struct bolt_bytes record;
	int error = mapping_enter(&hold);

	if (error != 0)
		return answer_error(error);

	struct answer answer = answers_bolt[file_get(hold.file, bucket, key, len, &record)];

	if (answer.status == NSS_STATUS_SUCCESS)
		answer = pack(db, hold.file, &record, want, space);
	mapping_leave(&hold);
	return answer;
}

enum nss_status lookup_name(const struct lookup_database *db, const char *name,
			    void *ret, char *buffer, size_t size, int *errnop)
{
	struct call call;
	struct answer answer = answer_absent;
	struct space space = { ret, buffer, size };
	char copy[FORMAT_MAX_NAME + 1];
	struct record_want want = { .name = copy, .name_len = name_length(name) };

	call_begin(&call);
	if (want.name_len != 0) {
		memcpy(copy, name, want.name_len + 1);
		answer = by_key(db, db->by_name, copy, want.name_len, &want, &space);
	}
	return call_end(&call, answer, errnop);
}

enum nss_status lookup_id(const struct lookup_database *db, uint32_t id,
			  void *ret, char *buffer, size_t size, int *errnop)
{
	struct call call;
	struct answer answer = answer_absent;
	struct space space = { ret, buffer, size };
	struct record_want want = { .id = id };
	uint32_t key = htonl(id);

	call_begin(&call);
	if (id >= FORMAT_MIN_ID && id <= FORMAT_MAX_ID)
		answer = by_key(db, db->by_id, &key, sizeof(key), &want, &space);
	return call_end(&call, answer, errnop);
}

enum nss_status lookup_rewind(lookup_cursor *cursor)
{
	atomic_store(cursor, 0);
	return NSS_STATUS_SUCCESS;
}

/*
 * from answers with the first record whose id is at least at, and returns that
 * id. It skips records that are refused: for glibc "absent" ends the enumeration,
 * so one refused record would hide all that follow.
 */
static struct answer from(const struct lookup_database *db, const struct file *file, uint64_t at,
			  const struct space *space, uint32_t *ret_id)
{
	struct bolt_bytes key, record;

	if (at < file->low)
		at = file->low;
	for (; at <= file->high; at = (uint64_t)*ret_id + 1) {
		uint32_t first = htonl((uint32_t)at);
		enum bolt_status status = bolt_seek(&file->db, &file->bucket[db->by_id], &first, sizeof(first), &key, &record);

		if (status == BOLT_ABSENT)
			return answer_end;
		if (status != BOLT_FOUND || key.len != sizeof(uint32_t))
			return answer_damaged;

		struct record_want want = { .id = ntohl(load32(key.data)) };
		if (want.id < at)
			return answer_damaged;
		if (want.id > file->high)
			return answer_end;
		*ret_id = want.id;

		struct answer answer = pack(db, file, &record, &want, space);
		if (answer.status != NSS_STATUS_NOTFOUND)
			return answer;
	}
	return answer_end;
}

enum nss_status lookup_next(const struct lookup_database *db, lookup_cursor *cursor,
			    void *ret, char *buffer, size_t size, int *errnop)
{
	struct call call;
	struct mapping_hold hold;
	struct answer answer;
	struct space space = { ret, buffer, size };

	call_begin(&call);
	int error = mapping_enter(&hold);
	if (error != 0) {
		answer = answer_error(error);
	} else {
		uint64_t at = atomic_load(cursor);
		uint32_t id = 0;

		answer = from(db, hold.file, at, &space, &id);
		/* If another thread moved the cursor meanwhile, the cursor stays where that thread put it. */
		if (answer.status == NSS_STATUS_SUCCESS)
			atomic_compare_exchange_strong(cursor, &at, (uint64_t)id + 1);
		mapping_leave(&hold);
	}
	return call_end(&call, answer, errnop);
}
