package packaging

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// The source packages are built in places without a network: mock, sbuild, COPR.
func TestTheSourcePackagesHoldEveryModuleThatIsCompiledAndTested(t *testing.T) {
	t.Parallel()
	source := t.TempDir()
	pack := exec.Command(filepath.Join(testbed.Root(), "packaging/source"), "--vendor", source)
	if said, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("packaging/source: %v\n%s", err, said)
	}
	spec, err := exec.Command("sed", "-n", "/^%check/,/^%endif/p",
		filepath.Join(source, "packaging/rpm/nss-iam.spec")).Output()
	if err != nil {
		t.Fatal(err)
	}
	tested := regexp.MustCompile(`\./[a-z/]+`).FindAllString(string(spec), -1)
	if len(tested) == 0 {
		t.Errorf("the spec's %%check tests nothing:\n%s", spec)
	}
	list := func(packages ...string) {
		t.Helper()
		list := exec.Command("go", append([]string{"list", "-deps"}, packages...)...)
		list.Dir = source
		list.Env = append(list.Environ(), "GOFLAGS=-mod=vendor", "GOPROXY=off", "GOMODCACHE="+t.TempDir())
		var stderr bytes.Buffer
		list.Stderr = &stderr
		out, err := list.Output()
		if err != nil {
			t.Errorf("%q cannot be built of the source package alone: %v\n%s", packages, err, &stderr)
		}
		if !strings.Contains(string(out), "github.com/nss-iam/nss-iam/") {
			t.Errorf("nothing of ours is listed for %q", packages)
		}
	}
	list("./cachefill", "./authkeys", "./authkeys/account", "./nss", "./tests/emulator/iam-emulator")
	list(append([]string{"-test"}, tested...)...)
}
