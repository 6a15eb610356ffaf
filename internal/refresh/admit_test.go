package refresh_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

func TestWhoMayComeInIsAskedWithoutListingKeys(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	uid := h.users()["alice"].UID
	h.calls() // those of the refresh
	u, err := h.Logins.Admit(t.Context(), "alice")
	if err != nil || !u.Login || u.UID != uid || len(u.Keys) != 0 {
		t.Errorf("alice: %+v, %v; want her let in with uid %d", u, err, uid)
	}
	h.same("calls", fmt.Sprint(h.calls()), "map[GetUser:1 ListGroupsForUser:1]")
	for _, name := range []string{"nobody", "", "dave", "DAVE", "frank"} { // unknown, or without a login of their own
		if u, err := h.Logins.Admit(t.Context(), name); err != nil || u.Login || u.UID != 0 || u.Name != name {
			t.Errorf("%q: %+v, %v; want nobody", name, u, err)
		}
	}
}

func TestWhoIsOutIsRefusedBeforeTheNextRefreshAndStaysSo(t *testing.T) {
	for _, c := range []struct {
		name string
		out  func(h *host) error
	}{
		{"out of the group", func(h *host) error { return h.e.RemoveMember("developers", "alice") }},
		{"deleted", func(h *host) error { return h.e.DeleteUser("alice") }},
		{"created again", func(h *host) error {
			return errors.Join(h.e.DeleteUser("alice"),
				recreate(h, emulator.User{Name: "alice", Groups: []string{"developers"}}))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			h.refresh()
			h.sweep()
			if u, ok := h.Logins.Recent("alice", time.Hour); !ok || !u.Login {
				t.Fatalf("before: %+v, %v", u, ok)
			}
			h.does(c.out(h))
			if u, err := h.Logins.Admit(t.Context(), "alice"); err != nil || u.Login {
				t.Fatalf("got %+v, %v; want her refused", u, err)
			}
			if u, ok := h.Logins.Recent("alice", time.Hour); !ok || u.Login {
				t.Errorf("the recent answer is %+v, %v; want her refused", u, ok)
			}
			h.does(h.PublishChanges())
			if got := h.cached("alice"); got != "" {
				t.Errorf("the cache has keys %q, want none", got)
			}
			h.does(h.e.Close())
			if u, err := h.Logins.Admit(t.Context(), "bob"); !errors.Is(err, awsapi.ErrUnreachable) {
				t.Errorf("without IAM: %+v, %v; want that it cannot be reached", u, err)
			}
		})
	}
}

func TestARecentAnswerIsTheLastRefreshAndNoOlderThanWanted(t *testing.T) {
	h := newHost(t)
	if _, ok := h.Logins.Recent("alice", time.Hour); ok {
		t.Error("an answer before any refresh")
	}
	h.refresh()
	h.calls() // those of the refresh
	h.clock.pass(time.Hour - time.Minute)
	if u, ok := h.Logins.Recent("alice", time.Hour); !ok || !u.Login || u.UID != h.users()["alice"].UID {
		t.Errorf("alice: %+v, %v", u, ok)
	}
	if u, ok := h.Logins.Recent("nobody", time.Hour); !ok || u.Login {
		t.Errorf("nobody: %+v, %v", u, ok)
	}
	h.clock.pass(2 * time.Minute)
	if u, ok := h.Logins.Recent("alice", time.Hour); ok {
		t.Errorf("an answer older than wanted: %+v", u)
	}
	h.clock.pass(-3 * time.Hour)
	if u, ok := h.Logins.Recent("alice", time.Hour); ok {
		t.Errorf("an answer from the future: %+v", u)
	}
	h.same("calls", len(h.calls()), 0)
	if h = h.restart(); h != nil {
		if u, ok := h.Logins.Recent("alice", time.Hour); ok {
			t.Errorf("an answer from before the restart, whose age nobody knows: %+v", u)
		}
	}
}
