package programs

import (
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// newDebian is a host of Debian 12 that serves alice and Bob.Smith, with further packages.
func newDebian(t *testing.T, packages ...string) *testbed.Host {
	t.Helper()
	h := testbed.NewDebianHost(t, "bookworm")
	h.Install()
	iam := h.StartIAM(testbed.Company{
		Groups: []testbed.Group{{Name: "developers"}},
		Users: []testbed.User{{Name: "alice", Groups: []string{"developers"}},
			{Name: "Bob.Smith", Groups: []string{"developers"}}},
	})
	h.Configure(iam.Source() + "\n[login]\ngroups = [\"developers\"]\n")
	h.Refreshed()
	var debs []string
	for _, files := range testbed.Packages(t, "bookworm", packages...) {
		debs = append(debs, files...)
	}
	slices.Sort(debs)
	h.AptInstall(debs...)
	return h
}

// Debian's own podman and bubblewrap, as a person of the directory runs them. No
// container is started: crun wants control groups that a private host has not.
func TestPodmanAndBubblewrapKnowTheirUser(t *testing.T) {
	t.Parallel()
	h := newDebian(t, "podman", "bubblewrap", "uidmap")
	h.Run("install", "-d", "-o", "alice", "-g", "alice", "/home/alice", "/run/alice")
	alice := func(want string, command ...string) {
		t.Helper()
		r := h.TryAs("alice", append([]string{"env", "-C", "/home/alice", "HOME=/home/alice", "XDG_RUNTIME_DIR=/run/alice"},
			command...)...)
		if got := strings.Join(strings.Fields(r.Stdout), " "); r.Code != 0 || got != want {
			t.Errorf("want %q: %v", want, r)
		}
	}
	alice("alice", "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-user", "whoami")
	uid := h.Run("id", "-u", "alice")
	alice("0 "+uid+" 1", "podman", "unshare", "cat", "/proc/self/uid_map")
	h.Run("usermod", "--add-subuids", "700000000-700065535", "--add-subgids", "700000000-700065535", "alice")
	// podman goes on with the namespace that it has.
	alice("0 "+uid+" 1", "podman", "unshare", "cat", "/proc/self/uid_map")
	alice("", "podman", "system", "migrate")
	const ranges = " 1 1 700000000 65536"
	alice("0 "+uid+ranges, "podman", "unshare", "cat", "/proc/self/uid_map")
	alice(uid, "podman", "unshare", "id", "-u", "alice")
	// A line with the uid in place of the name does the same.
	for _, name := range []string{"/etc/subuid", "/etc/subgid"} {
		h.Write(name, uid+":700000000:65536\n", 0o644)
	}
	alice("", "podman", "system", "migrate")
	alice("0 "+uid+ranges, "podman", "unshare", "cat", "/proc/self/uid_map")

	// Where "/" is the container's own, the host's nss.db shows the overflow id and is
	// refused. The kernel makes no ID-mapped mount for her; a copy of hers is accepted.
	const container = `mkdir root && mount -t tmpfs -o mode=0755 tmpfs root && cd root &&
		mkdir -p etc var/lib/nss-iam bin lib lib64 usr && mount --rbind /usr usr &&
		mount --rbind /bin bin && mount --rbind /lib lib && mount --rbind /lib64 lib64 &&
		cp /etc/nsswitch.conf etc && mount --rbind "$0" var/lib/nss-iam && chroot . id -u alice`
	h.Run("install", "-D", "-o", "alice", "-g", "alice", "/var/lib/nss-iam/nss.db", "/home/alice/copy/nss.db")
	alice(uid, "podman", "unshare", "unshare", "-m", "sh", "-c", container, "/home/alice/copy")
	h.Run("rmdir", "/home/alice/root")
	if r := h.TryAs("alice", "env", "-C", "/home/alice", "HOME=/home/alice", "XDG_RUNTIME_DIR=/run/alice", "podman",
		"unshare", "unshare", "-m", "sh", "-c", container, "/var/lib/nss-iam"); !strings.Contains(r.Stderr, "no such user") {
		t.Errorf("the host's own folder: %v", r)
	}
	h.Run("install", "-D", "-m", "0644", "/var/lib/nss-iam/nss.db", "/run/kept/nss.db") // overlays have none at all
	h.Run("install", "-d", "-o", "alice", "-g", "alice", "/run/root")
	r := h.TryAs("alice", "env", "-C", "/home/alice", "HOME=/home/alice", "XDG_RUNTIME_DIR=/run/alice", "podman", "run",
		"--network=none", "--cgroups=disabled", "--rootfs",
		"--mount=type=bind,src=/run/kept,dst=/var/lib/nss-iam,ro,idmap", "/run/root", "true")
	if !strings.Contains(r.Stderr, "mount_setattr") || !strings.Contains(r.Stderr, "Operation not permitted") {
		t.Errorf("an ID-mapped mount: %v", r)
	}
}

func TestAMailServerFindsNobodyWhoseNameHasCapitals(t *testing.T) {
	t.Parallel()
	h := newDebian(t, "exim4-daemon-light")
	if r := h.Try("exim4", "-bt", "alice@localhost"); !strings.Contains(r.Stdout, "router = local_user") {
		t.Errorf("alice: %v", r)
	}
	if r := h.Try("exim4", "-bt", "Bob.Smith@localhost"); !strings.Contains(r.Stdout, "is undeliverable") {
		t.Errorf("Bob.Smith: %v", r)
	}
}
