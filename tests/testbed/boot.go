package testbed

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A machine is what of a booted host outlives a reboot.
type machine struct {
	place     *Host // where systemd-nspawn runs
	name      string
	args      []string // of systemd-nspawn
	address   string   // with its prefix, on interface host0; or ""
	container *Process
	pid       int // of the first process since the last boot
}

// NewBootedHost is a host of a Debian release on which systemd has booted and
// runs D-Bus, logind and sshd. It stands inside a private host of its own,
// with which it ends.
func NewBootedHost(t testing.TB, release string) *Host {
	t.Helper()
	Require(t, "debootstrap", "systemd-nspawn")
	dir, err := tree(release)
	if err != nil {
		t.Fatal(err)
	}
	// --volatile=overlay: the tree itself is never written to.
	m := &machine{place: NewHost(t), name: release, args: []string{"-D", dir, "--volatile=overlay", "--private-network"}}
	return m.first(t)
}

// first boots a machine for the first time.
func (m *machine) first(t testing.TB) *Host {
	t.Helper()
	h := &Host{t: t, Way: "booted by systemd-nspawn", machine: m}
	m.boot(h)
	// Trees have no host keys, so that no two hosts share any: sshd could not start.
	h.Run("ssh-keygen", "-A")
	h.Run("systemctl", "reset-failed")
	h.Run("systemctl", "restart", "ssh")
	return h
}

// ownGroup has every machine live in a control group of its own: without one,
// those that boot side by side take each other's services for theirs.
const ownGroup = `for d in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
	[ -e $d/cgroup.procs ] && mkdir -p "$d/$0" && echo $$ >"$d/$0/cgroup.procs"
done 2>/dev/null
exec systemd-nspawn "$@"`

// boot starts a machine and waits until all is up that it starts by itself.
// Without registration and a unit of its own, no machined and no systemd is
// needed here.
func (m *machine) boot(h *Host) {
	h.t.Helper()
	group := "nss-iam-test-" + strconv.Itoa(os.Getpid()) + "-" + m.name
	m.place.t.Cleanup(func() { removeGroups(group) }) // once the processes have ended
	m.container = m.place.Start(nil, append([]string{"sh", "-c", ownGroup, group, "--quiet", "--boot", "--register=no",
		"--keep-unit", "--console=pipe",
		"--link-journal=no", "--timezone=off", "--resolv-conf=off", "--machine=" + m.name}, m.args...)...)
	h.Eventually("the container has a first process", 5*time.Minute, func() bool {
		m.pid = firstOf(m.container.Pid())
		return m.pid != 0
	})
	h.pid = m.pid
	if m.address != "" {
		h.Eventually("the container has a network", 5*time.Minute, func() bool {
			return h.Try("ip", "address", "add", m.address, "dev", "host0").Code == 0
		})
		h.Run("ip", "link", "set", "host0", "up")
	}
	h.Eventually("systemd answers", 5*time.Minute, func() bool {
		state := strings.TrimSpace(h.Try("systemctl", "is-system-running").Stdout)
		return state == "running" || state == "degraded"
	})
}

// removeGroups removes the emptied control groups of a machine.
func removeGroups(group string) {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"} {
		var all []string
		_ = filepath.WalkDir(filepath.Join(root, group), func(name string, e os.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				all = append(all, name)
			}
			return nil
		})
		for i := range all {
			_ = os.Remove(all[len(all)-1-i])
		}
	}
}

// Reboot shuts a host of a Net down and boots it again.
func (h *Host) Reboot() {
	h.t.Helper()
	h.Try("systemctl", "poweroff") // which may end before it says so
	h.machine.container.Wait(5 * time.Minute)
	h.machine.boot(h)
}

var namespaceFirst = regexp.MustCompile(`(?m)^NSpid:.*\t1$`)

// firstOf finds the child of a process that is the first of its namespace.
func firstOf(parent int) int {
	if parent == 0 {
		return 0
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return 0
	}
	for _, entry := range processes {
		status, err := os.ReadFile("/proc/" + entry.Name() + "/status")
		if err == nil && namespaceFirst.Match(status) && strings.Contains(string(status), "\nPPid:\t"+strconv.Itoa(parent)+
			"\n") {
			pid, _ := strconv.Atoi(entry.Name()) // only numbers have a status
			return pid
		}
	}
	return 0
}
