/*
 * call.c - what every entry point does before and after its work
 */
#include "call.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "format.h"

/*
 * Whatever is wrong with the file, it is as if there were none: callers know
 * ENOENT, and take other values for a fault of the lookup. doctor has the reason.
 */
const struct answer answer_damaged = { NSS_STATUS_UNAVAIL, ENOENT };
const struct answer answer_success = { NSS_STATUS_SUCCESS, 0 };
const struct answer answer_absent = { NSS_STATUS_NOTFOUND, ENOENT };
const struct answer answer_end = { NSS_STATUS_NOTFOUND, 0 };

struct answer answer_error(int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EINTR:
	case EAGAIN:
		return (struct answer){ NSS_STATUS_TRYAGAIN, error };
	default:
		return answer_damaged;
	}
}

struct answer answer_bolt(enum bolt_status status)
{
	switch (status) {
	case BOLT_FOUND:
		return answer_success;
	case BOLT_ABSENT:
		return answer_absent;
	default:
		return answer_damaged;
	}
}

struct answer answer_record(enum record_status status)
{
	switch (status) {
	case RECORD_PACKED:
		return answer_success;
	case RECORD_SHORT:
		return (struct answer){ NSS_STATUS_TRYAGAIN, ERANGE };
	case RECORD_REFUSED:
		return answer_absent;
	case RECORD_NO_MEMORY:
		return answer_error(ENOMEM);
	default:
		return answer_damaged;
	}
}

void call_begin(struct call *call)
{
	/*
	 * The type, not the state: older glibcs act on an asynchronous cancellation
	 * that was on its way when the state became "disabled".
	 */
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &call->saved_cancel_type);
	call->saved_errno = errno;
}

enum nss_status call_end(const struct call *call, struct answer answer, int *errnop)
{
	int ignored;

	errno = call->saved_errno;
	if (answer.status != NSS_STATUS_SUCCESS && answer.error != 0)
		*errnop = answer.error;
	pthread_setcanceltype(call->saved_cancel_type, &ignored);
	return answer.status;
}

size_t name_length(const char *name)
{
	const char *end = memchr(name, 0, FORMAT_MAX_NAME + 1);

	return end != NULL ? (size_t)(end - name) : 0;
}
