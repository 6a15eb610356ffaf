package integration

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// id is the number of a user of the host.
func id(t *testing.T, host *testbed.Host, name string) string {
	t.Helper()
	number := host.Run("id", "-u", name)
	if !regexp.MustCompile(`^2[01][0-9]{8}$`).MatchString(number) {
		t.Fatalf("id -u %s: %q, want a number of the range 2001000000 to 2146999999", name, number)
	}
	return number
}

func words(line string) []string {
	list := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' })
	slices.Sort(list)
	return list
}

// answers is what a host says when it is asked about the company.
func answers(t *testing.T, host *testbed.Host) map[string]string {
	t.Helper()
	said := make(map[string]string)
	for _, command := range []string{
		"getent passwd alice bob carol root mallory", "getent group developers admins team-web iam-users iam-sudo",
		"getent passwd", "getent group", "getent initgroups alice", "getent initgroups carol",
		"id alice", "id bob", "id carol", "id -nG carol", "id root", "id mallory",
	} {
		r := host.Try(strings.Fields(command)...)
		said[command] = fmt.Sprintf("%d %s", r.Code, r.Stdout)
	}
	return said
}

func TestIAMUsersAreUsersOfTheHost(t *testing.T) {
	var mu sync.Mutex
	numbers := make(map[string][]string)
	everywhere(t, func(t *testing.T, host *testbed.Host) {
		iam := serving(t, host)
		alice := id(t, host, "alice")
		mu.Lock()
		numbers["alice"] = append(numbers["alice"], alice)
		numbers["carol"] = append(numbers["carol"], id(t, host, "carol"))
		mu.Unlock()

		for _, c := range []struct{ name, command, want string }{
			{"a user by name", "getent passwd alice", "alice:*:" + alice + ":" + alice + ":alice:/home/alice:/bin/bash"},
			{"a user by number", "getent passwd " + alice, "alice:*:" + alice + ":" + alice + ":alice:/home/alice:/bin/bash"},
			{"the private group by name", "getent group alice", "alice:*:" + alice + ":"},
			{"the private group by number", "getent group " + alice, "alice:*:" + alice + ":"},
			{"a user's primary group", "id -ng alice", "alice"},
			{"the local root, of whose name an IAM user is", "id -u root", "0"},
		} {
			if got := host.Run(strings.Fields(c.command)...); !sameEntry(got, c.want) {
				t.Errorf("%s: %s: got %q, want %q", c.name, c.command, got, c.want)
			}
		}
		for _, c := range []struct{ name, command, want string }{
			{"groups of a developer", "id -nG alice", "alice developers iam-users team-web"},
			{"groups of an admin", "id -nG carol", "admins carol developers iam-sudo iam-users"},
		} {
			if got := words(host.Run(strings.Fields(c.command)...)); !slices.Equal(got, words(c.want)) {
				t.Errorf("%s: %s: got %q, want %q", c.name, c.command, got, words(c.want))
			}
		}
		for group, want := range map[string]string{
			"developers": "alice bob carol",
			"admins":     "carol",
			"team-web":   "alice",
			"iam-users":  "alice bob carol",
			"iam-sudo":   "carol",
		} {
			entry := strings.Split(host.Run("getent", "group", group), ":")
			if len(entry) != 4 || !slices.Equal(words(entry[3]), words(want)) {
				t.Errorf("getent group %s: %q, want the members %q", group, entry, want)
				continue
			}
			if byNumber := host.Run("getent", "group", entry[2]); byNumber != strings.Join(entry, ":") {
				t.Errorf("getent group %s: %q, by name %q", entry[2], byNumber, entry)
			}
		}
		for _, absent := range []string{"passwd mallory", "passwd nobody-at-all", "passwd 2146999998", "group no-such-group",
			"group 2146999998"} {
			if r := host.Try(append([]string{"getent"}, strings.Fields(absent)...)...); r.Code != 2 || r.Stdout != "" {
				t.Errorf("want exit status 2 and no entry: %v", r)
			}
		}
		for _, list := range []struct {
			database string
			want     []string
			none     []string
		}{
			{"passwd", []string{"root", "alice", "bob", "carol"}, []string{"mallory"}},
			{"group", []string{"root", "alice", "developers", "iam-users", "iam-sudo", "team-web"}, []string{"mallory"}},
		} {
			var names []string
			for line := range strings.Lines(host.Run("getent", list.database)) {
				name, _, _ := strings.Cut(line, ":")
				names = append(names, name)
			}
			for _, name := range list.want {
				if n := count(names, name); n != 1 {
					t.Errorf("getent %s names %q %d times, want once", list.database, name, n)
				}
			}
			for _, name := range list.none {
				if slices.Contains(names, name) {
					t.Errorf("getent %s names %q", list.database, name)
				}
			}
		}

		host.Run("install", "-o", "alice", "-g", "team-web", "/dev/null", "/srv/file")
		if got := strings.Fields(host.Run("ls", "-l", "/srv/file")); len(got) < 4 || got[2] != "alice" ||
			got[3] != "team-web" {
			t.Errorf("ls -l: %q, want alice and team-web", got)
		}
		if got := host.Run("find", "/srv", "-user", "alice", "-group", "team-web"); got != "/srv/file" {
			t.Errorf("find -user alice: %q", got)
		}

		before := answers(t, host)
		iam.Stop()
		if after := answers(t, host); !maps.Equal(before, after) {
			t.Errorf("with IAM down the host answers\n%q\nbefore it answered\n%q", after, before)
		}
	})
	for name, list := range numbers {
		if slices.Sort(list); list[0] != list[len(list)-1] {
			t.Errorf("numbers of %s on different hosts: %q", name, list)
		}
	}
}

// sameEntry compares passwd and group entries without their comment and
// password fields, and everything else as it is.
func sameEntry(got, want string) bool {
	g, w := strings.Split(got, ":"), strings.Split(want, ":")
	if len(g) != len(w) || len(g) < 4 {
		return got == want
	}
	if len(g) == 7 {
		if g[1] != "*" { // "!" locks the account for sshd, and "" opens it to all
			return false
		}
		g[4], w[4] = "", ""
	}
	if len(g) == 4 {
		g[1], w[1] = "", ""
	}
	return slices.Equal(g, w)
}

func count(list []string, s string) (n int) {
	for _, have := range list {
		if have == s {
			n++
		}
	}
	return n
}

func TestARenamedUserKeepsTheUID(t *testing.T) {
	testbed.RequireArtifacts(t)
	host := testbed.NewHost(t)
	iam := serving(t, host)
	before := id(t, host, "bob")
	host.Run("install", "-o", "bob", "/dev/null", "/srv/file")
	iam.RenameUser("bob", "robert")
	host.Refreshed()
	if after := id(t, host, "robert"); after != before {
		t.Errorf("robert has %s, and had %s as bob", after, before)
	}
	if got := strings.Fields(host.Run("ls", "-l", "/srv/file"))[2]; got != "robert" {
		t.Errorf("the owner of bob's file is %q, want robert", got)
	}
	if r := host.Try("getent", "passwd", "bob"); r.Code != 2 {
		t.Errorf("the old name still has an entry: %v", r)
	}
}

// nss_compat asks for a user of a line "+name" with the name in the buffer for the answer.
func TestALineOfNSSCompatBringsItsUserAndHidesNoLocalOne(t *testing.T) {
	host := testbed.NewHost(t)
	serving(t, host)
	host.Write("/etc/passwd", host.Read("/etc/passwd")+"+alice::::::\n+mallory::::::\nlast:x:4242:4242::/:/bin/sh\n",
		0o644)
	switched := regexp.MustCompile(`(?m)^passwd:.*`).ReplaceAllString(host.Read("/etc/nsswitch.conf"),
		"passwd: compat\npasswd_compat: iam")
	host.Write("/etc/nsswitch.conf", switched, 0o644)
	var names []string
	for line := range strings.Lines(host.Run("getent", "passwd")) {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	for name, want := range map[string]int{"root": 1, "alice": 1, "last": 1, "bob": 0, "mallory": 0} {
		if n := count(names, name); n != want {
			t.Errorf("getent passwd names %q %d times, want %d: %q", name, n, want, names)
		}
		if r := host.Try("getent", "passwd", name); (r.Code == 0) != (want == 1) {
			t.Errorf("want found %v: %v", want == 1, r)
		}
	}
}

// With a line of its own, initgroups asks only the services of that line, and stops at the
// first that has a group of the person.
func TestAnInitgroupsLineOfSetupKeepsAllGroups(t *testing.T) {
	host := testbed.NewHost(t)
	serving(t, host)
	host.Run("groupadd", "-g", "4242", "builders")
	host.Write("/etc/group", strings.Replace(host.Read("/etc/group"), "builders:x:4242:", "builders:x:4242:alice", 1),
		0o644)
	file := host.Read("/etc/nsswitch.conf")
	for line, want := range map[string]string{
		"initgroups: files iam\n":                    "alice builders", // what a person would write
		"initgroups: files [SUCCESS=continue] iam\n": "alice builders developers iam-users team-web",
	} {
		host.Write("/etc/nsswitch.conf", file+line, 0o644)
		if got := words(host.Run("id", "-nG", "alice")); !slices.Equal(got, words(want)) {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
	host.Write("/etc/nsswitch.conf", file+"initgroups: files\n", 0o644)
	host.Run("iam-cachefill", "setup", "--offline")
	if got := words(host.Run("id", "-nG", "alice")); !slices.Equal(got, words("alice builders developers iam-users "+
		"team-web")) {
		t.Errorf("after setup: got %q\n%s", got, host.Read("/etc/nsswitch.conf"))
	}
}

func TestUsersOfTheHostItselfWin(t *testing.T) {
	testbed.RequireArtifacts(t, "sshd")
	host := testbed.NewHost(t)
	host.Run("useradd", "-m", "-s", "/bin/sh", "-p", "*", "alice")
	local := host.Run("getent", "passwd", "alice")
	serving(t, host)
	if got := host.Run("getent", "passwd", "alice"); got != local {
		t.Errorf("getent passwd alice: %q, want the local %q", got, local)
	}
	if n := count(words(strings.ReplaceAll(host.Run("getent", "passwd"), ":", " ")), "/home/alice"); n != 1 {
		t.Errorf("getent passwd has %d entries with alice's home, want the local one only", n)
	}
	sshd := host.StartSSHD()
	if r := sshd.Login("alice", testbed.NewKey(t, "rsa", "alice"), "true"); r.Code != 255 {
		t.Errorf("the IAM user alice entered the local account alice: %v", r)
	}
	if r := sshd.Login("bob", testbed.NewKey(t, "rsa", "bob"), "true"); r.Code != 0 {
		t.Errorf("bob cannot log in beside her: %v\n%s", r, sshd.Log())
	}
}
