package integration

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// checkout is a host with a copy of the repository's working files and of the
// artifacts in it, readable by everybody: what the demo needs.
func checkout(t *testing.T) *testbed.Host {
	t.Helper()
	testbed.RequireArtifacts(t, "ssh-keygen", "sudo")
	host := testbed.NewHost(t)
	build, err := filepath.Abs(testbed.Build())
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(testbed.Root())
	if err != nil {
		t.Fatal(err)
	}
	host.Run("sh", "-ec", `
		mkdir /srv/nss-iam
		cd "$1"
		cp -r Makefile nss packaging docs tests /srv/nss-iam/
		mkdir /srv/nss-iam/build
		cd "$2"
		cp -r libnss_iam.so.2 iam-cachefill authkeys account iam-emulator completion /srv/nss-iam/build/
		chmod -R a+rX /srv/nss-iam`, "sh", root, build)
	return host
}

func TestTheDemoShowsEverythingToRoot(t *testing.T) {
	host := checkout(t)
	r := host.Try("/srv/nss-iam/tests/demo/demo.sh")
	if r.Code != 0 || strings.Contains(r.Stdout, "Left out") || !strings.Contains(r.Stdout, "Done in") {
		t.Errorf("%s\n%s\nexit status %d", r.Stdout, r.Stderr, r.Code)
	}
	_, center, _ := strings.Cut(r.Stdout, "Identity Center")
	for _, want := range []string{
		"erin             2112553102", "iam-sudo:*:2041931681:erin", "frank is not allowed to run sudo",
		"$ ssh erin@web-2 'id -un; sudo id -un'\n  erin\n  root\n", "erin@example.com is DISABLED", "Permission denied",
	} {
		if !strings.Contains(center, want) {
			t.Errorf("want %q of a person of Identity Center:\n%s", want, center)
		}
	}
	if left := host.Run("ps", "ax", "-o", "args="); strings.Contains(left, "iam-") || strings.Contains(left, "sshd") {
		t.Errorf("the demo leaves processes behind:\n%s", left)
	}
	if left := host.Try("getent", "-s", "passwd:iam", "passwd", "alice"); left.Code == 0 {
		t.Errorf("the demo leaves something installed: %v", left)
	}
}

func TestTheDemoShowsTheRestToEverybodyElse(t *testing.T) {
	host := checkout(t)
	r := host.TryAs("nobody", "/srv/nss-iam/tests/demo/demo.sh")
	for _, want := range []string{"Left out here", "sudo env", "was bob", "$ id erin"} {
		if r.Code != 0 || !strings.Contains(r.Stdout, want) {
			t.Errorf("want %q:\n%s\n%s\nexit status %d", want, r.Stdout, r.Stderr, r.Code)
		}
	}
}

// Debian gives users a PATH without sbin, and a host may have nss-iam already, with its
// folder in /run.
func TestTheDemoRunsWithAUsersPathWhereThePackageIsInstalled(t *testing.T) {
	host := checkout(t)
	host.Run("make", "--no-print-directory", "-s", "-C", "/srv/nss-iam", "-o", "build", "install", "BUILD=build")
	host.Run("mkdir", "-p", "/run/nss-iam")
	host.Run("chmod", "0755", "/run/nss-iam")
	group := host.Run("id", "-g", "nobody")
	r := host.TryInput("", []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/games"},
		"/usr/bin/setpriv", "--reuid=nobody", "--regid="+group, "--init-groups", "/srv/nss-iam/tests/demo/demo.sh")
	for _, want := range []string{"$ id alice", "$ getent passwd alice", "was bob", "AWS is down", "$ id erin"} {
		if r.Code != 0 || !strings.Contains(r.Stdout, want) {
			t.Errorf("want %q:\n%s\n%s\nexit status %d", want, r.Stdout, r.Stderr, r.Code)
		}
	}
}

func TestTheDemoShowsWhatABuildSaysWhereItFails(t *testing.T) {
	host := checkout(t)
	r := host.Try("/srv/nss-iam/tests/demo/demo.sh", "--build", "sh", "-c", "echo cannot compile; exit 2")
	if r.Code != 2 || !strings.Contains(r.Stderr, "cannot compile") || strings.Contains(r.Stdout, "company") {
		t.Errorf("%v", r)
	}
	r = host.TryAs("nobody", "/srv/nss-iam/tests/demo/demo.sh", "--build", "echo", "compiled")
	if r.Code != 0 || strings.Contains(r.Stdout+r.Stderr, "compiled") || !strings.Contains(r.Stdout, "$ id erin") {
		t.Errorf("%v", r)
	}
}

// As in a container that may not make namespaces.
func TestTheDemoShowsTheRefresherWhereThereCanBeNoHost(t *testing.T) {
	host := checkout(t)
	for tour, wants := range map[string][]string{
		"tour.sh":   {"user added", "alice", "developers"},
		"center.sh": {"user added", "erin", "Platform-Admins"},
	} {
		r := host.TryAs("nobody", "/srv/nss-iam/tests/demo/"+tour, "/srv/nss-iam/build", "nowhere")
		for _, want := range wants {
			if r.Code != 0 || !strings.Contains(r.Stdout, want) {
				t.Errorf("want %q:\n%s\n%s\nexit status %d", want, r.Stdout, r.Stderr, r.Code)
			}
		}
	}
}
