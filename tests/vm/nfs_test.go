package vm

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

const nfsConfig = `[source]
region = "us-east-1"
endpoint = "http://127.0.0.1:8000"
rate = 100
[login]
all_users = true
[accounts]
home = "/home/%u"
homes = "create"
publish_groups = ["team-*"]
MAPPED
max_groups = 0
[removal]
confirm = 1
max_fraction = 0.5
`

// EFS is NFS 4.1 with sec=sys. The server and its clients are joined by wires of their
// own, and each has a kernel of its own, so that nothing is shared but what NFS shares.
func TestOverNFSOwnersAreTheSameEverywhereAndHomesAreSafe(t *testing.T) {
	t.Parallel()
	bookworm := release(t, "bookworm")
	room(t)
	p := pack(t, "nfs")
	var local []string // of everybody in a team: numbers that each host has by itself
	for n := range 8 {
		local = append(local, fmt.Sprintf(`"team-%02d" = "local-%02d"`, n, n))
	}
	mapped := "map_groups = { " + strings.Join(local, ", ") + " }"
	p.write("config.toml", strings.Replace(nfsConfig, "MAPPED", mapped, 1), 0o644)
	p.colleagues()
	p.files()
	payload := p.disk()
	disk := filepath.Join(t.TempDir(), "disk")
	if out, err := exec.Command("mke2fs", "-q", "-t", "ext4", disk, "64M").CombinedOutput(); err != nil {
		t.Fatalf("make a disk: %v\n%s", err, out)
	}
	var ends [2][]*os.File // of the server, and of the clients
	for range 2 {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		for side, fd := range pair {
			end := os.NewFile(uintptr(fd), fmt.Sprintf("wire %d", side))
			t.Cleanup(func() { _ = end.Close() })
			ends[side] = append(ends[side], end)
		}
	}
	boot := func(role string, wires []*os.File, args ...string) *guest {
		return machine{tree: bookworm, payload: payload, append: "init=/usr/local/sbin/tour-init ro tour=" + role,
			memory: "384", wires: wires, args: args}.boot(t, role)
	}
	server := boot("server", ends[0], "-drive", "file="+disk+",format=raw,if=virtio,cache=unsafe")
	boot("one", ends[1][:1])
	boot("two", ends[1][1:])
	server.passed(15 * time.Minute)
}

// colleagues writes two companies. In the second, alice has another name, and bob is
// another person.
func (p payload) colleagues() {
	p.t.Helper()
	key := testbed.NewKey(p.t, "ed25519", "nfs")
	p.write("key-alice", key.Private, 0o600)
	for _, company := range []struct{ name, alice, bob string }{
		{"first", "alice", "AIDAFIRSTBOB000000AA"},
		{"second", "alicia", "AIDASECONDBOB00000AA"},
	} {
		var groups []testbed.Group
		var wide []string
		for n := range 10 { // IAM gives nobody more
			name := fmt.Sprintf("team-%02d", n)
			groups = append(groups, testbed.Group{Name: name, ID: fmt.Sprintf("AGPATEAM%010dAA", n)})
			wide = append(wide, name)
		}
		person := func(name, id string, groups ...string) testbed.User {
			return testbed.User{Name: name, ID: id, Groups: groups,
				Keys: []testbed.IAMKey{{ID: "APKA" + id[4:], Body: key.Public}}}
		}
		seed, err := json.Marshal(testbed.Company{Groups: groups, Users: []testbed.User{
			person(company.alice, "AIDAALICE0000000000AA"), person("bob", company.bob),
			person("carol", "AIDACAROL0000000000AA"), person("wide", "AIDAWIDE00000000000AA", wide...),
		}})
		if err != nil {
			p.t.Fatal(err)
		}
		p.write(company.name+".json", string(seed), 0o644)
	}
}
