package integration

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// published is what is served, byte by byte: digests, owners, modes and inodes.
func published(t *testing.T, host *testbed.Host) string {
	t.Helper()
	return host.Run("sh", "-c", "cd /var/lib/nss-iam && sha256sum nss.db keys.db && stat -c '%n %U %G %a %i %Y' nss.db "+
		"keys.db")
}

func TestARefreshThatFindsNothingNewPublishesNothing(t *testing.T) {
	testbed.RequireArtifacts(t)
	host := testbed.NewHost(t)
	iam := serving(t, host)
	// The first refresh may leave keys to look at; from the second on all is known.
	host.Refreshed()
	before := host.Run("stat", "-c", "%i %Y", "/var/lib/nss-iam/nss.db")
	iam.Calls()
	host.Refreshed()
	if after := host.Run("stat", "-c", "%i %Y", "/var/lib/nss-iam/nss.db"); after != before {
		t.Errorf("nss.db is another file: inode and time %s, before %s", after, before)
	}
	if calls := iam.Calls(); calls["GetSSHPublicKey"] != 0 {
		t.Errorf("known key bodies are fetched again: %v", calls)
	}
}

func TestAFailedRefreshSaysWhyAndChangesNothing(t *testing.T) {
	ever := func(kind string) func(*testbed.IAM) {
		return func(iam *testbed.IAM) { iam.Spoil(testbed.Fault{Kind: kind, Times: -1}) }
	}
	for _, c := range []struct {
		name  string
		spoil func(*testbed.IAM)
		rules string // in place of rules, when set
		want  string // in what is said
	}{
		{"access denied", func(iam *testbed.IAM) { iam.Deny("iam:GetGroup") }, "", "iam:GetGroup"},
		{"credentials that AWS does not know", nil, "", "credentials"},
		{"a login group that is not there", nil, strings.Replace(rules, `["developers"]`, `["developpers"]`, 1),
			"developpers"},
		{"throttled for ever", ever("throttle"), "", "throttled"},
		{"server faults for ever", ever("failure"), "", "service failure"},
		{"a page without a marker",
			func(iam *testbed.IAM) { iam.Spoil(testbed.Fault{Kind: "no-marker", Action: "GetGroup", Times: -1}) }, "",
			"incomplete"},
		{"an answer without a body", ever("empty"), "", "incomplete"},
		{"no answer", ever("stall"), "", "no answer in time"},
		{"nobody there", func(iam *testbed.IAM) { iam.Stop() }, "", "unreachable"},
		{"every group is empty, for the first time",
			func(iam *testbed.IAM) { iam.Spoil(testbed.Fault{Kind: "none", Action: "GetGroup", Times: -1}) }, "",
			"--accept-removals"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			testbed.RequireArtifacts(t)
			host := testbed.NewHost(t)
			iam := serving(t, host)
			before, said := published(t, host), answers(t, host)
			credentials := testbed.Credentials()
			if c.spoil != nil {
				c.spoil(iam)
			}
			if c.rules != "" {
				host.Configure(iam.Source() + c.rules)
			} else if c.spoil == nil {
				credentials = []string{"AWS_ACCESS_KEY_ID=AKIANOBODYEXAMPLE", "AWS_SECRET_ACCESS_KEY=x"}
			}
			r := host.TryInput("", credentials, testbed.Refresh, "refresh", "--config", testbed.Config)
			if r.Code != 1 {
				t.Errorf("want exit status 1: %v", r)
			}
			lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(r.Stderr), "\n"), func(line string) bool {
				return strings.Contains(line, "still waiting") // what is said after two seconds
			})
			if len(lines) != 1 || !strings.Contains(lines[0], c.want) {
				t.Errorf("want one line with %q in it: %v", c.want, r)
			}
			if after := published(t, host); after != before {
				t.Errorf("what is served has changed:\n%s\nbefore\n%s", after, before)
			}
			if now := answers(t, host); !maps.Equal(now, said) {
				t.Errorf("the host answers otherwise than before:\n%q\n%q", now, said)
			}
		})
	}
}

func TestARefreshWithoutCredentialsSaysSo(t *testing.T) {
	testbed.RequireArtifacts(t)
	host := testbed.NewHost(t)
	serving(t, host)
	before := published(t, host)
	r := host.TryInput("", []string{"AWS_EC2_METADATA_DISABLED=true"}, testbed.Refresh, "refresh", "--config",
		testbed.Config)
	if r.Code != 1 || !strings.Contains(r.Stderr, "no credentials") {
		t.Errorf("want exit status 1 and a word about credentials: %v", r)
	}
	if after := published(t, host); after != before {
		t.Errorf("what is served has changed:\n%s\nbefore\n%s", after, before)
	}
}

func TestABadConfigIsRefusedWithItsLine(t *testing.T) {
	testbed.RequireArtifacts(t)
	host := testbed.NewHost(t)
	host.Install()
	for _, c := range []struct {
		name, config string
		line         int    // 0: a fault of the whole file
		want         string // in what is said
	}{
		{"an unknown key", "[login]\ngroups = [\"a\"]\ngruops = [\"b\"]\n", 3, "gruops"},
		{"an unknown section", "[login]\ngroups = [\"a\"]\n\n[logins]\ngroups = [\"a\"]\n", 4, "logins"},
		{"a wrong type", "[login]\ngroups = \"a\"\n", 2, "groups"},
		{"a wrong duration", "[source]\nrefresh = \"soon\"\n[login]\ngroups = [\"a\"]\n", 2, "refresh"},
		{"a range below the bounds", "[login]\ngroups = [\"a\"]\n[ids]\nrange = [1000, 2000]\n", 4, "range"},
		{"a range above the bounds", "[login]\ngroups = [\"a\"]\n[ids]\nrange = [2001000000, 4000000000]\n", 4, "range"},
		{"no TOML at all", "[login\n", 1, ""},
		{"no login rule", "[source]\nregion = \"us-east-1\"\n", 0, "login"},
		{"an empty file", "", 0, "login"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host.Configure(c.config)
			commands := []string{"check-config", "refresh", "run"}
			if c.line == 0 {
				// The daemon of a package that is installed and not configured waits.
				commands = commands[:2]
			}
			for _, command := range commands {
				r := host.TryInput("", testbed.Credentials(), testbed.Refresh, command, "--config", testbed.Config)
				if r.Code != 2 {
					t.Errorf("want exit status 2: %v", r)
				}
				where := testbed.Config
				if c.line > 0 {
					where += fmt.Sprintf(":%d", c.line)
				}
				if said := r.Stdout + r.Stderr; !strings.Contains(said, where) || !strings.Contains(said, c.want) {
					t.Errorf("want %q and %q in what is said: %v", where, c.want, r)
				}
			}
			if r := host.Try("test", "-e", testbed.CacheDir+"/nss.db"); r.Code == 0 {
				t.Error("something is served")
			}
		})
	}
}

func TestTheDaemonOfAHostThatIsNotConfiguredServesNothingAndSaysSo(t *testing.T) {
	testbed.RequireArtifacts(t)
	host := testbed.NewHost(t)
	host.Install() // with the config.toml of the package
	daemon := host.StartDaemon()
	host.Eventually("the daemon says that it is not configured", time.Minute, func() bool {
		return strings.Contains(daemon.Output(), "not configured")
	})
	if r := host.Try("test", "-e", testbed.CacheDir+"/nss.db"); r.Code == 0 {
		t.Error("something is served")
	}
	if r := host.Try("id", "daemon"); r.Code != 0 {
		t.Errorf("the host's own users are gone: %v", r)
	}
	daemon.Signal(unix.SIGTERM)
	if code := daemon.Wait(time.Minute); code != 0 {
		t.Errorf("the daemon ends with exit status %d", code)
	}
}

func TestWhereKeysMayNotBeReadPeopleAreServedWithoutThem(t *testing.T) {
	testbed.RequireArtifacts(t)
	host := testbed.NewHost(t)
	host.Install()
	iam := host.StartIAM(company(t))
	iam.Deny("iam:ListSSHPublicKeys")
	host.Configure(iam.Source() + rules)
	if r := host.Refresh(); r.Code != 1 || !strings.Contains(r.Stderr, "iam:ListSSHPublicKeys") {
		t.Errorf("want exit status 1 and the action that is missing: %v", r)
	}
	id(t, host, "alice")
	iam.Deny()
	host.Refreshed()
	if r := host.TryAs("nss-iam", testbed.Helper, "alice", id(t, host, "alice")); !strings.Contains(r.Stdout,
		keyID("alice")) {
		t.Errorf("allowed again, her key is still not there: %v", r)
	}
}

// TestADamagedFileIsNotServedAndReplaced: with "[UNAVAIL=return]" behind the
// module, a look-up goes on to the files only where the module has a good file
// and no such entry.
func TestADamagedFileIsNotServedAndReplaced(t *testing.T) {
	testbed.RequireArtifacts(t)
	const nss = testbed.CacheDir + "/nss.db"
	for _, c := range []struct{ name, damage string }{
		{"it is absent", "rm " + nss},
		{"it is empty", "cp /dev/null " + nss + ".x && mv " + nss + ".x " + nss},
		{"it is cut", "head -c 5000 " + nss + " >" + nss + ".x && mv " + nss + ".x " + nss},
		{"it is of zeros", "head -c 65536 /dev/zero >" + nss + ".x && mv " + nss + ".x " + nss},
		{"it belongs to another", "cp " + nss + " " + nss + ".x && chown nobody " + nss + ".x && mv " + nss + ".x " + nss},
		{"all may write to it", "cp " + nss + " " + nss + ".x && chmod 0666 " + nss + ".x && mv " + nss + ".x " + nss},
		{"it is a link", "mv " + nss + " " + nss + ".x && ln -s nss.db.x " + nss},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := testbed.NewHost(t)
			serving(t, host)
			alice := host.Run("getent", "passwd", "alice")
			host.Write("/etc/nsswitch.conf", "passwd: iam [UNAVAIL=return] files\ngroup: files iam\n", 0o644)
			if got := host.Run("id", "-u", "daemon"); got != "1" {
				t.Fatalf("id -u daemon with a good file: %q", got)
			}
			host.Run("sh", "-ec", c.damage)
			if r := host.Try("getent", "passwd", "alice"); r.Code != 2 {
				t.Errorf("the damaged file is served: %v", r)
			}
			if r := host.Try("getent", "passwd", "daemon"); r.Code != 2 {
				t.Errorf("the module does not answer UNAVAIL: %v", r)
			}
			if r := host.Try("getent", "group", "daemon"); r.Code != 0 {
				t.Errorf("look-ups of the host's own groups fail: %v", r)
			}
			host.Refreshed()
			if got := host.Run("getent", "passwd", "alice"); got != alice {
				t.Errorf("after the next refresh: %q, want %q", got, alice)
			}
			if got := host.Run("stat", "-c", "%U %a %F", nss); got != "root 644 regular file" {
				t.Errorf("nss.db is %q", got)
			}
		})
	}
}
