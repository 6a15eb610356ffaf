package nss_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

// On a fresh machine the benchmark unpacks its peers into an image of it. Some
// of them have files in /lib, which is a link: a folder in its place leaves no
// program that runs.
func TestAPeerIsUnpackedThroughTheLinksOfTheRootFolder(t *testing.T) {
	tree := t.TempDir()
	for name, text := range map[string]string{
		"DEBIAN/control": "Package: peer\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: a peer\n",
		"lib/peer/file":  "here\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(tree, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	deb := filepath.Join(t.TempDir(), "peer.deb")
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-b", tree, deb).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command("../../private-host", "bash", "-c", `eval "$(grep '^unpack()' bench.sh)"
		[ -L /lib ] || { echo "this machine's /lib is no link"; exit; }
		unpack "$1"; [ -L /lib ] && cat /lib/peer/file`, "bash", deb).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "here" {
		if strings.Contains(string(out), "is no link") {
			unmet.Skip(t, "%s", out)
		}
		t.Errorf("%v: %s", err, out)
	}
}
