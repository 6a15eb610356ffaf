package identitycenter_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// large is 5,000 people and 300 groups. Five groups are the policy's: one of
// everybody, four of some.
func large() (emulator.IdentityStore, directory.Query) {
	s := emulator.IdentityStore{}
	for g := range 300 {
		s.Groups = append(s.Groups, emulator.PeopleGroup{Name: fmt.Sprintf("group %d", g)})
	}
	for p := range 5000 {
		in := []string{"group 0"}
		if p < 400 {
			in = append(in, fmt.Sprintf("group %d", 1+p%4))
		}
		s.People = append(s.People, emulator.Person{UserName: fmt.Sprintf("user%d@example.com", p), Groups: in,
			Status: "ENABLED"})
	}
	return s, directory.Query{Groups: []string{"group 0", "group 1", "group 2", "group 3", "group 4"}}
}

func total(e *emulator.Emulator) (n int) {
	for _, calls := range e.Calls() {
		n += calls
	}
	return n
}

func TestARefreshWithoutChangeCostsThePagesOfTheNamedGroupsAndTwoCallsMore(t *testing.T) {
	store, q := large()
	e := start(t, emulator.Options{Store: store})
	now := day
	o := quick(e)
	o.Now = func() time.Time { return now }
	s := identitycenter.NewSource(o)
	read(t, s, q)
	if got := total(e); got > 54+3+50+1 {
		t.Errorf("the first refresh costs %d calls", got)
	}
	const pages = 50 + 4
	for range 5 { // to an hour after the first
		now = now.Add(10 * time.Minute)
		e.ResetCalls()
		if d := read(t, s, q); len(d.Users) != 5000 {
			t.Fatalf("%d users", len(d.Users))
		}
		if got := total(e); got > pages+2 {
			t.Errorf("%v: a refresh costs %d calls, want %d at most: %v", now.Sub(day), got, pages+2, e.Calls())
		}
	}
	now = now.Add(10 * time.Minute)
	e.ResetCalls()
	read(t, s, q)
	if got := total(e); got != pages+3+50 {
		t.Errorf("an hour later names and states are read again: %d calls, want %d: %v", got, pages+3+50, e.Calls())
	}
}

func TestTheCostIsWhatRefreshesCost(t *testing.T) {
	big, named := large()
	for _, c := range []struct {
		name  string
		store emulator.IdentityStore
		query directory.Query
		every time.Duration
		want  identitycenter.Cost
	}{
		{"five groups of 5,000 people", big, named, 10 * time.Minute, identitycenter.Cost{Each: 54, Hourly: 53}},
		{"the same seldom", big, named, 2 * time.Hour, identitycenter.Cost{Each: 54, Hourly: 53}},
		{"everybody", big, directory.Query{AllUsers: true, Groups: named.Groups}, 10 * time.Minute,
			identitycenter.Cost{Each: 54 + 53}},
		{"few", company(), directory.Query{Groups: []string{"Platform Team"}}, 10 * time.Minute,
			identitycenter.Cost{Each: 3}},
	} {
		e := start(t, emulator.Options{Store: c.store})
		now := day
		o := quick(e)
		o.Now = func() time.Time { return now }
		s := identitycenter.NewSource(o)
		if s.Cost() != (identitycenter.Cost{}) {
			t.Errorf("%s: before a refresh: %+v", c.name, s.Cost())
		}
		read(t, s, c.query)
		if s.Cost() != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, s.Cost(), c.want)
		}
		e.ResetCalls()
		const refreshes = 6
		for range refreshes {
			now = now.Add(c.every)
			read(t, s, c.query)
		}
		if got := float64(total(e)) / refreshes; math.Abs(got-c.want.Calls(c.every)) > 1e-9 {
			t.Errorf("%s: %g calls of a refresh, counted are %g", c.name, c.want.Calls(c.every), got)
		}
	}
}

func TestRefreshesThatAreSoFarApartTakeSoManyCalls(t *testing.T) {
	for _, c := range []identitycenter.Cost{{Each: 1}, {Each: 300}, {Each: 54, Hourly: 53}, {Each: 602, Hourly: 250},
		{Each: 719, Hourly: 1}, {Each: 5002, Hourly: 51}, {Each: 10, Hourly: 1000}} {
		for _, rate := range []float64{0.01, 0.2, 2} {
			between := c.Between(rate)
			if got := c.Calls(between) / between.Seconds(); got < 0.999*rate || got > 1.001*rate {
				t.Errorf("%+v: %v apart they take %.4f a second, want %g", c, between, got, rate)
			}
		}
	}
}

func TestASmallOrganizationIsReadWholeEachTime(t *testing.T) {
	e := start(t, emulator.Options{Store: company()})
	s := identitycenter.NewSource(quick(e))
	q := directory.Query{Groups: []string{"Platform Team"}}
	read(t, s, q)
	store := e.IdentityStore()
	store.People[0].Status = "DISABLED"
	store.People[1].UserName = "robert@example.com"
	if err := e.SetIdentityStore(store); err != nil {
		t.Fatal(err)
	}
	e.ResetCalls()
	d := read(t, s, q)
	if got := names(d); got != "alice@example.com (disabled) robert@example.com (disabled)" {
		t.Errorf("got %s", got)
	}
	if got := total(e); got != 3 {
		t.Errorf("%d calls, want one page of members and two more: %v", got, e.Calls())
	}
}

func TestAChangeOfNameOrStateIsSeenWithinTheHour(t *testing.T) {
	store, q := large()
	e := start(t, emulator.Options{Store: store})
	now := day
	o := quick(e)
	o.Now = func() time.Time { return now }
	s := identitycenter.NewSource(o)
	read(t, s, q)
	changed := e.IdentityStore()
	changed.People[7].Status = "DISABLED"
	changed.Groups[1].Name, changed.Groups[299].Name = "former group 1", "group 1"
	for i, p := range changed.People {
		for j, g := range p.Groups {
			if g == "group 1" {
				changed.People[i].Groups[j] = "former group 1"
			}
		}
	}
	if err := e.SetIdentityStore(changed); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	d := read(t, s, q)
	if u, _ := d.User(changed.People[7].ID); !u.Disabled {
		t.Error("the person is not seen as disabled")
	}
	if g, _ := d.GroupNamed("group 1"); g.ID != changed.Groups[299].ID || len(g.Members) != 0 {
		t.Errorf("the group is not the one that has the name now: %s with %d members", g.ID, len(g.Members))
	}
}

func TestWhatALoginFoundOutIsInTheNextAnswerOfALargeStore(t *testing.T) {
	store, q := large()
	e := start(t, emulator.Options{Store: store})
	now := day
	o := quick(e)
	o.Now, o.NameFrom = func() time.Time { return now }, "user-name"
	s := identitycenter.NewSource(o)
	before := read(t, s, q)
	changed := e.IdentityStore()
	changed.People[7].Status, changed.People[8].UserName = "DISABLED", "alicia"
	if err := e.SetIdentityStore(changed); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		u, _ := before.User(changed.People[7+i].ID)
		if err := s.Exists(t.Context(), u, false); !errors.Is(err, directory.ErrNoSuchUser) {
			t.Errorf("person %d at a login: %v", i, err)
		}
	}
	now = now.Add(5 * time.Minute)
	calls := total(e)
	d := read(t, s, q)
	if calls = total(e) - calls; calls > 54+4 {
		t.Errorf("%d calls for two people more", calls)
	}
	disabled, _ := d.User(changed.People[7].ID)
	if renamed, _ := d.User(changed.People[8].ID); !disabled.Disabled || renamed.Name != "alicia" {
		t.Errorf("the next answer has %+v and %+v", disabled, renamed)
	}
}

// What a store allows at once nobody publishes: it may be what it allows in one
// second, and a refused call costs half the rate for a while.
func TestFirstAnswersComeWithinFiveSecondsAtTheRateOfTheOrganization(t *testing.T) {
	store, q := large()
	var all sync.WaitGroup
	for _, atOnce := range []int{identitycenter.OrganizationRate, 1.5 * identitycenter.OrganizationRate} {
		e := start(t, emulator.Options{Store: store, Settings: emulator.Settings{Rate: identitycenter.OrganizationRate,
			Burst: atOnce}})
		o := quick(e)
		o.Rate, o.Burst = identitycenter.OrganizationRate, 0
		all.Go(func() {
			began := time.Now()
			_, err := identitycenter.NewSource(o).Directory(t.Context(), q)
			t.Logf("%d at once: first answer after %s, %d calls", atOnce, time.Since(began), total(e))
			if err != nil || e.Throttled() > 0 {
				t.Errorf("%d at once: %d calls were throttled, error %v", atOnce, e.Throttled(), err)
			}
			if calls := total(e); float64(calls-identitycenter.DefaultBurst)/identitycenter.OrganizationRate > 5 {
				t.Errorf("%d calls take more than 5 s", calls)
			}
		})
	}
	all.Wait()
}

func TestEverybodyIsListedBesideTheMembersAndNotAfterThem(t *testing.T) {
	store, q := large()
	e := start(t, emulator.Options{Store: store})
	if err := e.SetFaults(emulator.Fault{Kind: emulator.Slow, Action: "ListGroupMemberships", Times: -1,
		Delay: emulator.Duration(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	failed := make(chan error)
	go func() {
		_, err := identitycenter.NewSource(quick(e)).Directory(ctx, q)
		failed <- err
	}()
	for e.Calls()["ListUsers"] < 50 {
		select {
		case err := <-failed:
			t.Fatalf("it has ended: %v, %v", err, e.Calls())
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
