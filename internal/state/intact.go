package state

import (
	"errors"
	"fmt"
	"os"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// ErrReplaced is returned by everything that a Store does once its file is no
// longer the one at its path, or was written by somebody else: another process
// may have the lock of the new file by now, and be the publisher.
var ErrReplaced = errors.New("the state file was removed or replaced under this process, which publishes nothing " +
	"more; start it again")

// A seal is how the file looked when this process wrote it last.
type seal struct {
	mu   sync.RWMutex // held for writing while the file changes by our own hand
	info os.FileInfo
}

func (s *seal) matches(path string) error {
	info, err := os.Lstat(path)
	if err != nil || !os.SameFile(info, s.info) || info.Size() != s.info.Size() ||
		!info.ModTime().Equal(s.info.ModTime()) {
		return fmt.Errorf("%q: %w", path, ErrReplaced)
	}
	return nil
}

func (s *seal) renew(path string) (err error) {
	s.info, err = os.Lstat(path)
	return err
}

// Check reports ErrReplaced if the file is not the one that was opened, as this
// process left it.
func (s *Store) Check() error {
	if s.db == nil {
		return nil
	}
	s.seal.mu.RLock()
	defer s.seal.mu.RUnlock()
	return s.seal.matches(s.db.Path())
}

// change runs a change of the file.
func (s *Store) change(fn func(*bolt.Tx) error) error {
	s.seal.mu.Lock()
	defer s.seal.mu.Unlock()
	path := s.db.Path()
	if err := s.seal.matches(path); err != nil {
		return err
	}
	before := s.seal.info
	err := s.db.Update(fn)
	if failed := s.seal.renew(path); failed != nil || !os.SameFile(before, s.seal.info) {
		s.seal.info = before
		return errors.Join(err, fmt.Errorf("%q: %w", path, ErrReplaced))
	}
	return err
}
