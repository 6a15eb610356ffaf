package testbed

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Pack packs the built programs as this version of the packages: format is
// "deb" or "rpm". The files go with the test; the first has the programs.
func Pack(t testing.TB, format, version string) []string {
	t.Helper()
	RequireArtifacts(t, map[string]string{"deb": "dh", "rpm": "rpmbuild"}[format])
	arch := map[string]string{"deb": "amd64", "rpm": "x86_64"}[format]
	out := t.TempDir()
	pack(t, version, filepath.Join(Root(), "packaging", format, "build"), arch, out)
	between := map[string]string{"deb": "_", "rpm": "-"}[format]
	found, _ := filepath.Glob(filepath.Join(out, "nss-iam"+between+"[0-9]*."+format))
	if len(found) != 1 {
		t.Fatalf("packages: %q", found)
	}
	all, _ := filepath.Glob(filepath.Join(out, "*."+format))
	return append(found, slices.DeleteFunc(all, func(name string) bool { return name == found[0] })...)
}

// PackOld packs the built programs as version 0.1 did: one deb, which holds the
// module, too. The scripts in it are those of 0.1.0.
func PackOld(t testing.TB, version string) string {
	t.Helper()
	RequireArtifacts(t, "dpkg-deb")
	out := t.TempDir()
	pack(t, version, filepath.Join(Root(), "tests", "testbed", "testdata", "deb-0.1", "build"), out)
	return filepath.Join(out, "nss-iam_"+version+"_amd64.deb")
}

func pack(t testing.TB, version string, command ...string) {
	t.Helper()
	built, err := filepath.Abs(Build())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "NSS_IAM_PREBUILT="+built, "NSS_IAM_VERSION="+version, "NSS_IAM_COMPRESSION=none")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%q: %v\n%s", command, err, said)
	}
}

// Relabel is the same debs under another version number, in a folder of their own.
func Relabel(t testing.TB, debs []string, from, to string) (all []string) {
	t.Helper()
	out := t.TempDir()
	const script = `set -e
dpkg-deb -R "$0" "$3.d"
sed -i "/^Version:\\|^Depends:/s/$1/$2/" "$3.d/DEBIAN/control"
dpkg-deb --root-owner-group -Znone -b "$3.d" "$3"
rm -r "$3.d"`
	for _, deb := range debs {
		other := filepath.Join(out, strings.Replace(filepath.Base(deb), from, to, 1))
		if said, err := exec.Command("sh", "-c", script, deb, from, to, other).CombinedOutput(); err != nil {
			t.Fatalf("give %q another version: %v\n%s", deb, err, said)
		}
		all = append(all, other)
	}
	return all
}

// A Repository is what "make repo" makes of packages, in a folder of this machine.
type Repository struct{ Folder string }

// A SigningKey is a key that signs repositories. gpg keeps it in a folder of its own.
type SigningKey struct{ home, fingerprint string }

// NewSigningKey makes a key that goes with the test.
func NewSigningKey(t testing.TB) SigningKey {
	t.Helper()
	Require(t, "gpg", "gpgconf")
	home, err := os.MkdirTemp("", "gpg") // gpg's sockets need a short path
	if err != nil {
		t.Fatal(err)
	}
	k := SigningKey{home: home}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		_ = os.RemoveAll(home)
	})
	const script = `gpg --batch --quiet --passphrase '' --quick-generate-key 'packages <packages@example.com>' \
	rsa3072 sign never 2>/dev/null
gpg --list-secret-keys --with-colons | awk -F: '/^fpr/ { print $10; exit }'`
	cmd := exec.Command("sh", "-ec", script)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+home)
	said, err := cmd.Output()
	if err != nil {
		t.Fatalf("make a key to sign with: %v", err)
	}
	k.fingerprint = strings.TrimSpace(string(said))
	return k
}

// Repository makes the signed repositories of these packages, which are published at url.
func (k SigningKey) Repository(t testing.TB, url string, packages ...string) Repository {
	t.Helper()
	Require(t, "apt-ftparchive", "createrepo_c", "rpmsign")
	dir := t.TempDir()
	for _, name := range packages {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("make", "--no-print-directory", "-C", Root(), "repo", "BUILD="+dir)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+k.home, "REPO_KEY="+k.fingerprint, "REPO_URL="+url)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make repo: %v\n%s", err, said)
	}
	return Repository{filepath.Join(dir, "repo")}
}

// Publish puts a repository on the host, in place of what is in that folder.
func (h *Host) Publish(r Repository, folder string) {
	h.t.Helper()
	h.Run("rm", "-rf", folder)
	err := filepath.WalkDir(r.Folder, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		h.Write(folder+strings.TrimPrefix(name, r.Folder), string(content), 0o644)
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// AptInstall installs these debs on the host, without what they recommend.
func (h *Host) AptInstall(debs ...string) {
	h.t.Helper()
	command := []string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", "--no-install-recommends",
		"install"}
	for _, deb := range debs {
		content, err := os.ReadFile(deb)
		if err != nil {
			h.t.Fatal(err)
		}
		name := "/opt/" + filepath.Base(deb)
		h.Write(name, string(content), 0o644)
		command = append(command, name)
	}
	h.Run(command...)
}

// Packages are the files of further packages of a Debian release, those of
// each in a list, and what they need that the release's tree has not. What the
// release does not have is not in it.
func Packages(t testing.TB, release string, names ...string) map[string][]string {
	t.Helper()
	Require(t, "debootstrap", "apt-get")
	cmd := exec.Command(filepath.Join(Root(), "tests", "integration", "debian-packages"),
		append([]string{release}, names...)...)
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
