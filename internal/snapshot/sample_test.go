package snapshot

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

const account = "123456789012"

var start = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

// sample returns a company of the given size with keys that are as random as
// RSA-2048 keys are: half the users have one, half have two where perTwo is 3.
func sample(users, perTwo int) directory.Answer {
	random := rand.New(rand.NewPCG(1, uint64(users)))
	id := func(prefix string, i int) string {
		const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
		// The number in front keeps them ascending.
		text := fmt.Sprintf("%s%06d", prefix, i)
		for len(text) < 21 {
			text += string(letters[random.IntN(len(letters))])
		}
		return text
	}
	c := directory.Answer{AsOf: start, Listings: map[string]directory.KeyListing{},
		Pins: map[string]uint32{"AIDAPINNED": 2001000007}}
	c.Directory.Account = account
	for i := range users {
		u := directory.User{
			ID: id("AIDA", i), Name: fmt.Sprintf("user%04d@example.com", i), Path: "/staff/",
			Created: start.Add(-time.Duration(i) * time.Hour), Tags: map[string]string{"team": fmt.Sprint(i % 40)},
		}
		c.Directory.Users = append(c.Directory.Users, u)
		read := directory.KeyListing{Checked: start.Add(-time.Duration(i%3600) * time.Second)}
		for n := range perTwo/2 + perTwo%2*(i%2) {
			read.Keys = append(read.Keys, directory.Key{
				ID: id("APKA", i*5+n), Active: true, Uploaded: u.Created, Body: rsaLine(random) + " " + u.Name,
			})
		}
		c.Listings[u.ID] = read
	}
	for g := range min(300, max(users/10, 1)) {
		group := directory.Group{ID: id("AGPA", g), Name: fmt.Sprintf("team-%03d", g), Path: "/", Created: start}
		for i := g; i < users; i += 1 + g%97 {
			group.Members = append(group.Members, c.Directory.Users[i].ID)
		}
		c.Directory.Groups = append(c.Directory.Groups, group)
	}
	c.Former = []directory.Former{{ID: "AIDAGONE", Name: "gone", Since: start.Add(-time.Hour)}}
	return c
}

// rsaLine returns a line of the form and length of an RSA-2048 public key.
func rsaLine(random *rand.Rand) string {
	blob := []byte("\x00\x00\x00\x07ssh-rsa\x00\x00\x00\x03\x01\x00\x01\x00\x00\x01\x01\x00")
	for range 32 {
		blob = binary.BigEndian.AppendUint64(blob, random.Uint64())
	}
	return "ssh-rsa " + base64.StdEncoding.EncodeToString(blob)
}

func newSignerFor(t testing.TB) *Signer {
	t.Helper()
	s, _, err := NewKey("test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func trusting(s *Signer) Trust {
	return Trust{Keys: []PublicKey{s.PublicKey("")}, Account: account, Now: start}
}

func signed(t testing.TB, c directory.Answer, generation uint64, signer *Signer) []byte {
	t.Helper()
	data, err := Sign(c, generation, start, start.Add(Lifetime), signer)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
