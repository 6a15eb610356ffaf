package testbed

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

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
	place := NewHost(t)
	// --volatile=overlay: the tree itself is never written to. Without
	// registration and a unit of its own, no machined and no systemd is needed here.
	container := place.Start(nil, "systemd-nspawn", "--quiet", "-D", dir, "--volatile=overlay", "--boot",
		"--private-network", "--register=no", "--keep-unit", "--console=pipe",
		"--link-journal=no", "--timezone=off", "--resolv-conf=off", "--machine="+release)
	h := &Host{t: t, Way: "booted by systemd-nspawn"}
	place.Eventually("the container has a first process", time.Minute, func() bool {
		h.pid = firstOf(container.Pid())
		return h.pid != 0
	})
	var state string
	place.Eventually("systemd answers", time.Minute, func() bool {
		r := h.Try("systemctl", "is-system-running")
		state = strings.TrimSpace(r.Stdout)
		return state == "running" || state == "degraded"
	})
	// Trees have no host keys, so that no two hosts share any: sshd could not start.
	h.Run("ssh-keygen", "-A")
	h.Run("systemctl", "reset-failed")
	h.Run("systemctl", "restart", "ssh")
	return h
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
		if err == nil && namespaceFirst.Match(status) && strings.Contains(string(status), "\nPPid:\t"+strconv.Itoa(parent)+"\n") {
			pid, _ := strconv.Atoi(entry.Name()) // only numbers have a status
			return pid
		}
	}
	return 0
}
