package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/nss-iam/nss-iam/internal/directory"
)

func TestWhatWasSignedIsOpened(t *testing.T) {
	signer := newSignerFor(t)
	for name, c := range map[string]directory.Answer{
		"a company":          sample(50, 3),
		"nobody at all":      {AsOf: start, Listings: map[string]directory.KeyListing{}},
		"users without keys": sample(3, 0),
	} {
		c := c
		if name == "nobody at all" {
			c.Directory.Account = account
			c.Directory.Users, c.Directory.Groups = sample(0, 0).Directory.Users, nil
		}
		s, err := Open(signed(t, c, 7, signer), trusting(signer))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s.Manifest.Generation != 7 || !s.Manifest.Written.Equal(start) ||
			s.SignedBy != signer.PublicKey("").Fingerprint() {
			t.Errorf("%s: got manifest %+v, signed by %s", name, s.Manifest, s.SignedBy)
		}
		want, got := asJSON(t, c), asJSON(t, s.Content)
		if got != want {
			t.Errorf("%s:\n got %.2000s\nwant %.2000s", name, got, want)
		}
	}
}

func TestKeysThatWereNotReadStayUnread(t *testing.T) {
	signer, c := newSignerFor(t), sample(3, 2)
	unread, empty := c.Directory.Users[0].ID, c.Directory.Users[1].ID
	delete(c.Listings, unread)
	c.Listings[empty] = directory.KeyListing{Checked: start}
	c.Directory.Users[2].Tags = nil
	c.Directory.Users[1].Tags = map[string]string{}
	s, err := Open(signed(t, c, 1, signer), trusting(signer))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Content.Listings[unread]; ok {
		t.Error("keys that were never read look read")
	}
	if got, ok := s.Content.Listings[empty]; !ok || len(got.Keys) != 0 || !got.Checked.Equal(start) {
		t.Errorf("a user known to have no key: got %+v, %v", got, ok)
	}
	if users := s.Content.Directory.Users; users[2].Tags != nil || users[1].Tags == nil {
		t.Errorf("tags not read and no tags are mixed up: %#v, %#v", users[2].Tags, users[1].Tags)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	// An empty and an absent list are the same list.
	return strings.NewReplacer(`null`, `[]`).Replace(string(b))
}

func TestOpenRefuses(t *testing.T) {
	signer, other := newSignerFor(t), newSignerFor(t)
	c := sample(5, 2)
	good := signed(t, c, 7, signer)
	header, body, _ := bytes.Cut(good, []byte{'\n'})
	at := func(written time.Time) []byte {
		data, err := Sign(c, 7, written, written.Add(Lifetime), signer)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-9] ^= 4
	claims := bytes.Replace(signed(t, c, 7, other), []byte(other.PublicKey("").Fingerprint()),
		[]byte(signer.PublicKey("").Fingerprint()), 1)
	trust := func(change func(*Trust)) Trust {
		tr := trusting(signer)
		if change != nil {
			change(&tr)
		}
		return tr
	}
	for name, test := range map[string]struct {
		data  []byte
		trust Trust
		want  error
		says  string
	}{
		"an empty file":           {nil, trust(nil), ErrTruncated, "0 bytes"},
		"half a header":           {good[:len(header)/2], trust(nil), ErrTruncated, "first line"},
		"a header without a body": {good[:len(header)+1], trust(nil), ErrTruncated, "0 of"},
		"half a body": {good[:len(good)-len(body)/2], trust(nil), ErrTruncated,
			"bytes are there"},
		"a flipped bit in the body": {flipped, trust(nil), ErrDamaged, "body is not the one"},
		"something after the body": {append(bytes.Clone(good), 0), trust(nil), ErrDamaged,
			"body is not the one"},
		"another snapshot's body": {append(append(bytes.Clone(header), '\n'), bytes.Repeat([]byte{1}, len(body))...),
			trust(nil), ErrDamaged, ""},
		"a web page": {[]byte("<html>\n<body>proxy login</body></html>\n"), trust(nil), ErrDamaged,
			"does not begin as a snapshot"},
		"an endless line": {bytes.Repeat([]byte{'{'}, 1<<20), trust(nil), ErrDamaged, "does not begin"},
		"another key":     {signed(t, c, 7, other), trust(nil), ErrUntrusted, other.PublicKey("").Fingerprint()},
		"another key under the trusted key's name": {claims, trust(nil), ErrDamaged, "does not fit"},
		"no trusted key at all":                    {good, trust(func(tr *Trust) { tr.Keys = nil }), ErrUntrusted, ""},
		"an older generation": {good, trust(func(tr *Trust) { tr.Generation = 8 }), ErrOlder,
			"generation 7, and 8 is held"},
		"the generation held with other contents": {good, trust(func(tr *Trust) {
			tr.Generation, tr.Digest = 7, markOf(t, signed(t, sample(6, 2), 7, signer), signer).Digest
		}), ErrTwice, "generation 7"},
		"another account": {good, trust(func(tr *Trust) { tr.Account = "999999999999" }),
			ErrAccount, account},
		"the future": {at(start.Add(ClockTolerance + 2*time.Second)), trust(nil),
			ErrFuture, "clock"},
		"another version": {crafted(t, signer, body, func(m *Manifest) { m.Version = 2 }),
			trust(nil), ErrVersion, "2, and this program reads 1"},
		"a manifest of another shape": {envelopeOf(t, signer, payloadType,
			[]byte(`{"version":1,"surprise":true}`)), trust(nil), ErrMalformed, "surprise"},
		"no generation": {crafted(t, signer, body, func(m *Manifest) { m.Generation = 0 }),
			trust(nil), ErrMalformed, "generation"},
		"a generation that nothing can follow": {crafted(t, signer, body,
			func(m *Manifest) { m.Generation = 1<<64 - 1 }), trust(nil), ErrMalformed, "generation"},
		"a signature over something else": {envelopeOf(t, signer, "application/vnd.in-toto+json", []byte(`{}`)),
			trust(nil), ErrDamaged, "in-toto"},
		"a negative size": {crafted(t, signer, body, func(m *Manifest) { m.Size = -1 }),
			trust(nil), ErrMalformed, ""},
		"a body that claims to be huge": {crafted(t, signer, body,
			func(m *Manifest) { m.Decoded = MaxDecoded + 1 }), trust(nil), ErrTooLarge, ""},
		"a body of another length than claimed": {crafted(t, signer, body,
			func(m *Manifest) { m.Decoded = MaxDecoded }), trust(nil), ErrMalformed, "declares"},
		"a body that is not zstd": {crafted(t, signer, []byte("plain"), nil), trust(nil), ErrMalformed,
			""},
		"a bomb": {crafted(t, signer, bomb(t), nil), trust(nil), ErrTooLarge,
			"decompresses to more"},
		"a file larger than any": {make([]byte, MaxSize+1), trust(nil), ErrTooLarge, ""},
		"a body that says nothing": {crafted(t, signer, compress(t, ""),
			func(m *Manifest) { m.Decoded = 0 }), trust(nil), ErrMalformed, ""},
		"fewer times than users": {craftedLines(t, signer,
			`{"users":[{"id":"AIDA1","name":"a"}],"groups":[]}`+"\n"+`{"keys_read":[]}`), trust(nil), ErrMalformed,
			"0 times for 1 users"},
		"a member who is not there": {craftedLines(t, signer,
			`{"users":[],"groups":[{"id":"AGPA1","name":"g","members":[0]}]}`+"\n"+`{"keys_read":[]}`), trust(nil),
			ErrMalformed, "not there"},
		"a member before the first": {craftedLines(t, signer,
			`{"users":[],"groups":[{"id":"AGPA1","name":"g","members":[-1]}]}`+"\n"+`{"keys_read":[]}`), trust(nil),
			ErrMalformed, "not there"},
		"a member twice": {craftedLines(t, signer,
			`{"users":[{"id":"AIDA1","name":"a"}],"groups":[{"id":"AGPA1","name":"g","members":[0,0]}]}`+"\n"+
				`{"keys_read":[1]}`), trust(nil), ErrMalformed, "not ascending"},
		"a user twice": {craftedLines(t, signer,
			`{"users":[{"id":"AIDA1","name":"a"},{"id":"AIDA1","name":"b"}],"groups":[]}`+"\n"+`{"keys_read":[1,1]}`),
			trust(nil), ErrMalformed, "not ascending"},
		"keys without a time": {craftedLines(t, signer,
			`{"users":[{"id":"AIDA1","name":"a","keys":[{"id":"APKA1","active":true}]}],"groups":[]}`+"\n"+`{"keys_read":[0]}`),
			trust(nil), ErrMalformed, "never read"},
		"an id with a control character": {craftedLines(t, signer,
			`{"users":[{"id":"AIDA\u0007","name":"a"}],"groups":[]}`+"\n"+`{"keys_read":[1]}`), trust(nil), ErrMalformed,
			"the directory does not give"},
		"a name longer than any": {craftedLines(t, signer, `{"users":[{"id":"AIDA1","name":"`+
			strings.Repeat("a", 129)+`"}],"groups":[]}`+"\n"+`{"keys_read":[1]}`), trust(nil), ErrMalformed, "129 bytes"},
		"two values in a line": {craftedLines(t, signer, `{"users":[],"groups":[]} {}`+"\n"+
			`{"keys_read":[]}`), trust(nil), ErrMalformed, "more than one"},
		"an account that is none, signed all the same": {crafted(t, signer, body, func(m *Manifest) { m.Account = "" }),
			trust(nil), ErrAccount, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(test.data, test.trust)
			if !errors.Is(err, test.want) || s != nil {
				t.Fatalf("got %v, %v; want %v", s, err, test.want)
			}
			if !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 400 {
				t.Errorf("got %q, want one line with %q", err, test.says)
			}
		})
	}
	for name, tr := range map[string]Trust{
		"the generation held already": trust(func(tr *Trust) { tr.Generation = 7 }),
		"the same contents held already": trust(func(tr *Trust) {
			tr.Generation, tr.Digest = 7,
				markOf(t, good, signer).Digest
		}),
		"a newer one than the one held": trust(func(tr *Trust) { tr.Generation, tr.Digest = 6, strings.Repeat("0", 64) }),
		"an older generation held":      trust(func(tr *Trust) { tr.Generation = 6 }),
		"any account":                   trust(func(tr *Trust) { tr.Account = "" }),
		"two trusted keys": trust(func(tr *Trust) {
			tr.Keys = []PublicKey{other.PublicKey(""),
				signer.PublicKey("")}
		}),
		"a clock behind within tolerance": trust(func(tr *Trust) { tr.Now = start.Add(-ClockTolerance) }),
	} {
		if _, err := Open(good, tr); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnExpiredSnapshotIsOpenedAndSaysSo(t *testing.T) {
	signer := newSignerFor(t)
	trust := trusting(signer)
	trust.Now = start.Add(48 * time.Hour)
	s, err := Open(signed(t, sample(3, 2), 1, signer), trust)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CheckExpiry(start.Add(Lifetime - time.Second)); err != nil {
		t.Errorf("before it expires: %v", err)
	}
	if err := s.CheckExpiry(trust.Now); !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), "24h0m0s ago") {
		t.Errorf("afterwards: got %v", err)
	}
}

func TestABombIsNotUnpacked(t *testing.T) {
	signer := newSignerFor(t)
	data := crafted(t, signer, bomb(t), nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Open(data, trusting(signer))
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) >> 20; got > 32 || !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d bytes that would be a gigabyte: allocated %d MiB, %v", len(data), got, err)
	}
}

// Whatever single bit is flipped and wherever the file is cut, it is refused,
// or the flip changed nothing that is signed.
func TestEveryFlippedBitAndEveryCutIsRefused(t *testing.T) {
	signer := newSignerFor(t)
	good := signed(t, sample(1, 2), 7, signer)
	header := bytes.IndexByte(good, '\n')
	want, err := Open(good, trusting(signer))
	if err != nil {
		t.Fatal(err)
	}
	survived := 0
	for i := range good {
		for bit := range 8 {
			if i > header && bit != i%8 {
				continue // the body is a matter of one digest
			}
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			s, err := Open(bad, trusting(signer))
			if err != nil {
				continue
			}
			survived++
			if !reflect.DeepEqual(s, want) {
				t.Fatalf("byte %d, bit %d: opened as something else", i, bit)
			}
		}
	}
	// The spare bits of base64's last character, and upper case in JSON's keys.
	if survived > 64 {
		t.Errorf("%d flips were not noticed", survived)
	}
	for n := range good {
		if _, err := Open(good[:n], trusting(signer)); !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut after %d of %d bytes: got %v", n, len(good), err)
		}
	}
}

func TestTheContentDigestLeavesTimesOut(t *testing.T) {
	a, b := sample(20, 3), sample(20, 3)
	b.AsOf = b.AsOf.Add(time.Hour)
	for id, k := range b.Listings {
		k.Checked = k.Checked.Add(time.Hour)
		b.Listings[id] = k
	}
	digest := func(c directory.Answer) string {
		body, err := encodeBody(c)
		if err != nil {
			t.Fatal(err)
		}
		return body.digest
	}
	if digest(a) != digest(b) {
		t.Error("a sweep of the keys without news looks like a change")
	}
	b.Directory.Users[3].Name = "renamed"
	if digest(a) == digest(b) {
		t.Error("a renamed user looks like no change")
	}
}

func TestSignRefusesWhatOpenWould(t *testing.T) {
	signer := newSignerFor(t)
	for name, change := range map[string]func(*directory.Answer){
		"an account of eleven digits": func(c *directory.Answer) { c.Directory.Account = "12345678901" },
		"users out of order":          func(c *directory.Answer) { u := c.Directory.Users; u[0], u[1] = u[1], u[0] },
		"a member who is not there":   func(c *directory.Answer) { c.Directory.Groups[0].Members = []string{"AIDANOBODY"} },
		"keys without a time": func(c *directory.Answer) {
			c.Listings[c.Directory.Users[0].ID] = directory.KeyListing{}
		},
		"a former user without a name": func(c *directory.Answer) {
			c.Former = []directory.Former{{ID: "AIDAGONE"}}
		},
	} {
		c := sample(3, 2)
		change(&c)
		if data, err := Sign(c, 1, start, start.Add(Lifetime), signer); err == nil {
			t.Errorf("%s: %d bytes were signed", name, len(data))
		}
	}
}

// crafted signs a body with a manifest that fits it but for the change.
func crafted(t testing.TB, signer *Signer, compressed []byte, change func(*Manifest)) []byte {
	t.Helper()
	sum := sha256.Sum256(compressed)
	m := Manifest{
		Version: Version, Account: account, Generation: 7, Written: start, Expires: start.Add(Lifetime), AsOf: start,
		Decoded: 1 << 10, Size: len(compressed), SHA256: hex.EncodeToString(sum[:]),
	}
	if change != nil {
		change(&m)
	}
	payload, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return append(envelopeOf(t, signer, payloadType, payload), compressed...)
}

func craftedLines(t testing.TB, signer *Signer, lines string) []byte {
	return crafted(t, signer, compress(t, lines), func(m *Manifest) { m.Decoded = len(lines) })
}

func envelopeOf(t testing.TB, signer *Signer, kind string, payload []byte) []byte {
	t.Helper()
	envelopes, err := dsse.NewEnvelopeSigner(signer)
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := envelopes.SignPayload(context.Background(), kind, payload)
	if err != nil {
		t.Fatal(err)
	}
	header, err := json.Marshal(envelope)
	if err != nil {
		t.Fatal(err)
	}
	return append(header, '\n')
}

func compress(t testing.TB, text string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(text), nil)
}

// bomb returns a gigabyte of spaces, compressed, without its length in front.
func bomb(t testing.TB) []byte {
	t.Helper()
	data, err := theBomb()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

var theBomb = sync.OnceValues(func() ([]byte, error) {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	chunk := bytes.Repeat([]byte{' '}, 1<<20)
	for range 1024 {
		if _, err := w.Write(chunk); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return out.Bytes(), err
})
