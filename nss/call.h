/*
 * call.h - what every entry point does before and after its work
 *
 * call_begin saves errno and switches to deferred cancellation; the module calls
 * no cancellation point. call_end restores both and sets *errnop as glibc's
 * manual requires ("NSS Modules Interface"): on every failure, never on success,
 * and not at the end of an enumeration.
 */
#ifndef NSS_IAM_CALL_H
#define NSS_IAM_CALL_H

#include <errno.h>
#include <nss.h>
#include <pthread.h>

#include "bolt.h"
#include "mapping.h"
#include "record.h"

#define ENTRY_POINT __attribute__((visibility("default")))

struct call {
	int saved_errno, saved_cancel_type;
};

/* A status and, if it is not success, what *errnop shall be (0: left alone). */
struct answer {
	enum nss_status status;
	int error;
};

extern const struct answer answer_absent, answer_end, answer_damaged;

/* The answers to what was found, and to an errno value from mapping_enter. */
extern const struct answer answers_bolt[], answers_record[];
struct answer answer_error(int error);

static inline void call_begin(struct call *call)
{
	/*
	 * The type, not the state: older glibcs act on an asynchronous cancellation
	 * that was on its way when the state became "disabled".
	 */
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &call->saved_cancel_type);
	call->saved_errno = errno;
}

static inline enum nss_status call_end(const struct call *call, struct answer answer, int *errnop)
{
	int ignored;

	errno = call->saved_errno;
	if (answer.status != NSS_STATUS_SUCCESS && answer.error != 0)
		*errnop = answer.error;
	pthread_setcanceltype(call->saved_cancel_type, &ignored);
	return answer.status;
}

/* name_length is the length of a name that may be in the file, or 0. */
size_t name_length(const char *name);

#endif
