package packaging

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// copySource copies the files of this source that git knows, as a tarball holds
// them, and dates them.
func copySource(t *testing.T, to string) {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z")
	list.Dir = testbed.Root()
	files, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	tar := exec.Command("sh", "-c", `tar -c --null -T - --ignore-failed-read -f - | tar -x -C "$0"`, to)
	tar.Dir, tar.Stdin = testbed.Root(), bytes.NewReader(files)
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("copy the source: %v\n%s", err, out)
	}
}

const epoch = "1764000000" // 2025-11-24 16:00:00

func TestPackagesAreTheSameBytesFromAnyFolderUserAndUmask(t *testing.T) {
	t.Parallel()
	testbed.Require(t, "rpmbuild", "dh", "make", "unshare")
	dir := t.TempDir()
	var built [2]map[string][]byte
	for i, c := range []struct {
		folder, umask string
		user          []string // the user that the build runs as
	}{
		{"a", "022", nil},
		{"somewhere/else", "027", []string{"unshare", "--user", "--map-user=12345", "--map-group=12345"}},
	} {
		source := filepath.Join(dir, c.folder)
		copySource(t, source)
		build := append(c.user, "sh", "-c", "umask "+c.umask+" && make -s deb rpm BUILD=build")
		cmd := exec.Command(build[0], build[1:]...)
		cmd.Dir = source
		cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH="+epoch, "NSS_IAM_VERSION="+newer, "NSS_IAM_COMPRESSION=none",
			"GIT_CEILING_DIRECTORIES="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build in %q: %v\n%s", c.folder, err, out)
		}
		built[i] = map[string][]byte{}
		for _, pattern := range []string{"build/*.deb", "build/*.rpm"} {
			found, err := filepath.Glob(filepath.Join(source, pattern))
			if err != nil || len(found) != 2 {
				t.Fatalf("%s: %q (%v)", pattern, found, err)
			}
			for _, path := range found {
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				built[i][strings.TrimPrefix(path, source)] = content
			}
		}
	}
	for name, content := range built[0] {
		if !bytes.Equal(content, built[1][name]) {
			t.Errorf("%s differs between two folders: %d and %d bytes", name, len(content), len(built[1][name]))
		}
	}
	// And they are dated by SOURCE_DATE_EPOCH.
	for line := range strings.Lines(sh(t, dir, "TZ=UTC dpkg-deb -c a/build/nss-iam_*.deb")) {
		if !strings.Contains(line, " 2025-11-24 16:00 ") {
			t.Errorf("a date in the deb: %s", line)
		}
	}
	if got := sh(t, dir, "rpm -qp --qf '%{BUILDTIME}' a/build/nss-iam-0*.rpm"); got != epoch {
		t.Errorf("the rpm is dated %s", got)
	}
}

func TestAVersionSortsWhereItBelongs(t *testing.T) {
	t.Parallel()
	testbed.Require(t, "dpkg", "git")
	for name, c := range map[string]struct{ heading, tag, after, before string }{
		"not released yet": {"## 0.2.0", "", "0.1.0", "0.2.0"},
		"behind a release": {"## 0.2.0, 2026-12-01", "", "0.2.0", "0.2.1"},
		"a tag":            {"## 0.2.0", "v0.2.0", "0.2.0~999", "0.2.0+1"},
	} {
		dir := t.TempDir()
		for _, line := range []string{"mkdir packaging", "cp " + filepath.Join(testbed.Root(), "packaging/version") +
			" packaging/", "printf '%s\\n' '# Changelog' '' '" + c.heading + "' >CHANGELOG.md",
			"git init -q . && git add -A && git -c user.name=x -c user.email=x@example.com commit -qm first"} {
			sh(t, dir, line)
		}
		if c.tag != "" {
			sh(t, dir, "git tag "+c.tag)
		}
		version := strings.TrimSpace(sh(t, dir, "packaging/version"))
		sh(t, dir, "dpkg --compare-versions '"+version+"' gt '"+c.after+"'")
		sh(t, dir, "dpkg --compare-versions '"+version+"' lt '"+c.before+"'")
		t.Logf("%s: %s", name, version)
	}
}

func sh(t *testing.T, dir, line string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}
