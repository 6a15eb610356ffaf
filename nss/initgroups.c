/*
 * initgroups.c - the entry point of the supplementary groups
 */
#include <errno.h>
#include <stdlib.h>

#include "call.h"

enum nss_status _nss_iam_initgroups_dyn(const char *user, gid_t group, long *start, long *size, gid_t **groups,
					long limit, int *errnop);

/* The caller's array, which grows by realloc as initgroups_dyn's contract has it. */
struct list {
	long *start, *size;
	gid_t **groups;
	long limit; /* 0 or less: none */
};

/* list_grow makes room for count more, or for as many as the limit allows. */
static bool list_grow(const struct list *list, long count)
{
	long size = *list->start + count;

	if (list->limit > 0 && size > list->limit)
		size = list->limit;
	if (size <= *list->size)
		return true;

	gid_t *groups = realloc(*list->groups, (size_t)size * sizeof(gid_t));
	if (groups == NULL)
		return false;
	*list->groups = groups;
	*list->size = size;
	return true;
}

/* add appends the gids of a record but group, which the caller has already. */
static struct answer add(const struct bolt_bytes *record, gid_t group, const struct list *list)
{
	size_t count = record->len / sizeof(uint32_t);
	bool any = false;

	if (record->len % sizeof(uint32_t) != 0 || count > FORMAT_MAX_GROUPS)
		return answer_damaged;
	if (!list_grow(list, (long)count))
		return answer_error(ENOMEM);
	for (size_t i = 0; i < count; i++) {
		gid_t gid = load32(record->data + i * sizeof(uint32_t));

		/* A local gid is allowed here, root's is not; -1 means "no group" to the kernel. */
		if (gid == group || gid == 0 || gid == (gid_t)-1)
			continue;
		if (*list->start >= *list->size || (list->limit > 0 && *list->start >= list->limit))
			return answer_success;
		(*list->groups)[(*list->start)++] = gid;
		any = true;
	}
	return any ? answer_success : answer_absent;
}

static struct answer of_user(const char *user, size_t len, gid_t group, const struct list *list)
{
	struct mapping_hold hold;
	struct bolt_bytes record;
	int error = mapping_enter(&hold);

	if (error != 0)
		return answer_error(error);

	const struct file *file = hold.file;
	struct answer answer =
		answer_bolt(file_get(file, FORMAT_INITGROUPS, user, len, &record));

	if (answer.status == NSS_STATUS_SUCCESS)
		answer = add(&record, group, list);
	mapping_leave(&hold);
	return answer;
}

ENTRY_POINT enum nss_status _nss_iam_initgroups_dyn(const char *user, gid_t group, long *start, long *size,
						    gid_t **groups, long limit, int *errnop)
{
	struct call call;
	struct list list = { start, size, groups, limit };
	struct answer answer = answer_absent;
	size_t len = name_length(user);

	call_begin(&call);
	if (*start < 0 || *size < *start) {
		answer = answer_damaged;
	} else if (len != 0) {
		answer = of_user(user, len, group, &list);
	}
	return call_end(&call, answer, errnop);
}
