// Package integration tests the built artifacts where they will run: under
// the real glibc, getent, id, sudo and sshd, on hosts that package testbed
// makes. It imports no internal package.
package integration

import (
	"os"
	"os/exec"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

func TestMain(m *testing.M) {
	// Trees take minutes to make where there are none from an earlier run; the
	// tests that need none go on meanwhile.
	if _, err := exec.LookPath("debootstrap"); err == nil && os.Getuid() == 0 {
		testbed.PrepareTrees()
	}
	os.Exit(m.Run())
}
