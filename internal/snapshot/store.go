package snapshot

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// A Store is one place for a snapshot, which can be read if it changed and
// written if it did not.
type Store interface {
	// Read returns the file and the tag of this version of it. With the tag
	// of a version already known it returns ErrNotModified while that is the
	// one there. Without a file it returns ErrAbsent. At most MaxSize bytes are
	// read; more are ErrTooLarge, with the tag of what is there.
	Read(ctx context.Context, known Tag) ([]byte, Tag, error)
	// Write puts data in the place of the version with the tag previous, or
	// where there was none ("") makes it, and returns the new version's tag.
	// If anything else is there by now it is left alone: ErrConflict.
	Write(ctx context.Context, data []byte, previous Tag) (Tag, error)
	// String returns the store's address.
	String() string
}

// A Tag names one version of the file in a store; "" names none. It is not
// valid in another store.
type Tag string

// What a Store answers besides success.
var (
	ErrNotModified = errors.New("not modified")
	ErrAbsent      = errors.New("there is no snapshot yet")
	ErrConflict    = errors.New("another publisher was faster")
)

// Timeout bounds one read or write of a store, retries included.
const Timeout = 30 * time.Second

// ParseURL takes the address of a snapshot apart: s3://bucket/key into kind
// "s3", bucket and key, file:///path into kind "file", "" and the path.
func ParseURL(address string) (kind, bucket, path string, err error) {
	u, err := url.Parse(address)
	plain := err == nil && u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
	switch {
	case plain && u.Scheme == "s3" && u.Host != "" && len(u.Path) > 1:
		return "s3", u.Host, u.Path[1:], nil
	case plain && u.Scheme == "file" && u.Host == "" && len(u.Path) > 1:
		return "file", "", u.Path, nil
	}
	return "", "", "", fmt.Errorf("%q is not the address of a snapshot; write s3://bucket/key or file:///path", address)
}

// Fetch reads the store and opens what is there. It returns ErrNotModified as
// Read does; on any error the caller keeps what it has. The tag is returned
// with an error of Open as well, so that one bad file is read and reported
// once.
func Fetch(ctx context.Context, store Store, known Tag, trust Trust) (*Snapshot, Tag, error) {
	data, tag, err := store.Read(ctx, known)
	if errors.Is(err, ErrTooLarge) && tag != "" {
		return nil, tag, err
	}
	if err != nil {
		return nil, known, err
	}
	s, err := Open(data, trust)
	if err != nil {
		return nil, tag, fmt.Errorf("open %q: %w", store, err)
	}
	return s, tag, nil
}
