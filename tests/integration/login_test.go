package integration

import (
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

func TestTheKeyHelperGivesAUsersKeysForTheUsersUIDOnly(t *testing.T) {
	testbed.RequireArtifacts(t)
	host := testbed.NewHost(t)
	serving(t, host)
	alice, bob := id(t, host, "alice"), id(t, host, "bob")
	public := strings.Fields(testbed.NewKey(t, "rsa", "alice").Public)[1]

	r := host.TryAs("nss-iam", testbed.Helper, "alice", alice)
	if r.Code != 0 || strings.Count(r.Stdout, "\n") != 1 || !strings.Contains(r.Stdout, "ssh-rsa "+public) ||
		!strings.Contains(r.Stdout, keyID("alice")) {
		t.Errorf("want one line with alice's key and its id: %v", r)
	}
	for _, c := range []struct {
		name      string
		arguments []string
	}{
		{"another user's uid", []string{"alice", bob}},
		{"root's uid", []string{"alice", "0"}},
		{"root, of whose name an IAM user is", []string{"root", "0"}},
		{"a user who may not log in", []string{"mallory", "2001000001"}},
		{"a user that nobody knows", []string{"zoe", "2001000001"}},
		{"a name with a slash", []string{"../alice", alice}},
	} {
		if r := host.TryAs("nss-iam", append([]string{testbed.Helper}, c.arguments...)...); r.Stdout != "" {
			t.Errorf("%s: want no key: %v", c.name, r)
		}
	}
	if r := host.TryAs("alice", testbed.Helper, "alice", alice); r.Stdout != "" {
		t.Errorf("another user than the helper's own reads keys: %v", r)
	}
}

func TestIAMUsersLogIn(t *testing.T) {
	everywhere(t, func(t *testing.T, host *testbed.Host) {
		iam := serving(t, host)
		alice, bob := testbed.NewKey(t, "rsa", "alice"), testbed.NewKey(t, "rsa", "bob")
		for _, pam := range []string{"yes", "no"} {
			sshd := host.StartSSHD("UsePAM " + pam)
			if r := sshd.Login("alice", alice, "id -un; id -nG"); r.Code != 0 || !strings.HasPrefix(r.Stdout, "alice\n") ||
				!strings.Contains(r.Stdout, "team-web") {
				t.Errorf("UsePAM %s: alice with her key: %v\n%s", pam, r, sshd.Log())
			}
			for _, c := range []struct {
				name, user string
				key        testbed.Key
			}{
				{"alice with bob's key", "alice", bob},
				{"alice with a key that IAM has not", "alice", testbed.NewKey(t, "ed25519", "alice")},
				{"root with the key of the IAM user root", "root", testbed.NewKey(t, "rsa", "root")},
				{"root with an admin's key", "root", testbed.NewKey(t, "rsa", "carol")},
				{"the helper's user with alice's key", "nss-iam", alice},
				{"a user who may not log in", "mallory", testbed.NewKey(t, "rsa", "mallory")},
			} {
				if r := sshd.Login(c.user, c.key, "true"); r.Code != 255 {
					t.Errorf("UsePAM %s: %s: want no login: %v", pam, c.name, r)
				}
			}
			sshd.Process.Stop()
		}
		iam.Stop()
		sshd := host.StartSSHD()
		if r := sshd.Login("alice", alice, "id", "-un"); r.Stdout != "alice\n" {
			t.Errorf("with IAM down: %v\n%s", r, sshd.Log())
		}
	})
}

func TestSudoIsForTheAdmins(t *testing.T) {
	everywhere(t, func(t *testing.T, host *testbed.Host) {
		serving(t, host)
		host.Write("/etc/sudoers.d/iam", "%iam-sudo ALL=(ALL) NOPASSWD: ALL\n", 0o440)
		if got := host.RunAs("carol", "sudo", "-n", "id", "-u"); got != "0" {
			t.Errorf("sudo id -u as carol: %q", got)
		}
		if got := host.Run("sudo", "-l", "-U", "carol"); !strings.Contains(got, "NOPASSWD: ALL") {
			t.Errorf("sudo -l of carol: %q", got)
		}
		if r := host.TryAs("alice", "sudo", "-n", "true"); r.Code == 0 {
			t.Errorf("sudo lets alice in: %v", r)
		}
	})
}

// The daemon reuses an answer for a few seconds, because sshd asks several
// times a login; what is taken away in IAM opens nothing after that.
const soon = 30 * time.Second

func TestWhatIsTakenAwayInIAMOpensNothing(t *testing.T) {
	testbed.RequireArtifacts(t, "sshd")
	for _, c := range []struct {
		name string
		take func(*testbed.IAM)
	}{
		{"the key is deleted", func(iam *testbed.IAM) { iam.DeleteKey("alice", keyID("alice")) }},
		{"the key is made inactive", func(iam *testbed.IAM) { iam.SetKeyStatus("alice", keyID("alice"), "Inactive") }},
		{"the user leaves the group", func(iam *testbed.IAM) { iam.RemoveMember("developers", "alice") }},
		{"the user is deleted", func(iam *testbed.IAM) { iam.DeleteUser("alice") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			host := testbed.NewHost(t)
			iam := serving(t, host)
			host.StartDaemon()
			host.Eventually("the daemon opens its socket", time.Minute, func() bool {
				return host.Try("test", "-S", "/run/nss-iam/cachefill.sock").Code == 0
			})
			sshd := host.StartSSHD()
			alice, bob := testbed.NewKey(t, "rsa", "alice"), testbed.NewKey(t, "rsa", "bob")
			if r := sshd.Login("alice", alice, "true"); r.Code != 0 {
				t.Fatalf("before: %v\n%s", r, sshd.Log())
			}
			c.take(iam)
			host.Eventually("alice cannot log in", soon, func() bool { return sshd.Login("alice", alice, "true").Code == 255 })
			if r := sshd.Login("bob", bob, "true"); r.Code != 0 {
				t.Errorf("bob: %v\n%s", r, sshd.Log())
			}
			// What was learned stays so without IAM.
			iam.Stop()
			if r := sshd.Login("alice", alice, "true"); r.Code != 255 {
				t.Errorf("with IAM down she logs in again: %v", r)
			}
		})
	}
}
