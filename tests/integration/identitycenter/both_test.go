package identitycenter

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

const bothRules = `
[login]
groups = ["developers"]
[sudo]
groups = ["admins"]
[accounts]
strip_domains = ["example.com"]
publish_groups = ["*"]
[removal]
confirm = 1
max_fraction = 1.0
[keys]
online = "off"
`

// TestBothDirectoriesAreInOneFleet has one publisher of each, and one host for each. alice
// is in both.
func TestBothDirectoriesAreInOneFleet(t *testing.T) {
	testbed.RequireArtifacts(t, "debootstrap")
	names := []string{"alice", "bob", "carol", "dave", "erin"}
	company := testbed.Company{Groups: []testbed.Group{{Name: "developers"}, {Name: "admins"}}}
	store := testbed.IdentityStore{Groups: []testbed.PeopleGroup{{Name: "developers"}, {Name: "admins"}}}
	for i := range 40 { // and many whose numbers could be somebody's
		company.Users = append(company.Users, testbed.User{Name: fmt.Sprintf("user-%d", i), Groups: []string{"developers"}})
		store.People = append(store.People, testbed.Person{UserName: fmt.Sprintf("person-%d", i),
			Groups: []string{"developers"}})
	}
	for _, name := range names[:3] {
		company.Users = append(company.Users, testbed.User{Name: name, Groups: []string{"developers"}})
	}
	for _, name := range []string{"alice", "dave", "erin"} {
		store.People = append(store.People, testbed.Person{UserName: name + "@example.com", Groups: []string{"developers",
			"admins"}})
	}
	publisher := testbed.NewDebianHost(t, "bookworm")
	publisher.Install()
	iam := publisher.StartIAM(company)
	iam.SetPeople(store)
	publisher.Run(testbed.Refresh, "publish", "--new-key", "/etc/nss-iam/signing")
	key := strings.TrimSpace(publisher.Read("/etc/nss-iam/signing.pub"))

	// A publisher is a configuration with a cache of its own; the two could be two hosts.
	publish := func(kind, source, further, to string) testbed.Result {
		t.Helper()
		publisher.Run("mkdir", "-p", "/srv/"+kind)
		publisher.Write("/etc/nss-iam/"+kind+".toml", fmt.Sprintf(
			"%s[publish]\nurl = \"file:///srv/%s\"\nkey = \"/etc/nss-iam/signing\"\n[cache]\ndir = \"/srv/%s\"\n%s%s",
			source, to, kind, bothRules, further), 0o644)
		if r := publisher.TryInput("", testbed.Credentials(), testbed.Refresh, "refresh", "--config",
			"/etc/nss-iam/"+kind+".toml"); r.Code != 0 {
			t.Fatal(r)
		}
		return publisher.TryInput("", testbed.Credentials(), testbed.Refresh, "publish", "--config",
			"/etc/nss-iam/"+kind+".toml")
	}
	hosts := map[string]*testbed.Host{}
	for kind, release := range map[string]string{"iam": "bookworm", "center": "trixie"} {
		h := testbed.NewDebianHost(t, release)
		h.Install()
		h.Configure(fmt.Sprintf("[source]\nkind = \"file\"\nurl = \"file:///srv/snapshot\"\ntrusted_keys = [%q]\n%s", key,
			bothRules))
		hosts[kind] = h
	}
	serve := func(kind string) {
		t.Helper()
		hosts[kind].Write("/srv/snapshot", publisher.Read("/srv/snapshot-"+kind), 0o644)
		hosts[kind].Refreshed()
	}
	served := func(kind, database string) (numbers map[string]string) {
		t.Helper()
		numbers = map[string]string{}
		for line := range strings.Lines(hosts[kind].Run("getent", "-s", database+":iam", database)) {
			f := strings.Split(line, ":")
			numbers[f[0]] = f[2]
		}
		return numbers
	}

	for kind, source := range map[string]string{"iam": iam.Source(), "center": iam.PeopleSource()} {
		if r := publish(kind, source, "", "snapshot-"+kind); r.Code != 0 {
			t.Fatal(r)
		}
		serve(kind)
	}
	owner := map[string]string{}
	for _, database := range []string{"passwd", "group"} {
		clear(owner)
		for _, kind := range []string{"iam", "center"} {
			all := served(kind, database)
			if len(all) < 43 {
				t.Errorf("the host of %s serves only %v of %s", kind, all, database)
			}
			for name, number := range all {
				if ours := name == "iam-users" || name == "iam-sudo"; owner[number] != "" && !ours {
					t.Errorf("%s: %s is %s of %s, and %s", database, number, name, kind, owner[number])
				}
				owner[number] = name + " of " + kind
			}
		}
	}
	for _, group := range []string{"developers", "admins"} {
		a, b := served("iam", "group")[group], served("center", "group")[group]
		if a == "" || b == "" || a == b {
			t.Errorf("the group %q is %s and %s: two groups of one name", group, a, b)
		}
	}
	for kind, strangers := range map[string][]string{"iam": {"dave", "erin"}, "center": {"bob", "carol"}} {
		for _, name := range strangers {
			if r := hosts[kind].Try("id", name); r.Code == 0 {
				t.Errorf("the host of %s has %v", kind, r)
			}
		}
	}
	if sudo := hosts["center"].Run("getent", "group", "iam-sudo"); !strings.HasSuffix(sudo, ":alice,dave,erin") {
		t.Errorf("who may use sudo: %s", sudo)
	}

	// A pin makes one number of the two that alice has.
	was := served("iam", "passwd")["alice"]
	if served("center", "passwd")["alice"] == was {
		t.Fatalf("alice is %s in both directories", was)
	}
	x := publisher.Run(testbed.Refresh, "explain", "--json", "--config", "/etc/nss-iam/center.toml", "alice")
	_, x, _ = strings.Cut(x, `"id": "`)
	id, _, _ := strings.Cut(x, `"`)
	pin := fmt.Sprintf("[ids]\npin = { %q = %s }\n", id, was)
	if r := publish("center", iam.PeopleSource(), pin, "snapshot-center"); r.Code != 0 {
		t.Fatal(r)
	}
	serve("center")
	if is := served("center", "passwd")["alice"]; is != was {
		t.Errorf("alice is %s on the host of Identity Center, with a pin to %s", is, was)
	}

	// Both at one address by mistake: the second one is refused, and no host sees it.
	before := publisher.Read("/srv/snapshot-iam")
	publisher.Run("rm", "-r", "/srv/center")
	r := publish("center", iam.PeopleSource(), pin, "snapshot-iam")
	if r.Code == 0 || !strings.Contains(r.Stderr, "another directory") || publisher.Read("/srv/snapshot-iam") != before {
		t.Errorf("the publisher of Identity Center at the address of IAM's: %v", r)
	}
	if !slices.Contains(strings.Fields(hosts["iam"].Run("id", "-nG", "alice")), "developers") {
		t.Error("alice has lost her groups on the host of IAM")
	}
}
