package homes

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

// maxLinks is how many symbolic links one look follows, as the kernel does.
const maxLinks = 40

// maxComponents bounds a look along links that grow.
const maxComponents = 256

// Name is an owner in a sentence.
func Name(owner uint32) string {
	if owner == accounts.Anybody {
		return "anybody who may write to it"
	}
	return fmt.Sprintf("uid %d", owner)
}

// ownerOf is who may have put something into a folder.
func ownerOf(stat unix.Stat_t) uint32 {
	if stat.Uid == 0 && (stat.Mode&0o002 != 0 || stat.Mode&0o020 != 0 && stat.Gid != 0) {
		return accounts.Anybody
	}
	return stat.Uid
}

// Owner returns the uid that owns the folder at a path, as a process that
// enters the path finds it, or accounts.Anybody. ok is false where nothing is there, where something other
// than a folder is, and where it cannot be known without side effects.
//
// Looking mounts nothing. An O_PATH descriptor of an automount point refers to
// the point itself, and its file system tells that it is one (open(2)); so every
// part of the path is opened in the one before it, and the look ends at an
// automount point that nothing is mounted on. What is mounted already is looked
// at. Symbolic links are followed by the same rule.
func Owner(name string) (uid uint32, ok bool) {
	if !path.IsAbs(name) {
		return 0, false
	}
	at, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer func() { _ = unix.Close(at) }()
	left := components(name)
	links := 0
	for steps := 0; len(left) > 0; steps++ {
		if steps == maxComponents || automountPoint(at) {
			return 0, false
		}
		word := left[0]
		left = left[1:]
		next, err := unix.Openat(at, word, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, false
		}
		target, err := readLink(next)
		switch {
		case errors.Is(err, errNoLink):
			_ = unix.Close(at)
			at = next
			continue
		case err != nil:
			_ = unix.Close(next)
			return 0, false
		}
		_ = unix.Close(next)
		if links++; links > maxLinks {
			return 0, false
		}
		if path.IsAbs(target) {
			root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				return 0, false
			}
			_ = unix.Close(at)
			at = root
		}
		left = append(components(target), left...)
	}
	var stat unix.Stat_t
	if automountPoint(at) || unix.Fstat(at, &stat) != nil || stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		return 0, false
	}
	return ownerOf(stat), true
}

// Foreign returns the uid that owns a home that is to be somebody else's.
//
// A folder of root's that others may not write to is nobody's yet: homes are made by root and given away, and nobody
// but root can have put anything into it.
func Foreign(home string, uid uint32) (owner uint32, foreign bool) {
	owner, ok := Owner(home)
	return owner, ok && owner != uid && owner != 0
}

func components(name string) []string {
	return strings.FieldsFunc(name, func(c rune) bool { return c == '/' })
}

var errNoLink = errors.New("not a symbolic link")

// readLink returns what an open symbolic link says.
func readLink(fd int) (string, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return "", err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", errNoLink
	}
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", target)
	if err != nil {
		return "", err
	}
	return string(target[:n]), nil
}

// Automounted reports whether a folder is an automount point, so that what is not seen in
// it may be there. Looking mounts nothing.
func Automounted(folder string) bool {
	fd, err := unix.Open(folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }()
	return automountPoint(fd)
}

// automountPoint reports whether a folder waits for something to be mounted on
// it at the first access.
func automountPoint(fd int) bool {
	var fs unix.Statfs_t
	return unix.Fstatfs(fd, &fs) != nil || fs.Type == unix.AUTOFS_SUPER_MAGIC
}
