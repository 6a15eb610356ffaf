package homes

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// errForeign is why a folder is not trusted: others could put in its place, or
// into it, what they like.
var errForeign = errors.New("it must be root's and writable by nobody else")

// open opens a folder of the host that nobody but root could have put there.
// Each folder on the way is opened in the one above it, and looked at when it
// is open.
func (m Maker) open(name string) (*os.File, error) {
	fd, err := unix.Open(m.Root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: m.Root, Err: err}
	}
	at := "/"
	words := strings.Split(strings.Trim(name, "/"), "/")
	for i := range len(words) + 1 {
		if err := trusted(fd); err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("folder %q: %w", at, err)
		}
		if i == len(words) || words[i] == "" {
			break
		}
		at = path.Join(at, words[i])
		flags := unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if i == len(words)-1 {
			flags &^= unix.O_PATH
		}
		next, err := unix.Openat(fd, words[i], flags, 0)
		_ = unix.Close(fd)
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			return nil, fmt.Errorf("%q is no folder; name the one behind a symbolic link in accounts.home", at)
		} else if err != nil {
			return nil, &os.PathError{Op: "open folder", Path: at, Err: err}
		}
		fd = next
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openFolder opens a folder in another, and nothing else.
func openFolder(parent int, name string) (int, error) {
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open folder %q: %w", name, err)
	}
	return fd, nil
}

// trusted refuses what somebody besides root may write to. A list of access
// rules that lets others write shows as the group's permission.
func trusted(fd int) error {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return err
	}
	if stat.Uid != 0 || stat.Mode&0o022 != 0 {
		return fmt.Errorf("uid %d, mode %04o: %w", stat.Uid, stat.Mode&0o7777, errForeign)
	}
	return nil
}

// list returns the names in an open folder, which stays as it is.
func list(fd int) ([]string, error) {
	again, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(again), ".")
	defer func() { _ = dir.Close() }()
	return dir.Readdirnames(-1)
}
