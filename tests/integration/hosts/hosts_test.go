// Package hosts tests nss-iam on whole hosts: three releases of Debian, booted
// and joined by a bridge, with IAM, instance metadata and S3 at another
// address and one folder shared as EFS is. The hosts are installed, used, shaken
// and purged together, and every host is booted once for all of it. It imports
// no internal package.
package hosts

import (
	"os"
	"os/exec"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

func TestMain(m *testing.M) {
	if _, err := exec.LookPath("debootstrap"); err == nil && os.Getuid() == 0 {
		testbed.PrepareTrees()
	}
	os.Exit(m.Run())
}

// The steps build on each other: the first that fails is the last.
func TestAFleetFromInstallationToPurge(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.each("installed but not configured, it does nothing and says so", site.install)
	f.each("configured and set up, an IAM user logs in", site.setUp)
	f.each("undone, the host is as it was, and so after a setup that is killed or finds /etc read-only", site.interrupt)
	f.each("people log in from every host to every other", site.visit)
	f.each("numbers are the same everywhere, and who wrote a file is its owner everywhere", site.share)
	f.each("Session Manager runs as served users", site.sessionManager)
	f.each("doctor finds it well, and a fault with the command that fixes it", site.examine)
	f.revoke()
	f.each("a key that is revoked opens nothing", site.revoked)
	f.remove()
	f.each("a removed user is out, sessions and all; a renamed one keeps the uid", site.removed)
	f.net.Reachable(false)
	f.each("without IAM logins go on, and after a reboot before any refresh", site.reboot)
	f.each("… from host to host", site.visit)
	f.net.Reachable(true)
	f.each("IAM is back", site.back)
	f.each("apt refuses what was tampered with", site.tamper)
	f.each("upgrades, from one package to two, too, disturb no login", site.upgrade)
	f.each("purged, it leaves nothing", site.purge)
	f.each("with nscd and systemd-userdbd it is the same from installation to purge", site.beside)
}
