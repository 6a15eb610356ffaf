package accounts

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestWhatTheHostHasWins(t *testing.T) {
	d := company([]string{"alice", "bob"}, "dev: alice bob")
	n := UserUID(aliceID, policy().Range)
	for _, test := range []struct {
		name string
		host Host
		want Reason
	}{
		{"a local user of the same name", Host{Users: []HostUser{{"alice", 1000, 1000}}}, HostName},
		{"a local user of the name in capitals", Host{Users: []HostUser{{"ALICE", 1000, 1000}}}, HostName},
		{"a local group of the same name", Host{Groups: []HostGroup{{"alice", 1000, nil}}}, HostName},
		{"a local user of the same uid", Host{Users: []HostUser{{"x", n, 1000}}}, HostID},
		{"a local copy of the person", Host{Users: []HostUser{{"alice", n, n}}}, HostName},
		{"a local group of the same gid", Host{Groups: []HostGroup{{"x", n, nil}}}, HostID},
		{"a sub-id range over the number",
			Host{SubIDs: []HostRange{{Range{1, 5}, "y", "subuid"}, {Range{n - 10, n}, "x", "subuid"},
				{Range{n - 5, n - 4}, "z", "subgid"}}}, HostID},
		{"a sub-gid range of the number alone", Host{SubIDs: []HostRange{{Range{n, n}, "x", "subgid"}}}, HostID},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := build(t, Input{Directory: d, Policy: policy(), Host: test.host})
			if got := loginNames(r.Tables); !reflect.DeepEqual(got, []string{"bob"}) || contains(r.Admitted, aliceID) {
				t.Errorf("got users %q, admitted %q; want bob alone", got, r.Admitted)
			}
			if f := finding(r.Findings, aliceID); f.Reason != test.want {
				t.Errorf("got %v, want the reason %q", f, test.want)
			}
			// The account appears while alice is served, and goes again: a
			// change of the host is no removal, however many it concerns.
			s := newStory(t, policy(), d)
			before := s.last
			s.in.Policy.MaxFraction = 0
			s.in.Host, s.in.Rebuild = test.host, true
			if r := s.again(); r.Tables.user("alice").ID != "" || len(r.NewFormer) > 0 {
				t.Errorf("alice is served beside the host's own: %+v", r.Tables.user("alice"))
			}
			s.in.Host = Host{}
			if r := s.again(); !reflect.DeepEqual(r.Tables, before.Tables) {
				t.Error("the host's own went and alice did not come back")
			}
		})
	}
}

func TestASubIDRangeBesideTheUIDDoesNoHarm(t *testing.T) {
	n := UserUID(aliceID, policy().Range)
	r := build(t, Input{Directory: company([]string{"alice"}, "dev: alice"), Policy: policy(),
		Host: Host{SubIDs: []HostRange{
			{Range{n - 10, n - 1}, "x", "subuid"}, {Range{n + 1, n + 10}, "x", "subuid"}}}})
	if len(r.Admitted) != 1 {
		t.Errorf("alice is not served: %v", r.Findings)
	}
}

func TestAFormerUserMakesWayForTheHost(t *testing.T) {
	s := newStory(t, policy(), all)
	uid := s.last.Tables.user("alice").UID
	s.answer(noAlice)
	s.answer(noAlice)
	s.in.Host = Host{Users: []HostUser{{"alice", 1000, 1000}}}
	if got := s.again().Tables.user(formerName(uid)); got.UID != uid || !got.Former {
		t.Errorf("got %+v, want the number under a name that the host has not", got)
	}
	s.in.Host = Host{Groups: []HostGroup{{"x", uid, nil}}}
	for _, u := range s.again().Tables.Users {
		if u.UID == uid {
			t.Errorf("the host's number is served for %+v", u)
		}
	}
}

func TestMappedGroupsGiveLocalGroups(t *testing.T) {
	d := company([]string{"alice", "bob"}, "dev: alice bob", "tv: alice", "docker-users: alice", "wheels: alice",
		"engineers: alice")
	p := policy()
	p.AllowPrivileged = []string{"video"}
	p.MapGroups = map[string]string{"tv": "video", "docker-users": "docker", "wheels": "wheel", "engineers": "engine"}
	r := build(t, Input{Directory: d, Policy: p, Host: localHost})
	if alice := r.Tables; slices.Contains(alice.user("bob").Groups, 44) {
		t.Error("bob got the local group of another")
	}
	in := func(r Result, gid uint32) bool {
		// alice is local on this host; the story is told about bob's friend.
		return slices.Contains(r.Tables.user("alice").Groups, gid)
	}
	host := localHost
	host.Users = slices.DeleteFunc(slices.Clone(host.Users), func(u HostUser) bool { return u.Name == "alice" })
	host.Groups = slices.DeleteFunc(slices.Clone(host.Groups), func(g HostGroup) bool { return g.Name == "alice" })
	r = build(t, Input{Directory: d, Policy: p, Host: host})
	if !in(r, 44) {
		t.Errorf("alice has the groups %v, without 44 (video)", r.Tables.user("alice").Groups)
	}
	if in(r, 999) {
		t.Error("alice is in docker, which is as good as root, without its being allowed; or in engine, which is docker " +
			"by another name")
	}
	reasons := Count(r.Findings)
	if reasons[LocalGroup] != 3 {
		t.Errorf("got %v, want three findings about local groups (docker, engine, wheel)", r.Findings)
	}
	for _, g := range r.Tables.Groups {
		if g.Name == "tv" || g.Name == "video" || g.Name == "docker" {
			t.Errorf("the group %s is served", g.Name)
		}
	}
	p.AllowPrivileged = []string{"docker", "video"}
	r = build(t, Input{Directory: d, Policy: p, Host: host})
	if !in(r, 999) {
		t.Error("alice is not in docker although it is allowed")
	}
}

func TestTheGroupOfGIDZeroIsNeverGiven(t *testing.T) {
	d := company([]string{"alice"}, "dev: alice", "admins: alice")
	p := policy()
	p.MapGroups = map[string]string{"admins": "root"}
	p.AllowPrivileged = []string{"root"}
	r := build(t, Input{Directory: d, Policy: p, Host: Host{Groups: []HostGroup{{"root", 0, nil}}}})
	if slices.Contains(r.Tables.user("alice").Groups, 0) || Count(r.Findings)[LocalGroup] != 1 {
		t.Errorf("got groups %v, findings %v", r.Tables.user("alice").Groups, r.Findings)
	}
}

func TestServedGroupsNeverShadowLocalOnes(t *testing.T) {
	d := company([]string{"bob"}, "dev: bob", "video: bob", "Sudo: bob", "a,b: bob")
	p := policy()
	p.Publish = []string{"*"}
	r := build(t, Input{Directory: d, Policy: p, Host: localHost})
	for name, want := range map[string]Reason{"video": NameReserved, "Sudo": NameReserved} {
		g, _ := d.GroupNamed(name)
		if f := finding(r.Findings, g.ID); f.Reason != want || r.Tables.group(name).Name != "" {
			t.Errorf("the group %s: %+v, want the reason %q", name, f, want)
		}
	}
	if got := r.Tables.group("a.comma.b").Members; !reflect.DeepEqual(got, []string{"bob"}) {
		t.Errorf("a,b has the members %q, want bob", got)
	}
	host := Host{Groups: []HostGroup{{"DEV", 2000, nil}}}
	r = build(t, Input{Directory: d, Policy: policy(), Host: host})
	if r.Tables.group("dev").Name != "" || !contains(r.Admitted, d.Users[0].ID) {
		t.Error("a login group that the host has too must admit its members and not be served")
	}
}

func TestAUserHasNoMoreGroupsThanNFSTakes(t *testing.T) {
	groups := []string{"dev: bob alice", "admins: bob", "tv: bob"}
	for _, c := range "abcdefghijklmnopqrst" {
		groups = append(groups, "team-"+string(c)+": bob")
	}
	d := company([]string{"bob", "alice"}, groups...)
	p := sudoPolicy()
	p.Publish, p.MapGroups, p.MaxGroups, p.AllowPrivileged = []string{"team-*"}, map[string]string{"tv": "video"}, 16,
		[]string{"video"}
	r := build(t, Input{Directory: d, Policy: p, Host: Host{Groups: []HostGroup{{"video", 44, nil}}}})
	bob := r.Tables.user("bob")
	if len(bob.Groups) != 15 {
		t.Errorf("bob has %d groups beside his own, want 15", len(bob.Groups))
	}
	for _, gid := range []uint32{44, r.Tables.group("iam-users").GID, r.Tables.group("iam-sudo").GID,
		r.Tables.group("dev").GID, r.Tables.group("team-a").GID} {
		if !slices.Contains(bob.Groups, gid) {
			t.Errorf("gid %d is left out", gid)
		}
	}
	f := finding(r.Findings, bob.ID)
	if f.Reason != TooManyGroups || f.Detail != "is left out of team-k, team-l, team-m, team-n, team-o, team-p, "+
		"team-q, team-r, team-s, team-t to stay within max_groups = 16" {
		t.Errorf("got %+v", f)
	}
	if got := r.Tables.group("team-t").Members; len(got) != 0 {
		t.Errorf("team-t has the members %q without their having its gid", got)
	}
}

func TestSharedAccountsAreOpenToMembersOfTheirGroups(t *testing.T) {
	d := company([]string{"alice", "bob", "0"}, "dev: alice", "ops: bob 0")
	p := policy()
	p.Shared = map[string][]string{"ubuntu": {"ops", "OPS"}, "root": {"ops"}, "nobody-here": {"ops"}}
	r := build(t, Input{Directory: d, Policy: p, Host: localHost})
	ops, _ := d.GroupNamed("ops")
	if want := map[string][]string{"ubuntu": ops.Members}; !reflect.DeepEqual(r.Shared, want) {
		t.Errorf("got %v, want %v", r.Shared, want)
	}
	if Count(r.Findings)[LocalAccount] != 2 {
		t.Errorf("got %v, want findings about root and nobody-here", r.Findings)
	}
	p.AllowRoot = true
	r = build(t, Input{Directory: d, Policy: p, Host: Host{Users: []HostUser{{"root", 0, 0}, {"ubuntu", 0, 0}}}})
	if want := map[string][]string{"root": ops.Members}; !reflect.DeepEqual(r.Shared, want) {
		t.Errorf("with allow_root: got %v, want root alone, ubuntu being root by another name", r.Shared)
	}
}

func TestALocalAccountMayUseAServedGroupAndTakesNothingFromAnybody(t *testing.T) {
	d := company(five, "dev: alice bob carol dave erin", "admins: alice")
	plain := build(t, Input{Directory: d, Policy: sudoPolicy()})
	bob := plain.Tables.user("bob")
	for name, gid := range map[string]uint32{
		"a login group": plain.Tables.group("dev").GID, "a person's own group": bob.UID,
		SudoGroup: plain.Tables.group(SudoGroup).GID, UsersGroup: plain.Tables.group(UsersGroup).GID,
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{Directory: d, Policy: sudoPolicy(), Now: at(1000), Host: Host{Users: []HostUser{{"x", 1000, gid}}}}
			r := build(t, in)
			if !reflect.DeepEqual(r.Tables, plain.Tables) || !reflect.DeepEqual(r.Admitted, plain.Admitted) {
				t.Errorf("somebody lost something: %+v", Compare(plain.Tables, r.Tables))
			}
			f := finding(r.Findings, "x")
			if f.Reason != LocalUse || f.UnixID != gid || !strings.Contains(f.Remedy, "usermod -g GROUP x") {
				t.Errorf("got the finding %+v", f)
			}
			for _, query := range []string{"x", fmt.Sprint(gid)} {
				all, err := Explain(in, query)
				if err != nil || len(all) == 0 || !strings.Contains(told(all[0]), `the local account "x" has the served group`) {
					t.Errorf("explain %s says %+v, %v", query, all, err)
				}
			}
		})
	}
}

func TestAnExactLocalCopyIsToldWithItsRemedy(t *testing.T) {
	d := company([]string{"alice", "bob"}, "dev: alice bob")
	plain := build(t, Input{Directory: d, Policy: policy()}).Tables
	for name, test := range map[string]struct {
		host        Host
		query, says string
	}{
		"a person": {Host{Users: []HostUser{{"alice", plain.user("alice").UID, 100}}}, "alice", `userdel alice`},
		"a group":  {Host{Groups: []HostGroup{{"dev", plain.group("dev").GID, nil}}}, "dev", `groupdel dev`},
	} {
		t.Run(name, func(t *testing.T) {
			in := Input{Directory: d, Policy: policy(), Host: test.host, Now: at(1000)}
			r := build(t, in)
			if !slices.ContainsFunc(r.Findings, func(f Finding) bool {
				return f.Reason == HostName && strings.Contains(f.Detail, "the same name and the same id") &&
					strings.Contains(f.Remedy, test.says)
			}) {
				t.Errorf("got findings %v", r.Findings)
			}
			all, err := Explain(in, test.query)
			if err != nil || len(all) != 2 || all[1].State != StateLocal ||
				!slices.ContainsFunc(all[1].Steps, func(s Step) bool { return strings.Contains(s.Remedy, test.says) }) {
				t.Errorf("explain says %+v, %v", all, err)
			}
		})
	}
}

func TestASystemGroupIsMappedToOnlyByName(t *testing.T) {
	d := company([]string{"alice"}, "dev: alice", "tv: alice")
	p := policy()
	p.MapGroups = map[string]string{"tv": "dongle"}
	for _, test := range []struct {
		name    string
		gid     uint32
		max     uint32
		allowed bool
		want    bool
	}{
		{"the last system gid", 999, 0, false, false},
		{"the first other gid", 1000, 0, false, true},
		{"the last system gid, allowed by name", 999, 0, true, true},
		{"the host's own limit", 499, 499, false, false},
		{"above the host's own limit", 500, 499, false, true},
	} {
		p.AllowPrivileged = nil
		if test.allowed {
			p.AllowPrivileged = []string{"dongle"}
		}
		r := build(t, Input{Directory: d, Policy: p, Host: Host{Groups: []HostGroup{{"dongle", test.gid, nil}},
			SysGIDMax: test.max}})
		if got := slices.Contains(r.Tables.user("alice").Groups, test.gid); got != test.want {
			t.Errorf("%s: alice is in it: %v, want %v", test.name, got, test.want)
		}
		if got := Count(r.Findings)[LocalGroup]; (got == 1) == test.want {
			t.Errorf("%s: %d findings: %v", test.name, got, r.Findings)
		}
	}
}

func TestALocalAccountWithAUIDOfTheRangeMayBeShared(t *testing.T) {
	d := company([]string{"alice"}, "dev: alice")
	p := policy()
	p.Shared = map[string][]string{"build": {"dev"}}
	r := build(t, Input{Directory: d, Policy: p, Host: Host{Users: []HostUser{{"build", 2001000007, 100}}}})
	if len(r.Shared["build"]) != 1 {
		t.Errorf("got %v: %v", r.Shared, r.Findings)
	}
}
