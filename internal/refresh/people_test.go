package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

func TestARemovalIsConfirmedBeforeTheUserIsAFormerOne(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	uid := h.users()["bob"].UID
	h.does(h.e.RemoveMember("developers", "bob"))
	h.same("bob's keys, asked", h.asked("bob"), "")
	o := h.refresh()
	h.same("gone after one answer", len(o.NewFormer), 0)
	h.same("served after one answer", h.live(), "alice bob carol erin")
	h.same("bob's cached keys", h.cached("bob"), "")
	o = h.refresh()
	if len(o.NewFormer) != 1 || o.NewFormer[0].UID != uid {
		t.Fatalf("got %+v gone, want bob", o.NewFormer)
	}
	h.same("served after two answers", h.live(), "alice carol erin")
	bob := h.users()["bob"]
	if !bob.Former || bob.UID != uid || len(bob.Groups) > 0 {
		t.Errorf("got %+v, want a former user of number %d", bob, uid)
	}

	h.same("out", outOf(h, false), "bob")
	h = h.restart()
	if o = h.refresh(); len(o.NewFormer) != 0 {
		t.Errorf("gone twice: %+v", o.NewFormer)
	}
	h.same("out after a restart", outOf(h, false), "bob")

	h.does(h.e.AddMember("developers", "bob"))
	h.refresh()
	h.same("served after the return", h.live(), "alice bob carol erin")
	h.same("bob's uid", h.users()["bob"].UID, uid)
	h.same("bob's cached keys before they were asked for again", h.cached("bob"), "")
	h.sweep()
	h.same("bob's cached keys", h.cached("bob"), bobsKey)
}

func outOf(h *host, pendingToo bool) string {
	var names []string
	for _, u := range h.Out(pendingToo) {
		names = append(names, u.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestWhoIsOut(t *testing.T) {
	h := newHost(t)
	h.same("before the first answer", outOf(h, true), "")
	h.refresh()
	h.same("nobody", outOf(h, true), "")
	h.does(h.e.RemoveMember("developers", "bob"))
	h.refresh()
	h.same("pending removal", outOf(h, true), "bob")
	h.same("pending removal, not asked for", outOf(h, false), "")
	h.refresh()
	h.same("former", outOf(h, false), "bob")
	h.does(h.e.AddMember("developers", "bob"))
	h.refresh()
	h.same("back", outOf(h, true), "")
}

func TestWhoIsWithoutSudo(t *testing.T) {
	h := newHost(t)
	h.Policy.Sudo = []string{"admins"}
	h.refresh()
	names := func() string {
		people, gid := h.WithoutSudo()
		if gid != accounts.FixedGID(accounts.SudoGroup, h.Policy.Range) {
			t.Errorf("got group %d", gid)
		}
		var list []string
		for _, u := range people {
			list = append(list, u.Name)
		}
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	all := names()
	h.does(h.e.AddMember("admins", "bob"))
	h.refresh()
	if got := names(); strings.Contains(got, "bob") || !strings.Contains(all, "bob") {
		t.Errorf("got %s after %s", got, all)
	}
	h.does(h.e.RemoveMember("admins", "bob"))
	h.refresh()
	h.same("without sudo", names(), all)
}

// rights are the served users who are in another group than iam-users.
func (h *host) rights() string {
	h.t.Helper()
	tables, _, err := cache.ReadNSS(h.Dir)
	h.does(err)
	names := map[string]bool{}
	for _, g := range tables.Groups {
		if g.Name != accounts.UsersGroup {
			for _, m := range g.Members {
				names[m] = true
			}
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), " ")
}

func TestARemovalTakesRightsAtOnce(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	h.same("rights", h.rights(), "alice bob carol erin")
	for _, name := range []string{"alice", "bob"} {
		h.does(h.e.RemoveMember("developers", name))
	}
	o := h.refresh()
	h.same("rights", h.rights(), "carol erin")
	h.same("served", h.live(), "alice bob carol erin")
	h.same("alice's keys, cached", h.cached("alice"), "")
	h.same("pending", len(o.Pending), 2)
	h.same("gone, confirmed", len(h.refresh().NewFormer), 2)
}

func TestADeletedGroupIsEmptyAndStopsNothing(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.does(h.e.DeleteGroup("admins"), h.e.RemoveMember("developers", "bob"))
	o := h.refresh()
	h.same("rights", h.rights(), "alice carol erin")
	h.same("findings", accounts.Count(o.Findings)[accounts.GroupMissing], 1)
	tables, _, err := cache.ReadNSS(h.Dir)
	h.does(err)
	for _, g := range tables.Groups {
		if g.Name == accounts.SudoGroup && len(g.Members) > 0 {
			t.Errorf("iam-sudo has %q", g.Members)
		}
	}
}

func TestAnAnswerWithoutAnybodyIsBelievedAtTheSecondTime(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"everything is empty": {Kind: emulator.None, Times: -1}, "every group is empty": {Kind: emulator.None,
			Action: "GetGroup", Times: -1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.refresh()
			h.sweep()
			h.does(h.e.SetFaults(fault))
			before := h.photo("nss.db", "keys.db")
			h.clock.pass(time.Minute)
			if _, err := h.Refresh(t.Context(), refresh.Options{}); !errors.Is(err, accounts.ErrEmptyAnswer) {
				t.Fatalf("got %v, want ErrEmptyAnswer", err)
			}
			for range 3 { // confirms nothing
				if _, err := h.Rebuild(); err != nil {
					t.Fatal(err)
				}
			}
			h.unchanged(before, "nss.db", "keys.db")
			o := h.refresh()
			h.same("rights", h.rights(), "")
			h.same("served", h.live(), "alice bob carol erin")
			if o.HeldBack == nil || !o.HeldBack.Empty || len(o.Pending) != 4 {
				t.Errorf("held back is %+v", o.HeldBack)
			}
			h.does(h.e.SetFaults())
			h.refresh()
			h.same("rights", h.rights(), "alice bob carol erin")
			h.does(h.e.SetFaults(fault))
			h.clock.pass(time.Minute)
			if _, err := h.Refresh(t.Context(), refresh.Options{}); !errors.Is(err, accounts.ErrEmptyAnswer) {
				t.Errorf("got %v: the count was not started again", err)
			}
		})
	}
}

func TestManyRemovalsWaitForAPerson(t *testing.T) {
	h := newHost(t)
	for i := range 6 {
		_, err := h.e.CreateUser(emulator.User{Name: fmt.Sprintf("x%d", i), Groups: []string{"developers"}})
		h.does(err)
	}
	h.refresh()
	for i := range 6 {
		h.does(h.e.RemoveMember("developers", fmt.Sprintf("x%d", i)))
	}
	for range 4 {
		if o := h.refresh(); o.HeldBack == nil || o.HeldBack.Pending != 6 || len(o.NewFormer) > 0 {
			t.Fatalf("got %+v, want six of ten held back", o.HeldBack)
		}
		h.same("rights", h.rights(), "alice bob carol erin")
	}
	h.same("served", h.live(), "alice bob carol erin x0 x1 x2 x3 x4 x5")
	o, err := h.Refresh(t.Context(), refresh.Options{AcceptRemovals: true})
	h.does(err)
	h.same("served", h.live(), "alice bob carol erin")
	h.same("gone", len(o.NewFormer), 6)
}

func TestARenamedUserKeepsUIDAndKeys(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	uid := h.users()["bob"].UID
	h.does(h.e.UpdateUser("bob", "robert", ""))
	h.same("the old name's keys, asked before the refresh", h.asked("bob"), "")
	h.does(h.PublishChanges())
	h.same("the old name's cached keys", h.cached("bob"), "")
	h.refresh()
	h.same("served", h.live(), "alice carol erin robert")
	h.same("the number", h.users()["robert"].UID, uid)
	h.same("the cached keys", h.cached("robert"), bobsKey)
	h.same("the keys, asked", h.asked("robert"), bobsKey)
}

func recreate(h *host, u emulator.User) error {
	_, err := h.e.CreateUser(u)
	return err
}

// id is a user's IAM id.
func (h *host) id(name string) string {
	for _, u := range h.e.Company().Users {
		if u.Name == name {
			return u.ID
		}
	}
	return ""
}

func (h *host) byUID(uid uint32) (string, bool) {
	for name, u := range h.users() {
		if u.UID == uid {
			return name, !u.Former
		}
	}
	return "", false
}

func TestAUserCreatedAgainUnderTheSameNameIsSomebodyElse(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	uid := h.users()["bob"].UID
	h.does(h.e.DeleteUser("bob"), recreate(h, emulator.User{Name: "bob", Groups: []string{"developers"},
		Keys: []emulator.Key{{ID: "APKAHEIR000000000001", Body: emulator.RSALine(7, "heir")}}}))
	for range 2 { // the first one's removal is confirmed
		h.refresh()
		h.sweep()
	}
	h.refresh()
	h.sweep()
	now := h.users()["bob"]
	if now.UID == uid || now.Former {
		t.Fatalf("got %+v, want another uid than %d", now, uid)
	}
	h.same("the new bob's cached keys", h.cached("bob"), "APKAHEIR000000000001")
	h.same("the new bob's keys, asked", h.asked("bob"), "APKAHEIR000000000001")
}

func TestARestartedHostAnswersWhileIAMIsDown(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	before := h.photo()
	h.does(h.e.Close())
	h = h.restart()
	_, err := h.Rebuild()
	h.does(err)
	h.unchanged(before)
	h.same("served", h.live(), "alice bob carol erin")
	if x := h.explain("alice"); x.State != accounts.StateServed || len(x.Keys) != 2 {
		t.Errorf("got %+v, want alice with two keys", x)
	}
	if _, _, err := h.Logins.Ask(t.Context(), "alice"); !errors.Is(err, awsapi.ErrUnreachable) {
		t.Errorf("got %v, want that nobody knows", err)
	}
	// What was lost meanwhile comes back from what is remembered.
	h.does(h.State.Forget(nil))
	for _, file := range []string{cache.NSSFile, cache.KeysFile} {
		h.does(flip(h.Dir + "/" + file))
	}
	_, err = h.Rebuild()
	h.does(err)
	h = h.restart()
	_, err = h.Rebuild()
	h.does(err)
	h.same("served", h.live(), "alice bob carol erin")
	h.same("alice's cached keys", h.cached("alice"), alicesKeys)
}

func (h *host) explain(name string) refresh.Explanation {
	h.t.Helper()
	all, err := h.Explain(name)
	h.does(err)
	if len(all) != 1 {
		h.t.Fatalf("got %+v of %s, want one", all, name)
	}
	return all[0]
}

const (
	tagKey1 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
	tagKey2 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4/"
)

func TestAnAccountThatExpiresWhileIAMIsDownEnds(t *testing.T) {
	h := newHost(t)
	h.Policy.ExpiresTag = "nss-iam:expires"
	h.does(h.e.SetTag("bob", "nss-iam:expires", "2027-01-20"))
	h.refresh()
	h.sweep()
	h.same("bob's cached keys", h.cached("bob"), bobsKey)
	h.does(h.e.Close())
	h.clock.pass(30 * 24 * time.Hour)
	_, err := h.Rebuild()
	h.does(err)
	h.same("served", h.live(), "alice carol erin")
	h.same("bob's cached keys", h.cached("bob"), "")
}

func TestLoginsSweepsRefreshesAndRebuildsGoTogether(t *testing.T) {
	h := newHost(t)
	h.refresh()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, job := range []func() error{
		func() error { _, err := h.Refresh(ctx, refresh.Options{}); return err },
		func() error { h.clock.pass(time.Hour); _, err := h.Logins.Sweep(ctx, 3); return err },
		func() error { _, err := h.Rebuild(); return err },
		func() error { _, _, err := h.Logins.Ask(ctx, "alice"); return err },
		func() error { _, _, err := h.Logins.Ask(ctx, "dave"); return err },
		func() error { _, err := h.Explain("bob"); return err },
		func() error {
			return errors.Join(h.e.RemoveMember("developers", "bob"), h.e.AddMember("developers", "bob"), h.PublishChanges())
		},
	} {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := job(); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	h.refresh()
	h.clock.pass(2 * time.Hour)
	h.sweep()
	h.same("served", h.live(), "alice bob carol erin")
	h.same("alice's cached keys", h.cached("alice"), alicesKeys)
}
