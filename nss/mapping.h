/*
 * mapping.h - the lifetime of the mapped file
 */
#ifndef NSS_IAM_MAPPING_H
#define NSS_IAM_MAPPING_H

#include <stdatomic.h>
#include <stdint.h>

#include "file.h"

/* A hold keeps one file readable until it is given back. */
struct mapping_hold {
	const struct file *file;
	uint64_t current;         /* what was current when it was taken */
	_Atomic(uint64_t) *count; /* where it is counted; NULL: own is mapped for it alone */
	struct file own;
};

/* mapping_enter takes hold of the newest file. It returns 0 or an errno value. */
int mapping_enter(struct mapping_hold *hold);

void mapping_leave(struct mapping_hold *hold);

#endif
