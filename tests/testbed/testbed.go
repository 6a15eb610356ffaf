// Package testbed makes real hosts on one machine: private copies of the
// machine itself, and of Debian releases, with the built artifacts installed,
// an AWS account and an sshd beside them. Tests drive it; it knows the
// artifacts only by their files and command lines, and imports no package of
// the project.
//
// A host is made by tests/private-host: mounts, processes and network of its
// own, and nothing done in it outlives it.
package testbed

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

// Root is the repository's folder: the first above the working directory that has a go.mod.
// The path of this file is not asked for, because -trimpath leaves it out.
var Root = sync.OnceValue(func() string {
	folder, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for at := folder; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at
		}
		if at == filepath.Dir(at) {
			panic(fmt.Sprintf("no go.mod above %q: run tests and benchmarks in the repository", folder))
		}
	}
})

// Build is the folder of the built artifacts: $NSS_IAM_BUILD, or build/ in the
// repository.
func Build() string {
	if dir := os.Getenv("NSS_IAM_BUILD"); dir != "" {
		return dir
	}
	return filepath.Join(Root(), "build")
}

// Artifacts are the files of Build that hosts need.
var Artifacts = []string{"libnss_iam.so.2", "iam-cachefill", "authkeys", "account", "iam-emulator"}

// Require ends a test that cannot run here. In CI (CI=true) that is a failure;
// elsewhere the test is skipped, and says which command supplies what it
// misses.
func Require(t testing.TB, tools ...string) {
	t.Helper()
	unmet.Root(t, "hosts of their own are made by root only")
	for _, tool := range append([]string{"unshare", "nsenter", "setpriv", "pivot_root", "tar"}, tools...) {
		if _, err := exec.LookPath(tool); err != nil {
			unmet.Skip(t, "no %s on this machine; the command that supplies it: tests/setup.sh", tool)
		}
	}
}

// RequireArtifacts is Require, and the artifacts must have been built.
func RequireArtifacts(t testing.TB, tools ...string) {
	t.Helper()
	Require(t, tools...)
	for _, name := range Artifacts {
		if _, err := os.Stat(filepath.Join(Build(), name)); err != nil {
			unmet.Skip(t, "%v; the command that supplies it: make build", err)
		}
	}
}

// staged is what "make install" installs, as an archive that is made once for all
// hosts of this process. Nothing of it stays on the disk: other test processes do
// the same at the same time.
var staged = sync.OnceValues(func() ([]byte, error) {
	build, err := filepath.Abs(Build())
	if err != nil {
		return nil, err
	}
	stage, err := os.MkdirTemp("", "nss-iam-stage-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(stage)
	if err := os.Chmod(stage, 0o755); err != nil { // the archive has the mode of the host's root
		return nil, err
	}
	// -o build: what is tested is what was built, not what could be built now.
	install := exec.Command("make", "--no-print-directory", "-C", Root(), "-o", "build", "install", "DESTDIR="+stage,
		"BUILD="+build)
	if out, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("make install: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	archive, err := exec.Command("tar", "-C", stage, "--owner=0", "--group=0", "-c", ".").Output()
	if err != nil {
		return nil, fmt.Errorf("pack what is installed: %w", err)
	}
	return archive, nil
})
