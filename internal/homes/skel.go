package homes

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds of a skeleton: far above any, and low enough for a disk.
const (
	maxDepth   = 32
	maxEntries = 10_000
	maxBytes   = 256 << 20
)

// homeMode is HOME_MODE of login.defs(5), whatever it says without the right
// for others to write, or 0700.
func homeMode(defs string) fs.FileMode {
	mode := uint64(0o700)
	for line := range strings.Lines(defs) {
		if words := strings.Fields(line); len(words) >= 2 && words[0] == "HOME_MODE" {
			if n, err := strconv.ParseUint(words[1], 8, 12); err == nil {
				mode = n
			}
		}
	}
	return fs.FileMode(mode&0o755 | 0o700)
}

// A skeleton is opened when the first home is made.
type skeleton struct {
	looked bool
	dir    *os.File // nil where there is none
}

func (s *skeleton) close() {
	if s.dir != nil {
		_ = s.dir.Close()
	}
}

// copySkeleton fills a new home, whose owner may enter it when all is there. A
// skeleton that others may write to is as good as none: the user who wrote it would
// run in everybody's shell.
func (r *run) copySkeleton(top int, uid uint32) error {
	if !r.skel.looked {
		r.skel.looked = true
		var err error
		if r.skel.dir, err = r.open(r.Skel); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.fault(fmt.Errorf("homes are made empty: read skeleton %q: %w", r.Skel, err))
		}
	}
	if r.skel.dir == nil {
		return nil
	}
	c := copying{run: r, owner: int(uid), entries: maxEntries, bytes: maxBytes}
	return c.folder(int(r.skel.dir.Fd()), top, r.Skel, maxDepth)
}

// copying is one home's.
type copying struct {
	*run
	owner   int
	entries int
	bytes   int64
}

func (c *copying) folder(from, to int, name string, depth int) error {
	names, err := list(from)
	if err != nil {
		return fmt.Errorf("read %q: %w", name, err)
	}
	slices.Sort(names)
	for _, inner := range names {
		if c.entries--; c.entries < 0 || depth == 0 {
			return fmt.Errorf("skeleton %q holds more than %d entries, or lies deeper than %d folders", c.Skel, maxEntries,
				maxDepth)
		}
		refused, err := c.entry(from, to, inner, path.Join(name, inner), depth)
		if err != nil {
			return fmt.Errorf("copy %q: %w", path.Join(name, inner), err)
		}
		if refused != "" {
			c.fault(fmt.Errorf("homes are made without %q: %s", path.Join(name, inner), refused))
		}
		c.step("copied " + inner)
	}
	return nil
}

// entry copies one entry, or says why it is left out.
func (c *copying) entry(from, to int, inner, name string, depth int) (refused string, err error) {
	var stat unix.Stat_t
	if err := unix.Fstatat(from, inner, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return "", err
	}
	flags := unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		return c.link(from, to, inner, stat)
	case unix.S_IFDIR:
		flags |= unix.O_DIRECTORY
	case unix.S_IFREG:
		flags |= unix.O_NONBLOCK // should it be something else by now
	default:
		return "it is no file, folder or symbolic link", nil
	}
	source, err := unix.Openat(from, inner, flags, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(source) }()
	if err := trusted(source); errors.Is(err, errForeign) {
		return err.Error(), nil
	} else if err != nil {
		return "", err
	}
	if err := unix.Fstat(source, &stat); err != nil {
		return "", err
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "", c.inner(source, to, inner, name, stat.Mode, depth)
	case unix.S_IFREG:
		return "", c.file(source, to, inner, stat.Mode)
	}
	return "it changed while it was copied", nil
}

func (c *copying) link(from, to int, inner string, stat unix.Stat_t) (refused string, err error) {
	if stat.Uid != 0 {
		return fmt.Sprintf("a symbolic link of uid %d", stat.Uid), nil
	}
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(from, inner, target)
	if err != nil {
		return "", err
	}
	if err := unix.Symlinkat(string(target[:n]), to, inner); err != nil {
		return "", err
	}
	return "", unix.Fchownat(to, inner, c.owner, c.owner, unix.AT_SYMLINK_NOFOLLOW)
}

// inner copies a folder, which is root's until all is in it: its owner could
// not be hindered from anything there.
func (c *copying) inner(source, to int, inner, name string, mode uint32, depth int) error {
	if err := unix.Mkdirat(to, inner, 0o700); err != nil {
		return err
	}
	fd, err := openFolder(to, inner)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := c.folder(source, fd, name, depth-1); err != nil {
		return err
	}
	return c.give(fd, mode)
}

func (c *copying) file(source, to int, inner string, mode uint32) error {
	fd, err := unix.Openat(to, inner, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), inner)
	defer func() { _ = out.Close() }()
	in, err := unix.FcntlInt(uintptr(source), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	reader := os.NewFile(uintptr(in), inner)
	defer func() { _ = reader.Close() }()
	n, err := io.Copy(out, io.LimitReader(reader, c.bytes+1))
	if err != nil {
		return err
	}
	if c.bytes -= n; c.bytes < 0 {
		return fmt.Errorf("the skeleton holds more than %d bytes", maxBytes)
	}
	return c.give(fd, mode)
}

// give sets the mode while the file is still root's, without setuid, setgid
// and anybody else's right to write, and then the owner.
func (c *copying) give(fd int, mode uint32) error {
	if err := unix.Fchmod(fd, mode&0o755); err != nil {
		return err
	}
	return unix.Fchown(fd, c.owner, c.owner)
}
