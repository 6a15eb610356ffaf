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

#include <nss.h>

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

extern const struct answer answer_success, answer_absent, answer_end, answer_damaged;

/* The answer to an errno value from mapping_enter, and to what was found. */
struct answer answer_error(int error);
struct answer answer_bolt(enum bolt_status status);
struct answer answer_record(enum record_status status);

void call_begin(struct call *call);
enum nss_status call_end(const struct call *call, struct answer answer, int *errnop);

/* name_length is the length of a name that may be in the file, or 0. */
size_t name_length(const char *name);

#endif
