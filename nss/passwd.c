/*
 * passwd.c - the entry points of the passwd database
 */
#include <arpa/inet.h>
#include <stdatomic.h>

#include "call.h"

enum nss_status _nss_iam_getpwnam_r(const char *name, struct passwd *ret, char *buffer, size_t size, int *errnop);
enum nss_status _nss_iam_getpwuid_r(uid_t uid, struct passwd *ret, char *buffer, size_t size, int *errnop);
enum nss_status _nss_iam_setpwent(int stayopen);
enum nss_status _nss_iam_getpwent_r(struct passwd *ret, char *buffer, size_t size, int *errnop);
enum nss_status _nss_iam_endpwent(void);

/* The lowest uid that the enumeration has not returned yet: it means the same in any file. */
static _Atomic(uint64_t) cursor;

static struct answer by_key(enum format_bucket bucket, const void *key, size_t len, struct record_want *want,
			    struct passwd *ret, char *buffer, size_t size)
{
	struct mapping_hold hold;
	struct bolt_bytes record;
	int error = mapping_enter(&hold);

	if (error != 0)
		return answer_error(error);

	const struct file *file = hold.file;
	struct answer answer = answer_bolt(file_get(file, bucket, key, len, &record));

	want->low = file->low;
	want->high = file->high;
	if (answer.status == NSS_STATUS_SUCCESS)
		answer = answer_record(record_passwd(&record, want, ret, buffer, size));
	mapping_leave(&hold);
	return answer;
}

ENTRY_POINT enum nss_status _nss_iam_getpwnam_r(const char *name, struct passwd *ret, char *buffer, size_t size,
						int *errnop)
{
	struct call call;
	struct answer answer = answer_absent;
	size_t len = name_length(name);
	struct record_want want = { .name = name, .name_len = len };

	call_begin(&call);
	if (len != 0)
		answer = by_key(FORMAT_PASSWD_NAME, name, len, &want, ret, buffer, size);
	return call_end(&call, answer, errnop);
}

ENTRY_POINT enum nss_status _nss_iam_getpwuid_r(uid_t uid, struct passwd *ret, char *buffer, size_t size, int *errnop)
{
	struct call call;
	struct record_want want = { .id = uid };
	struct answer answer = answer_absent;
	uint32_t key = htonl(uid);

	call_begin(&call);
	if (uid >= FORMAT_MIN_ID && uid <= FORMAT_MAX_ID)
		answer = by_key(FORMAT_PASSWD_UID, &key, sizeof(key), &want, ret, buffer, size);
	return call_end(&call, answer, errnop);
}

ENTRY_POINT enum nss_status _nss_iam_setpwent(int stayopen)
{
	(void)stayopen;
	atomic_store(&cursor, 0);
	return NSS_STATUS_SUCCESS;
}

ENTRY_POINT enum nss_status _nss_iam_endpwent(void)
{
	atomic_store(&cursor, 0);
	return NSS_STATUS_SUCCESS;
}

/* from returns the first user whose uid is at least at. */
static struct answer from(const struct file *file, uint64_t at, struct passwd *ret, char *buffer, size_t size)
{
	struct bolt_bytes key, record;

	if (at < file->low)
		at = file->low;
	if (at > file->high)
		return answer_end;

	uint32_t first = htonl((uint32_t)at);
	enum bolt_status status = bolt_seek(&file->db, &file->bucket[FORMAT_PASSWD_UID], &first, sizeof(first),
					    &key, &record);
	if (status == BOLT_ABSENT)
		return answer_end;
	if (status != BOLT_FOUND || key.len != sizeof(uint32_t))
		return answer_damaged;

	struct record_want want = { .low = file->low, .high = file->high, .id = ntohl(load32(key.data)) };
	if (want.id > file->high)
		return answer_end;
	return answer_record(record_passwd(&record, &want, ret, buffer, size));
}

ENTRY_POINT enum nss_status _nss_iam_getpwent_r(struct passwd *ret, char *buffer, size_t size, int *errnop)
{
	struct call call;
	struct mapping_hold hold;
	struct answer answer;

	call_begin(&call);
	int error = mapping_enter(&hold);
	if (error != 0) {
		answer = answer_error(error);
	} else {
		uint64_t at = atomic_load(&cursor);

		answer = from(hold.file, at, ret, buffer, size);
		/* If another thread moved the cursor meanwhile, its place stands. */
		if (answer.status == NSS_STATUS_SUCCESS)
			atomic_compare_exchange_strong(&cursor, &at, (uint64_t)ret->pw_uid + 1);
		mapping_leave(&hold);
	}
	return call_end(&call, answer, errnop);
}
