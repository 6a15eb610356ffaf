package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/authlog"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/keys"
)

// deciding returns a helper without a daemon that reads the tables.
func deciding(t *testing.T, tables cache.KeyTables) helper {
	t.Helper()
	dir := t.TempDir()
	if _, err := cache.PublishKeys(dir, tables, -1, time.Now()); err != nil {
		t.Fatal(err)
	}
	return helper{cacheDir: dir, socket: filepath.Join(dir, "sock"), passwd: "/dev/null",
		log: authlog.New(filepath.Join(dir, "log"), "authkeys"), now: time.Now}
}

func TestASharedAccountAsksAboutABoundedNumberOfPeople(t *testing.T) {
	for _, c := range []struct {
		name    string
		members int
		online  string
		keyed   bool // sshd says which key is offered
		offers  int  // -1: refused
	}{
		{"as many as may be asked about", maxPersons, "prefer", false, maxPersons},
		{"one more", maxPersons + 1, "prefer", false, -1},
		{"one more, and nobody is asked", maxPersons + 1, "off", false, maxPersons + 1},
		{"one more, and the key says who it is", maxPersons + 1, "prefer", true, 1},
	} {
		tables := company()
		tables.Policy.Online = c.online
		tables.Users, tables.Shared = nil, []cache.SharedAccount{{Name: "app"}}
		for i := range c.members {
			name := fmt.Sprint("m", i)
			tables.Users = append(tables.Users, cache.UserKeys{Name: name, Checked: time.Now(),
				Keys: []keys.Key{key("APKA", name)}})
			tables.Shared[0].Members = append(tables.Shared[0].Members, name)
		}
		q := question{name: "app", uid: 1000, hasUID: true}
		if c.keyed {
			q.fingerprint = key("APKA", "m7").SHA256()
		}
		v := deciding(t, tables).decide(q)
		if c.offers < 0 && (v.err == nil || !strings.Contains(v.err.Error(), "too many to ask about") ||
			len(v.offers) > 0) || c.offers >= 0 && (v.err != nil || len(v.offers) != c.offers) {
			t.Errorf("%s: %d offers, %v; want %d", c.name, len(v.offers), v.err, c.offers)
		}
		if c.keyed && len(v.offers) == 1 && v.offers[0].form.Person != "m7" {
			t.Errorf("%s: the key is %s's, want m7's", c.name, v.offers[0].form.Person)
		}
	}
}

func TestASharedAccountIsRootOnlyByNameAndByPermission(t *testing.T) {
	for _, c := range []struct {
		account string
		uid     uint32
		allowed bool // in the configuration; ever only for the account called root
		offers  int
	}{
		{"ec2-user", 1000, false, 3}, {"ec2-user", 0, false, 0}, {"root", 0, false, 0}, {"root", 0, true, 2},
		{"root", 1000, false, 0}, {"root", 1000, true, 2},
	} {
		tables := company()
		tables.Policy.Online = "off"
		for i := range tables.Shared {
			tables.Shared[i].AllowRoot = c.allowed && tables.Shared[i].Name == "root"
		}
		v := deciding(t, tables).decide(question{name: c.account, uid: c.uid, hasUID: true})
		if v.err != nil || len(v.offers) != c.offers {
			t.Errorf("%s with uid %d, root allowed %v: %d offers, %v; want %d", c.account, c.uid, c.allowed, len(v.offers),
				v.err, c.offers)
		}
	}
}

func TestAnOfferSaysWhenItsKeyEndsSoon(t *testing.T) {
	now := time.Now()
	for ends, says := range map[time.Duration]bool{keys.WarnBefore: true, keys.WarnBefore + time.Second: false,
		time.Second: true} {
		k := key("APKA", "a")
		k.Expires = now.Add(ends)
		if got := (offer{key: k, source: "the directory"}).String("alice", now); strings.Contains(got, "it ends at") != says {
			t.Errorf("%v before its end: %q", ends, got)
		}
	}
	got := (offer{key: key("APKA", "a"), source: "the directory"}).String("alice", now)
	if strings.Contains(got, "it ends at") || strings.Contains(got, " of ") ||
		!strings.HasSuffix(got, "offered, from the directory") {
		t.Errorf("a key without end: %q", got)
	}
	if got := (offer{key: key("APKA", "a"), form: keys.Form{Person: "olga"}}).String("app", now); !strings.Contains(got,
		" of olga offered") {
		t.Errorf("a person in a shared account: %q", got)
	}
}

func TestWithoutKeysNothingIsPrintedAtAll(t *testing.T) {
	tables := company()
	tables.Policy.Online = "off"
	for _, args := range [][]string{{"bob", "2001000002"}, {"nobody", "65534"}, {"-o"}, nil} {
		var out, errors strings.Builder
		status := deciding(t, tables).main(args, &out, &errors)
		if out.Len() != 0 || (status == 0) != (errors.Len() == 0) {
			t.Errorf("%q: printed %q and %q, status %d", args, out.String(), errors.String(), status)
		}
	}
}
