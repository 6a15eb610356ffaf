package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// The tests that the source package brings, as Debian runs them: in a tree of a
// release with the packages installed by apt, from a source tree that was built.
func TestTheSourcePackagesOwnTests(t *testing.T) {
	t.Parallel()
	testbed.RequireArtifacts(t, "autopkgtest", "dh")
	debs := testbed.Pack(t, "deb", newer)
	host := testbed.NewHost(t)
	root := host.Scratch("bookworm")
	host.Run("mount", "--rbind", "/dev", root+"/dev")
	host.Run("mount", "-t", "proc", "proc", root+"/proc")
	// The release's own archive is out of reach.
	host.Run("rm", "-f", root+"/etc/apt/sources.list")
	// autopkgtest makes an archive of the debs with it.
	for _, file := range testbed.Packages(t, "bookworm", "apt-utils")["apt-utils"] {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		host.Write(root+"/opt/"+filepath.Base(file), string(content), 0o644)
	}
	host.Run("chroot", root, "sh", "-c", "dpkg -i /opt/*.deb")
	const tree = "/run/testbed/nss-iam"
	host.Run("mkdir", "-p", tree+"/build")
	host.Run("cp", "-r", filepath.Join(testbed.Root(), "packaging/deb/debian"), tree+"/debian")
	host.Write(tree+"/debian/changelog", "nss-iam ("+newer+") unstable; urgency=medium\n\n  * Test.\n\n -- a "+
		"<a@example.com>  Mon, 24 Nov 2025 16:00:00 +0000\n", 0o644)
	// By this file a tree that was built is known.
	host.Write(tree+"/debian/files", "nss-iam_"+newer+"_amd64.deb admin optional\n", 0o644)
	host.Run("cp", filepath.Join(testbed.Build(), "iam-emulator"), tree+"/build/")

	command := append([]string{"autopkgtest", "--no-built-binaries"}, debs...)
	r := host.Try(append(command, tree, "--", "chroot", root)...)
	if r.Code != 0 || !strings.Contains(r.Stdout+r.Stderr, "getent               PASS") {
		t.Errorf("%v\n%s\n%s", r, r.Stdout, r.Stderr)
	}
	if strings.Count(r.Stdout+r.Stderr, "ok: getent") < 8 {
		t.Errorf("the test did not look: %s%s", r.Stdout, r.Stderr)
	}
}
