package identitycenter

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// A siege is a host whose people have certificates of an authority that sshd
// trusts, and where an administrator of the directory, or an attacker who has come
// so far, changes who is called what.
type siege struct {
	*site
	iam       *testbed.IAM
	source    string // the section [source]
	authority testbed.Key
	keys      map[string]testbed.Key // by login name
}

const siegeRules = `
[login]
groups = ["Developers"]
[sudo]
groups = ["Platform Admins"]
[accounts]
strip_domains = ["example.com", "a.example", "b.example"]
homes = "create"
[removal]
max_fraction = 1.0
[keys]
timeout = "10s"
`

// newSiege is a host whose people have come in once, each with files.
func newSiege(t *testing.T) *siege {
	t.Helper()
	testbed.RequireArtifacts(t, "debootstrap")
	t.Parallel()
	host := testbed.NewDebianHost(t, "bookworm")
	s := &siege{site: &site{Host: host, t: t, log: host.Syslog()}, authority: testbed.NewKey(t, "ed25519", "authority"),
		keys: map[string]testbed.Key{}}
	s.Install()
	s.Run("mkdir", "-p", "/run/sshd", "/srv/files")
	s.iam = s.StartIAM(testbed.Company{}, "-instance-role", "host")
	store := testbed.IdentityStore{Groups: []testbed.PeopleGroup{{Name: "Developers"}, {Name: "Platform Admins"},
		{Name: "Night  Shift, EU"}, {Name: "Night Shift"}}}
	for _, name := range []string{"alice@example.com", "bob@example.com", "carol@a.example", "dave@example.com",
		"erin@example.com"} {
		store.People = append(store.People, testbed.Person{UserName: name, Groups: []string{"Developers",
			"Platform Admins"}})
	}
	store.People = append(store.People, testbed.Person{UserName: "frank@example.com", Groups: []string{"Night Shift"}},
		testbed.Person{UserName: "grace@example.com", Groups: []string{"Night  Shift, EU"}})
	s.iam.SetPeople(store)
	s.Write("/etc/ssh/user_ca.pub", s.authority.Public+"\n", 0o644)
	s.source = s.iam.PeopleSource()
	s.Configure(s.source + siegeRules)
	s.Run(testbed.Refresh, "setup", "--offline")
	s.open(siegeRules)
	for _, name := range []string{"alice", "bob", "carol", "dave", "erin"} {
		s.in(name, "root")
		s.Run("sh", "-c", "echo of $1 >/srv/files/$1 && chown $1:$1 /srv/files/$1 && chmod 0600 /srv/files/$1 && "+
			"cp -p /srv/files/$1 /home/$1/", "sh", name)
	}
	return s
}

func TestNobodyOfIdentityCenterComesToTheAccountOfAnother(t *testing.T) {
	s := newSiege(t)
	s.step("a person is renamed, and another gets the name", s.renamed)
	s.step("a person is deleted, and another is created under the name", s.recreated)
	s.step("two people have one login name", s.namesake)
	s.step("a membership ends between two refreshes", s.between)
	s.step("a group is not there", s.noGroup)
	s.step("an instance's tag names groups with spaces", s.tagged)
	s.step("Identity Center cannot be reached", s.unreachable)
}

func (s *siege) step(name string, f func()) { s.site.step(name, f) }

// open starts the daemon and sshd.
func (s *siege) open(rules string, environment ...string) {
	s.t.Helper()
	if s.daemon != nil {
		s.daemon.Stop()
		s.sshd.Process.Stop()
	}
	s.Configure(s.source + rules)
	s.Run("rm", "-f", "/run/nss-iam/cachefill.sock")
	s.daemon = s.Start(append(testbed.Credentials(), environment...), testbed.Refresh, "run", "--config", testbed.Config)
	s.Eventually("the daemon answers", time.Minute, func() bool {
		return s.Try("test", "-S", "/run/nss-iam/cachefill.sock").Code == 0 && s.Try(testbed.Refresh, "refresh").Code == 0
	})
	s.sshd = s.StartSSHD("TrustedUserCAKeys /etc/ssh/user_ca.pub")
}

// key is what the authority signed for a login name, once.
func (s *siege) key(name string) testbed.Key {
	k, ok := s.keys[name]
	if !ok {
		k = testbed.NewKey(s.t, "ed25519", name).Certified(s.t, s.authority, nil, name)
		s.keys[name] = k
	}
	return k
}

// in wants a login of this name, and what sudo makes of the person: "root" or "".
func (s *siege) in(name, sudo string) {
	s.t.Helper()
	s.enters(name, s.key(name), strings.TrimSpace(name+" "+sudo), `echo $(id -un) $(sudo -n id -un 2>/dev/null)`)
}

func (s *siege) out(why, name string) {
	s.t.Helper()
	s.stays(why, name, s.key(name))
}

func (s *siege) uid(name string) string { s.t.Helper(); return s.Run("id", "-u", name) }

// change alters the store: nobody on the host is told.
func (s *siege) change(f func(*testbed.IdentityStore)) {
	s.t.Helper()
	var store testbed.IdentityStore
	s.iam.Do("GET", "identity-store", nil, &store)
	f(&store)
	s.iam.SetPeople(store)
	time.Sleep(reuse)
}

// another is the id of somebody who comes later: the emulator makes ids of names.
func another(n int) string { return fmt.Sprintf("8dd33326fc-00000000-0000-4000-8000-%012d", n) }

func person(s *testbed.IdentityStore, userName string) *testbed.Person {
	return &s.People[slices.IndexFunc(s.People, func(p testbed.Person) bool { return p.UserName == userName })]
}

func (s *siege) refreshed() { s.t.Helper(); s.Run(testbed.Refresh, "refresh") }

// strangerTo wants that a person has another uid than the owner of a file had,
// and neither that file nor the home it is in.
func (s *siege) strangerTo(name, was, file string) {
	s.t.Helper()
	if is := s.uid(name); is == was {
		s.t.Errorf("%s has the uid %s of another", name, was)
	}
	r := s.sshd.Login(name, s.key(name), "cat /srv/files/"+file+" /home/"+file+"/"+file+"; pwd")
	if strings.Contains(r.Stdout, "of "+file) || strings.Contains(r.Stdout, "/home/"+file+"\n") {
		s.t.Errorf("%s reads what %s had: %v", name, file, r)
	}
}

func (s *siege) renamed() {
	was := s.uid("alice")
	s.change(func(store *testbed.IdentityStore) {
		person(store, "alice@example.com").UserName = "alicia@example.com"
		store.People = append(store.People, testbed.Person{ID: another(1), UserName: "alice@example.com",
			Groups: []string{"Developers"}})
	})
	// The name is another's now, whose certificate is as good.
	s.out("before a refresh the name still means who had it", "alice")
	s.refreshed()
	s.in("alicia", "root")
	if is := s.uid("alicia"); is != was {
		s.t.Errorf("who was alice has the uid %s, had %s", is, was)
	}
	s.enters("alicia", s.key("alicia"), "of alice", "cat /srv/files/alice")
	s.refreshed()
	s.in("alice", "")
	s.strangerTo("alice", was, "alice")
}

func (s *siege) recreated() {
	was := s.uid("bob")
	s.change(func(store *testbed.IdentityStore) {
		p := person(store, "bob@example.com")
		*p = testbed.Person{ID: another(2), UserName: "bob@example.com", Groups: []string{"Developers"}}
	})
	s.out("before a refresh the name still means who had it", "bob")
	for range 3 { // pending, confirmed, and after
		s.refreshed()
		if owner := s.Run("stat", "-c", "%u", "/srv/files/bob"); owner != was {
			s.t.Fatalf("the file of bob is %s's, was %s's", owner, was)
		}
		r := s.sshd.Login("bob", s.key("bob"), "cat /srv/files/bob; sudo -n id -un")
		if strings.Contains(r.Stdout, "of bob") || strings.Contains(r.Stdout, "root") {
			s.t.Errorf("the second bob reads what the first had: %v", r)
		}
	}
	s.in("bob", "")
	s.strangerTo("bob", was, "bob")
}

func (s *siege) namesake() {
	was := s.uid("carol")
	s.change(func(store *testbed.IdentityStore) {
		store.People = append(store.People, testbed.Person{UserName: "carol@b.example", Groups: []string{"Developers"}})
	})
	s.in("carol", "root") // of the first one, who is asked about
	for range 3 {
		s.refreshed()
		s.out("the name is nobody's", "carol")
		if is := s.uid("carol"); is != was {
			s.t.Errorf("carol has the uid %s, had %s", is, was)
		}
		s.in("dave", "root")
	}
	if r := s.Try(testbed.Refresh, "status"); !strings.Contains(r.Stdout, "carol@b.example") {
		s.t.Errorf("status does not name the two: %s", r.Stdout)
	}
	s.change(func(store *testbed.IdentityStore) {
		store.People = slices.DeleteFunc(store.People, func(p testbed.Person) bool { return p.UserName == "carol@b.example" })
	})
	s.refreshed()
	s.in("carol", "root")
	if is := s.uid("carol"); is != was {
		s.t.Errorf("carol is back with the number %s, had %s", is, was)
	}
}

func (s *siege) between() {
	s.change(func(store *testbed.IdentityStore) { person(store, "dave@example.com").Groups = nil })
	s.out("in no group any more", "dave")
	s.change(func(store *testbed.IdentityStore) { person(store, "erin@example.com").Groups = []string{"Developers"} })
	s.in("erin", "root") // what is in nss.db goes by the last refresh
	s.refreshed()
	s.out("in no group any more, after a refresh", "dave")
	s.in("erin", "")
	if got := s.Run("getent", "group", "iam-sudo"); strings.Contains(got, "erin") || strings.Contains(got, "dave") {
		s.t.Errorf("iam-sudo is %s", got)
	}
	s.change(func(store *testbed.IdentityStore) { person(store, "dave@example.com").Groups = []string{"Developers"} })
	s.refreshed()
	s.in("dave", "")
	s.enters("dave", s.key("dave"), "of dave", "cat /srv/files/dave")
}

func (s *siege) noGroup() {
	before := s.Run("getent", "-s", "passwd:iam", "passwd")
	var all testbed.IdentityStore
	s.change(func(store *testbed.IdentityStore) {
		all = *store
		all.People = slices.Clone(store.People)
		store.Groups = slices.DeleteFunc(slices.Clone(store.Groups), func(g testbed.PeopleGroup) bool {
			return g.Name == "Developers"
		})
		for i := range store.People {
			store.People[i].Groups = slices.DeleteFunc(slices.Clone(store.People[i].Groups), func(name string) bool {
				return name == "Developers"
			})
		}
	})
	r := s.Try(testbed.Refresh, "refresh")
	if r.Code == 0 || !strings.Contains(r.Stderr, "no user may log in") {
		s.t.Errorf("a refresh without the login group: %v", r)
	}
	if after := s.Run("getent", "-s", "passwd:iam", "passwd"); after != before {
		s.t.Errorf("a deleted group changed who is served:\n%s\nwas\n%s", after, before)
	}
	s.out("the login group is deleted", "erin")
	// Another group under the name, made by somebody who may make groups: it has a
	// new id, and gives nothing.
	s.change(func(store *testbed.IdentityStore) {
		store.Groups = append(store.Groups, testbed.PeopleGroup{Name: "developers"})
		p := person(store, "erin@example.com")
		p.Groups = append(p.Groups, "developers")
	})
	s.refreshed()
	s.out("in another group of the name", "erin")
	if r := s.Try(testbed.Refresh, "status"); !strings.Contains(r.Stdout, `the name "developers" was that of the group`) {
		s.t.Errorf("status does not say why nobody may log in: %v", r)
	}
	s.change(func(store *testbed.IdentityStore) { *store = all })
	s.refreshed()
	s.in("dave", "")
}

func (s *siege) tagged() {
	// The file's: grace's group has a comma, and two spaces where frank's has one.
	rules := strings.Replace(siegeRules, `groups = ["Developers"]`, "groups_tag = \"nss-iam:login\"\n"+
		`groups = ["Night  Shift, EU"]`, 1)
	tag := func(value string) {
		s.iam.Do("PUT", "instance", map[string]any{"role": "host", "tags": map[string]string{"nss-iam:login": value}}, nil)
	}
	tag("Developers, Platform Admins")
	s.open(rules, "AWS_EC2_METADATA_SERVICE_ENDPOINT="+s.iam.URL)
	s.in("grace", "")
	s.in("erin", "")
	s.out("in a group that neither names", "frank")
	tag(" night shift ,")
	s.refreshed()
	s.in("frank", "")
	s.in("grace", "")
	s.out("the tag names the group no more", "erin")
	for _, value := range []string{"Night-Shift", "Night  Shift", "Developers Night Shift", "", "\"Developers\""} {
		tag(value)
		if r := s.Try(testbed.Refresh, "refresh"); r.Code == 0 {
			s.t.Errorf("the tag %q is no error", value)
		}
		s.out(fmt.Sprintf("the tag is %q", value), "erin")
	}
	s.in("frank", "")
}

// unreachable comes last: the store is gone for good.
func (s *siege) unreachable() {
	s.open(siegeRules)
	s.in("erin", "")
	s.change(func(store *testbed.IdentityStore) { person(store, "dave@example.com").Groups = nil })
	s.out("in no group any more", "dave")
	s.iam.Stop()
	time.Sleep(reuse)
	s.in("erin", "") // by the last good answer
	s.out("out by an answer about the person, later than that", "dave")
	s.out("out by the last good answer", "frank")
	s.daemon.Stop()
	s.Configure(s.source + siegeRules + "online = \"require\"\n")
	s.daemon = s.StartDaemon()
	s.Eventually("the daemon's socket is there", time.Minute, func() bool {
		return s.Try("test", "-S", "/run/nss-iam/cachefill.sock").Code == 0
	})
	s.out("nobody answers, and keys.online is \"require\"", "erin")
}
