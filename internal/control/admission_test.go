package control

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
)

func TestAdmission(t *testing.T) {
	person := cache.UserKeys{Name: "alice", UID: 2001000001, Login: true, Checked: time.Unix(1_790_000_000, 0)}
	out := cache.UserKeys{Name: "alice", Checked: time.Unix(1_790_000_000, 0)}
	for _, c := range []struct {
		name       string
		recent     bool
		known      *cache.UserKeys // what Recent says
		keysBefore bool            // a login has just asked for her keys
		reuse      time.Duration
		asks       int // what three questions cost
		want       cache.UserKeys
	}{
		{name: "each question within the reuse window is answered by the first", asks: 1, want: person},
		{name: "each question asks where nothing is reused", reuse: -1, asks: 3, want: person},
		{name: "a login's question for keys is answer enough", keysBefore: true, want: person},
		{name: "a login's question that is too old is not", keysBefore: true, reuse: -1, asks: 3, want: person},
		{name: "cron is answered from the last refresh", recent: true, known: &out, reuse: -1, want: out},
		{name: "cron asks where the last refresh is too old", recent: true, asks: 1, want: person},
		{name: "a person at the door is not answered from the last refresh", known: &out, asks: 1, want: person},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asks, refreshes atomic.Int32
			client, _ := serve(t, Options{
				Reuse:  c.reuse,
				Lookup: func(context.Context, string) (Answer, error) { return alice(t), nil },
				Admit: func(_ context.Context, name string) (cache.UserKeys, error) {
					asks.Add(1)
					return person, nil
				},
				Recent: func(name string) (cache.UserKeys, bool) {
					refreshes.Add(1)
					if c.known == nil {
						return cache.UserKeys{}, false
					}
					return *c.known, true
				},
			})
			if c.keysBefore {
				if _, err := client.Ask(within(t, time.Minute), Question{Name: "alice"}); err != nil {
					t.Fatal(err)
				}
			}
			for range 3 {
				got, err := client.Admission(within(t, time.Minute), "alice", c.recent)
				if err != nil || got.Login != c.want.Login || got.UID != c.want.UID || len(got.Keys) != 0 {
					t.Fatalf("got %+v, %v; want %+v", got, err, c.want)
				}
			}
			if int(asks.Load()) != c.asks || !c.recent && refreshes.Load() > 0 {
				t.Errorf("IAM was asked %d times and the last refresh %d times, want %d", asks.Load(), refreshes.Load(), c.asks)
			}
		})
	}
}

func TestAdmissionFailsAsALookupDoes(t *testing.T) {
	client, _ := serve(t, Options{Admit: func(context.Context, string) (cache.UserKeys, error) {
		return cache.UserKeys{}, errors.New("IAM is away")
	}})
	if _, err := client.Admission(within(t, time.Minute), "alice", false); err == nil ||
		!strings.Contains(err.Error(), "IAM is away") {
		t.Errorf("%v, want that IAM is away", err)
	}
	for _, name := range []string{"", "a b", "a/b", "a:b", "\n", strings.Repeat("x", 256)} {
		if _, err := client.Admission(within(t, time.Minute), name, true); err == nil ||
			!strings.Contains(err.Error(), "not a login name") {
			t.Errorf("%q: %v, want that it is not a login name", name, err)
		}
	}
	quiet, _ := serve(t, Options{})
	if _, err := quiet.Admission(within(t, time.Minute), "alice", true); err == nil {
		t.Error("a server that asks nobody answers")
	}
}
