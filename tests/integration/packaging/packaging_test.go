// Package packaging tests the packages as they are delivered: what lintian and
// rpmlint say of them, the rpm in a scratch root, and how far the unit and the
// policies let programs go. What the deb does on whole hosts is package
// hosts'. It imports no internal package.
package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// Two versions of the same programs: what an upgrade is made of.
const (
	older = "0.2.0~1"
	newer = "0.2.0~2"
)

// Nothing is overridden and nothing filtered: lintian sees the source package, too,
// and with it that the programs are Go's.
func TestTheDebsAreCleanAndSmall(t *testing.T) {
	t.Parallel()
	testbed.RequireArtifacts(t, "lintian", "dh")
	out := t.TempDir()
	built, err := filepath.Abs(testbed.Build())
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command(filepath.Join(testbed.Root(), "packaging/deb/build"), "amd64", out)
	build.Env = append(os.Environ(), "NSS_IAM_PREBUILT="+built, "NSS_IAM_VERSION="+newer, "NSS_IAM_SOURCE=yes")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	said, err := exec.Command("lintian", "--allow-root", "--pedantic", "--display-info", "--fail-on",
		"error,warning,pedantic", "--tag-display-limit", "0",
		filepath.Join(out, "nss-iam_"+newer+"_amd64.changes")).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, said)
	}
	t.Logf("lintian:\n%s", said)
	debs, _ := filepath.Glob(filepath.Join(out, "*.deb"))
	if len(debs) != 2 {
		t.Fatalf("packages: %q", debs)
	}
	for _, file := range debs {
		small(t, file)
	}
}

// What rpmlint says of the packages and is no fault of them.
var noFaults = []struct{ says, reason string }{
	{"E: non-versioned-file-in-library-package ", "a name service module has a soname, and several of them are never " +
		"installed side by side"},
	{"E: executable-in-library-package /usr/sbin/iam-cachefill", "the same"},
	{"E: missing-hash-section /usr/lib64/libnss_iam.so.2", "it is for loaders older than glibc 2.5"},
	{"E: no-signature", "make repo signs, with the publisher's key"},
	{"E: no-packager-tag", "Fedora does not want the tag in specs"},
	{"E: no-group-tag", "Fedora does not want the tag any more"},
	{"E: non-readable /etc/nss-iam/environment 600", "it may hold credentials"},
	{"E: non-readable /var/lib/nss-iam/keys.db 640", "only sshd's helper reads it"},
	{"E: non-readable /var/lib/nss-iam/state.db 600", "only the daemon reads it"},
	{"E: non-readable /var/lib/selinux/targeted/active/modules/200/nss_iam 0", "semodule makes it and its mode"},
	{"E: statically-linked-binary ", "Go's programs are"},
	{"W: position-independent-executable-suggested ", "Go's static programs are not, and read nothing before main"},
	{"W: no-manual-page-for-binary iam-cachefill", "there is one; this rpmlint compares the program's name with \"8\""},
	{"W: no-manual-page-for-binary nss-iam", "the same"},
	{"W: no-documentation", "the policy module's is the main package's"},
	{"W: postin-without-ghost-file-creation ", "systemd-tmpfiles, the daemon and semodule make them"},
	{"W: files-duplicate ", "completions for the command's two names"},
}

func TestTheRPMsAreCleanAndSmall(t *testing.T) {
	t.Parallel()
	testbed.RequireArtifacts(t, "rpmbuild", "rpmlint", "bzip2")
	files := testbed.Pack(t, "rpm", newer)
	if len(files) != 2 {
		t.Errorf("packages: %q", files)
	}
	// It exits 64 where it finds anything.
	out, _ := exec.Command("rpmlint", append([]string{"-c", filepath.Join(testbed.Root(), "packaging/rpm/rpmlint.toml")},
		files...)...).Output()
	t.Logf("rpmlint:\n%s", out)
	if !strings.Contains(string(out), " packages and ") {
		t.Fatalf("rpmlint did not come to its end")
	}
	for line := range strings.Lines(string(out)) {
		_, said, found := strings.Cut(strings.TrimSpace(line), ": ")
		known := slices.ContainsFunc(noFaults, func(c struct{ says, reason string }) bool {
			return strings.HasPrefix(said,
				c.says)
		})
		if found && !known && regexp.MustCompile(`^[EW]: `).MatchString(said) {
			t.Errorf("rpmlint: %s", line)
		}
	}
	for _, file := range files {
		small(t, file)
	}
}

func small(t *testing.T, file string) {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %.1f MB", filepath.Base(file), float64(info.Size())/1e6)
	if info.Size() > 25e6 {
		t.Errorf("%s has %d bytes, more than 25 MB", file, info.Size())
	}
}

var exposure = regexp.MustCompile(`Overall exposure level for nss-iam\.service: ([0-9.]+)`)

func TestTheDaemonIsHardlyExposed(t *testing.T) {
	testbed.Require(t, "systemd-analyze")
	out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=yes",
		filepath.Join(testbed.Root(), "packaging/systemd/nss-iam.service")).CombinedOutput()
	match := exposure.FindSubmatch(out)
	if err != nil || match == nil {
		t.Fatalf("systemd-analyze: %v\n%s", err, out)
	}
	if level, err := strconv.ParseFloat(string(match[1]), 64); err != nil || level > 2.0 {
		t.Errorf("exposure %s, want 2.0 or less\n%s", match[1], out)
	}
}

func TestTheAppArmorFragmentsAreRead(t *testing.T) {
	testbed.Require(t, "apparmor_parser")
	dir := t.TempDir()
	for _, d := range []string{"nameservice.d", "nameservice-strict.d"} {
		stage := filepath.Join(dir, "abstractions", d)
		if err := os.MkdirAll(stage, 0o755); err != nil {
			t.Fatal(err)
		}
		fragment, err := os.ReadFile(filepath.Join(testbed.Root(), "packaging/apparmor/nss-iam"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(stage, "nss-iam"), fragment, 0o644); err != nil {
			t.Fatal(err)
		}
		profile := filepath.Join(dir, "profile-"+d)
		text := fmt.Sprintf("profile x /bin/x {\n  include <abstractions/%s>\n}\n", d)
		if err := os.WriteFile(profile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("apparmor_parser", "--base", dir, "-QTK", profile).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", d, err, out)
		}
	}
}
