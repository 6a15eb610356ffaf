package snapshot

import (
	"bytes"
	"crypto/ed25519"
	"reflect"
	"testing"
)

// FuzzOpen: whatever the bytes are, Open does not panic, and what it accepts
// is a snapshot that the trusted key signed.
func FuzzOpen(f *testing.F) {
	// One key for all processes of the fuzzer, or their corpus would not do.
	signer := &Signer{ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))}
	good := signed(f, sample(2, 3), 7, signer)
	want, err := Open(good, trusting(signer))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(signed(f, sample(2, 3), 7, newSignerFor(f)))
	f.Add([]byte(`{"payloadType":"application/vnd.nss-iam.snapshot.manifest+json","payload":"e30=",` +
		`"signatures":[{"keyid":"` + want.SignedBy + `","sig":"AA=="}]}` + "\nx"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Open(data, trusting(signer))
		if err == nil && !reflect.DeepEqual(s, want) {
			t.Fatalf("accepted what was never signed: %+v", s.Manifest)
		}
	})
}

// FuzzBody: a body that the publisher signed by mistake, or under duress, is
// refused or read within bounds, and what is read can be written again.
func FuzzBody(f *testing.F) {
	b, err := encodeBody(sample(3, 3))
	if err != nil {
		f.Fatal(err)
	}
	compressed, err := b.compress()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(compressed, len(b.lines))
	f.Add(compress(f, `{"users":[{"id":"AIDA1","name":"a"}],"groups":[{"id":"AGPA1","name":"g","members":[0]}]}`+"\n"+
		`{"keys_read":[1]}`), 105)
	f.Fuzz(func(t *testing.T, compressed []byte, size int) {
		c, err := decodeBody(compressed, size)
		if err != nil {
			return
		}
		again, err := encodeBody(c)
		if err != nil {
			t.Fatalf("read, but cannot be written: %v", err)
		}
		if compressed, err = again.compress(); err != nil {
			t.Fatal(err)
		}
		back, err := decodeBody(compressed, len(again.lines))
		if err != nil || !reflect.DeepEqual(c, back) {
			t.Fatalf("written again it is another: %v", err)
		}
	})
}
