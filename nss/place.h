/*
 * place.h - from where this process sees the file system
 *
 * A process may change its "/" with chroot or setns, and another nss.db may be
 * there. Functions return 0 or an errno value, never ERANGE; they change errno.
 */
#ifndef NSS_IAM_PLACE_H
#define NSS_IAM_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* The folder is compiled in; a build for tests may choose another. */
#ifndef NSS_IAM_DIR
#define NSS_IAM_DIR "/var/lib/nss-iam"
#endif

struct place_inode {
	uint64_t dev, ino;
};

struct place {
	struct place_inode root, folder;
};

/* place_error is errno, but never ERANGE: to a caller of NSS that means a buffer that is too small. */
int place_error(void);

/* place_look is lstat. */
int place_look(const char *path, struct stat *ret);

/* place_now says where the process is. */
int place_now(struct place *ret);

/*
 * place_ours reports whether the file at the path now is one for this process,
 * given where the process found the file that it serves. It is if "/" or the
 * folder is the same, or if the process sees its own program at its path. So a
 * process of the host that enters a container's root keeps the host's file.
 */
bool place_ours(const struct place *found);

/* place_trusts reports whether a file of this owner is as good as root's. */
bool place_trusts(uid_t owner);

#endif
