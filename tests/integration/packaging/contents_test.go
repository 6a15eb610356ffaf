package packaging

import (
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// installed are the files that "make install" puts under a folder, for a loader
// that looks in libdir.
func installed(t *testing.T, libdir string) (all []string) {
	t.Helper()
	built, err := filepath.Abs(testbed.Build())
	if err != nil {
		t.Fatal(err)
	}
	stage := t.TempDir()
	if out, err := exec.Command("make", "--no-print-directory", "-C", testbed.Root(), "-o", "build", "install",
		"DESTDIR="+stage, "BUILD="+built, "LIBDIR="+libdir).CombinedOutput(); err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	err = filepath.WalkDir(stage, func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			all = append(all, plain(strings.TrimPrefix(name, stage)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// plain is a name without what differs between distributions: manuals may be
// compressed, and /lib is a link.
func plain(name string) string {
	if strings.HasPrefix(name, "/lib/") {
		name = "/usr" + name
	}
	return strings.TrimSuffix(name, ".gz")
}

// packed are the files of packages, without what documents a package.
func packed(t *testing.T, files []string, list func(file string) *exec.Cmd) (all []string) {
	t.Helper()
	for _, file := range files {
		out, err := list(file).Output()
		if err != nil {
			t.Fatalf("list %q: %v", file, err)
		}
		for line := range strings.Lines(string(out)) {
			name := plain(strings.TrimSpace(line))
			if name != "" && !strings.HasPrefix(name, "/usr/share/doc/") && !strings.HasPrefix(name, "/usr/share/licenses/") {
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	return all
}

func TestBothPackagesHoldWhatMakeInstallInstalls(t *testing.T) {
	t.Parallel()
	testbed.RequireArtifacts(t, "dh", "rpmbuild")
	debs := packed(t, testbed.Pack(t, "deb", newer), func(file string) *exec.Cmd {
		return exec.Command("sh", "-c", `dpkg-deb --fsys-tarfile "$0" | tar -tf - | grep -v '/$' | sed 's,^[.],,'`, file)
	})
	if want := installed(t, "/usr/lib/x86_64-linux-gnu"); !slices.Equal(debs, want) {
		t.Errorf("the debs: %q", differences(strings.Join(want, "\n"), strings.Join(debs, "\n")))
	}

	// Ghosts are written later, and the compiled policy module is the subpackage's.
	rpms := packed(t, testbed.Pack(t, "rpm", newer), func(file string) *exec.Cmd {
		return exec.Command("rpm", "-qp", "--qf", `[%{FILEMODES:perms} %{FILEFLAGS:fflags}| %{FILENAMES}\n]`, file)
	})
	var got []string
	for _, line := range rpms {
		mode, name, _ := strings.Cut(line, "| ")
		if !strings.HasPrefix(mode, "d") && !strings.HasSuffix(mode, "g") && !strings.HasSuffix(name, "/nss_iam.pp.bz2") &&
			!strings.HasPrefix(name, "/usr/share/doc/") && !strings.HasPrefix(name, "/usr/share/licenses/") {
			got = append(got, plain(name))
		}
	}
	slices.Sort(got)
	want := slices.DeleteFunc(installed(t, "/usr/lib64"), func(name string) bool {
		// Debian's own: where there are rpms, authselect makes homes and SELinux confines.
		return strings.HasPrefix(name, "/usr/share/pam-configs/") || strings.HasPrefix(name, "/etc/apparmor.d/")
	})
	if !slices.Equal(got, want) {
		t.Errorf("the rpms: %q", differences(strings.Join(want, "\n"), strings.Join(got, "\n")))
	}
}

func TestDebsForTheOtherArchitectureNeedNoMoreThanOurs(t *testing.T) {
	t.Parallel()
	testbed.RequireArtifacts(t, "dh", "aarch64-linux-gnu-gcc")
	// The programs are not run, and the smallest stands for all of them.
	built, out := t.TempDir(), t.TempDir()
	sh(t, testbed.Root(), "make -s GOARCH=arm64 CC=aarch64-linux-gnu-gcc BUILD="+built+" "+built+"/libnss_iam.so.2")
	sh(t, testbed.Root(), "CGO_ENABLED=0 GOARCH=arm64 go build -o "+built+"/account ./authkeys/account && "+
		"cd "+built+" && cp account authkeys && cp account iam-cachefill")
	sh(t, testbed.Root(), "cp -r "+testbed.Build()+"/completion "+built+"/")
	sh(t, testbed.Root(), "NSS_IAM_PREBUILT="+built+" NSS_IAM_VERSION="+newer+" NSS_IAM_COMPRESSION=none "+
		"packaging/deb/build arm64 "+out)
	for _, c := range []struct{ name, depends string }{
		{"libnss-iam", "libc6 (>= 2.17)"},
		{"nss-iam", "systemd | systemd-standalone-sysusers | systemd-sysusers, libnss-iam (= " + newer + ")"},
	} {
		other := strings.TrimSpace(sh(t, out, "dpkg-deb -f "+c.name+"_*_arm64.deb Depends"))
		if other != c.depends {
			t.Errorf("%s for arm64 needs %q, want %q", c.name, other, c.depends)
		}
	}
	got := sh(t, out, "dpkg-deb -c libnss-iam_*_arm64.deb")
	if !strings.Contains(got, "./usr/lib/aarch64-linux-gnu/libnss_iam.so.2") {
		t.Errorf("the module is not where arm64 looks: %s", got)
	}
	// amd64's dependency comes from the symbols that the module asks for.
	native := testbed.Pack(t, "deb", newer)[1]
	if got := strings.TrimSpace(sh(t, out, "dpkg-deb -f "+native+" Depends")); got != "libc6 (>= 2.17)" {
		t.Errorf("libnss-iam for amd64 needs %q", got)
	}
}
