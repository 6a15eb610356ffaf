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
	"strconv"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// Two versions of the same programs: what an upgrade is made of.
const (
	older = "0.1.0~1"
	newer = "0.1.0~2"
)

func TestTheDebIsCleanAndSmall(t *testing.T) {
	t.Parallel()
	testbed.RequireArtefacts(t, "lintian")
	file := testbed.Pack(t, "deb", newer)
	out, err := exec.Command("lintian", "--allow-root", file).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "" {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	small(t, file)
}

func TestTheRPMIsCleanAndSmall(t *testing.T) {
	t.Parallel()
	testbed.RequireArtefacts(t, "rpmbuild", "rpmlint")
	file := testbed.Pack(t, "rpm", newer)
	out, err := exec.Command("rpmlint", "-c", filepath.Join(testbed.Root(), "packaging/rpm/rpmlint.toml"), file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 0 errors, 0 warnings") {
		t.Errorf("rpmlint: %v\n%s", err, out)
	}
	small(t, file)
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
	out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=yes", filepath.Join(testbed.Root(), "packaging/systemd/nss-iam.service")).CombinedOutput()
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
