package refresh_test

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestADeniedUserLosesRightsWithTheNextPublication(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	h.does(h.e.RemoveMember("developers", "bob"))
	h.same("bob's keys, asked", h.asked("bob"), "")
	h.does(h.PublishChanges())
	h.same("rights", h.rights(), "alice carol erin")
	h.same("served", h.live(), "alice bob carol erin")
	h.does(h.e.AddMember("developers", "bob"))
	h.clock.pass(time.Second)
	h.same("bob's keys, asked again", h.asked("bob"), bobsKey)
	h.does(h.PublishChanges())
	h.same("rights", h.rights(), "alice bob carol erin")
}

// What is served without somebody's rights follows from the denial, too: the answer that
// comes again is computed once it has ended.
func TestARightThatALoginGaveBackIsServedByTheNextRefresh(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.does(h.e.RemoveMember("developers", "bob"))
	h.same("bob's keys, asked", h.asked("bob"), "")
	h.does(h.PublishChanges())
	_, err := h.Rebuild() // changes nothing
	h.does(err)
	h.same("rights", h.rights(), "alice carol erin")
	h.does(h.e.AddMember("developers", "bob"))
	h.clock.pass(time.Second)
	h.same("bob's keys, asked again", h.asked("bob"), bobsKey)
	h.refresh()
	h.same("rights", h.rights(), "alice bob carol erin")
}

func TestADenialOutlivesARestartWithoutIAM(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	h.does(h.e.RemoveMember("developers", "bob"))
	h.same("bob's keys, asked", h.asked("bob"), "")
	h.does(h.e.Close())
	h = h.restart()
	_, err := h.Rebuild()
	h.does(err, h.PublishChanges())
	h.same("bob's cached keys", h.cached("bob"), "")
	h.same("alice's cached keys", h.cached("alice"), alicesKeys)
	h.same("served", h.live(), "alice bob carol erin")
	if x := h.explain("bob"); !x.Denied {
		t.Error("explain says nothing of it")
	}
}

func TestADenialEndsWhenTheGroupsLetThePersonInAgain(t *testing.T) {
	for name, again := range map[string]func(h *host){
		"at the next login": func(h *host) { h.same("asked", h.asked("bob"), bobsKey); h.does(h.PublishChanges()) },
		"at a refresh":      func(h *host) { h.refresh() },
		"at a refresh after the clock went back a year": func(h *host) {
			h.clock.pass(-365 * 24 * time.Hour)
			*h = *h.restart() // a running process measures by its monotonic clock
			h.refresh()
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.refresh()
			h.sweep()
			h.does(h.e.RemoveMember("developers", "bob"))
			h.same("bob's keys, asked", h.asked("bob"), "")
			h.does(h.PublishChanges())
			h.same("bob's cached keys", h.cached("bob"), "")
			h.does(h.e.AddMember("developers", "bob"))
			again(h)
			h.same("bob's cached keys", h.cached("bob"), bobsKey)
		})
	}
}

// A sweep asks for keys only, and must not be mistaken for an answer about groups.
func TestASweepDoesNotEndADenial(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	h.does(h.e.RemoveMember("developers", "bob"))
	h.same("bob's keys, asked", h.asked("bob"), "")
	h.clock.pass(2 * time.Hour)
	h.sweep()
	h.same("bob's cached keys", h.cached("bob"), "")
}

func TestWhoLosesOneRightOpensNothingFromTheCacheAndTheRestByIAMsWord(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	h.does(h.e.RemoveMember("developers", "carol"))
	u, shared, err := h.Logins.Ask(t.Context(), "carol")
	h.does(err)
	if u.Login || u.UID != 0 || !slices.Equal(shared, []string{"ec2-user"}) || ids(u) != carolsKey {
		t.Errorf("got %+v for %v, want her key for ec2-user alone", u, shared)
	}
	h.does(h.PublishChanges())
	h.same("carol's cached keys", h.cached("carol"), "")
	h.same("who enters ec2-user from the cache", h.shared("ec2-user"), "dave")
	h.refresh()
	h.same("who enters ec2-user while carol is pending removal", h.shared("ec2-user"), "dave")
	h.refresh()
	h.sweep()
	// Her login name is a former account's, and marks nobody else.
	h.same("who enters ec2-user", h.shared("ec2-user"), h.id("carol")+" dave")
	h.same("carol's cached keys", h.cached("carol"), "")
}

func TestTheGroupOfASharedAccountCountsAtLogin(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	_, shared, err := h.Logins.Ask(t.Context(), "dave")
	h.does(err)
	h.same("dave's accounts", strings.Join(shared, " "), "ec2-user")
	h.does(h.e.RemoveMember("ops", "dave"))
	u, shared, err := h.Logins.Ask(t.Context(), "dave")
	h.does(err)
	if len(shared) != 0 || len(u.Keys) != 0 {
		t.Errorf("got %+v for %v, want nothing", u, shared)
	}
}

func TestAStrangersNameIsAnAnswerWithoutKeys(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.calls()
	for _, name := range []string{"frank", "root", "nobody-at-all", "ec2-user", ""} {
		h.same(name, h.asked(name), "")
	}
	h.same("calls", len(h.calls()), 0)
}
