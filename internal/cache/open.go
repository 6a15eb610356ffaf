package cache

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrDamaged is returned for a file that is not what this package wrote:
// cut off, changed, of another version, or not a bbolt file at all.
var ErrDamaged = errors.New("damaged cache file")

// ErrForeign is returned for a file that somebody other than root (or the
// running user) owns or may write, or that is not a regular file.
var ErrForeign = errors.New("cache file that others may have written")

// view runs fn over the bbolt file at path after its pages were checked. It
// takes no lock: a published file is never changed in place, and who may read
// it could hold a lock for ever. Should somebody cut the file off while it is
// read, the fault becomes ErrDamaged: fn runs in the calling goroutine and must
// not start others. Nothing of the tree may be kept.
func view(path string, fn func(*tree) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("read %q: %w: %v", path, ErrDamaged, p)
		}
	}()
	f, err := openTrusted(path)
	switch {
	case err == nil:
	case errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission), errors.Is(err, ErrForeign):
		return fmt.Errorf("read %q: %w", path, err)
	default:
		return fmt.Errorf("read %q: %w: %w", path, ErrDamaged, err)
	}
	defer func() { _ = f.Close() }()
	return withPages(f, unix.PROT_READ, func(data []byte) error {
		root, err := checkPages(data)
		if err != nil {
			return fmt.Errorf("read %q: %w: %w", path, ErrDamaged, err)
		}
		return fn(&tree{data, root})
	})
}

// openTrusted opens a file that only root or the running user can have written.
func openTrusted(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, unix.ELOOP) {
			err = fmt.Errorf("%w: a symbolic link", ErrForeign)
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = checkTrusted(info)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func checkTrusted(info os.FileInfo) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: not a regular file", ErrForeign)
	case owner != 0 && owner != uint32(os.Geteuid()):
		return fmt.Errorf("%w: owned by uid %d", ErrForeign, owner)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%w: mode %#o", ErrForeign, info.Mode().Perm())
	case info.Size() < 2*PageSize:
		return fmt.Errorf("%d bytes are too few for a bbolt file", info.Size())
	case info.Size() > MaxFileSize:
		return fmt.Errorf("%d bytes are more than a cache file may have", info.Size())
	}
	return nil
}
