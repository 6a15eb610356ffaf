package sessions

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// hidesProcesses reports whether /proc is mounted with hidepid, as systemd's
// ProtectProc= does. The last mount over a place is the one that counts.
//
// Source: proc_pid_mountinfo(5): fields before " - ", then type, source, options.
func hidesProcesses(mountinfo string) bool {
	hidden := false
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(line, " - ")
		place, kind := strings.Fields(before), strings.Fields(after)
		if len(place) < 5 || place[4] != "/proc" || len(kind) < 3 {
			continue
		}
		hidden = slices.ContainsFunc(strings.Split(kind[2], ","), func(o string) bool {
			return strings.HasPrefix(o, "hidepid=") && o != "hidepid=0" && o != "hidepid=off"
		})
	}
	return hidden
}

// signal sends s to every process of the uids, and counts them. The id of a
// process can go to another between a look and a signal: a pidfd cannot.
// Without pidfds processes are counted only, and signalAs signals.
func signal(uids []uint32, s unix.Signal) (count int, err error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, fmt.Errorf("look for processes: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		found, err := signalOne(pid, uids, s)
		if err != nil {
			return count, err
		}
		if found {
			count++
		}
	}
	return count, nil
}

func signalOne(pid int, uids []uint32, s unix.Signal) (found bool, err error) {
	if !hasPidfds() {
		uid, alive, err := owner(pid)
		return err == nil && alive && slices.Contains(uids, uid), err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		return false, nil // gone, or a thread
	case err != nil:
		return false, fmt.Errorf("look at process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }()
	uid, alive, err := owner(pid)
	if err != nil || !alive || !slices.Contains(uids, uid) {
		return false, err
	}
	err = unix.PidfdSendSignal(fd, s, nil, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return false, nil
	case err != nil:
		return true, fmt.Errorf("end process %d of uid %d: %w; where iam-cachefill runs without capabilities, give it "+
			"CAP_KILL and ProtectProc=default", pid, uid, err)
	}
	return true, nil
}

// hasPidfds reports whether this process may call pidfd_open(2): Linux has it from 5.3
// on, and filters older than that refuse it.
var hasPidfds = sync.OnceValue(func() bool {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES)
})

// owner returns the real uid of a process, and whether it lives.
func owner(pid int) (uid uint32, alive bool, err error) {
	s, err := readStatus(pid)
	return s.uid, s.alive, err
}

// Holding returns the real uids of the processes that have gid as one of their
// groups: a process keeps the groups it began with.
func Holding(gid uint32) ([]uint32, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	var uids []uint32
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		s, err := readStatus(pid)
		if err != nil {
			return nil, err
		}
		if s.alive && slices.Contains(s.groups, gid) && !slices.Contains(uids, s.uid) {
			uids = append(uids, s.uid)
		}
	}
	return uids, nil
}

// A status is what /proc says of one process; zero for none.
//
// Source: proc_pid_status(5).
type status struct {
	uid    uint32 // real
	alive  bool
	groups []uint32 // the real gid and the supplementary ones
}

func readStatus(pid int) (s status, err error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return status{}, nil
	}
	if err != nil {
		return status{}, err
	}
	owned, ended, threads := false, false, ""
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		numbers := strings.Fields(value)
		switch key {
		case "State": // "Z (zombie)" has ended, and waits for its parent
			ended = len(numbers) == 0 || numbers[0] == "Z" || numbers[0] == "X"
			continue
		case "Threads":
			threads = strings.TrimSpace(value)
			continue
		case "Uid", "Gid": // real, effective, saved, file system
			if len(numbers) != 4 {
				return status{}, fmt.Errorf("process %d has the ids %.100q", pid, value)
			}
			numbers = numbers[:1]
		case "Groups":
		default:
			continue
		}
		for _, text := range numbers {
			n, err := strconv.ParseUint(text, 10, 32)
			if err != nil {
				return status{}, fmt.Errorf("process %d has the id %.100q", pid, text)
			}
			if key == "Uid" {
				s.uid, owned = uint32(n), true
			} else {
				s.groups = append(s.groups, uint32(n))
			}
		}
	}
	if !owned {
		return status{}, fmt.Errorf("process %d has no uid", pid)
	}
	// Where the first thread alone has ended, the state is the same, and others run on.
	s.alive = !ended || threads != "0" && threads != "1"
	return s, nil
}
