package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// publish writes a bbolt file and puts it in the place of path in one step: a
// reader sees the old file or the new one, whole, whatever happens in between.
//
// fill writes the contents, about size bytes, in one transaction. amend, which may be
// nil, then changes values in the finished temporary file, in place. verify reads them
// back from it, after bbolt's own check; only then is it renamed. The file gets
// mode, the group gid (-1: as the process) and the SELinux label of the file that it
// replaces, before it can be seen under its name. On any error path is as it was and
// the temporary files are gone.
//
// One process at a time may publish into a folder: the caller holds state.db.
func publish(path string, mode fs.FileMode, gid int, size int, fill func(*bolt.Tx) error,
	amend func(path string) error, verify func(*tree) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("publish %q: %w, keeping the previous file", path, err)
		}
	}()
	dir := filepath.Dir(path)
	build, final := temporary(path)
	// What a killed publisher left behind.
	if err := errors.Join(removeIfThere(build), removeIfThere(final)); err != nil {
		return err
	}
	defer func() { _ = removeIfThere(build) }()
	if err := writeCompact(build, final, size, fill); err != nil {
		_ = removeIfThere(final)
		return err
	}
	if amend != nil {
		if err := amend(final); err != nil {
			_ = removeIfThere(final)
			return err
		}
	}
	if err := finish(path, final, mode, gid, verify); err != nil {
		_ = removeIfThere(final)
		return err
	}
	return SyncFolder(dir)
}

// temporary returns the names under which the file at path is made.
func temporary(path string) (build, final string) {
	dir, base := filepath.Split(path)
	return filepath.Join(dir, "."+base+".build"), filepath.Join(dir, "."+base+".new")
}

// Tidy removes what a publisher left in dir that was killed at work. Only who
// holds state.db may do that.
func Tidy(dir string) error {
	var err error
	for _, name := range []string{NSSFile, KeysFile} {
		build, final := temporary(filepath.Join(dir, name))
		err = errors.Join(err, removeIfThere(build), removeIfThere(final))
	}
	return err
}

// spareRoom is added to what a file is expected to take while it is made.
const spareRoom = 1 << 20

// writeCompact fills a database at build and copies it to final without the
// spare room at its end. It is given that room at once, as a hole: a database
// that grows copies what it holds each time, and syncs.
func writeCompact(build, final string, size int, fill func(*bolt.Tx) error) error {
	room := 4*size + spareRoom
	db, err := bolt.Open(build, 0o600, &bolt.Options{
		PageSize: PageSize, NoSync: true, NoFreelistSync: true, OpenFile: openExclusive, NoGrowSync: true,
		InitialMmapSize: room,
	})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := os.Truncate(build, int64(room)); err != nil {
		return err
	}
	if err := db.Update(fill); err != nil {
		return err
	}
	out, err := os.OpenFile(final, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if err := db.View(func(tx *bolt.Tx) error { _, err := tx.WriteTo(out); return err }); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// openExclusive keeps bbolt from following or reusing a file that somebody
// else put there.
func openExclusive(name string, flag int, mode os.FileMode) (*os.File, error) {
	if flag&os.O_CREATE != 0 {
		flag |= os.O_EXCL
	}
	return os.OpenFile(name, flag|unix.O_NOFOLLOW, mode)
}

// finish checks the file at final, gives it its owner, mode and label, makes it
// durable and renames it to path.
func finish(path, final string, mode fs.FileMode, gid int, verify func(*tree) error) error {
	err := view(final, verify)
	if err == nil {
		err = checkByBolt(final)
	}
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	f, err := os.OpenFile(final, os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if gid >= 0 {
		if err := f.Chown(-1, gid); err != nil {
			return err
		}
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := copyLabel(path, f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(final, path)
}

// checkByBolt has bbolt look at a file that nobody else can open yet.
func checkByBolt(path string) (err error) {
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, PageSize: PageSize})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			return err
		}
		return nil
	})
}

// copyLabel gives f the SELinux label of the file at path, where there is one:
// rename keeps the label of the renamed file, and a restorecon or chcon of the
// administrator's must outlive the next refresh.
func copyLabel(path string, f *os.File) error {
	const attr = "security.selinux"
	old, own := make([]byte, 4096), make([]byte, 4096)
	n, err := unix.Lgetxattr(path, attr, old)
	if err != nil || n == 0 {
		return nil // no such file yet, or no SELinux
	}
	if m, err := unix.Fgetxattr(int(f.Fd()), attr, own); err == nil && string(own[:m]) == string(old[:n]) {
		return nil
	}
	if err := unix.Fsetxattr(int(f.Fd()), attr, old[:n], 0); err != nil {
		return fmt.Errorf("set SELinux label %q: %w", old[:n], err)
	}
	return nil
}

// hasMode reports whether the file at path has exactly the permissions mode.
func hasMode(path string, mode fs.FileMode) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode() == mode
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// SyncFolder makes the names of the files in dir outlast a loss of power.
func SyncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync folder %q: %w", dir, err)
	}
	return nil
}
