package testbed

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Pack packs the built programs as this version of the package: format is
// "deb" or "rpm". The file goes with the test.
func Pack(t testing.TB, format, version string) string {
	t.Helper()
	RequireArtefacts(t, map[string]string{"deb": "dpkg-deb", "rpm": "rpmbuild"}[format])
	arch := map[string]string{"deb": "amd64", "rpm": "x86_64"}[format]
	built, err := filepath.Abs(Build())
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	cmd := exec.Command(filepath.Join(Root(), "packaging", format, "build"), arch, out)
	cmd.Env = append(os.Environ(), "NSS_IAM_PREBUILT="+built, "NSS_IAM_VERSION="+version)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pack the %s: %v\n%s", format, err, said)
	}
	found, _ := filepath.Glob(filepath.Join(out, "*."+format))
	if len(found) != 1 {
		t.Fatalf("packages: %q", found)
	}
	return found[0]
}

// Relabel is the same deb under another version number, in the same folder.
func Relabel(t testing.TB, deb, version string) string {
	t.Helper()
	out := filepath.Join(filepath.Dir(deb), version+".deb")
	const script = `set -e
dpkg-deb -R "$0" "$2.d"
sed -i "s/^Version:.*/Version: $1/" "$2.d/DEBIAN/control"
dpkg-deb --root-owner-group -Znone -b "$2.d" "$2"
rm -r "$2.d"`
	if said, err := exec.Command("sh", "-c", script, deb, version, out).CombinedOutput(); err != nil {
		t.Fatalf("give %q another version: %v\n%s", deb, err, said)
	}
	return out
}

// Packages are the files of further packages of a Debian release, those of
// each in a list, and what they need that the release's tree has not. What the
// release does not have is not in it.
func Packages(t testing.TB, release string, names ...string) map[string][]string {
	t.Helper()
	Require(t, "debootstrap", "apt-get")
	cmd := exec.Command(filepath.Join(Root(), "tests", "integration", "debian-packages"), append([]string{release}, names...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	dir, err := cmd.Output()
	if err != nil {
		t.Fatalf("packages of %s: %v\n%s", release, err, stderr.String())
	}
	all := make(map[string][]string)
	for _, name := range names {
		if found, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), name, "*.deb")); len(found) > 0 {
			all[name] = found
		}
	}
	return all
}
