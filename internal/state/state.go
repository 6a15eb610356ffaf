// Package state owns state.db, the refresher's memory between refreshes: the
// last directory, removals waiting for confirmation, former users, and every
// key that the directory ever showed. Only the refresher opens it, one process at a time,
// so holding it open is also what makes a process the one publisher of a host.
package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// File is the name of the state file in the cache folder.
const File = "state.db"

// ErrBusy is returned by Open while another process has the state open.
var ErrBusy = errors.New("it is locked by another iam-cachefill")

// ErrReadOnly is returned by what would write to a Store that Read opened.
var ErrReadOnly = errors.New("the state was opened to read only")

// ErrDamaged is returned by Open for a file that bbolt could not read safely.
var ErrDamaged = errors.New("damaged state file")

var (
	bucketValues   = []byte("values")      // name → JSON
	bucketBodies   = []byte("key.body")    // SSHPublicKeyId → body, kept for ever: the directory never changes it
	bucketListings = []byte("key.listing") // UserId → JSON of directory.KeyListing, bodies left out
)

// A Store is an open state file.
type Store struct {
	db   *bolt.DB // nil: nothing is saved, and nothing can be
	seal seal     // of the file of db
}

// Open opens dir/state.db, creating it with mode 0600, and waits a second for
// another process to let go of it before it returns ErrBusy. A damaged file is
// ErrDamaged; SetAside makes room for a new one.
func Open(dir string) (s *Store, err error) {
	db, err := openDB(dir, false)
	if err != nil {
		return nil, err
	}
	if err := prepare(db, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("open %q: %w", filepath.Join(dir, File), err), db.Close())
	}
	s = &Store{db: db}
	if err := s.seal.renew(db.Path()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// Read opens dir/state.db for reading and leaves no trace. Where there is no
// such file the Store holds nothing. Errors are those of Open.
func Read(dir string) (*Store, error) {
	if info, err := os.Lstat(filepath.Join(dir, File)); err == nil && info.Size() == 0 {
		return &Store{}, nil // its maker was killed before anything was in it
	}
	db, err := openDB(dir, true)
	if errors.Is(err, fs.ErrNotExist) {
		return &Store{}, nil
	}
	if err != nil {
		return nil, err
	}
	s := &Store{db: db}
	if err := s.seal.renew(db.Path()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if !complete(db) {
		return nil, errors.Join(fmt.Errorf("open %q: %w: it is not a state file", filepath.Join(dir, File), ErrDamaged),
			db.Close())
	}
	return s, nil
}

func openDB(dir string, readOnly bool) (db *bolt.DB, err error) {
	path := filepath.Join(dir, File)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("open %q: %w: %v", path, ErrDamaged, p)
		}
	}()
	db, err = bolt.Open(path, 0o600, &bolt.Options{
		PageSize: cache.PageSize, Timeout: time.Second, NoFreelistSync: true, OpenFile: openOwn, ReadOnly: readOnly,
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("open %q: %w", path, ErrBusy)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch),
		errors.Is(err, berrors.ErrChecksum):
		return nil, fmt.Errorf("open %q: %w: %w", path, ErrDamaged, err)
	case err != nil:
		return nil, fmt.Errorf("open %q: %w", path, err)
	}
	return db, nil
}

var buckets = [][]byte{bucketValues, bucketBodies, bucketListings}

// complete reports whether the buckets are there.
func complete(db *bolt.DB) bool {
	complete := false
	_ = db.View(func(tx *bolt.Tx) error {
		complete = !slices.ContainsFunc(buckets, func(name []byte) bool { return tx.Bucket(name) == nil })
		return nil
	})
	return complete
}

// prepare makes the buckets, and the file's name outlast a loss of power: what
// is served must not without what is remembered. It writes only to a new file:
// opening the state and finding nothing new must leave no trace.
func prepare(db *bolt.DB, dir string) error {
	if complete(db) {
		return nil
	}
	if err := cache.SyncFolder(dir); err != nil {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
}

// openOwn opens the file without following links and, where it has contents,
// only after its pages were found sound.
func openOwn(name string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(name, flag|unix.O_NOFOLLOW, mode)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.Size() == 0:
	case info.Size() < 2*cache.PageSize:
		err = fmt.Errorf("%w: %d bytes", ErrDamaged, info.Size())
	default:
		if damage := cache.CheckPages(f); damage != nil {
			err = fmt.Errorf("%w: %w", ErrDamaged, damage)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// SetAside renames a damaged dir/state.db to state.db.damaged, in place of an
// earlier one, so that Open can begin with an empty one.
func SetAside(dir string) error {
	path := filepath.Join(dir, File)
	return os.Rename(path, path+".damaged")
}

// Close lets other processes in.
func (s *Store) Close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// view runs fn where anything is saved.
func (s *Store) view(fn func(*bolt.Tx) error) error {
	if s.db == nil {
		return nil
	}
	if err := s.Check(); err != nil {
		return err
	}
	return s.db.View(fn)
}

func (s *Store) update(fn func(*bolt.Tx) error) error {
	if s.db == nil || s.db.IsReadOnly() {
		return ErrReadOnly
	}
	return s.change(fn)
}

// Load reads the value saved under name into v. Nothing saved leaves v alone.
func (s *Store) Load(name string, v any) error {
	return s.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketValues).Get([]byte(name))
		if b == nil {
			return nil
		}
		if err := json.Unmarshal(b, v); err != nil {
			return fmt.Errorf("state %q: %w", name, err)
		}
		return nil
	})
}

// Save writes the values under their names, all or none. Values that are
// already there write nothing.
func (s *Store) Save(values map[string]any) error {
	encoded := make(map[string][]byte, len(values))
	for name, v := range values {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("state %q: %w", name, err)
		}
		encoded[name] = b
	}
	if err := s.view(func(tx *bolt.Tx) error {
		for name, b := range encoded {
			if bytes.Equal(tx.Bucket(bucketValues).Get([]byte(name)), b) {
				delete(encoded, name)
			}
		}
		return nil
	}); err != nil || len(encoded) == 0 {
		return err
	}
	return s.update(func(tx *bolt.Tx) error {
		for name, b := range encoded {
			if err := tx.Bucket(bucketValues).Put([]byte(name), b); err != nil {
				return err
			}
		}
		return nil
	})
}

// Body returns the body that the directory once gave for a key ID.
func (s *Store) Body(keyID string) (body string, ok bool) {
	_ = s.view(func(tx *bolt.Tx) error {
		if b := tx.Bucket(bucketBodies).Get([]byte(keyID)); b != nil {
			body, ok = string(b), true
		}
		return nil
	})
	return body, ok
}

// SaveListings remembers listings by UserId, and the bodies in them.
func (s *Store) SaveListings(listings map[string]directory.KeyListing) error {
	if len(listings) == 0 {
		return nil
	}
	return s.update(func(tx *bolt.Tx) error {
		bodies := tx.Bucket(bucketBodies)
		for userID, l := range listings {
			stripped := directory.KeyListing{Checked: l.Checked, Keys: make([]directory.Key, len(l.Keys)), Tags: l.Tags}
			for i, k := range l.Keys {
				if k.Body != "" && bodies.Get([]byte(k.ID)) == nil {
					if err := bodies.Put([]byte(k.ID), []byte(k.Body)); err != nil {
						return fmt.Errorf("key %q: %w", k.ID, err)
					}
				}
				k.Body = ""
				stripped.Keys[i] = k
			}
			b, err := json.Marshal(stripped)
			if err != nil {
				return err
			}
			if err := tx.Bucket(bucketListings).Put([]byte(userID), b); err != nil {
				return fmt.Errorf("keys of user %q: %w", userID, err)
			}
		}
		return nil
	})
}

// Listing returns the last listing of one user, with bodies. It reports false
// for a user never listed.
func (s *Store) Listing(userID string) (l directory.KeyListing, ok bool, err error) {
	err = s.view(func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketListings).Get([]byte(userID))
		if b == nil {
			return nil
		}
		ok = true
		l, err = decodeListing(tx, []byte(userID), b)
		return err
	})
	return l, ok, err
}

// Each calls fn for each of the users named with the last listing as it is
// saved, nil for a user never listed, and with what reads it. The bytes are not
// to be changed, nor kept.
func (s *Store) Each(userIDs []string,
	fn func(i int, saved []byte, read func() (directory.KeyListing, error)) error) error {
	return s.view(func(tx *bolt.Tx) error {
		for i, id := range userIDs {
			b := tx.Bucket(bucketListings).Get([]byte(id))
			if err := fn(i, b, func() (directory.KeyListing, error) { return decodeListing(tx, []byte(id), b) }); err != nil {
				return err
			}
		}
		return nil
	})
}

func decodeListing(tx *bolt.Tx, userID, b []byte) (l directory.KeyListing, err error) {
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("keys of user %q: %w", userID, err)
	}
	bodies := tx.Bucket(bucketBodies)
	for i := range l.Keys {
		l.Keys[i].Body = string(bodies.Get([]byte(l.Keys[i].ID)))
	}
	return l, nil
}

// Listings returns the last listing of every user asked for, by UserId, with
// bodies. Users never listed are absent.
func (s *Store) Listings() (map[string]directory.KeyListing, error) {
	all := map[string]directory.KeyListing{}
	err := s.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketListings).ForEach(func(userID, b []byte) error {
			l, err := decodeListing(tx, userID, b)
			all[string(userID)] = l
			return err
		})
	})
	return all, err
}

// Checked returns when each user's keys were last listed, by UserId.
func (s *Store) Checked() (map[string]time.Time, error) {
	all := map[string]time.Time{}
	err := s.view(func(tx *bolt.Tx) error {
		return tx.Bucket(bucketListings).ForEach(func(userID, b []byte) error {
			var l struct{ Checked time.Time }
			if err := json.Unmarshal(b, &l); err != nil {
				return fmt.Errorf("keys of user %q: %w", userID, err)
			}
			all[string(userID)] = l.Checked
			return nil
		})
	})
	return all, err
}

// Forget drops the listings of the given users. Bodies stay: a key's body is
// the same whenever its ID comes back.
func (s *Store) Forget(userIDs []string) error {
	if len(userIDs) == 0 {
		return nil
	}
	return s.update(func(tx *bolt.Tx) error {
		for _, id := range userIDs {
			if err := tx.Bucket(bucketListings).Delete([]byte(id)); err != nil {
				return err
			}
		}
		return nil
	})
}
