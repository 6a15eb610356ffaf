package identitycenter

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// colleagues go on under the same name. They are more than removal.max_fraction
// would let go at once.
var colleagues = []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace"}

// before is the fleet in IAM: everybody is in developers, alice in admins too.
// eve has a namesake of another domain in Identity Center, and zoe nobody.
func before() (c testbed.Company) {
	c.Groups = []testbed.Group{{Name: "developers"}, {Name: "admins"}}
	for _, name := range append([]string{"eve", "zoe"}, colleagues...) {
		u := testbed.User{Name: name, Groups: []string{"developers"}}
		if name == "alice" {
			u.Groups = append(u.Groups, "admins")
		}
		c.Users = append(c.Users, u)
	}
	return c
}

// after is the fleet in Identity Center.
func after() (s testbed.IdentityStore) {
	s.Groups = []testbed.PeopleGroup{{Name: "developers"}, {Name: "admins"}}
	for _, name := range colleagues {
		p := testbed.Person{UserName: name + "@example.com", Groups: []string{"developers"}}
		if name == "alice" {
			p.Groups = append(p.Groups, "admins")
		}
		if name == "bob" { // known by the e-mail address alone
			p.UserName, p.NickName, p.Emails = "bob", "robert", []string{"bob@example.com"}
		}
		s.People = append(s.People, p)
	}
	s.People = append(s.People, testbed.Person{UserName: "eve@other.example", Groups: []string{"developers"}},
		testbed.Person{UserName: "newcomer@example.com", Groups: []string{"developers"}})
	return s
}

const moveRules = `
[login]
groups = ["developers"]
[sudo]
groups = ["admins"]
[accounts]
strip_domains = ["example.com"]
homes = "create"
publish_groups = ["*"]
[removal]
confirm = 2
max_fraction = 0.2
end_sessions = "at-once"
[keys]
online = "off"
`

// TestAFleetMovesToIdentityCenterAndNoFileChangesItsOwner moves a publisher, which
// reads the directory itself, and a host that reads its snapshot.
func TestAFleetMovesToIdentityCenterAndNoFileChangesItsOwner(t *testing.T) {
	testbed.RequireArtifacts(t, "debootstrap")
	publisher, host := testbed.NewDebianHost(t, "bookworm"), testbed.NewDebianHost(t, "trixie")
	for _, h := range []*testbed.Host{publisher, host} {
		h.Install()
		h.Syslog()
	}
	iam := publisher.StartIAM(before())
	iam.SetPeople(after())
	publisher.Run(testbed.Refresh, "publish", "--new-key", "/etc/nss-iam/signing")
	publish := "[publish]\nurl = \"file:///srv/snapshot\"\nkey = \"/etc/nss-iam/signing\"\n"
	publisher.Configure(iam.Source() + publish + moveRules)
	host.Configure(fmt.Sprintf("[source]\nkind = \"file\"\nurl = \"file:///srv/snapshot\"\ntrusted_keys = [%q]\n",
		strings.TrimSpace(publisher.Read("/etc/nss-iam/signing.pub"))) + moveRules)
	both := func(f func(name string, h *testbed.Host)) {
		f("publisher", publisher)
		f("host", host)
	}
	// refreshed has the publisher read the directory and write, and the host read that.
	refreshed := func() {
		t.Helper()
		publisher.Refreshed()
		if r := publisher.TryInput("", testbed.Credentials(), testbed.Refresh, "publish", "--config",
			testbed.Config); r.Code != 0 {
			t.Fatal(r)
		}
		host.Write("/srv/snapshot", publisher.Read("/srv/snapshot"), 0o644)
		host.Refreshed()
	}
	refreshed()

	both(func(_ string, h *testbed.Host) {
		h.Run("mkdir", "-p", "/srv/files")
		for _, name := range colleagues {
			h.Write("/srv/files/"+name, "of "+name, 0o640)
			h.Run("chown", name+":developers", "/srv/files/"+name)
		}
	})
	look := func(h *testbed.Host) string {
		var b strings.Builder
		for _, name := range colleagues {
			for _, command := range [][]string{
				{"getent", "passwd", name}, {"id", name}, {"stat", "-c", "%n %U:%G %u:%g", "/srv/files/" + name, "/home/" + name},
			} {
				b.WriteString(h.Run(command...) + "\n")
			}
		}
		// What a person is called in Identity Center is in the comment field only.
		for _, name := range colleagues {
			text := strings.ReplaceAll(b.String(), ":"+name+"@example.com:", ":"+name+":")
			b.Reset()
			b.WriteString(text)
		}
		for _, name := range []string{"developers", "admins", "iam-sudo"} { // who is in them is not all the same: others come
			fields := strings.Split(h.Run("getent", "group", name), ":")
			b.WriteString(strings.Join(fields[:3], ":") + "\n")
		}
		return b.String()
	}
	was := map[string]string{}
	sessions := map[string]*testbed.Process{}
	both(func(name string, h *testbed.Host) {
		was[name] = look(h)
		sessions[name] = h.Start(nil, "setpriv", "--reuid=alice", "--regid=alice", "--init-groups", "sleep", "1000")
	})

	next := iam.PeopleSource() + publish + moveRules
	publisher.Write("/root/new.toml", next, 0o644)
	r := publisher.TryInput("", testbed.Credentials(), testbed.Refresh, "import", "--from-iam", testbed.Config,
		"--config", "/root/new.toml")
	if r.Code != 1 || !strings.Contains(r.Stderr, "1 are not pinned, because it is doubtful who they are") {
		t.Errorf("want one doubt, eve: %v", r)
	}
	for _, want := range []string{"7 users and 2 groups keep their uids and gids, 1 are left to you",
		`was "eve"`, `the name alone is like that of "eve@other.example"`, `is "zoe"`, "have no match in IAM"} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("no %q in\n%s", want, r.Stdout)
		}
	}
	publisher.Configure(next + r.Stdout)
	if dry := publisher.Refresh("--dry-run"); dry.Code != 0 {
		t.Errorf("%v", dry)
	}
	for range 3 { // with the first, and for ever
		refreshed()
		time.Sleep(time.Second) // ended sessions would end by now
		both(func(name string, h *testbed.Host) {
			if is := look(h); is != was[name] {
				t.Errorf("%s is now\n%s\nwas\n%s", name, is, was[name])
			}
			if sessions[name].Pid() == 0 {
				t.Errorf("%s: alice's session has ended: %s", name, sessions[name].Output())
			}
		})
		if t.Failed() {
			t.FailNow()
		}
	}
	both(func(name string, h *testbed.Host) {
		// zoe has not moved: without rights at once, and former when that is confirmed.
		if got := h.Run("id", "-nG", "zoe"); strings.Contains(got, "developers") {
			t.Errorf("%s: zoe, who has not moved, is in %s", name, got)
		}
		if got := h.Run("id", "newcomer"); !strings.Contains(got, "developers") {
			t.Errorf("%s: newcomer: %s", name, got)
		}
		if got := h.Run("getent", "passwd", "eve.at.other.example"); strings.Contains(was[name], strings.Split(got, ":")[2]) {
			t.Errorf("%s: eve of another domain has a number of somebody: %s", name, got)
		}
	})
}
