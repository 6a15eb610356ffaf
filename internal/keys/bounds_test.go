package keys

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// wire is a row of strings as RFC 4251 section 5 frames them.
func wire(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
	}
	return b
}

func TestTheFormOfStoredKeysIsCheckedToTheLastByte(t *testing.T) {
	longType := strings.Repeat("t", 64)
	filled := func(size int) []byte { return wire("t", strings.Repeat("x", size-9)) }
	for _, c := range []struct {
		name string
		typ  string
		blob []byte
		want error
	}{
		{"a type alone", "t", wire("t"), nil},
		{"strings that end with the bytes", "t", wire("t", "ab", "", "c"), nil},
		{"an empty string at the end", "t", wire("t", ""), nil},
		{"a type of 64 bytes", longType, wire(longType), nil},
		{"a type of 65 bytes", longType + "t", wire(longType + "t"), ErrBlob},
		{"no bytes", "", nil, ErrBlob},
		{"three bytes", "", []byte{0, 0, 0}, ErrBlob},
		{"four bytes, and the type they announce is missing", "t", []byte{0, 0, 0, 1}, ErrBlob},
		{"an empty type", "", wire("", "x"), ErrBlob},
		{"a type cut by one byte", "typ", wire("type")[:7], ErrBlob},
		{"a type that announces all there is", "t", append([]byte{0xff, 0xff, 0xff, 0xff}, "t"...), ErrBlob},
		{"one byte after the strings", "t", append(wire("t", "ab"), 0), ErrBlob},
		{"three bytes after the strings", "t", append(wire("t", "ab"), 0, 0, 0), ErrBlob},
		{"a string cut by one byte", "t", wire("t", "ab")[:10], ErrBlob},
		{"a string one byte too short for its length", "t", append(wire("t"), 0, 0, 0, 3, 'a', 'b'), ErrBlob},
		{"the most bytes", "t", filled(MaxBlob), nil},
		{"one byte more", "t", filled(MaxBlob + 1), ErrBlob},
		{"another type", "u", wire("t"), ErrMismatch},
	} {
		k := Key{ID: "APKA", Type: c.typ, Blob: c.blob}
		if err := k.CheckForm(); !errors.Is(err, c.want) || err != nil && c.want == nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestIDsHaveTheSafeCharactersAndNoOthers(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
	for c := range 256 {
		char := string([]byte{byte(c)})
		if got, want := safeID("a"+char), strings.Contains(letters+".:@+=/-", char); got != want {
			t.Errorf("an id with byte %#x is safe: %v, want %v", c, got, want)
		}
		if got, want := isKeyID("A"+char), strings.Contains(letters, char); got != want {
			t.Errorf("an id with byte %#x is IAM's: %v, want %v", c, got, want)
		}
	}
	for _, c := range []struct {
		length     int
		safe, iams bool
	}{{0, false, false}, {1, true, true}, {128, true, true}, {129, true, false}, {MaxID, true, false},
		{MaxID + 1, false, false}} {
		id := strings.Repeat("A", c.length)
		if safeID(id) != c.safe || isKeyID(id) != c.iams {
			t.Errorf("an id of %d bytes: safe %v, IAM's %v; want %v, %v", c.length, safeID(id), isKeyID(id), c.safe, c.iams)
		}
	}
}

func TestABodyOfTheGreatestLengthIsReadAndNoLonger(t *testing.T) {
	ed := line(edBlob(1))
	longest := ed + " " + strings.Repeat("x", MaxBody-len(ed)-1)
	if _, err := Parse(longest); err != nil {
		t.Errorf("%d bytes: %v", len(longest), err)
	}
	if _, err := Parse(longest + "x"); !errors.Is(err, ErrTooLong) {
		t.Errorf("one byte more: %v, want %v", err, ErrTooLong)
	}
	if got, err := ForeignLine(longest); err != nil || got != longest {
		t.Errorf("another helper's line of %d bytes: %v", len(longest), err)
	}
	if _, err := ForeignLine(longest + "x"); !errors.Is(err, ErrTooLong) {
		t.Errorf("another helper's line, one byte more: %v, want %v", err, ErrTooLong)
	}
}

func TestAKeyLargerThanAnyIsRefusedBeforeItIsParsed(t *testing.T) {
	for size, want := range map[int]error{MaxBlob: ErrType, MaxBlob + 1: ErrBlob} {
		blob := wire("none", strings.Repeat("x", size-12))
		if _, err := fromBlob(blob); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", size, err, want)
		}
	}
}

func TestAnRSAKeyOfExactlyTheLeastLengthIsTakenAndNoneShorter(t *testing.T) {
	for _, c := range []struct {
		bits, least int
		want        error
	}{
		{2048, 0, nil}, {2047, 0, ErrRSABits},
		{3072, 3072, nil}, {3071, 3072, ErrRSABits},
		{2048, 1024, nil}, {1536, 1024, nil}, // the policy's word counts, not the default
	} {
		from := Source{Keys: []directory.Key{{ID: "APKA1", Active: true, Body: line(rsaBlob(c.bits))}}}
		got := Policy{MinRSABits: c.least}.Select(from, now)
		if c.want == nil && len(got.Keys) != 1 || c.want != nil && (len(got.Refused) != 1 ||
			!errors.Is(got.Refused[0].Err, c.want)) {
			t.Errorf("%d bits of at least %d: %d keys, refused %v; want %v", c.bits, c.least, len(got.Keys), got.Refused, c.want)
		}
	}
}

// rsaBits looks at bytes that were parsed before; it must not trust that.
func TestBytesThatAreNoRSAKeyHaveNoBits(t *testing.T) {
	whole := wire("ssh-rsa", "\x01\x00\x01", "\x00\xff\xff")
	if got := rsaBits(whole); got != 16 {
		t.Errorf("%d bits, want 16", got)
	}
	if got := rsaBits(wire("ssh-rsa", "\x01", "")); got != 0 {
		t.Errorf("an empty modulus has %d bits", got)
	}
	for cut := range whole {
		want := 0
		if cut > len(whole)-2 { // the modulus is taken as what is there
			want = 8
		}
		if got := rsaBits(whole[:cut]); got != want {
			t.Errorf("cut to %d bytes: %d bits, want %d", cut, got, want)
		}
	}
	for _, blob := range [][]byte{
		append([]byte{0, 0, 0, 5}, "four"...),
		append(wire("ssh-rsa"), 0, 0, 0, 2, 1),
		bytes.Repeat([]byte{0xff}, 300),
	} {
		if got := rsaBits(blob); got != 0 {
			t.Errorf("%x: %d bits, want 0", blob, got)
		}
	}
}

func TestTagsHoldKeysUnderThePrefixAndNumbersBelowAThousand(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
		ok   bool
	}{
		{"key", -1, true}, {"KEY", -1, true}, {"key-0", 0, true}, {"Key-7", 7, true}, {"key-999", 999, true},
		{"key-1000", 0, false}, {"key-", 0, false}, {"key--0", 0, false}, {"key-00", 0, false}, {"key-+1", 0, false},
		{"key1", 0, false}, {"key_1", 0, false}, {"kex-1", 0, false}, {"my-key-1", 0, false}, {"ke", 0, false},
		{"", 0, false},
	} {
		n, ok := tagNumber(c.name, "key")
		if ok != c.ok || ok && n != c.n {
			t.Errorf("tag %q: number %d, %v; want %d, %v", c.name, n, ok, c.n, c.ok)
		}
	}
}

func TestAnEndIsWrittenToTheLastYearThatOpenSSHReads(t *testing.T) {
	k := Key{ID: "APKA", Type: ssh.KeyAlgoED25519, Blob: edBlob(1)}
	for year, written := range map[int]bool{9999: true, 10000: false} {
		k.Expires = time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)
		text, err := k.Line(Form{Expiry: true, Zone: time.UTC})
		if err != nil || strings.HasPrefix(text, "expiry-time=") != written {
			t.Errorf("year %d: %.40q, %v; want an expiry-time: %v", year, text, err, written)
		}
	}
}
