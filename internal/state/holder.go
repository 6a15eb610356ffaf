package state

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Holder names the process that has dir/state.db locked, as far as this process may
// know: process 812, "iam-cachefill refresh"; "" where it may not. A unit that hides
// /proc/locks leaves the names of programs to go by.
//
// Source: proc_locks(5), proc_pid_comm(5), proc_pid_cmdline(5).
func Holder(dir string) string {
	var file unix.Stat_t
	if unix.Stat(filepath.Join(dir, File), &file) != nil {
		return ""
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return sameProgram()
	}
	if pid := lockedBy(string(locks), file.Ino); pid > 0 {
		return process(pid)
	}
	return ""
}

// lockedBy returns the process that has a file locked by flock(2), or 0. Of the
// file's device /proc/locks has another number than stat(2) on some file systems.
func lockedBy(locks string, inode uint64) int {
	for line := range strings.Lines(locks) {
		// 3: FLOCK  ADVISORY  WRITE 812 fe:01:1234 0 EOF; with "->" after the number: it waits
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || !strings.HasSuffix(f[5], fmt.Sprintf(":%d", inode)) {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil {
			return pid
		}
	}
	return 0
}

// sameProgram names the one other process of this program, if there is one alone.
func sameProgram() string {
	own, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		return ""
	}
	found := 0
	all, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, path := range all {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if b, err := os.ReadFile(path); err != nil || pid == os.Getpid() || !bytes.Equal(b, own) {
			continue
		}
		if found != 0 {
			return ""
		}
		found = pid
	}
	if found == 0 {
		return ""
	}
	return process(found)
}

func process(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	args := strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
	if err != nil || args[0] == "" {
		return fmt.Sprintf("process %d", pid)
	}
	args[0] = filepath.Base(args[0])
	return fmt.Sprintf("process %d, %.80q", pid, strings.Join(args, " "))
}
