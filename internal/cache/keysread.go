package cache

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
)

// A KeysAnswer is what keys.db says about one login name.
type KeysAnswer struct {
	Policy  LoginPolicy
	User    *UserKeys      // nil: no such user
	Shared  *SharedAccount // nil: not a shared account
	Members []UserKeys     // of Shared, in its order
}

// LookupKeys reads what the key helper needs to know about one login name from
// dir/keys.db. The error is ErrDamaged, ErrForeign, or wraps fs.ErrNotExist or
// fs.ErrPermission; the answer is then empty.
func LookupKeys(dir, name string) (a KeysAnswer, err error) {
	err = view(filepath.Join(dir, KeysFile), func(file *tree) error {
		var found KeysAnswer
		r := keysReader{file: file}
		found.Policy = r.policy()
		if u, ok := r.user(name); ok {
			found.User = &u
		}
		if s, ok := r.shared(name); ok {
			found.Shared = &s
			for _, m := range s.Members {
				u, ok := r.user(m)
				if !ok && r.err == nil {
					r.err = fmt.Errorf("%w: shared account %q: no keys of member %q", ErrDamaged, name, m)
				}
				found.Members = append(found.Members, u)
			}
		}
		if r.err == nil {
			a = found
		}
		return r.err
	})
	return a, err
}

// ReadKeys reads all of dir/keys.db and checks every record. Errors are as
// those of LookupKeys.
func ReadKeys(dir string) (t KeyTables, m KeysMeta, err error) {
	err = view(filepath.Join(dir, KeysFile), func(file *tree) error {
		r := keysReader{file: file}
		m = r.meta()
		t.Policy = r.policy()
		r.each(bucketKeysUser, func(name string, record []byte) error {
			u, err := decodeUserKeys(record, name)
			t.Users = append(t.Users, u)
			return err
		})
		r.each(bucketKeysShared, func(name string, record []byte) error {
			s, err := decodeShared(record, name)
			t.Shared = append(t.Shared, s)
			return err
		})
		return r.err
	})
	if err != nil {
		return KeyTables{}, KeysMeta{}, err
	}
	return t, m, nil
}

// A keysReader reads records of one file. After its first error it
// answers nothing.
type keysReader struct {
	file *tree
	err  error
}

// number returns a value of meta that has no checksum; it must have size bytes.
func (r *keysReader) number(key string, size int) []byte {
	b := r.bucket(bucketKeysMeta)
	if b == nil {
		return nil
	}
	v := b.get(key)
	if len(v) != size {
		r.err = fmt.Errorf("%w: meta %q has %d bytes, want %d", ErrDamaged, key, len(v), size)
		return nil
	}
	return v
}

func (r *keysReader) bucket(name string) *treeBucket {
	if r.err != nil {
		return nil
	}
	b := r.file.bucket(name)
	if b == nil {
		r.err = fmt.Errorf("%w: no bucket %q", ErrDamaged, name)
	}
	return b
}

func (r *keysReader) meta() (m KeysMeta) {
	digest, generation, written := r.number("digest", len(m.Digest)), r.number("generation", 8), r.number("written", 8)
	version := r.number("version", 4)
	if r.err == nil {
		m.Version = binary.LittleEndian.Uint32(version)
		copy(m.Digest[:], digest)
		m.Generation = binary.LittleEndian.Uint64(generation)
		m.Written = timeOrZero(binary.LittleEndian.Uint64(written))
	}
	return m
}

// policy reads the policy, after the version.
func (r *keysReader) policy() (p LoginPolicy) {
	if v := r.number("version", 4); v != nil {
		if got := binary.LittleEndian.Uint32(v); got < OldestKeysVersion || got > NewestKeysVersion {
			r.err = fmt.Errorf("%w: format version %d, this program reads %d to %d", ErrDamaged, got, OldestKeysVersion,
				NewestKeysVersion)
		}
	}
	record, ok := r.record(bucketKeysMeta, "policy")
	if r.err == nil && !ok {
		r.err = fmt.Errorf("%w: no login policy", ErrDamaged)
	}
	if r.err == nil {
		p, r.err = decodePolicy(record)
	}
	return p
}

func (r *keysReader) user(name string) (u UserKeys, ok bool) {
	record, ok := r.record(bucketKeysUser, name)
	if ok {
		u, r.err = decodeUserKeys(record, name)
	}
	return u, ok && r.err == nil
}

func (r *keysReader) shared(name string) (s SharedAccount, ok bool) {
	record, ok := r.record(bucketKeysShared, name)
	if ok {
		s, r.err = decodeShared(record, name)
	}
	return s, ok && r.err == nil
}

// record returns the record of key, if there is one.
func (r *keysReader) record(bucket, key string) (record []byte, ok bool) {
	b := r.bucket(bucket)
	if b == nil {
		return nil, false
	}
	value := b.get(key)
	if value == nil {
		return nil, false
	}
	record, r.err = unseal(value, bucket, key)
	return record, r.err == nil
}

func (r *keysReader) each(bucket string, fn func(key string, record []byte) error) {
	b := r.bucket(bucket)
	if b == nil {
		return
	}
	r.err = b.each(func(k, v []byte) error {
		record, err := unseal(v, bucket, string(k))
		if err != nil {
			return err
		}
		return fn(string(k), record)
	})
}
