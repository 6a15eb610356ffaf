package homes

import (
	"errors"
	"fmt"
	"path"
	"strconv"

	"golang.org/x/sys/unix"
)

// settle deals with a temporary folder that a killed run of this host left:
// one that was not whole goes, one that was goes to its place. Whatever else
// bears the name stays.
func (f folder) settle(name, owner string, wanted map[uint32]Home) error {
	uid, err := strconv.ParseUint(owner, 10, 32)
	if err != nil {
		return nil
	}
	var parent, stat unix.Stat_t
	if err := errors.Join(unix.Fstat(f.fd, &parent),
		unix.Fstatat(f.fd, name, &stat, unix.AT_SYMLINK_NOFOLLOW)); err != nil {
		return err
	}
	mine := stat.Uid == 0 || stat.Uid == uint32(uid)
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR || stat.Dev != parent.Dev || !mine {
		return errors.New("it is not what such a run leaves; look into it, and remove it by hand")
	}
	if stat.Uid == 0 && stat.Mode&0o077 == 0 {
		// Nobody but root could have put anything into it.
		return removeTree(f.fd, name, maxDepth+2)
	}
	h, known := wanted[uint32(uid)]
	if !known {
		return fmt.Errorf("uid %d is to have no home here; look into it, and remove it by hand", uid)
	}
	// It may be its owner's already, and then nobody else opens it.
	if stat.Uid == 0 {
		if err := unix.Fchownat(f.fd, name, int(h.UID), int(h.UID), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	base := path.Base(h.Path)
	if err := f.place(name, base, true); errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%q is there already; look into both, and remove one by hand", h.Path)
	} else if err != nil {
		return err
	}
	f.there[base] = true
	f.made = append(f.made, h)
	return nil
}

// taken reports whether name is an empty folder as place makes it to take a
// home's place.
func (f folder) taken(name string) bool {
	var stat unix.Stat_t
	err := unix.Fstatat(f.fd, name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && stat.Mode == unix.S_IFDIR|0o700 && stat.Uid == 0
}

// removeTree removes a folder of ours with all that is in it. What lies deeper
// may have been given away already, and is taken back: without a capability to
// read what is others', root is like anybody.
func removeTree(parent int, name string, depth int) error {
	if depth == 0 {
		return fmt.Errorf("folder %q lies too deep", name)
	}
	if err := unix.Fchownat(parent, name, 0, 0, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("take %q back: %w", name, err)
	}
	fd, err := openFolder(parent, name)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Fchmod(fd, 0o700); err != nil {
		return err
	}
	names, err := list(fd)
	if err != nil {
		return err
	}
	for _, inner := range names {
		var stat unix.Stat_t
		if err := unix.Fstatat(fd, inner, &stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if stat.Mode&unix.S_IFMT == unix.S_IFDIR {
			err = removeTree(fd, inner, depth-1)
		} else {
			err = unix.Unlinkat(fd, inner, 0)
		}
		if err != nil {
			return err
		}
	}
	return unix.Unlinkat(parent, name, unix.AT_REMOVEDIR)
}
