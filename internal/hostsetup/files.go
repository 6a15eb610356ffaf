package hostsetup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxFile is far above any of the files that setup edits.
const maxFile = 4 << 20

// A file is a regular file of the host as it was read.
type file struct {
	content  string
	mode     fs.FileMode
	uid, gid int
	changed  time.Time
}

func digest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// read returns the file, or nil where there is none. A symbolic link is an
// error: what stands behind it belongs to somebody else.
func (h *Host) read(name string) (*file, error) {
	info, err := os.Lstat(h.at(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, _ := os.Readlink(h.at(name))
		return nil, refuse("edit the file behind it by hand, or put a regular file in its place",
			"%q is a symbolic link to %q", name, target)
	case !info.Mode().IsRegular() || info.Size() > maxFile:
		return nil, refuse("put it right by hand", "%q is no regular file of a reasonable size", name)
	}
	content, err := os.ReadFile(h.at(name))
	if err != nil {
		return nil, err
	}
	stat := info.Sys().(*syscall.Stat_t)
	return &file{string(content), info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky),
		int(stat.Uid), int(stat.Gid), info.ModTime()}, nil
}

func temporary(name string) string {
	return filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".nss-iam-new")
}

// replace puts f in the place of name in one step: a process that looks sees the old
// file or the new one, whole, whatever happens. Extended attributes, the
// SELinux label among them, stay as they are.
func (h *Host) replace(name string, f file) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %q: %w", name, err)
		}
	}()
	path, temp := h.at(name), h.at(temporary(name))
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		_ = out.Close()
		_ = os.Remove(temp)
	}()
	if _, err := out.WriteString(f.content); err != nil {
		return err
	}
	if err := out.Chown(f.uid, f.gid); err != nil {
		return err
	}
	if err := out.Chmod(f.mode); err != nil {
		return err
	}
	if err := copyAttributes(path, out); err != nil {
		return err
	}
	if err := out.Sync(); err != nil {
		return err
	}
	if !f.changed.IsZero() {
		if err := os.Chtimes(temp, time.Time{}, f.changed); err != nil {
			return err
		}
	}
	h.step("before renaming " + name)
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	h.step("after renaming " + name)
	return syncDir(filepath.Dir(path))
}

func copyAttributes(path string, out *os.File) error {
	list := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, list)
	if err != nil {
		return nil // no file yet, or a file system without attributes
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 64<<10)
		m, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			continue
		}
		if err := unix.Fsetxattr(int(out.Fd()), name, value[:m], 0); err != nil {
			return fmt.Errorf("keep attribute %q: %w", name, err)
		}
	}
	return nil
}

func (h *Host) remove(name string) error {
	if err := os.Remove(h.at(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	h.step("after removing " + name)
	return syncDir(filepath.Dir(h.at(name)))
}

// settle syncs what a command has written by itself.
func (h *Host) settle(names []string) error {
	for _, name := range names {
		f, err := os.Open(h.at(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close(), syncDir(filepath.Dir(h.at(name)))); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

// writable refuses folders that cannot be written to.
func (h *Host) writable(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		err := unix.Access(h.at(dir), unix.W_OK)
		switch {
		case errors.Is(err, unix.ENOENT):
			continue
		case errors.Is(err, unix.EROFS):
			return refuse("make it writable, or run setup with --offline where this host's image is built",
				"%q is on a read-only file system", dir)
		case err != nil:
			return refuse("run setup as root", "%q cannot be written to: %v", dir, err)
		}
		return nil
	}
}
