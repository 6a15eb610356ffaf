/*
 * call.c - what every entry point does before and after its work
 */
#include "call.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "format.h"

/*
 * A file that cannot be used gives the same answer as a missing one: callers know
 * ENOENT, and take other values for a fault of the lookup. doctor names the reason.
 */
const struct answer answer_damaged = { NSS_STATUS_UNAVAIL, ENOENT };
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

const struct answer answers_bolt[] = {
	[BOLT_FOUND] = { NSS_STATUS_SUCCESS, 0 },
	[BOLT_ABSENT] = { NSS_STATUS_NOTFOUND, ENOENT },
	[BOLT_DAMAGED] = { NSS_STATUS_UNAVAIL, ENOENT },
};

const struct answer answers_record[] = {
	[RECORD_PACKED] = { NSS_STATUS_SUCCESS, 0 },
	[RECORD_SHORT] = { NSS_STATUS_TRYAGAIN, ERANGE },
	[RECORD_REFUSED] = { NSS_STATUS_NOTFOUND, ENOENT },
	[RECORD_DAMAGED] = { NSS_STATUS_UNAVAIL, ENOENT },
	[RECORD_NO_MEMORY] = { NSS_STATUS_TRYAGAIN, ENOMEM },
};

size_t name_length(const char *name)
{
	const char *end = memchr(name, 0, FORMAT_MAX_NAME + 1);

	return end != NULL ? (size_t)(end - name) : 0;
}
