package keys

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// DefaultMinRSABits is the least that IAM itself takes.
const DefaultMinRSABits = 2048

// WarnBefore is how long before its end a key begins to be warned about.
const WarnBefore = 14 * 24 * time.Hour

// A Policy says which keys open a login. The zero Policy allows every type of
// Types from IAM's own keys, RSA from 2048 bits, of any age, and no tags.
type Policy struct {
	Allowed    []string // key types; nil: all of Types
	MinRSABits int      // 0: DefaultMinRSABits
	// since the upload to the directory, or the day in a tag; 0: no limit. Keys from tags without a day have none
	MaxAge    time.Duration
	TagPrefix string // "ssh-key": keys stand in the IAM user tags ssh-key, ssh-key-1 …; "": in none
}

// A Source is all that the directory says about one user's keys.
type Source struct {
	Keys []directory.Key
	Tags map[string]string
	End  time.Time // the account's end; zero: none
}

// A Selection is what a policy makes of a Source.
type Selection struct {
	Keys     []Key     // those that open a login: the directory's own by id, then the tags in order
	Refused  []Refusal // the others, each with its reason, in the same order
	Expiring []Key     // those of Keys that end within WarnBefore
}

// A Refusal says why a key is not accepted.
type Refusal struct {
	ID  string // as in Key.ID, quoted where it has unsafe characters
	Err error  // wraps one of the package's errors
}

// Select applies p at the time now. The same key under two ids is taken once.
func (p Policy) Select(from Source, now time.Time) Selection {
	var s Selection
	seen := make(map[string]bool)
	take := func(k Key, err error) {
		switch {
		case err != nil:
		case seen[string(k.Blob)]:
			err = ErrDuplicate
		case len(s.Keys) == MaxKeys:
			err = fmt.Errorf("%w: %d", ErrTooMany, MaxKeys)
		default:
			seen[string(k.Blob)] = true
			s.Keys = append(s.Keys, k)
			if !k.Expires.IsZero() && k.Expires.Sub(now) <= WarnBefore {
				s.Expiring = append(s.Expiring, k)
			}
			return
		}
		if !safeID(k.ID) {
			k.ID = fmt.Sprintf("%.80q", k.ID)
		}
		s.Refused = append(s.Refused, Refusal{k.ID, err})
	}
	own := slices.SortedFunc(slices.Values(from.Keys), func(a, b directory.Key) int { return cmp.Compare(a.ID, b.ID) })
	for _, raw := range own {
		take(p.fromIAM(raw, from.End, now))
	}
	for _, name := range p.tagNames(from.Tags) {
		take(p.fromTag(name, from.Tags[name], from.End, now))
	}
	return s
}

func (p Policy) fromIAM(raw directory.Key, end, now time.Time) (Key, error) {
	if !isKeyID(raw.ID) {
		return Key{ID: raw.ID}, ErrID
	}
	if !raw.Active {
		return Key{ID: raw.ID}, ErrInactive
	}
	k, err := Parse(raw.Body)
	k.ID, k.Uploaded, k.Expires = raw.ID, raw.Uploaded, end
	if err != nil {
		return k, err
	}
	if p.MaxAge > 0 && k.Uploaded.IsZero() {
		return k, ErrUndated
	}
	return p.aged(k), p.admit(p.aged(k), now)
}

// fromTag reads a key from a tag's value. RSA does not fit into one, so a
// value that claims to be RSA is refused whatever the policy says.
func (p Policy) fromTag(name, value string, end, now time.Time) (Key, error) {
	k, err := Parse(value)
	k.ID, k.Expires = "tag:"+name, end
	switch {
	case !safeID(k.ID):
		return k, ErrID
	case err != nil:
		return k, err
	case k.Type == ssh.KeyAlgoRSA:
		return k, fmt.Errorf("%w: %q in a tag", ErrType, k.Type)
	}
	if k.Uploaded, err = addedOn(value); err != nil || k.Uploaded.After(now.Add(24*time.Hour)) {
		return k, ErrAdded // a day begins earlier elsewhere
	}
	return p.aged(k), p.admit(p.aged(k), now)
}

// aged returns k with the end that Policy.MaxAge gives it, if that is earlier.
func (p Policy) aged(k Key) Key {
	if limit := k.Uploaded.Add(p.MaxAge); p.MaxAge > 0 && !k.Uploaded.IsZero() &&
		(k.Expires.IsZero() || limit.Before(k.Expires)) {
		k.Expires = limit
	}
	return k
}

// addedOn reads the day that the comment of a key in a tag gives, or the zero
// time: "ssh-ed25519 AAAA… alice added=2026-11-25".
func addedOn(value string) (day time.Time, err error) {
	const keyAndType = 2
	words := strings.Fields(value)
	for _, word := range words[min(len(words), keyAndType):] {
		if text, ok := strings.CutPrefix(word, "added="); ok {
			if day, err = time.Parse(time.DateOnly, text); err != nil {
				return day, err
			}
		}
	}
	return day, nil
}

func (p Policy) admit(k Key, now time.Time) error {
	if p.Allowed != nil && !slices.Contains(p.Allowed, k.Type) {
		return fmt.Errorf("%w: %q", ErrType, k.Type)
	}
	if k.Type == ssh.KeyAlgoRSA {
		if bits, least := rsaBits(k.Blob), cmp.Or(p.MinRSABits, DefaultMinRSABits); bits < least {
			return fmt.Errorf("%w: %d bits of at least %d", ErrRSABits, bits, least)
		}
	}
	if k.Expired(now) {
		return fmt.Errorf("%w: on %s", ErrExpired, k.Expires.UTC().Format(time.DateOnly))
	}
	return nil
}

// Expired reports whether k opens nothing any more at the time now.
func (k Key) Expired(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

// rsaBits returns the length of the modulus of an RSA key that checkBlob let
// pass: string "ssh-rsa", mpint e, mpint n (RFC 4253 section 6.6). Of any other
// bytes it makes 0, which is too short for every policy.
func rsaBits(blob []byte) int {
	for range 2 {
		if len(blob) < 4 || uint64(binary.BigEndian.Uint32(blob)) > uint64(len(blob)-4) {
			return 0
		}
		blob = blob[4+binary.BigEndian.Uint32(blob):]
	}
	if len(blob) < 4 {
		return 0
	}
	return new(big.Int).SetBytes(blob[4:]).BitLen()
}

// tagNames returns the names of the tags that hold keys: the prefix alone
// first, then by number. IAM's tag names do not differ by case alone.
func (p Policy) tagNames(tags map[string]string) []string {
	if p.TagPrefix == "" {
		return nil
	}
	number := make(map[string]int)
	for name := range tags {
		if n, ok := tagNumber(name, p.TagPrefix); ok {
			number[name] = n
		}
	}
	return slices.SortedFunc(maps.Keys(number), func(a, b string) int {
		return cmp.Or(cmp.Compare(number[a], number[b]), cmp.Compare(a, b))
	})
}

// tagNumber reads the N of "prefix-N"; the prefix alone is -1.
func tagNumber(name, prefix string) (int, bool) {
	if directory.SameName(name, prefix) {
		return -1, true
	}
	if len(name) < len(prefix)+2 || !directory.SameName(name[:len(prefix)], prefix) || name[len(prefix)] != '-' {
		return 0, false
	}
	digits := name[len(prefix)+1:]
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 0 && n < 1000 && strconv.Itoa(n) == digits
}

// isKeyID reports whether id is what IAM calls a publicKeyIdType, but for its
// least length: \w{20,128}.
func isKeyID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	return !strings.ContainsFunc(id, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
