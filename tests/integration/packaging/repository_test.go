package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// What apt makes of the repository is tested on whole hosts: see package hosts.

func TestTheYumRepositoryIsSignedAndATamperedPackageIsRefused(t *testing.T) {
	t.Parallel()
	testbed.RequireArtifacts(t, "rpmbuild", "rpmkeys", "gpgv", "createrepo_c")
	r := testbed.NewSigningKey(t).Repository(t, "https://packages.example.com", testbed.Pack(t, "rpm", newer)...)
	dir := t.TempDir()
	sh(t, dir, "gpg --homedir . --batch --quiet --no-autostart --dearmor <"+r.Folder+"/nss-iam.asc >key.gpg")
	sh(t, dir, "rpmkeys --dbpath "+dir+"/db --import "+r.Folder+"/nss-iam.asc")

	yum := r.Folder + "/yum/x86_64"
	sh(t, yum, "gpgv --quiet --keyring "+dir+"/key.gpg repodata/repomd.xml.asc repodata/repomd.xml")
	if got := sh(t, yum, "zcat repodata/*-primary.xml.gz | grep -o '<location href=\"[^\"]*'"); strings.Count(got,
		"\n") != 2 {
		t.Errorf("the list: %s", got)
	}
	for _, line := range []string{"baseurl=https://packages.example.com/yum/$basearch", "gpgcheck=1", "repo_gpgcheck=1"} {
		if got := sh(t, r.Folder, "cat yum/nss-iam.repo"); !strings.Contains(got, "\n"+line+"\n") {
			t.Errorf("nss-iam.repo lacks %q: %s", line, got)
		}
	}
	packages, err := filepath.Glob(yum + "/*.rpm")
	if err != nil || len(packages) != 2 {
		t.Fatalf("packages: %q, %v", packages, err)
	}
	for _, name := range packages {
		check := []string{"--dbpath", dir + "/db", "--checksig", "--define", "_pkgverify_level all", name}
		if out, err := exec.Command("rpmkeys", check...).CombinedOutput(); err != nil ||
			!strings.Contains(string(out), "digests signatures OK") {
			t.Errorf("%s: %v %s", name, err, out)
		}
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)-100] ^= 1
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("rpmkeys", check...).CombinedOutput(); err == nil {
			t.Errorf("%s with another byte: %s", name, out)
		}
	}
	sh(t, yum, "printf ' ' >>repodata/repomd.xml; ! gpgv --quiet --keyring "+dir+
		"/key.gpg repodata/repomd.xml.asc repodata/repomd.xml 2>&1")
}

func TestNoRepositoryIsMadeWithoutAKeyOrPackages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ key, want string }{
		"no key":             {"", "no key to sign with"},
		"a key that is away": {"0123456789ABCDEF0123456789ABCDEF01234567", "gpg has no secret key"},
	} {
		cmd := exec.Command(filepath.Join(testbed.Root(), "packaging/repo/build"), t.TempDir())
		cmd.Env = append(os.Environ(), "GNUPGHOME="+t.TempDir(), "REPO_KEY="+c.key)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}

// The forge cannot be played here. What a workflow runs of this repository must be there.
func TestWorkflowsRunOnlyWhatIsThere(t *testing.T) {
	t.Parallel()
	workflows, err := filepath.Glob(filepath.Join(testbed.Root(), ".github/workflows/*.yml"))
	if err != nil || len(workflows) < 2 {
		t.Fatalf("%q, %v", workflows, err)
	}
	targets := regexp.MustCompile(`\bmake ([a-z-]+)`)
	var ran []string
	for _, name := range workflows {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if line, _, _ = strings.Cut(line, "#"); strings.Contains(line, "apt-get") || strings.Contains(line, "dnf") {
				continue
			}
			for _, match := range targets.FindAllStringSubmatch(line, -1) {
				ran = append(ran, match[1])
				// With -n a target that is not there is an error, and nothing is run.
				if out, err := exec.Command("make", "-n", "-C", testbed.Root(), match[1]).CombinedOutput(); err != nil {
					t.Errorf("%s: make %s: %v\n%s", filepath.Base(name), match[1], err, out)
				}
			}
		}
	}
	for _, target := range []string{"check", "deb", "rpm", "sbom", "repo"} {
		if !slices.Contains(ran, target) {
			t.Errorf("no workflow runs make %s", target)
		}
	}
}
