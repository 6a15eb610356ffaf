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

/* place_error is errno as a caller of NSS may see it: ERANGE means something else there. */
int place_error(void);

/* place_look is lstat. */
int place_look(const char *path, struct stat *ret);

/* place_now says where the process is. */
int place_now(struct place *ret);

/*
 * place_ours reports whether what is at the path now is this process's own,
 * given where it found the file that it serves: "/" or the folder is the same,
 * or the process is back where its program is. A process of the host that went
 * into a container's root is still the host's.
 */
bool place_ours(const struct place *found);

/* place_trusts reports whether a file of this owner is as good as root's. */
bool place_trusts(uid_t owner);

#endif
