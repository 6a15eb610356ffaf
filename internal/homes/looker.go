package homes

import (
	"path"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a look may take: a file server that does not answer must
// hold up no refresh, and with it nobody's removal.
const patience = 2 * time.Second

// A Looker looks at many homes as Owner does, and never waits long. While a look
// hangs, it goes on telling what it saw last. The zero value is ready.
type Looker struct {
	mu   sync.Mutex
	busy bool // a look hangs
	last map[string]uint32

	look     func([]string) map[string]uint32 // tests hang here; nil: owners
	patience time.Duration                    // tests wait less; 0: the constant
}

// Owners returns what Owner says of each path, without those of which it says
// nothing, or what was seen last where it takes too long.
func (l *Looker) Owners(paths []string) map[string]uint32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy {
		return l.last
	}
	look, limit := l.look, l.patience
	if look == nil {
		look, limit = owners, patience
	}
	seen := make(chan map[string]uint32, 1)
	go func() { seen <- look(paths) }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case l.last = <-seen:
	case <-timer.C:
		l.busy = true
		go func() {
			<-seen
			l.mu.Lock()
			l.busy = false
			l.mu.Unlock()
		}()
	}
	return l.last
}

// owners looks at all paths. Those of one folder are looked up in it directly,
// which costs a tenth of a walk from the root for each.
func owners(paths []string) map[string]uint32 {
	found := make(map[string]uint32, len(paths))
	folders := map[string]homesFolder{}
	for _, p := range paths {
		dir, name := path.Split(p)
		in, known := folders[dir]
		if !known {
			in = openHomesFolder(dir)
			folders[dir] = in
		}
		if uid, ok := in.owner(name, p); ok {
			found[p] = uid
		}
	}
	for _, in := range folders {
		if in.fd >= 0 {
			_ = unix.Close(in.fd)
		}
	}
	return found
}

// A homesFolder is an open folder with homes in it.
type homesFolder struct {
	fd  int // -1: it is looked at by Owner alone
	dev uint64
}

// openHomesFolder opens a folder whose path has neither links nor automount points.
func openHomesFolder(dir string) homesFolder {
	none := homesFolder{fd: -1}
	at, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return none
	}
	for _, word := range components(dir) {
		next := -1
		if !automountPoint(at) {
			next, err = unix.Openat(at, word, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		}
		_ = unix.Close(at)
		if next < 0 || err != nil {
			return none
		}
		at = next
	}
	var stat unix.Stat_t
	if automountPoint(at) || unix.Fstat(at, &stat) != nil || stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		_ = unix.Close(at)
		return none
	}
	return homesFolder{at, stat.Dev}
}

// owner looks at one name of the folder; full is its path from the root.
func (in homesFolder) owner(name, full string) (uint32, bool) {
	if in.fd < 0 || name == "" || name == "." || name == ".." {
		return Owner(full)
	}
	fd, err := unix.Openat(in.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, false
	}
	defer func() { _ = unix.Close(fd) }()
	var stat unix.Stat_t
	switch {
	case unix.Fstat(fd, &stat) != nil, stat.Dev != in.dev && automountPoint(fd):
		return 0, false
	case stat.Mode&unix.S_IFMT == unix.S_IFLNK:
		return Owner(full)
	}
	return ownerOf(stat), stat.Mode&unix.S_IFMT == unix.S_IFDIR
}
