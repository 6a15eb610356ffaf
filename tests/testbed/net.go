package testbed

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// A Net joins booted hosts by a bridge. Its own place is a private host, in
// which AWS can be played at another address, and whose folder Shared all
// hosts see as /efs, with the same owners, as NFS has it.
type Net struct {
	Place *Host
	hosts int
}

const (
	bridge  = "br0"
	subnet  = "10.77.0."
	volumes = "/run/testbed/hosts"
	shared  = "/run/testbed/efs"

	// PlaceAddress is where a Net's place listens.
	PlaceAddress = subnet + "1"
)

// NewNet is a bridge without hosts. It ends with the test.
func NewNet(t testing.TB) *Net {
	t.Helper()
	Require(t, "debootstrap", "systemd-nspawn", "ip")
	n := &Net{Place: NewHost(t)}
	n.Place.Run("ip", "link", "add", bridge, "type", "bridge")
	n.Place.Run("ip", "link", "set", bridge, "up")
	n.Reachable(true)
	n.Place.Run("install", "-d", "-m", "1777", shared)
	return n
}

// Reachable says whether hosts reach what listens at PlaceAddress. Where they
// do not, nobody answers them, while they go on to reach each other.
func (n *Net) Reachable(reachable bool) {
	n.Place.t.Helper()
	verb := "del"
	if reachable {
		verb = "add"
	}
	n.Place.Run("ip", "address", verb, PlaceAddress+"/24", "dev", bridge)
}

// Scratch is a folder of the host with a release's files, to be written to.
func (h *Host) Scratch(release string) (root string) {
	h.t.Helper()
	dir, err := tree(release)
	if err != nil {
		h.t.Fatal(err)
	}
	files := volumes + "/" + release
	h.Run("mkdir", "-p", files+"/upper", files+"/work", files+"/root")
	escape := strings.NewReplacer(`\`, `\\`, ",", `\,`, ":", `\:`)
	h.Run("mount", "-t", "overlay", "-o", "lowerdir="+escape.Replace(dir)+",upperdir="+files+"/upper,workdir="+files+
		"/work", "overlay", files+"/root")
	return files + "/root"
}

// A Booting is a host that is to boot: its address is known.
type Booting struct {
	Address string
	machine *machine
}

// NewHost prepares a host of a Debian release, whose files outlive reboots.
func (n *Net) NewHost(release string) Booting {
	n.Place.t.Helper()
	n.hosts++
	address := fmt.Sprintf("%s%d", subnet, 10+n.hosts)
	root := n.Place.Scratch(release)
	return Booting{address, &machine{
		place: n.Place, name: release, address: address + "/24",
		args: []string{"-D", root, "--network-bridge=" + bridge, "--bind=" + shared + ":/efs"},
	}}
}

// Boot boots it. Several may boot at the same time.
func (b Booting) Boot(t testing.TB) *Host {
	t.Helper()
	return b.machine.first(t)
}

// On is the same host, whose faults end another test.
func (h *Host) On(t testing.TB) *Host {
	c := *h
	c.t = t
	if c.machine != nil {
		c.pid = c.machine.pid
	}
	return &c
}

// Listen listens in the host's network.
func (h *Host) Listen(address string) (listener net.Listener) {
	h.t.Helper()
	err := h.within(func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { listener.Close() })
	return listener
}
