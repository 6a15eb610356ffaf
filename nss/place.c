/*
 * place.c - from where this process sees the file system
 *
 * System calls go through syscall(), so that no symbol is newer than glibc 2.17.
 */
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PROGRAM_PATH = 1024 };

static const char program[] = "/proc/self/exe";

int place_error(void)
{
	return errno == 0 || errno == ERANGE ? EINVAL : errno;
}

static int look(const char *path, struct stat *ret, int flags)
{
	return syscall(SYS_newfstatat, AT_FDCWD, path, ret, flags) == 0 ? 0 : place_error();
}

int place_look(const char *path, struct stat *ret)
{
	return look(path, ret, AT_SYMLINK_NOFOLLOW);
}

static int inode_of(const char *path, int flags, struct place_inode *ret)
{
	struct stat st;
	int error = look(path, &st, flags);

	if (error == 0)
		*ret = (struct place_inode){ st.st_dev, st.st_ino };
	return error;
}

static bool same(const struct place_inode *a, const struct place_inode *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

int place_now(struct place *ret)
{
	int error = inode_of("/", 0, &ret->root);

	return error != 0 ? error : inode_of(NSS_IAM_DIR, 0, &ret->folder);
}

/* program_is_here reports whether the path that the kernel has for the running program leads to it from this "/". */
static bool program_is_here(void)
{
	char path[PROGRAM_PATH];
	long len = syscall(SYS_readlinkat, AT_FDCWD, program, path, sizeof(path) - 1);
	struct place_inode running, here;

	if (len <= 0)
		return false;
	path[len] = 0;
	return inode_of(program, 0, &running) == 0 && inode_of(path, 0, &here) == 0 && same(&running, &here);
}

bool place_ours(const struct place *found)
{
	struct place now;

	return place_now(&now) == 0 &&
	       (same(&now.root, &found->root) || same(&now.folder, &found->folder) || program_is_here());
}

/*
 * In a user namespace that does not map the host's root, root's files show the
 * overflow id as their owner, and so does "/". To trust the owner of "/" gives
 * nobody more than they have: this owner can put any file at any path.
 */
bool place_trusts(uid_t owner)
{
	struct stat root;

	return owner == 0 || (place_look("/", &root) == 0 && owner == root.st_uid);
}
