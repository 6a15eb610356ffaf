package cache

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/keys"
)

const (
	flagLogin     = 1 // user record
	flagAllowRoot = 1 // shared record

	checkedAt      = 4 // offset in a user record
	userKeysHeader = 14
	keyHeader      = 11
	sealSize       = 4

	maxArguments = 64 // options, chain arguments
)

// onlineModes are the values of keys.online at their numbers in a policy record.
var onlineModes = []string{"off", "prefer", "require"}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal appends the checksum that ties a record to its place.
func seal(record []byte, bucket, key string) []byte {
	return binary.LittleEndian.AppendUint32(record, sum(record, bucket, key))
}

// unseal checks the checksum and cuts it off.
func unseal(value []byte, bucket, key string) ([]byte, error) {
	if len(value) < sealSize {
		return nil, fmt.Errorf("%w: bucket %q: record %q is too short", ErrDamaged, bucket, key)
	}
	record := value[:len(value)-sealSize]
	if binary.LittleEndian.Uint32(value[len(record):]) != sum(record, bucket, key) {
		return nil, fmt.Errorf("%w: bucket %q: record %q has a wrong checksum", ErrDamaged, bucket, key)
	}
	return record, nil
}

func sum(record []byte, bucket, key string) uint32 {
	crc := crc32.Update(0, castagnoli, []byte(bucket+"\x00"+key+"\x00"))
	return crc32.Update(crc, castagnoli, record)
}

func appendUserKeys(b []byte, u UserKeys, allowed accounts.Range) ([]byte, error) {
	if err := checkName("user", u.Name); err != nil {
		return nil, err
	}
	if u.Login {
		if err := checkID("user", u.Name, u.UID, allowed); err != nil {
			return nil, err
		}
	} else if u.UID != 0 {
		return nil, fmt.Errorf("user %q: has uid %d but may not log in", u.Name, u.UID)
	}
	if len(u.Keys) > keys.MaxKeys {
		return nil, fmt.Errorf("user %q: %d keys, more than %d", u.Name, len(u.Keys), keys.MaxKeys)
	}
	le := binary.LittleEndian
	b = le.AppendUint32(b, u.UID)
	b = le.AppendUint64(b, uint64(unixOrZero(u.Checked)))
	b = append(b, flag(u.Login, flagLogin), byte(len(u.Keys)))
	for _, k := range u.Keys {
		if err := k.CheckForm(); err != nil {
			return nil, fmt.Errorf("user %q: key %.80q: %w", u.Name, k.ID, err)
		}
		b = le.AppendUint64(b, uint64(unixOrZero(k.Expires)))
		b = append(b, byte(len(k.ID)))
		b = le.AppendUint16(b, uint16(len(k.Blob)))
		b = append(append(b, k.ID...), k.Blob...)
	}
	return b, nil
}

// decodeUserKeys reads a user record whole. Keys are copied out of b.
func decodeUserKeys(b []byte, name string) (UserKeys, error) {
	u := UserKeys{Name: name}
	bad := func(what string) (UserKeys, error) {
		return UserKeys{}, fmt.Errorf("%w: keys of user %q: %s", ErrDamaged, name, what)
	}
	if len(b) < userKeysHeader {
		return bad("record too short")
	}
	le := binary.LittleEndian
	u.UID, u.Checked = le.Uint32(b), timeOrZero(le.Uint64(b[checkedAt:]))
	if b[12]&^flagLogin != 0 {
		return bad("unknown flags")
	}
	u.Login = b[12] == flagLogin
	if u.Login == (u.UID < MinID) || u.UID > MaxID {
		return bad(fmt.Sprintf("uid %d", u.UID))
	}
	count, rest := int(b[13]), b[userKeysHeader:]
	if count > keys.MaxKeys {
		return bad("too many keys")
	}
	for range count {
		if len(rest) < keyHeader {
			return bad("key too short")
		}
		k := keys.Key{Expires: timeOrZero(le.Uint64(rest))}
		idLen, blobLen := int(rest[8]), int(le.Uint16(rest[9:]))
		rest = rest[keyHeader:]
		if idLen+blobLen > len(rest) {
			return bad("key longer than the record")
		}
		k.ID, k.Blob = string(rest[:idLen]), slices.Clone(rest[idLen:idLen+blobLen])
		rest = rest[idLen+blobLen:]
		var err error
		if k.Type, err = keys.TypeOf(k.Blob); err != nil {
			return bad(fmt.Sprintf("key %.80q: %v", k.ID, err))
		}
		u.Keys = append(u.Keys, k)
	}
	if len(rest) != 0 {
		return bad("bytes too many")
	}
	return u, nil
}

func encodeShared(s SharedAccount) ([]byte, error) {
	if err := checkName("shared account", s.Name); err != nil {
		return nil, err
	}
	if s.AllowRoot && s.Name != "root" {
		return nil, fmt.Errorf("shared account %q: only the account named \"root\" may be allowed uid 0", s.Name)
	}
	if len(s.Members) > math.MaxUint16 {
		return nil, fmt.Errorf("shared account %q: %d members are too many", s.Name, len(s.Members))
	}
	b := []byte{flag(s.AllowRoot, flagAllowRoot)}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s.Members)))
	for _, m := range s.Members {
		if err := checkName("member", m); err != nil {
			return nil, fmt.Errorf("shared account %q: %w", s.Name, err)
		}
		b = append(append(b, byte(len(m))), m...)
	}
	return b, nil
}

func decodeShared(b []byte, name string) (SharedAccount, error) {
	s := SharedAccount{Name: name}
	bad := func(what string) (SharedAccount, error) {
		return SharedAccount{}, fmt.Errorf("%w: shared account %q: %s", ErrDamaged, name, what)
	}
	if len(b) < 3 {
		return bad("record too short")
	}
	if b[0]&^flagAllowRoot != 0 || b[0] == flagAllowRoot && name != "root" {
		return bad("unknown flags")
	}
	s.AllowRoot = b[0] == flagAllowRoot
	count, rest := int(binary.LittleEndian.Uint16(b[1:])), b[3:]
	for range count {
		if len(rest) == 0 || int(rest[0]) > len(rest)-1 {
			return bad("member longer than the record")
		}
		s.Members = append(s.Members, string(rest[1:1+int(rest[0])]))
		rest = rest[1+int(rest[0]):]
	}
	if len(rest) != 0 {
		return bad("bytes too many")
	}
	return s, nil
}

func encodePolicy(p LoginPolicy) ([]byte, error) {
	mode := slices.Index(onlineModes, p.Online)
	switch {
	case mode < 0:
		return nil, fmt.Errorf("login policy: online %q is not one of %q", p.Online, onlineModes)
	case p.Timeout < 0 || p.MaxStale < 0:
		return nil, fmt.Errorf("login policy: a negative duration")
	case p.MaxStale > 0 && p.MaxStale < time.Second:
		return nil, fmt.Errorf("login policy: max_stale %s is shorter than a second", p.MaxStale)
	}
	le := binary.LittleEndian
	b := []byte{byte(mode)}
	b = le.AppendUint64(b, uint64(p.Timeout.Milliseconds()))
	b = le.AppendUint64(b, uint64(p.MaxStale/time.Second))
	b = le.AppendUint32(le.AppendUint32(b, p.Range.Low), p.Range.High)
	for _, o := range p.Options {
		if !slices.Contains(keys.Restrictions(), o) {
			return nil, fmt.Errorf("login policy: key option %.40q is not one that may be set", o)
		}
	}
	for _, list := range [][]string{p.Options, p.Chain} {
		if len(list) > maxArguments {
			return nil, fmt.Errorf("login policy: %d arguments are more than %d", len(list), maxArguments)
		}
		b = le.AppendUint16(b, uint16(len(list)))
		for _, s := range list {
			if len(s) > 4096 || strings.IndexByte(s, 0) >= 0 {
				return nil, fmt.Errorf("login policy: argument %.40q does not fit", s)
			}
			b = append(le.AppendUint16(b, uint16(len(s))), s...)
		}
	}
	return b, nil
}

func decodePolicy(b []byte) (p LoginPolicy, err error) {
	damaged := fmt.Errorf("%w: login policy", ErrDamaged)
	if len(b) < 25 || int(b[0]) >= len(onlineModes) {
		return p, damaged
	}
	le := binary.LittleEndian
	timeout, stale := le.Uint64(b[1:]), le.Uint64(b[9:])
	if timeout > math.MaxInt64/uint64(time.Millisecond) || stale > math.MaxInt64/uint64(time.Second) {
		return p, damaged
	}
	p.Online = onlineModes[b[0]]
	p.Timeout, p.MaxStale = time.Duration(timeout)*time.Millisecond, time.Duration(stale)*time.Second
	p.Range = accounts.Range{Low: le.Uint32(b[17:]), High: le.Uint32(b[21:])}
	rest := b[25:]
	for _, list := range []*[]string{&p.Options, &p.Chain} {
		if len(rest) < 2 {
			return p, damaged
		}
		count := int(le.Uint16(rest))
		rest = rest[2:]
		for range count {
			if len(rest) < 2 || int(le.Uint16(rest)) > len(rest)-2 {
				return p, damaged
			}
			n := 2 + int(le.Uint16(rest))
			*list = append(*list, string(rest[2:n]))
			rest = rest[n:]
		}
	}
	if len(rest) != 0 {
		return p, damaged
	}
	return p, nil
}

func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

// unixOrZero writes the zero time as 0, and the epoch itself as a second later:
// a key that ended in 1970 must not become one without end.
func unixOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return cmp.Or(t.Unix(), 1)
}

func timeOrZero(seconds uint64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}
