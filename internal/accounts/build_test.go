package accounts

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at is n minutes after the epoch.
func at(n int) time.Time { return epoch.Add(time.Duration(n) * time.Minute) }

// company makes a directory of users "name" or "name:ID", each a minute younger
// than the one before, and groups "name: member member".
func company(users []string, groups ...string) directory.Directory {
	var d directory.Directory
	ids := map[string]string{}
	for i, u := range users {
		name, id, found := strings.Cut(u, ":")
		if !found {
			id = "AIDA" + strings.ToUpper(fmt.Sprintf("%x", name))
		}
		ids[name] = id
		d.Users = append(d.Users, directory.User{ID: id, Name: name, Path: "/", Created: at(i)})
	}
	for i, g := range groups {
		name, members, _ := strings.Cut(g, ":")
		group := directory.Group{ID: "AGPA" + strings.ToUpper(fmt.Sprintf("%x", name)), Name: name, Path: "/", Created: at(i)}
		for _, m := range strings.Fields(members) {
			group.Members = append(group.Members, ids[m])
		}
		d.Groups = append(d.Groups, group)
	}
	d.Sort()
	return d
}

// policy is what the configuration's defaults make, with a login group "dev".
func policy() Policy {
	return Policy{
		Range: Range{2001000000, 2146999999}, Login: []string{"dev"},
		Shell: "/bin/bash", NoLogin: "/usr/sbin/nologin", Home: "/home/%u",
		Confirm: 2, MaxFraction: 0.2, KeepNames: 90 * 24 * time.Hour,
	}
}

func everybody() Policy {
	p := policy()
	p.Login, p.AllUsers = nil, true
	return p
}

func build(t *testing.T, in Input) Result {
	t.Helper()
	if in.Now.IsZero() {
		in.Now = at(1000)
	}
	r, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	checkTables(t, r.Tables)
	return r
}

// checkTables verifies what the tables promise whatever went in.
func checkTables(t *testing.T, tables Tables) {
	t.Helper()
	for _, problem := range tableProblems(tables) {
		t.Error(problem)
	}
}

func tableProblems(tables Tables) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	groups := make(map[uint32]*Group, len(tables.Groups))
	names := make(map[string]bool, len(tables.Groups))
	for i := range tables.Groups {
		g := &tables.Groups[i]
		if i > 0 && tables.Groups[i-1].GID >= g.GID {
			bad("gid %d after %d", g.GID, tables.Groups[i-1].GID)
		}
		if names[g.Name] || nameProblem(g.Name) != "" || !tables.Range.Contains(g.GID) {
			bad("group %q (%d) is served twice, misnamed or out of range", g.Name, g.GID)
		}
		names[g.Name], groups[g.GID] = true, g
		if !slices.IsSorted(g.Members) {
			bad("members of %q are out of order", g.Name)
		}
	}
	users := make(map[string]*User, len(tables.Users))
	for i := range tables.Users {
		u := &tables.Users[i]
		if i > 0 && tables.Users[i-1].UID >= u.UID {
			bad("uid %d after %d", u.UID, tables.Users[i-1].UID)
		}
		if users[u.Name] != nil || nameProblem(u.Name) != "" || !tables.Range.Contains(u.UID) {
			bad("user %q (%d) is served twice, misnamed or out of range", u.Name, u.UID)
		}
		users[u.Name] = u
		if g := groups[u.UID]; g == nil || g.Name != u.Name || len(g.Members) > 0 {
			bad("user %q has the private group %+v", u.Name, g)
		}
		if u.Former && (len(u.Groups) > 0 || u.Shell != "/usr/sbin/nologin" || u.Home != "/nonexistent") {
			bad("former user %+v can do something", u)
		}
		if u.Pending && (len(u.Groups) > 1 || len(u.Groups) == 1 && groups[u.Groups[0]].Name != UsersGroup) {
			bad("%q is without rights and in the groups %v", u.Name, u.Groups)
		}
		for j, gid := range u.Groups {
			if j > 0 && u.Groups[j-1] >= gid {
				bad("groups of %q are out of order", u.Name)
			}
			if g := groups[gid]; g == nil && tables.Range.Contains(gid) {
				bad("gid %d of %q has no name", gid, u.Name)
			} else if g != nil && !contains(g.Members, u.Name) {
				bad("%q has the gid of %q without being a member", u.Name, g.Name)
			}
		}
	}
	for _, g := range tables.Groups {
		for _, m := range g.Members {
			if u := users[m]; u == nil || !slices.Contains(u.Groups, g.GID) {
				bad("%q is a member of %q without its gid", m, g.Name)
			}
		}
	}
	return problems
}

func contains(sorted []string, s string) bool {
	_, found := slices.BinarySearch(sorted, s)
	return found
}

func (t Tables) user(name string) User {
	for _, u := range t.Users {
		if u.Name == name {
			return u
		}
	}
	return User{}
}

func (t Tables) group(name string) Group {
	for _, g := range t.Groups {
		if g.Name == name {
			return g
		}
	}
	return Group{}
}

func loginNames(t Tables) []string {
	names := []string{}
	for _, u := range t.Users {
		if !u.Former {
			names = append(names, u.Name)
		}
	}
	slices.Sort(names)
	return names
}

func TestAMemberOfALoginGroupIsAUser(t *testing.T) {
	d := company([]string{"alice", "bob"}, "dev: alice", "admins: alice bob")
	p := policy()
	p.Sudo = []string{"Admins"}
	r := build(t, Input{Directory: d, Policy: p})
	alice := r.Tables.user("alice")
	want := User{ID: "AIDA616C696365", Name: "alice", UID: UserUID("AIDA616C696365", p.Range), Gecos: "alice",
		Home: "/home/alice", Shell: "/bin/bash"}
	for _, name := range []string{"iam-users", "iam-sudo", "dev", "admins"} {
		g := r.Tables.group(name)
		if !reflect.DeepEqual(g.Members, []string{"alice"}) {
			t.Errorf("%s has the members %q, want alice alone", name, g.Members)
		}
		want.Groups = append(want.Groups, g.GID)
	}
	slices.Sort(want.Groups)
	if !reflect.DeepEqual(alice, want) {
		t.Errorf("got  %+v\nwant %+v", alice, want)
	}
	if got := loginNames(r.Tables); len(got) != 1 {
		t.Errorf("got users %q, want alice alone", got)
	}
	if !reflect.DeepEqual(r.Admitted, []string{alice.ID}) || len(r.Findings) != 0 {
		t.Errorf("got admitted %q, findings %v", r.Admitted, r.Findings)
	}
}

func TestTheHistorySurvivesJSON(t *testing.T) {
	d := company([]string{"alice", "bob", "carol"}, "dev: alice bob carol")
	r := build(t, Input{Directory: d, Policy: policy()})
	r = build(t, Input{Directory: company([]string{"alice", "bob"}, "dev: alice bob"), Policy: policy(),
		History: r.History})
	data, err := json.Marshal(r.History)
	if err != nil {
		t.Fatal(err)
	}
	var back History
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, r.History) {
		t.Errorf("got  %+v, %v\nwant %+v", back, err, r.History)
	}
}
