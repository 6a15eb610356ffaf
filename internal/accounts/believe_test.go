package accounts

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// without is an answer that says a group does not exist.
func withoutGroup(d directory.Directory, name string) directory.Directory {
	d.Groups = slices.DeleteFunc(slices.Clone(d.Groups), func(g directory.Group) bool { return g.Name == name })
	d.Missing = []string{name}
	return d
}

func recreatedGroup(d directory.Directory, name, id string) directory.Directory {
	d.Groups = slices.Clone(d.Groups)
	for i := range d.Groups {
		if d.Groups[i].Name == name {
			d.Groups[i].ID = id
		}
	}
	d.Sort()
	return d
}

func TestAKnownGroupThatIsGoneIsEmptyAndStopsNothingElse(t *testing.T) {
	s := newStory(t, sudoPolicy(), all)
	gone := withoutGroup(company(five, "dev: alice carol dave erin frank", "admins: alice"), "admins")
	frank := directory.User{ID: "AIDAFRANK", Name: "frank", Created: at(60)}
	gone.Users = append(gone.Users, frank)
	gone.Groups[0].Members = append(slices.DeleteFunc(gone.Groups[0].Members, func(id string) bool { return id == "" }),
		frank.ID)
	gone.Sort()
	r := s.answer(gone)
	if len(r.Tables.group(SudoGroup).Members) > 0 || slices.Contains(r.Tables.user("alice").Groups,
		r.Tables.group(SudoGroup).GID) {
		t.Error("the sudo group is gone, and somebody has sudo")
	}
	if !contains(r.Admitted, frank.ID) {
		t.Error("a newcomer was not taken")
	}
	if r.Tables.user("bob").Groups == nil || len(r.Pending) != 1 || r.Pending[0].LoginName != "bob" {
		t.Errorf("bob left dev at the same time, and pending are %+v", r.Pending)
	}
	f := finding(r.Findings,
		all.Groups[slices.IndexFunc(all.Groups, func(g directory.Group) bool { return g.Name == "admins" })].ID)
	if f.Reason != GroupMissing || !strings.Contains(f.Detail, "sudo.groups") || f.Remedy == "" {
		t.Errorf("got the finding %+v", f)
	}
}

func TestAGroupIsKnownToHistoriesOfBefore(t *testing.T) {
	s := newStory(t, sudoPolicy(), all)
	s.in.History.Groups = nil // as version 0.1.0 left it
	if r := s.answer(withoutGroup(all, "admins")); len(r.Tables.group(SudoGroup).Members) > 0 {
		t.Error("somebody has sudo")
	}
	data, err := json.Marshal(s.last.History)
	if err != nil || !strings.Contains(string(data), `"Records":[{`) || !strings.Contains(string(data), `"Number":`) ||
		!strings.Contains(string(data), `"IAMName":"alice"`) {
		t.Errorf("the history is not one that version 0.1.0 can read: %s, %v", data, err)
	}
}

func TestAGroupThatWasNeverSeenOrNotAskedForIsAnError(t *testing.T) {
	d := company([]string{"alice"}, "dev: alice")
	for name, change := range map[string]func(*Policy){
		"login":  func(p *Policy) { p.Login = append(p.Login, "ops") },
		"sudo":   func(p *Policy) { p.Sudo = []string{"ops"} },
		"map":    func(p *Policy) { p.MapGroups = map[string]string{"ops": "video"} },
		"shared": func(p *Policy) { p.Shared = map[string][]string{"ec2-user": {"ops"}} },
	} {
		p := policy()
		change(&p)
		for what, in := range map[string]Input{
			"never seen": {Directory: withoutGroup(d, "ops"), Policy: p},
			"not asked":  {Directory: d, Policy: p, History: History{Groups: []KnownGroup{{"ops", "AGPAOPS"}}}},
		} {
			in.Now, in.AcceptRemovals = at(1000), true
			if _, err := Build(in); !errors.Is(err, ErrUnknownGroup) || !strings.Contains(err.Error(), `"ops"`) {
				t.Errorf("%s, %s: got error %v, want ErrUnknownGroup that names ops", name, what, err)
			}
		}
	}
}

// Who corrects it looks where the name stands: in the configuration or at the instance.
func TestAGroupThatIsMissingIsSaidToBeOfItsTag(t *testing.T) {
	for _, c := range []struct {
		name        string
		login, sudo []string // of the configuration
		tags        [2][]string
		where, what string // of the error, and what to correct
	}{
		{"in the configuration", []string{"dev", "ops"}, nil, [2][]string{}, `"ops" of login.groups;`,
			"or correct the configuration"},
		{"in the tag for logins", []string{"dev"}, nil, [2][]string{{"ops"}, nil},
			`"ops" of the instance's tag "nss-iam:login" (login.groups_tag)`, "or correct the tag"},
		{"in the tag for sudo", []string{"dev"}, []string{"dev"}, [2][]string{nil, {"dev", "ops"}},
			`"ops" of the instance's tag "nss-iam:sudo" (sudo.groups_tag)`, "or correct the tag"},
		{"in both", []string{"dev", "ops"}, nil, [2][]string{{"ops"}, nil},
			`"ops" of login.groups, "ops" of the instance's tag "nss-iam:login" (login.groups_tag)`,
			"or correct the configuration and the tag"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := policy()
			p.Login, p.Sudo, p.LoginTaggedBy, p.SudoTaggedBy = c.login, c.sudo, "nss-iam:login", "nss-iam:sudo"
			p = p.WithTags(c.tags[0], c.tags[1])
			d := withoutGroup(company([]string{"alice"}, "dev: alice"), "ops")
			_, err := Build(Input{Directory: d, Policy: p, Now: at(1000)})
			if err == nil || !strings.Contains(err.Error(), c.where) || !strings.Contains(err.Error(), c.what) {
				t.Errorf("never seen: %v, want %q and %q", err, c.where, c.what)
			}
			r, err := Build(Input{Directory: d, Policy: p, Now: at(1000), AcceptRemovals: true,
				History: History{Groups: []KnownGroup{{"ops", "AGPAOPS"}}}})
			f := finding(r.Findings, "AGPAOPS")
			remedy := strings.Replace(c.what, "or correct", "take it out of", 1)
			if err != nil || !strings.HasPrefix(f.Remedy, remedy+",") {
				t.Errorf("known: %v, %+v; want %q", err, f, remedy)
			}
		})
	}
}

func TestALoginGroupThatComesBackWithAnotherIDIsNotBelieved(t *testing.T) {
	p := sudoPolicy()
	p.Login = append(p.Login, "ops")
	p.Shared, p.MapGroups = map[string][]string{"build": {"ops"}}, map[string]string{"ops": "engine"}
	d := company(five, "dev: alice bob", "ops: carol dave erin", "admins: alice")
	host := Host{Users: []HostUser{{"build", 500, 500}}, Groups: []HostGroup{{"engine", 1999, nil}}}
	start := func() *story {
		s := &story{t: t, in: Input{Policy: p, Host: host, Now: at(1000)}}
		s.answer(d)
		return s
	}
	again := recreatedGroup(d, "ops", "AGPANEWOPS")
	for name, between := range map[string][]directory.Directory{
		"deleted in between": {withoutGroup(d, "ops"), withoutGroup(d, "ops"), withoutGroup(d, "ops")},
		"at once":            nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := start()
			for _, d := range between {
				s.answer(d)
			}
			for range 3 {
				r := s.answer(again)
				if len(r.Admitted) != 2 || len(r.Shared["build"]) > 0 || r.Tables.group("ops").ID == "AGPANEWOPS" {
					t.Fatalf("the new group is believed: %q may log in", r.Admitted)
				}
				if f := finding(r.Findings, "AGPANEWOPS"); f.Reason != GroupRecreated ||
					!strings.Contains(f.Remedy, "--accept-groups") {
					t.Fatalf("got the finding %+v", f)
				}
			}
			s.in.AcceptGroups = true
			r := s.answer(again)
			if len(r.Admitted) != 5 || len(r.Shared["build"]) != 3 || !slices.Contains(r.Tables.user("carol").Groups, 1999) {
				t.Errorf("confirmed, %q may log in", r.Admitted)
			}
			s.in.AcceptGroups = false
			if r := s.answer(again); len(r.Admitted) != 5 {
				t.Errorf("the person's word was forgotten: %q may log in", r.Admitted)
			}
		})
	}
	if r := build(t, Input{Directory: again, Policy: p, Host: host}); len(r.Admitted) != 5 {
		t.Error("a new host does not believe its first answer")
	}
}

func TestAUserWhoWaitsForANameKeepsRightsUnderTheOldOne(t *testing.T) {
	p := sudoPolicy()
	s := newStory(t, p, company(five, "dev: alice bob carol dave erin", "admins: bob"))
	bob := s.last.Tables.user("bob")
	// alice is gone, and bob is called alice now.
	d := company([]string{"alice:" + bob.ID, "carol", "dave", "erin"}, "dev: alice carol dave erin", "admins: alice")
	r := s.answer(d)
	want := bob
	want.Gecos = "alice"
	if got := r.Tables.user("bob"); !reflect.DeepEqual(got, want) || !contains(r.Admitted, bob.ID) {
		t.Errorf("got  %+v\nwant %+v, admitted", got, want)
	}
	if x, err := Explain(s.in, bob.ID); err != nil || len(x) != 1 || x[0].State != StateServed {
		t.Errorf("explain says %+v, %v", x, err)
	}
	if r = s.answer(d); r.Tables.user("alice").ID != bob.ID {
		t.Errorf("got alice %+v, want bob under the new name", r.Tables.user("alice"))
	}
}
