// Package snapshot is a directory as one signed file, and the file's way over
// S3 or a local path. It owns the format, the signing keys and the conditional
// reads and writes; it does not know when to poll or publish, and what becomes
// of a directory is none of its business.
//
// The file is one line of JSON and a compressed body:
//
//	DSSE envelope, one line         its payload is the Manifest
//	zstd of  content JSON, one line users with keys, groups, pins, former users
//	         times JSON, one line   when each user's keys were read
//
// The envelope (https://github.com/secure-systems-lab/dsse) signs the manifest
// with Ed25519, and the manifest holds the body's length and SHA-256. So
// nothing but one short line is parsed before a trusted key has vouched for
// it, a file cut short can be told from a forged one, and the body is not
// inflated by the envelope's base64.
//
// The times stand apart because they change with every sweep of the keys,
// while a publisher asks whether the content changed.
package snapshot

import (
	"errors"
	"fmt"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// Versions of the format: what is written, and what a reader takes. Hosts and
// publishers are not updated together, so that a new version takes two releases:
// the first reads it and still writes the one before, the second writes it.
const (
	Version       = 1
	OldestVersion = 1
	NewestVersion = 1
)

// Limits that the writer keeps and every reader enforces. 5,000 users, IAM's
// quota, with five RSA-4096 keys each are 20 MB decoded.
const (
	MaxSize    = 64 << 20 // the file, bytes
	MaxDecoded = 64 << 20 // the body decompressed, bytes
	maxHeader  = 8 << 10  // the first line, bytes
)

// ClockTolerance is how far ahead a writer's clock may be before its snapshot
// is refused as from the future.
const ClockTolerance = 5 * time.Minute

// What Open refuses, and ErrDirectory, which a Publisher does. Each is wrapped with the particulars.
var (
	ErrTruncated = errors.New("snapshot is cut short")
	ErrDamaged   = errors.New("snapshot is damaged or forged")
	ErrUntrusted = errors.New("snapshot is not signed by a trusted key")
	ErrVersion   = errors.New("snapshot has a format of another version")
	ErrAccount   = errors.New("snapshot is of another account")
	ErrDirectory = errors.New("snapshot is of another directory")
	ErrOlder     = errors.New("snapshot is older than the one held")
	ErrTwice     = errors.New("snapshot has the generation of the one held and other contents")
	ErrFuture    = errors.New("snapshot is from the future")
	ErrTooLarge  = errors.New("snapshot is too large")
	// ErrMalformed is a file that a trusted key did sign and that is wrong all
	// the same: the publisher is at fault.
	ErrMalformed = errors.New("snapshot is signed but malformed")
)

// ErrExpired is what CheckExpiry wraps. Open does not return it: an expired
// snapshot goes on serving.
var ErrExpired = errors.New("snapshot has expired")

// A Manifest is what is signed. Times are UTC in whole seconds.
type Manifest struct {
	Version int    `json:"version"`
	Account string `json:"account"`
	// Store is the Identity Store that was read, absent for IAM. Releases before
	// 0.2 refuse a manifest that has it: they would compute other uids.
	Store      directory.Store `json:"store,omitzero"`
	Generation uint64          `json:"generation"` // only rises; at least the Unix time of writing
	Written    time.Time       `json:"written"`
	Expires    time.Time       `json:"expires"`
	AsOf       time.Time       `json:"as_of"`
	Content    string          `json:"content"` // SHA-256 of the content line, hex
	Decoded    int             `json:"decoded"` // length of the body decompressed, bytes
	Size       int             `json:"size"`    // length of the body, bytes
	SHA256     string          `json:"sha256"`  // of the body, hex
}

// of names the directory that was read.
func (m Manifest) of() string {
	if m.Store.ID != "" {
		return "the identity store " + m.Store.ID
	}
	return "IAM in account " + m.Account
}

// A Snapshot is an opened file.
type Snapshot struct {
	Manifest Manifest
	SignedBy string           // the fingerprint of the trusted key, SHA256:…
	Content  directory.Answer // without Origin
}

// CheckExpiry returns nil while the snapshot is valid at now, and afterwards
// an ErrExpired that says since when. Serving goes on: that is for the log,
// the metrics and keys.max_stale.
func (s *Snapshot) CheckExpiry(now time.Time) error {
	if now.Before(s.Manifest.Expires) {
		return nil
	}
	return fmt.Errorf("%w: it was to be replaced by %s, %s ago; see why its publisher is silent",
		ErrExpired, s.Manifest.Expires.Format(time.RFC3339), now.Sub(s.Manifest.Expires).Round(time.Second))
}
