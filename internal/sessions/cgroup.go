package sessions

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// cgroupRoots are where version 2 of cgroups is mounted, alone or beside version 1.
var cgroupRoots = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}

// A slice is the cgroup in which systemd puts all sessions and services of one
// user.
type slice struct{ name string }

func sliceOf(uid uint32) slice {
	return slice{fmt.Sprintf("user.slice/user-%d.slice", uid)}
}

// populated reports whether anything runs in the slice.
func (s slice) populated() bool {
	for _, root := range cgroupRoots {
		events, err := os.ReadFile(filepath.Join(root, s.name, "cgroup.events"))
		if err == nil && strings.Contains("\n"+string(events), "\npopulated 1") {
			return true
		}
	}
	return false
}

// kill ends all that is in the slice in one step, no matter who it runs as. Where the
// kernel is older than 5.14 or has no cgroups of version 2 it does nothing.
func (s slice) kill() error {
	for _, root := range cgroupRoots {
		f, err := os.OpenFile(filepath.Join(root, s.name, "cgroup.kill"), os.O_WRONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			_, err = f.WriteString("1")
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return fmt.Errorf(`%w; run "iam-cachefill setup", which lets the daemon's unit write there`, err)
		}
	}
	return nil
}
