package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/keys"
)

// keys.db has these buckets, all integers little-endian:
//
//	keys.meta    "version" u32 · "generation" u64 · "written" i64 Unix seconds
//	             "digest" SHA-256 of the other buckets, with every checked time
//	             as zero · "policy" policy record
//	keys.user    login name    → user record
//	keys.shared  local account → shared record
//
// A user record:
//
//	 0  u32 uid
//	 4  i64 checked: when the directory said so, Unix seconds
//	12  u8  flags: 1 = may log in under this name
//	13  u8  number of keys
//	14  each key: i64 expires, Unix seconds (0: no end) · u8 length of id
//	    u16 length of blob · id · blob
//
// The key's type is the first string of its blob. A user without flag 1 is
// there for a shared account only; its uid is then 0.
//
// A shared record:
//
//	 0  u8  flags: 1 = the account may be root
//	 1  u16 number of members
//	 3  each member: u8 length · login name, a key of keys.user
//
// A policy record:
//
//	 0  u8  online: 0 off, 1 prefer, 2 require
//	 1  i64 timeout, milliseconds
//	 9  i64 max_stale, seconds (0: no limit)
//	17  u32 low, u32 high: the uids that nss.db may serve
//	25  u16 number of options, each u16 length · bytes
//	    u16 number of chain arguments, each u16 length · bytes
//
// Each of these records ends with a CRC-32C (u32) over the bucket's name, NUL,
// the key, NUL and the record: a reader that reads one record of a damaged
// file notices, and a record is always the one asked for.

// Versions of keys.db: what is written, and what a reader takes. They rise as
// those of nss.db do.
const (
	KeysVersion       = 1
	OldestKeysVersion = 1
	NewestKeysVersion = 1
)

// Buckets of keys.db.
const (
	bucketKeysMeta   = "keys.meta"
	bucketKeysUser   = "keys.user"
	bucketKeysShared = "keys.shared"
)

// keysMode keeps people's keys from other people: root writes, the helper's
// group reads.
const keysMode = 0o640

// A rewrite costs the whole file, and in a large account keys are listed again
// every few seconds. Where only checked times changed, keys.db is rewritten at
// most once in an eighth of max_stale, within these bounds. Until then keys look
// older than they are, which is safe.
const (
	minCheckedLag = 15 * time.Second
	maxCheckedLag = time.Hour
)

// KeyTables is what keys.db holds.
type KeyTables struct {
	Policy LoginPolicy
	Users  []UserKeys      // names are unique; any order
	Shared []SharedAccount // names are unique; any order
}

// UserKeys are the keys that let one person in.
type UserKeys struct {
	Name    string     // the login name
	UID     uint32     // 0 without Login
	Login   bool       // may log in under this name; else only into shared accounts
	Checked time.Time  // when the directory was asked, to the second
	Keys    []keys.Key // as keys.Policy selected them; ID, Type, Blob and Expires are kept
}

// A SharedAccount is a local account that people enter with their own keys.
type SharedAccount struct {
	Name      string
	AllowRoot bool     // the account may have uid 0; only ever set for the one called "root"
	Members   []string // login names, each in KeyTables.Users
}

// A LoginPolicy is what the key helper needs of config.toml. It travels in
// keys.db, so that the helper reads no configuration and a mistake in the
// file, made later, locks nobody out.
type LoginPolicy struct {
	Online   string         // "prefer", "require" or "off"
	Timeout  time.Duration  // for the daemon's answer; kept in milliseconds
	MaxStale time.Duration  // cached keys older than this open nothing; 0: no limit; kept in seconds
	Range    accounts.Range // the uids of users of the directory; others are local
	Options  []string       // options of every key line, of keys.Restrictions
	Chain    []string       // the other helper's argument vector; nil: none
}

// clockTolerance is how far a clock may be set back before cached keys count as
// of unknown age.
const clockTolerance = 5 * time.Minute

// Usable returns why keys that were checked at this time open nothing from the
// cache now, or nil if they open logins.
func (p LoginPolicy) Usable(checked, now time.Time) error {
	age := now.Sub(checked).Truncate(time.Second)
	switch {
	case p.MaxStale == 0:
		return nil
	case age > p.MaxStale:
		return fmt.Errorf("cached keys are %s old, keys.max_stale is %s", age, p.MaxStale)
	case age < -clockTolerance:
		return fmt.Errorf("cached keys are dated %s ahead, so the clock was set back and nobody knows how old they are", -age)
	}
	return nil
}

// Until returns when keys that were checked at this time begin to open nothing
// from the cache; zero: never.
func (p LoginPolicy) Until(checked time.Time) time.Time {
	if p.MaxStale == 0 {
		return time.Time{}
	}
	return checked.Add(p.MaxStale)
}

// KeysMeta describes a published keys.db.
type KeysMeta struct {
	Generation uint64 // one more with every publication
	Written    time.Time
	Digest     [sha256.Size]byte // of all but the checked times
	Version    uint32            // of the format
}

// PublishKeys makes dir/keys.db hold t, and reports whether it was written. It is
// not written if it already holds t in the format of this program, nor if only
// checked times are newer and it was written less than CheckedLag ago. The file gets
// mode 0640 and the group gid (-1: as the process).
func PublishKeys(dir string, t KeyTables, gid int, now time.Time) (changed bool, err error) {
	path := filepath.Join(dir, KeysFile)
	buckets, err := encodeKeys(t)
	if err != nil {
		return false, fmt.Errorf("publish %q: %w, keeping the previous file", path, err)
	}
	next := KeysMeta{Generation: 1, Written: now, Digest: keysDigest(buckets), Version: KeysVersion}
	if served, newer, ahead, err := compareKeys(dir, t, now); err == nil {
		age := now.Sub(served.Written)
		young := age >= 0 && age < CheckedLag(t.Policy.MaxStale)
		if served.Digest == next.Digest && served.Version == next.Version && !ahead && (!newer || young) &&
			hasMode(path, keysMode) && hasGroup(path, gid) {
			return false, nil
		}
		next.Generation = served.Generation + 1
	}
	policy, err := encodePolicy(t.Policy)
	if err != nil {
		return false, fmt.Errorf("publish %q: %w, keeping the previous file", path, err)
	}
	le := binary.LittleEndian
	meta := bucket{name: bucketKeysMeta}
	meta.add([]byte("digest"), next.Digest[:])
	meta.add([]byte("generation"), le.AppendUint64(nil, next.Generation))
	meta.add([]byte("policy"), seal(policy, bucketKeysMeta, "policy"))
	meta.add([]byte("version"), le.AppendUint32(nil, next.Version))
	meta.add([]byte("written"), le.AppendUint64(nil, uint64(now.Unix())))
	buckets = append(buckets, meta)
	fill := func(tx *bolt.Tx) error { return put(tx, buckets) }
	verify := func(t *tree) error { return same(t, buckets) }
	return true, publish(path, keysMode, gid, size(buckets), fill, nil, verify)
}

// encodeKeys turns t into the buckets of keys.db but meta.
func encodeKeys(t KeyTables) ([]bucket, error) {
	users, shared := bucket{name: bucketKeysUser}, bucket{name: bucketKeysShared}
	known := make(map[string]bool, len(t.Users))
	for _, u := range t.Users {
		record, err := appendUserKeys(nil, u, t.Policy.Range)
		if err != nil {
			return nil, err
		}
		known[u.Name] = true
		users.add([]byte(u.Name), seal(record, bucketKeysUser, u.Name))
	}
	for _, s := range t.Shared {
		for _, m := range s.Members {
			if !known[m] {
				return nil, fmt.Errorf("shared account %q: member %q has no keys record", s.Name, m)
			}
		}
		record, err := encodeShared(s)
		if err != nil {
			return nil, err
		}
		shared.add([]byte(s.Name), seal(record, bucketKeysShared, s.Name))
	}
	return []bucket{users, shared}, errors.Join(users.sort(), shared.sort())
}

// keysDigest is the digest of the buckets with every checked time, and so
// every CRC, left out.
func keysDigest(buckets []bucket) [sha256.Size]byte {
	masked := make([]bucket, len(buckets))
	for i, b := range buckets {
		masked[i] = bucket{name: b.name, pairs: make([]pair, len(b.pairs))}
		for j, p := range b.pairs {
			v := bytes.Clone(p.value[:len(p.value)-sealSize])
			if b.name == bucketKeysUser {
				clear(v[checkedAt : checkedAt+8])
			}
			masked[i].pairs[j] = pair{p.key, v}
		}
	}
	return digest(masked)
}

// compareKeys reads the whole published file. newer: a checked time in t is later
// than in the file. ahead: a checked time in the file lies in the future, because
// the clock was set back, and t corrects it. An unreadable file is an error.
func compareKeys(dir string, t KeyTables, now time.Time) (m KeysMeta, newer, ahead bool, err error) {
	old, m, err := ReadKeys(dir)
	if err != nil {
		return m, false, false, err
	}
	was, err := encodePolicy(old.Policy)
	if err != nil {
		return m, false, false, err
	}
	if is, err := encodePolicy(t.Policy); err != nil || !bytes.Equal(was, is) {
		m.Digest = [sha256.Size]byte{} // differs from any
		return m, false, false, err
	}
	checked := make(map[string]int64, len(old.Users))
	for _, u := range old.Users {
		checked[u.Name] = unixOrZero(u.Checked)
	}
	for _, u := range t.Users {
		is, was := unixOrZero(u.Checked), checked[u.Name]
		newer, ahead = newer || is > was, ahead || is < was && was > now.Unix()
	}
	return m, newer, ahead, nil
}

// CheckedLag is how old keys.db becomes before it is written again because of
// checked times alone.
func CheckedLag(maxStale time.Duration) time.Duration {
	if maxStale == 0 {
		return maxCheckedLag
	}
	return min(max(maxStale/8, minCheckedLag), maxCheckedLag)
}

// hasGroup reports whether the file at path has the group gid; -1 is any.
func hasGroup(path string, gid int) bool {
	if gid < 0 {
		return true
	}
	info, err := os.Lstat(path)
	return err == nil && info.Sys().(*syscall.Stat_t).Gid == uint32(gid)
}
