package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A FileStore is a snapshot in a local file, for hosts without a network to
// AWS and for tests. Writers lock "<path>.lock"; readers need no lock, because
// the file is always replaced whole.
type FileStore struct{ path string }

// NewFileStore returns the store at an absolute path.
func NewFileStore(path string) *FileStore { return &FileStore{path} }

// String returns file:///path.
func (s *FileStore) String() string { return "file://" + s.path }

// Read implements Store.
func (s *FileStore) Read(_ context.Context, known Tag) ([]byte, Tag, error) {
	data, tag, err := s.read(known)
	if err != nil && !errors.Is(err, ErrNotModified) {
		err = fmt.Errorf("read %q: %w", s, err)
	}
	return data, tag, err
}

func (s *FileStore) read(known Tag) ([]byte, Tag, error) {
	// Without O_NONBLOCK a fifo put there would hold the reader for ever.
	f, err := os.OpenFile(s.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", ErrAbsent
	}
	if err != nil {
		return nil, "", cause(err)
	}
	defer func() { _ = f.Close() }()
	tag, size, err := tagOf(f)
	switch {
	case err != nil:
		return nil, "", err
	case tag == known:
		return nil, tag, ErrNotModified
	case size > MaxSize:
		return nil, tag, fmt.Errorf("%w: %d bytes, %d allowed", ErrTooLarge, size, MaxSize)
	}
	data, err := readAll(f, size)
	return data, tag, err
}

// tagOf names the version of an open file without reading it: a file that is
// replaced, or written again in place, has another.
func tagOf(f *os.File) (Tag, int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", 0, errors.New("not a regular file")
	}
	return Tag(fmt.Sprintf("%d-%d-%d-%d.%09d", st.Dev, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec)), st.Size, nil
}

// readAll reads at most MaxSize bytes of a stream that said to have about
// size; one that has more is ErrTooLarge.
func readAll(r io.Reader, size int64) ([]byte, error) {
	data := make([]byte, 0, min(max(size, 0), MaxSize)+1)
	limited := io.LimitReader(r, MaxSize+1)
	for {
		n, err := limited.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case len(data) > MaxSize:
			return nil, fmt.Errorf("%w: more than the %d bytes allowed", ErrTooLarge, MaxSize)
		case err == io.EOF:
			return data, nil
		case err != nil:
			return nil, cause(err)
		case len(data) == cap(data):
			data = append(data, 0)[:len(data)]
		}
	}
}

// Write implements Store. Whatever the crash, the path holds the old file or
// the new one, whole.
func (s *FileStore) Write(ctx context.Context, data []byte, previous Tag) (Tag, error) {
	tag, err := s.write(ctx, data, previous)
	if err != nil {
		return "", fmt.Errorf("write %q: %w", s, err)
	}
	return tag, nil
}

func (s *FileStore) write(ctx context.Context, data []byte, previous Tag) (tag Tag, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	present, err := s.present()
	if err != nil {
		return "", err
	}
	if present != previous {
		return "", ErrConflict
	}
	dir, base := filepath.Split(s.path)
	f, err := os.CreateTemp(dir, "."+base+".*.new")
	if err != nil {
		return "", cause(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	defer func() { _ = f.Close() }()
	if _, err := f.Write(data); err != nil {
		return "", cause(err)
	}
	// Nothing in a snapshot is secret to the host that may read its folder.
	if err := errors.Join(f.Chmod(0o644), f.Sync()); err != nil {
		return "", err
	}
	tag, _, err = tagOf(f)
	if err != nil {
		return "", err
	}
	if err := os.Rename(f.Name(), s.path); err != nil {
		return "", err
	}
	return tag, syncDir(dir)
}

func (s *FileStore) present() (Tag, error) {
	f, err := os.OpenFile(s.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", cause(err)
	}
	defer func() { _ = f.Close() }()
	tag, _, err := tagOf(f)
	return tag, err
}

// lock waits for the writers before us, until ctx or Timeout ends.
func (s *FileStore) lock(ctx context.Context) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	f, err := os.OpenFile(s.path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, cause(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %q: %w", f.Name(), err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("lock %q: another publisher holds it: %w", f.Name(), ctx.Err()), f.Close())
		case <-tick.C:
		}
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
