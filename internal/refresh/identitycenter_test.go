package refresh_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// newStoreHost is a host whose people are in Identity Center.
func newStoreHost(t *testing.T) *host {
	t.Helper()
	h := newHostOf(t, emulator.Options{Store: emulator.IdentityStore{
		Groups: []emulator.PeopleGroup{{Name: "Platform Team"}, {Name: "Platform Admins"}},
		People: []emulator.Person{
			{UserName: "alice", Status: "ENABLED", Groups: []string{"Platform Team", "Platform Admins"}},
			{UserName: "bob", Groups: []string{"Platform Team"}},
			{UserName: "carol", Groups: []string{"Platform Team"}},
		},
	}}, nil)
	src := identitycenter.NewSource(identitycenter.Options{
		Options: awsapi.Options{Region: "eu-west-1", Endpoint: h.e.URL, Rate: 1e6, Burst: 1e6, Attempts: 2,
			Backoff: time.Millisecond},
		Now: h.clock.Now,
	})
	h.Source, h.Users, h.InstanceTag, h.Form = src, src, src.InstanceTag, directory.StoreForm
	h.Policy.Login, h.Policy.Sudo, h.Policy.Shared = []string{"Platform Team"}, []string{"platform admins"}, nil
	return h
}

// change alters the first person of the store.
func (h *host) change(f func(*emulator.Person)) {
	h.t.Helper()
	s := h.e.IdentityStore()
	f(&s.People[0])
	h.does(h.e.SetIdentityStore(s))
}

func TestAPersonOfIdentityCenterWhoIsOutIsRefusedAtTheNextLogin(t *testing.T) {
	for name, out := range map[string]func(*emulator.Person){
		"out of the group": func(p *emulator.Person) { p.Groups = []string{"Platform Admins"} },
		"disabled":         func(p *emulator.Person) { p.Status = "DISABLED" },
	} {
		t.Run(name, func(t *testing.T) {
			h := newStoreHost(t)
			h.refresh()
			h.calls()
			u, err := h.Logins.Admit(t.Context(), "alice")
			if err != nil || !u.Login {
				t.Fatalf("alice: %+v, %v; want her let in", u, err)
			}
			h.same("calls", fmt.Sprint(h.calls()), "map[DescribeUser:1 IsMemberInGroups:1]")
			if u, _, err := h.Logins.Ask(t.Context(), "alice"); err != nil || !u.Login || len(u.Keys) != 0 {
				t.Errorf("asked for keys: %+v, %v; want none, and that she may log in", u, err)
			}
			h.change(out)
			if u, err := h.Logins.Admit(t.Context(), "alice"); err != nil || u.Login {
				t.Errorf("got %+v, %v; want her refused", u, err)
			}
			if u, ok := h.Logins.Recent("alice", time.Hour); !ok || u.Login {
				t.Errorf("the recent answer is %+v, %v; want her refused", u, ok)
			}
			h.does(h.e.Close())
			if u, err := h.Logins.Admit(t.Context(), "bob"); !errors.Is(err, awsapi.ErrUnreachable) {
				t.Errorf("without the store: %+v, %v; want that it cannot be reached", u, err)
			}
		})
	}
}

func TestNobodyOfIdentityCenterIsSweptForKeys(t *testing.T) {
	h := newStoreHost(t)
	h.refresh()
	h.calls()
	h.clock.pass(24 * time.Hour)
	h.sweep()
	h.same("calls", fmt.Sprint(h.calls()), "map[]")
	h = h.restart()
	h.sweep()
	h.same("calls after a restart", fmt.Sprint(h.calls()), "map[]")
}

func TestAnInstancesTagNamesGroupsOfIdentityCenterWithTheirSpaces(t *testing.T) {
	h := newStoreHost(t)
	h.e.SetInstance(emulator.Instance{Role: "host", Tags: map[string]string{"login": "platform admins ,"}})
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", h.e.URL)
	h.Policy.Login, h.Policy.Sudo, h.LoginTag = nil, nil, "login"
	h.refresh()
	h.same("served", h.live(), "alice")
	before := h.photo()
	for name, value := range map[string]string{
		"as Unix has the group": "Platform-Admins", "with a space more": "Platform  Admins",
		"with no comma": "Platform Team Platform Admins",
		"of two lines":  "Platform Team\nPlatform Admins", "with a tab": "Platform\tTeam",
	} {
		h.e.SetInstance(emulator.Instance{Role: "host", Tags: map[string]string{"login": value}})
		h.clock.pass(time.Minute)
		if _, err := h.Refresh(t.Context(), refresh.Options{}); err == nil {
			t.Errorf("a tag that names the group %s is no error", name)
		}
	}
	h.unchanged(before)
	h.e.SetInstance(emulator.Instance{Role: "host", Tags: map[string]string{"login": "Platform Team,Platform Admins"}})
	h.refresh()
	h.same("served with two groups", h.live(), "alice bob carol")
}
