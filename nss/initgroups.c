/*
 * initgroups.c - the entry point of the supplementary groups
 */
#include "call.h"

enum nss_status _nss_iam_initgroups_dyn(const char *user, gid_t group, long *start, long *size, gid_t **groups,
					long limit, int *errnop);

static struct answer of_user(const char *user, size_t len, gid_t group, const struct record_gids *list)
{
	struct mapping_hold hold;
	struct bolt_bytes record;
	int error = mapping_enter(&hold);

	if (error != 0)
		return answer_error(error);

	struct answer answer = answers_bolt[file_get(hold.file, FORMAT_INITGROUPS, user, len, &record)];

	if (answer.status == NSS_STATUS_SUCCESS)
		answer = answers_record[record_gids(&record, group, list)];
	mapping_leave(&hold);
	return answer;
}

ENTRY_POINT enum nss_status _nss_iam_initgroups_dyn(const char *user, gid_t group, long *start, long *size,
						    gid_t **groups, long limit, int *errnop)
{
	struct call call;
	struct record_gids list = { start, size, groups, limit };
	struct answer answer = answer_absent;
	size_t len = name_length(user);

	call_begin(&call);
	if (*start < 0 || *size < *start)
		answer = answer_damaged;
	else if (len != 0)
		answer = of_user(user, len, group, &list);
	return call_end(&call, answer, errnop);
}
