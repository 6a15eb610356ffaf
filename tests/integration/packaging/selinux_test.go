package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// policy puts our module into a copy of Debian's default policy and returns
// the file of the whole. Nothing is loaded into a kernel.
func policy(t *testing.T) string {
	t.Helper()
	testbed.Require(t, "semodule", "sesearch", "gawk", "m4")
	const store, headers = "/var/lib/selinux/default", "/usr/share/selinux/devel/Makefile"
	for _, name := range []string{store, headers} {
		if _, err := os.Stat(name); err != nil {
			unmet.Skip(t, "%v; the command that supplies it: tests/setup.sh", err)
		}
	}
	root := t.TempDir()
	module := filepath.Join(root, "nss_iam.pp")
	for _, command := range [][]string{
		{filepath.Join(testbed.Root(), "packaging/selinux/build"), module},
		{"mkdir", "-p", root + "/var/lib/selinux", root + "/etc"},
		{"cp", "-a", store, root + store},
		{"cp", "-a", "/etc/selinux", root + "/etc/"},
		{"semodule", "-n", "-p", root, "-s", "default", "-i", module},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", command, err, out)
		}
	}
	found, _ := filepath.Glob(root + "/etc/selinux/default/policy/policy.*")
	if len(found) != 1 {
		t.Fatalf("policies: %q", found)
	}
	return found[0]
}

func TestSELinuxPermitsWhatLoginsNeedAndNoMore(t *testing.T) {
	t.Parallel()
	file := policy(t)
	for _, c := range []struct {
		source, target, class, permission string
		want                              bool
	}{
		{"httpd_t", "nss_iam_cache_t", "file", "map", true},
		{"crond_t", "nss_iam_cache_t", "file", "read", true},
		{"systemd_userdbd_t", "nss_iam_cache_t", "file", "map", true},
		{"systemd_logind_t", "nss_iam_cache_t", "file", "map", true},
		{"init_t", "nss_iam_cache_t", "file", "map", true},
		{"systemd_user_runtime_dir_t", "nss_iam_cache_t", "file", "map", true},
		{"systemd_tmpfiles_t", "nss_iam_cache_t", "dir", "relabelfrom", true},
		{"sshd_t", "nss_iam_cache_t", "file", "map", true},
		{"sshd_t", "bin_t", "file", "execute_no_trans", true},
		{"sshd_t", "nss_iam_keys_t", "file", "read", true},
		{"sshd_t", "nss_iam_keys_t", "file", "map", true},
		{"sshd_t", "nss_iam_keys_t", "file", "lock", true},
		{"sshd_t", "nss_iam_run_t", "sock_file", "write", true},
		{"sshd_t", "initrc_t", "unix_stream_socket", "connectto", true},
		{"crond_t", "nss_iam_account_exec_t", "file", "execute", true},
		{"crond_t", "nss_iam_account_t", "process", "transition", true},
		{"sshd_t", "nss_iam_account_t", "process", "transition", true},
		{"local_login_t", "nss_iam_account_t", "process", "transition", true},
		{"nss_iam_account_t", "nss_iam_keys_t", "file", "map", true},
		{"nss_iam_account_t", "nss_iam_cache_t", "file", "map", true},
		{"nss_iam_account_t", "nss_iam_run_t", "sock_file", "write", true},
		{"nss_iam_account_t", "initrc_t", "unix_stream_socket", "connectto", true},
		{"nss_iam_account_t", "bin_t", "file", "execute", true},
		{"nss_iam_account_t", "user_home_dir_t", "dir", "getattr", true},
		{"nss_iam_account_t", "nss_iam_keys_t", "file", "write", false},
		{"crond_t", "nss_iam_keys_t", "file", "read", false},
		{"httpd_t", "nss_iam_keys_t", "file", "read", false},
		{"httpd_t", "nss_iam_run_t", "sock_file", "write", false},
		{"httpd_t", "nss_iam_cache_t", "file", "write", false},
		{"sshd_t", "nss_iam_cache_t", "file", "write", false},
		{"sshd_t", "nss_iam_keys_t", "file", "write", false},
	} {
		out, err := exec.Command("sesearch", "-A", "-s", c.source, "-t", c.target, "-c", c.class, "-p", c.permission,
			file).Output()
		if err != nil {
			t.Fatalf("sesearch: %v", err)
		}
		if got := strings.Contains(string(out), "allow "); got != c.want {
			t.Errorf("%s may %s %s:%s: %v, want %v\n%s", c.source, c.permission, c.target, c.class, got, c.want, out)
		}
	}
	out, err := exec.Command("sesearch", "-T", "-s", "initrc_t", "-t", "nss_iam_cache_t", "-c", "file", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	homes, err := exec.Command("sesearch", "-T", "-s", "initrc_t", "-t", "home_root_t", "-c", "dir", file).Output()
	if err != nil || !strings.Contains(string(homes), " user_home_dir_t;") {
		t.Errorf("a home that the daemon makes has not the label of one: %v\n%s", err, homes)
	}
	for _, name := range []string{"keys.db", ".keys.db.new", "state.db"} {
		if !strings.Contains(string(out), "nss_iam_keys_t "+name+";") {
			t.Errorf("a new %s would not have a type of its own: %s", name, out)
		}
	}
}

func TestTheSELinuxPackageBringsTheCompiledModule(t *testing.T) {
	t.Parallel()
	testbed.RequireArtifacts(t, "rpmbuild", "semodule", "bzip2", "cpio")
	packages := testbed.Pack(t, "rpm", newer)
	if len(packages) != 2 {
		t.Fatalf("packages: %q", packages)
	}
	root := t.TempDir()
	sh(t, root, "rpm2cpio "+packages[1]+
		" | cpio -id --quiet && bzip2 -d usr/share/selinux/packages/targeted/nss_iam.pp.bz2")
	sh(t, root, "mkdir -p var/lib/selinux etc && cp -a /var/lib/selinux/default var/lib/selinux/ && cp -a /etc/selinux "+
		"etc/")
	sh(t, root, "semodule -n -p . -s default -X 200 -i usr/share/selinux/packages/targeted/nss_iam.pp")
	if got := sh(t, root, "semodule -p . -s default -lfull"); !strings.Contains(got, "200 nss_iam ") {
		t.Errorf("the policy lacks the module: %s", got)
	}
	// What the package does on a host where the policy is.
	scripts := sh(t, root, "rpm -qp --scripts "+packages[1])
	for _, want := range []string{"semodule -n -s targeted -X 200 -i /usr/share/selinux/packages/targeted/nss_iam.pp.bz2",
		"semodule -n -s targeted -X 200 -r nss_iam"} {
		if !strings.Contains(scripts, want) {
			t.Errorf("the scripts lack %q: %s", want, scripts)
		}
	}
}
