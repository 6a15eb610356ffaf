// Package unmet is the one way in which tests are skipped: where the machine
// lacks what they need, on a machine that is not CI, and where -short leaves out
// what takes long. It knows no other package of the project, so that every test
// may use it.
package unmet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Skip skips a test that cannot run here, and says why and what supplies what
// is missing. In CI (CI=true) such a test has failed.
func Skip(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Root skips a test that only root can do, for this reason.
func Root(t testing.TB, reason string) {
	t.Helper()
	if os.Geteuid() != 0 {
		Skip(t, "%s; the command that runs this: sudo env PATH=\"$PATH\" go test", reason)
	}
}

// Long leaves a test out of -short, which make check uses, and says why the
// test takes long and which command, typed in the project's folder, runs it.
// make test never runs with -short, so that in CI nothing is left out.
func Long(t testing.TB, reason string) {
	t.Helper()
	if testing.Short() {
		name, _, _ := strings.Cut(t.Name(), "/")
		t.Skipf("left out by -short: %s; the command that runs this: go test -run '^%s$' %s", reason, name,
			folder())
	}
}

// folder is that of the test's package, as go test takes it in the project's folder.
func folder() string {
	here, err := os.Getwd()
	if err != nil {
		return ""
	}
	for root := here; root != filepath.Dir(root); root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return "." + strings.TrimPrefix(here, root)
		}
	}
	return ""
}
