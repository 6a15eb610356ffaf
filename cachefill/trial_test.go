package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/health"
)

// questions are a directory that notes who is asked about, and refuses some.
type questions struct {
	directory.UserSource
	keys, groups map[string]error // by user; "*" is everybody else
	asked        []string         // "keys alice"
}

func (q *questions) answer(what string, faults map[string]error, u directory.User) error {
	q.asked = append(q.asked, what+" "+u.Name)
	if err, ok := faults[u.Name]; ok {
		return err
	}
	return faults["*"]
}

func (q *questions) Keys(_ context.Context, u directory.User, _ directory.KeyQuery) (directory.KeyListing, error) {
	return directory.KeyListing{}, q.answer("keys", q.keys, u)
}

func (q *questions) Groups(_ context.Context, u directory.User, _ []string) ([]string, error) {
	return nil, q.answer("groups", q.groups, u)
}

var (
	errRefused = fmt.Errorf("%w: AccessDenied", directory.ErrUserRefused)
	three      = []directory.User{{ID: "A", Name: "alice"}, {ID: "B", Name: "bob"}, {ID: "C", Name: "carol"}}
)

func TestARefusalAboutOnePersonIsNotEverybodys(t *testing.T) {
	unreachable := errors.New("no route")
	all := map[string]error{"*": errRefused}
	for _, c := range []struct {
		name   string
		people []directory.User
		from   questions
		failed string // the questions that nobody's answer ended
		asked  string
	}{
		{"all is granted", three, questions{}, "", "keys alice, groups alice"},
		{"one person's groups are refused", three, questions{groups: map[string]error{"alice": errRefused}}, "",
			"keys alice, groups alice, groups bob"},
		{"one person's keys are refused", three, questions{keys: map[string]error{"alice": errRefused}}, "",
			"keys alice, keys bob, groups alice"},
		{"everybody's groups are refused", three, questions{groups: all}, "one user's groups",
			"keys alice, groups alice, groups bob, groups carol"},
		{"the only person's keys are refused", three[:1], questions{keys: all}, "one user's keys",
			"keys alice, groups alice"},
		{"of many people, as many are asked as one login may cost", slices.Concat(three, three), questions{keys: all},
			"one user's keys", "keys alice, keys bob, keys carol, groups alice"},
		{"the directory cannot be reached, for anybody", three,
			questions{keys: map[string]error{"*": unreachable}}, "one user's keys", "keys alice, groups alice"},
		{"the person is gone", three, questions{keys: map[string]error{"alice": directory.ErrNoSuchUser}}, "",
			"keys alice, groups alice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var tr trial
			tr.login(t.Context(), config.Default(), &c.from, c.people, nil)
			var failed []string
			for _, x := range tr.tried {
				if x.Error != "" {
					failed = append(failed, x.What)
				}
			}
			if got := strings.Join(failed, ", "); got != c.failed {
				t.Errorf("failed: %q, want %q", got, c.failed)
			}
			if got := strings.Join(c.from.asked, ", "); got != c.asked {
				t.Errorf("asked: %q, want %q", got, c.asked)
			}
		})
	}
}

// Hosts that are many, or share one rate, try once an hour, and sooner where a
// login hints at a fault.
func TestALoginIsTriedWhenItIsTime(t *testing.T) {
	failing := []health.Trial{{What: "one user's keys", Error: "AccessDenied"}}
	for _, c := range []struct {
		name    string
		kind    string
		ago     time.Duration // the last trial
		before  live
		login   error // how the directory answered at the last login
		from    questions
		tried   bool
		refused bool // a login's refusal is still to be looked into
	}{
		{"IAM, a moment ago", config.KindIAM, time.Second, live{}, nil, questions{}, true, false},
		{"a snapshot, 59 minutes ago", config.KindS3, 59 * time.Minute, live{}, nil, questions{}, false, false},
		{"a snapshot, an hour ago", config.KindS3, time.Hour, live{}, nil, questions{}, true, false},
		{"Identity Center, 59 minutes ago", config.KindIdentityCenter, 59 * time.Minute, live{}, nil, questions{}, false,
			false},
		{"a refused login, four minutes after a trial", config.KindS3, 4 * time.Minute, live{}, errRefused, questions{},
			false, true},
		{"a refused login, five minutes after a trial", config.KindS3, 5 * time.Minute, live{}, errRefused, questions{},
			true, false},
		{"the same with Identity Center", config.KindIdentityCenter, 5 * time.Minute, live{}, errRefused, questions{}, true,
			false},
		{"a refused login, and the trial has no turn", config.KindS3, 5 * time.Minute, live{}, errRefused,
			questions{keys: map[string]error{"*": awsapi.ErrThrottled}}, false, true},
		{"a login that could not ask, a moment after a trial", config.KindS3, time.Second, live{}, errors.New("no route"),
			questions{}, true, false},
		{"a trial that failed a moment ago", config.KindS3, time.Second, live{Trials: failing}, nil, questions{}, true,
			false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &daemon{log: slog.New(slog.DiscardHandler), learned: c.before}
			d.learned.Tried = time.Now().Add(-c.ago)
			before := d.learned.Tried
			if c.login != nil {
				d.noteLogin(t.Context(), c.login)
			}
			conf := config.Default()
			conf.Source.Kind = c.kind
			d.config = conf
			d.tryWith(t.Context(), conf, &c.from, three, nil)
			if tried := !d.live().Tried.Equal(before); tried != c.tried {
				t.Errorf("tried: %v, want %v; asked %q", tried, c.tried, c.from.asked)
			}
			if got := d.refused.Load(); got != c.refused {
				t.Errorf("a refusal is to be looked into: %v, want %v", got, c.refused)
			}
			if l := d.live(); c.tried && (l.LoginError != "" || !health.Answered(l.Trials)) {
				t.Errorf("all was answered, and the fault is still told: %+v", l)
			}
		})
	}
}
