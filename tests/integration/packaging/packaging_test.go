// Package packaging tests the packages as they are delivered: what lintian and
// rpmlint say of them, and installing, configuring, upgrading and removing them
// on Debian hosts that have booted. It imports no internal package.
package packaging

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// Two versions of the same programs: what an upgrade is made of.
const (
	older = "0.1.0~1"
	newer = "0.1.0~2"
)

var (
	packed sync.Mutex
	debs   = make(map[string]string)
)

// deb packs the built programs as this version of the package.
func deb(t *testing.T, version string) string {
	t.Helper()
	testbed.RequireArtefacts(t, "dpkg-deb")
	packed.Lock()
	defer packed.Unlock()
	if debs[version] == "" {
		debs[version] = pack(t, version, "packaging/deb/build", "amd64", "nss-iam_"+version+"_amd64.deb")
	}
	return debs[version]
}

func pack(t *testing.T, version, script, arch, name string) string {
	t.Helper()
	out, err := os.MkdirTemp("", "nss-iam-package")
	if err != nil {
		t.Fatal(err)
	}
	built, err := filepath.Abs(testbed.Build())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(testbed.Root(), script), arch, out)
	cmd.Env = append(os.Environ(), "NSS_IAM_PREBUILT="+built, "NSS_IAM_VERSION="+version)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, output)
	}
	cleanup.Lock()
	cleanups = append(cleanups, out)
	cleanup.Unlock()
	return filepath.Join(out, name)
}

var (
	cleanup  sync.Mutex
	cleanups []string
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range cleanups {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

func TestTheDebIsCleanAndSmall(t *testing.T) {
	t.Parallel()
	testbed.RequireArtefacts(t, "lintian")
	file := deb(t, newer)
	out, err := exec.Command("lintian", "--allow-root", file).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "" {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	small(t, file)
}

func TestTheRPMIsCleanAndSmall(t *testing.T) {
	t.Parallel()
	testbed.RequireArtefacts(t, "rpmbuild", "rpmlint")
	file := pack(t, newer, "packaging/rpm/build", "x86_64", "nss-iam-"+newer+"-1.x86_64.rpm")
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
