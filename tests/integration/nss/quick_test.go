package nss_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

// An ordinary user who runs make check has a host with a single user in it, root: no
// other's file and no device can be made there.
func TestTheQuickTestsOfTheModuleNeedNoRoot(t *testing.T) {
	unmet.Long(t, "it compiles the module, and looks at it for some seconds")
	single := []string{"--user", "--map-root-user"}
	if out, err := exec.Command("unshare", append(single, "true")...).CombinedOutput(); err != nil {
		unmet.Skip(t, "no user namespaces: %v: %s; a machine that has them supplies them", err, out)
	}
	cmd := exec.Command("unshare", append(single, "./quick.sh")...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, want := range []string{"entries: ", "bad: left out without root", " checks, 0 failed"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("want %q:\n%s", want, out)
		}
	}
}
