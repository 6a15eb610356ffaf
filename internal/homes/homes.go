// Package homes makes homes that are missing, from a skeleton, so that ways in
// which do not ask PAM find one. It decides nobody's home: it is told users and
// paths. It touches nothing that is there already, follows no symbolic link,
// and deletes only what an interrupted run of its own has left.
//
// A home is built beside its place in a folder that only root may enter, and
// is given away and renamed when it is whole: a process that looks sees all of it or
// none. The one capability that this takes, besides being root, is CAP_CHOWN.
package homes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Home is a folder that a user is to have.
type Home struct {
	User string
	UID  uint32 // also the gid of the user's own group
	Path string
}

// A Maker makes homes on one host.
type Maker struct {
	Root string      // where paths begin: "/", or the folder of a tree
	Skel string      // the skeleton; where there is none, homes are empty
	Mode fs.FileMode // of homes
	Host string      // tells what this host has left from what others build on a shared file system

	interrupt func(where string) // tests end the process here
	plain     bool               // tests do without RENAME_NOREPLACE, as NFS does
}

// Here is the maker of the running host: /etc/skel, and the mode that
// login.defs(5) gives homes, or 0700.
func Here() Maker {
	defs, _ := os.ReadFile("/etc/login.defs") // without one the default holds
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil || len(id) == 0 {
		name, _ := os.Hostname()
		id = []byte(name)
	}
	// machine-id(5) asks not to show the number itself to everybody.
	sum := sha256.Sum256(append([]byte("nss-iam homes "), id...))
	return Maker{Root: "/", Skel: "/etc/skel", Mode: homeMode(string(defs)), Host: hex.EncodeToString(sum[:6])}
}

// Make makes those of the homes that are missing, and returns them. A fault is
// one line: about a folder with homes in it, about one home, or about a part of
// the skeleton that was left out. What hinders one home hinders no other,
// unless it must hinder all.
func (m Maker) Make(ctx context.Context, wanted []Home) (made []Home, faults []error) {
	r := &run{Maker: m, told: map[string]bool{}}
	parents := map[string][]Home{}
	for _, h := range wanted {
		if path.Clean(h.Path) != h.Path || !path.IsAbs(h.Path) || h.Path == "/" || strings.HasPrefix(path.Base(h.Path),
			leftover) {
			r.fault(fmt.Errorf("make home %q of %q: not a path for a home", h.Path, h.User))
			continue
		}
		parents[path.Dir(h.Path)] = append(parents[path.Dir(h.Path)], h)
	}
	names := make([]string, 0, len(parents))
	for name := range parents {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, parent := range names {
		if err := r.under(ctx, parent, parents[parent]); err != nil {
			r.fault(fmt.Errorf("make homes in %q: %w", parent, err))
		}
	}
	r.skel.close()
	return r.made, r.faults
}

// run is one call of Make.
type run struct {
	Maker
	skel   skeleton
	made   []Home
	faults []error
	told   map[string]bool
}

func (r *run) fault(err error) {
	if !r.told[err.Error()] {
		r.told[err.Error()] = true
		r.faults = append(r.faults, err)
	}
}

func (m Maker) step(where string) {
	if m.interrupt != nil {
		m.interrupt(where)
	}
}

// under makes the homes of one parent. An error is one that hinders all of them.
func (r *run) under(ctx context.Context, parent string, wanted []Home) error {
	dir, err := r.open(parent)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	f := folder{run: r, fd: int(dir.Fd()), there: there}
	byUID := make(map[uint32]Home, len(wanted))
	for _, h := range wanted {
		byUID[h.UID] = h
	}
	for _, name := range names {
		if uid, ours := strings.CutPrefix(name, r.temporary()); ours {
			if err := f.settle(name, uid, byUID); err != nil {
				r.fault(fmt.Errorf("clear %q, which an interrupted run left: %w", path.Join(parent, name), err))
			}
		}
	}
	for _, h := range wanted {
		if there[path.Base(h.Path)] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		switch err := f.make(h); {
		case err == nil:
			r.made = append(r.made, h)
		case errors.Is(err, fs.ErrExist): // somebody was quicker
		case hindersAll(err):
			return explain(err)
		default:
			r.fault(fmt.Errorf("make home %q of %q: %w", h.Path, h.User, err))
		}
	}
	return nil
}

// hindersAll tells an error that the next home would meet as well.
func hindersAll(err error) bool {
	return slices.ContainsFunc([]unix.Errno{unix.EROFS, unix.EPERM, unix.EACCES, unix.ENOSPC, unix.EDQUOT},
		func(e unix.Errno) bool { return errors.Is(err, e) })
}

func explain(err error) error {
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w; the daemon needs the folder writable and CAP_CHOWN: run \"iam-cachefill setup\"; on NFS "+
			"the server must take root for root", err)
	}
	return err
}

// leftover begins the name of every temporary folder, whichever host's.
const leftover = ".nss-iam-home."

func (m Maker) temporary() string { return leftover + m.Host + "." }

// A folder is one that homes are made in.
type folder struct {
	*run
	fd    int
	there map[string]bool
}

// make builds one home beside its place and moves it there. fs.ErrExist means
// that the place was taken meanwhile.
func (f folder) make(h Home) (err error) {
	temp := f.temporary() + strconv.FormatUint(uint64(h.UID), 10)
	if err := unix.Mkdirat(f.fd, temp, 0o700); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("%q is in the way; look into it, and remove it by hand", temp)
		}
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() {
		if err != nil {
			_ = removeTree(f.fd, temp, maxDepth+2) // the next run tries again, and tells
		}
	}()
	f.step("made")
	top, err := openFolder(f.fd, temp)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(top) }()
	if err := f.copySkeleton(top, h.UID); err != nil {
		return err
	}
	f.step("filled")
	return f.finish(h, top, temp)
}

// finish gives a whole home away and moves it to its place. The mode comes
// first: it says that nothing else is missing.
func (f folder) finish(h Home, top int, temp string) error {
	if err := unix.Fchmod(top, uint32(f.Mode.Perm())); err != nil {
		return fmt.Errorf("set the mode: %w", err)
	}
	f.step("mode set")
	if err := unix.Fchown(top, int(h.UID), int(h.UID)); err != nil {
		return fmt.Errorf("give it to uid %d: %w", h.UID, err)
	}
	f.step("given away")
	return f.place(temp, path.Base(h.Path), false)
}

// place renames a whole home to where it belongs, and never over anything.
// again says that a killed run may have been here before.
func (f folder) place(temp, name string, again bool) error {
	err := error(unix.EINVAL)
	if !f.plain {
		err = unix.Renameat2(f.fd, temp, f.fd, name, unix.RENAME_NOREPLACE)
	}
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EOPNOTSUPP) {
		return wrap("move it to its place", err)
	}
	// NFS knows no such rename. Making the folder takes the place, or finds it
	// taken; a rename then replaces an empty folder, and no other.
	err = unix.Mkdirat(f.fd, name, 0o700)
	if err != nil && !(again && errors.Is(err, unix.EEXIST) && f.taken(name)) {
		return wrap("take its place", err)
	}
	f.step("place taken")
	if err := unix.Renameat(f.fd, temp, f.fd, name); err != nil {
		_ = unix.Unlinkat(f.fd, name, unix.AT_REMOVEDIR) // which only an empty one suffers
		return wrap("move it to its place", err)
	}
	return nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
