package refresh_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

func TestKeysFollowIAM(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	h.does(h.e.DeleteKey("alice", "APKAALICE00000000001"), h.e.SetKeyStatus("bob", bobsKey, "Inactive"))
	_, err := h.e.AddKey("carol", emulator.Key{ID: "APKACAROL00000000002", Body: emulator.RSALine(9, "carol")})
	h.does(err)

	h.same("alice, asked", h.asked("alice"), "APKAALICE00000000002")
	h.same("bob, asked", h.asked("bob"), "")
	h.does(h.PublishChanges())
	h.same("alice, cached", h.cached("alice"), "APKAALICE00000000002")
	h.same("bob, cached", h.cached("bob"), "")
	h.same("carol, cached: not asked, not yet due", h.cached("carol"), carolsKey)
	h.clock.pass(2 * time.Hour)
	h.same("swept", h.sweep().Users, 5)
	h.same("carol, cached", h.cached("carol"), carolsKey+" APKACAROL00000000002")
	h.calls()

	// A body once seen is not fetched again, and a key once verified needs no second question.
	h.does(h.e.SetKeyStatus("bob", bobsKey, "Active"))
	h.same("bob, asked", h.asked("bob"), bobsKey)
	for action := range h.calls() {
		if action != "ListGroupsForUser" && action != "ListSSHPublicKeys" {
			t.Errorf("a call of %s", action)
		}
	}
}

func TestASweepThatMeetsARenamedUserForgetsNoKey(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	h.does(h.e.UpdateUser("bob", "robert", ""))
	h.clock.pass(2 * time.Hour)
	swept := h.sweep()
	h.same("users left over", swept.Remaining, 0)
	h.same("the old name's cached keys", h.cached("bob"), "")
	h.same("a second sweep", h.sweep(), refresh.Swept{})
	h.refresh()
	h.same("the cached keys", h.cached("robert"), bobsKey)
	h.same("the new name is due", h.sweep().Users, 1)
	h.same("the cached keys", h.cached("robert"), bobsKey)
}

// The name is all that IAM's key calls take, and a name is not a person.
func TestAnOldUIDIsNeverOpenedByAnotherPersonsKeys(t *testing.T) {
	heir := emulator.User{Name: "bob", Groups: []string{"developers"},
		Keys: []emulator.Key{{ID: "APKAHEIR000000000001", Body: emulator.RSALine(7, "heir")}}}
	for name, takeOver := range map[string]func(h *host) error{
		"deleted and created again": func(h *host) error {
			_, err := h.e.CreateUser(heir)
			return errors.Join(h.e.DeleteUser("bob"), err, recreate(h, heir))
		},
		"renamed, the name given to somebody new": func(h *host) error {
			return errors.Join(h.e.UpdateUser("bob", "bob.old", ""), recreate(h, heir))
		},
		// Carol's keys are known, so that nothing about them is new but whose name lists them.
		"renamed, the name given to somebody known": func(h *host) error {
			return errors.Join(h.e.UpdateUser("bob", "bob.old", ""), h.e.UpdateUser("carol", "bob", ""))
		},
		"two names exchanged": func(h *host) error {
			return errors.Join(h.e.UpdateUser("bob", "x", ""), h.e.UpdateUser("carol", "bob", ""),
				h.e.UpdateUser("x", "carol", ""))
		},
	} {
		for how, look := range map[string]func(h *host){
			"at login":            func(h *host) { h.same("asked", h.asked("bob"), "") },
			"by the sweep":        func(h *host) { h.clock.pass(2 * time.Hour); h.sweep() },
			"by both":             func(h *host) { h.same("asked", h.asked("bob"), ""); h.clock.pass(2 * time.Hour); h.sweep() },
			"by a restarted host": func(h *host) { *h = *h.restart(); h.same("asked", h.asked("bob"), "") },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				h := newHost(t)
				h.refresh()
				h.sweep()
				uid := h.users()["bob"].UID
				if err := takeOver(h); err != nil && !strings.Contains(err.Error(), "EntityAlreadyExists") &&
					!strings.Contains(err.Error(), "already exists") {
					t.Fatal(err)
				}
				look(h)
				h.does(h.PublishChanges())
				h.same("bob's cached keys", h.cached("bob"), "")
				for range 3 {
					h.refresh()
					h.sweep()
				}
				tables, _, err := cache.ReadKeys(h.Dir)
				h.does(err)
				for _, u := range tables.Users {
					if u.UID == uid && u.Login && ids(u) != bobsKey {
						t.Errorf("the number %d is opened by %s", uid, ids(u))
					}
					if u.Login && u.UID != uid && strings.Contains(ids(u), bobsKey) {
						t.Errorf("bob's key opens %s", u.Name)
					}
				}
				if name, ok := h.byUID(uid); ok && h.asked(name) != "" && h.asked(name) != bobsKey {
					t.Errorf("the number %d is opened by %s", uid, h.asked(name))
				}
			})
		}
	}
}

// An IAM name can be anything, also another user's id.
func TestNobodyCanTakeAnothersPlaceInTheKeysFile(t *testing.T) {
	h := newHost(t)
	h.does(recreate(h, emulator.User{ID: "AIDAZZZZZZZZZZZZZZZZZ", Name: "strange,name@example.com",
		Groups: []string{"ops"}, Keys: []emulator.Key{{ID: "APKASTRANGE000000001", Body: emulator.RSALine(11, "x")}}}))
	h.does(recreate(h, emulator.User{ID: "AIDAAAAAAAAAAAAAAAAAA", Name: "AIDAZZZZZZZZZZZZZZZZZ",
		Groups: []string{"ops", "developers"}}))
	h.does(recreate(h, emulator.User{ID: "AIDAAAAAAAAAAAAAAAAAB", Name: "AIDAAAAAAAAAAAAAAAAAA", Groups: []string{"ops"}}))
	h.refresh()
	h.sweep()
	h.same("alice's cached keys", h.cached("alice"), alicesKeys)
	tables, _, err := cache.ReadKeys(h.Dir)
	h.does(err)
	found := false
	for _, u := range tables.Users {
		found = found || ids(u) == "APKASTRANGE000000001" && !u.Login && u.UID == 0
	}
	if !found {
		t.Errorf("got %+v, want the strange one's key without a login", tables.Users)
	}
}

func TestASweepTakesTheLongestWaitingFirstAndGoesOnAfterAnError(t *testing.T) {
	h := newHost(t)
	h.refresh()
	one := func() refresh.Swept {
		t.Helper()
		s, err := h.Logins.Sweep(t.Context(), 1)
		h.does(err)
		return s
	}
	h.same("left after one", one().Remaining, 4)
	h.same("left after two", one().Remaining, 3)
	h.does(h.e.SetFaults(emulator.Fault{Kind: emulator.Deny, Action: "ListSSHPublicKeys", Times: -1}))
	if s, err := h.Logins.Sweep(t.Context(), 0); !errors.Is(err, awsapi.ErrAccessDenied) || s.Users != 0 {
		t.Errorf("got %+v, %v, want access denied", s, err)
	}
	h.does(h.e.SetFaults())
	h.clock.pass(time.Minute)
	listed := h.keysListed()
	h.same("the rest", h.sweep(), refresh.Swept{Users: 3, Keys: 5 - listed})
	h.same("nobody is due", h.sweep(), refresh.Swept{})
	h.clock.pass(59*time.Minute + 30*time.Second)
	h.same("the first two are due", h.sweep().Users, 2)
	h.clock.pass(10 * time.Minute)
	h.same("the others are due", h.sweep().Users, 3)
	h.clock.pass(-365 * 24 * time.Hour)
	h.same("a listing from the future counts for nothing", h.sweep().Users, 5)
}

// keysListed counts the keys that the state holds.
func (h *host) keysListed() (n int) {
	all, err := h.State.Listings()
	h.does(err)
	for _, l := range all {
		n += len(l.Keys)
	}
	return n
}

func TestKeysStandInTags(t *testing.T) {
	h := newHost(t)
	h.Keys.TagPrefix = "ssh-key"
	h.does(h.e.SetTag("erin", "ssh-key", tagKey1), h.e.SetTag("erin", "SSH-Key-1", tagKey2),
		h.e.SetTag("erin", "other", "x"))
	h.refresh()
	h.sweep()
	h.same("erin's cached keys", len(strings.Fields(h.cached("erin"))), 2)
	h.does(h.e.DeleteTag("erin", "SSH-Key-1"))
	h.same("erin's keys, asked", h.asked("erin"), "tag:ssh-key")
	h.does(h.PublishChanges())
	h.same("erin's cached keys", h.cached("erin"), "tag:ssh-key")
	h.does(h.e.UpdateUser("erin", "erin.old", ""), recreate(h, emulator.User{Name: "erin", Groups: []string{"developers"},
		Tags: map[string]string{"ssh-key": tagKey2}}))
	h.same("erin's keys by somebody else's tags", h.asked("erin"), "")
	h.clock.pass(2 * time.Hour)
	h.sweep()
	h.same("erin's cached keys", h.cached("erin"), "")
}
