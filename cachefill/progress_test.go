package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

func TestProgressSaysHowFarItIsAndHowLongItTakes(t *testing.T) {
	for _, c := range []struct {
		done, of int
		took     time.Duration
		want     string
	}{
		{178, 5000, 107 * time.Second, "keys 178 of 5,000, about 49 min at 5 calls a second; logins already work"},
		{4990, 5000, 50 * time.Minute, "keys 4,990 of 5,000, less than a minute at 5 calls a second; logins already work"},
		{0, 1234567, time.Second, "keys 0 of 1,234,567, about 20577 min at 5 calls a second; logins already work"},
	} {
		if got := progressText(c.done, c.of, 5, c.took); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestThingsAreCountedInWords(t *testing.T) {
	for n, want := range map[int]string{0: "0 members", 1: "1 member", 2: "2 members", 5000: "5,000 members"} {
		if got := many(n, "member"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestProgressIsOneLineThatFits(t *testing.T) {
	var b bytes.Buffer
	p := progress{w: &b, width: 40, began: time.Now()}
	p.show(1, 10, 5, time.Now())
	p.end()
	if text := b.String(); strings.Contains(text, "\n") || len(strings.Split(text, "\x1b")[0]) > 40 {
		t.Errorf("got %q", text)
	}
}

func TestManyChangesAreSummedUp(t *testing.T) {
	var c accounts.Changes
	for i := range 1200 {
		c.Added = append(c.Added, accounts.User{Name: fmt.Sprintf("user%d", i), UID: uint32(2001000000 + i)})
		c.MembersAdded = append(c.MembersAdded, accounts.Membership{Group: "developers", User: fmt.Sprintf("user%d", i)})
	}
	var short, long bytes.Buffer
	if err := printChanges(&short, c, false); err != nil {
		t.Fatal(err)
	}
	want := "user added  1,200\njoined      1,200\n2,400 changes; \"iam-cachefill refresh --dry-run --verbose\" lists " +
		"changes one by one before they are made\n"
	if short.String() != want {
		t.Errorf("got %q, want %q", short.String(), want)
	}
	if err := printChanges(&long, c, true); err != nil || strings.Count(long.String(), "\n") != 2400 {
		t.Errorf("%v, %d lines", err, strings.Count(long.String(), "\n"))
	}
}
