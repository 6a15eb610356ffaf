package cache

import (
	"fmt"
	"path/filepath"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

// LookupUser reads one user of dir/nss.db by login name, without groups. ok is
// false where the file does not serve the name. Errors are as those of
// ReadMeta.
func LookupUser(dir, name string) (u accounts.User, ok bool, err error) {
	path := filepath.Join(dir, NSSFile)
	err = view(path, func(file *tree) error {
		m, err := readMeta(file)
		if err != nil {
			return err
		}
		b := file.bucket(BucketPasswdName)
		if b == nil {
			return fmt.Errorf("%w: no bucket %q", ErrDamaged, BucketPasswdName)
		}
		record := b.get(name)
		if record == nil {
			return nil
		}
		found, err := decodeUser(record)
		switch {
		case err != nil:
			return fmt.Errorf("read %q: %w: user %.80q: %w", path, ErrDamaged, name, err)
		case found.Name != name || !m.Range.Contains(found.UID):
			return fmt.Errorf("read %q: %w: the record of user %.80q is uid %d, %.80q", path, ErrDamaged, name, found.UID,
				found.Name)
		}
		u, ok = found, true
		return nil
	})
	return u, ok, err
}
