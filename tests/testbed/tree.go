package testbed

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Releases are the Debian releases that the artifacts are tested on: glibc
// 2.31, 2.36 and 2.41; OpenSSH 8.4, 9.2 and 10.0.
var Releases = []string{"bullseye", "bookworm", "trixie"}

var trees struct {
	sync.Mutex
	made map[string]func() (string, error)
}

// PrepareTrees begins to make the releases' trees, all at once and in the
// background, where they are not there from an earlier run.
func PrepareTrees() {
	for _, release := range Releases {
		go tree(release)
	}
}

// tree is the folder of a release's tree, as tests/integration/debian-tree makes it.
func tree(release string) (string, error) {
	trees.Lock()
	if trees.made == nil {
		trees.made = make(map[string]func() (string, error))
	}
	once := trees.made[release]
	if once == nil {
		once = sync.OnceValues(func() (string, error) {
			cmd := exec.Command(filepath.Join(Root(), "tests", "integration", "debian-tree"), release)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); err != nil {
				return "", fmt.Errorf("make a tree of %s: %w\n%s", release, err, stderr.String())
			}
			return strings.TrimSpace(stdout.String()), nil
		})
		trees.made[release] = once
	}
	trees.Unlock()
	return once()
}

// NewDebianHost is a private host of a Debian release. It ends with the test.
// Its processes are those that the test starts; nothing has booted.
func NewDebianHost(t testing.TB, release string, options ...Option) *Host {
	t.Helper()
	Require(t, "debootstrap")
	dir, err := tree(release)
	if err != nil {
		t.Fatal(err)
	}
	return NewHost(t, append([]Option{ofTree(dir)}, options...)...)
}
