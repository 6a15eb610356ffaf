// Package sessions ends what runs under the numbers of users who are gone. It
// decides nobody's end: it is told numbers, and refuses those that a local
// account or the system may have.
package sessions

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

// ErrNotOurs is returned for a number that is not one that nss-iam serves.
var ErrNotOurs = errors.New("not a number of an IAM user")

// ErrHidden is returned where /proc does not show other users' processes:
// nobody would be found, and nobody ended.
var ErrHidden = errors.New("/proc hides other users' processes; give the daemon's unit ProtectProc=default and CAP_KILL, as \"iam-cachefill setup\" does")

// Limits say whose processes may be ended.
type Limits struct {
	Range accounts.Range // nss-iam's, of which nothing below accounts.MinID counts
	Host  accounts.Host  // its accounts are never touched
}

func (l Limits) check(uid uint32) error {
	if uid < accounts.MinID || uid > accounts.MaxID || !l.Range.Contains(uid) {
		return fmt.Errorf("end processes of uid %d: %w: outside %d to %d", uid, ErrNotOurs, l.Range.Low, l.Range.High)
	}
	for _, u := range l.Host.Users {
		if u.UID == uid {
			return fmt.Errorf("end processes of uid %d: %w: the local account %q has it", uid, ErrNotOurs, u.Name)
		}
	}
	return nil
}

// grace is how long processes have between SIGTERM and SIGKILL, and how long
// the kernel has after that.
const grace = 5 * time.Second

// End ends every process whose real uid is one of uids, and says how many
// there were: systemd-logind ends the sessions (TerminateUser), then, also
// without logind, what is left is sent SIGTERM, and SIGKILL after some seconds.
// A number outside the limits is ErrNotOurs, and nothing is done at all.
//
// Source: org.freedesktop.login1(5), pidfd_send_signal(2).
func End(ctx context.Context, uids []uint32, limits Limits) (ended int, err error) {
	for _, uid := range uids {
		if err := limits.check(uid); err != nil {
			return 0, err
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return 0, fmt.Errorf("look for processes: %w", err)
	}
	if hidesProcesses(string(mounts)) {
		return 0, ErrHidden
	}
	ended, err = signal(uids, 0)
	if err != nil || ended == 0 {
		return 0, err
	}
	terminate(ctx, uids)
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		for end := time.Now().Add(grace); ; {
			left, err := signal(uids, s)
			if err != nil || left == 0 {
				return ended, err
			}
			if time.Now().After(end) {
				break
			}
			select {
			case <-ctx.Done():
				return ended, context.Cause(ctx)
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	return ended, fmt.Errorf("end processes of uids %v: some live on after SIGKILL", uids)
}

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

// terminate asks logind. Where there is none, or it refuses, signals do it all.
func terminate(ctx context.Context, uids []uint32) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	bus, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return
	}
	defer func() { _ = bus.Close() }()
	logind := bus.Object("org.freedesktop.login1", "/org/freedesktop/login1")
	for _, uid := range uids {
		_ = logind.CallWithContext(ctx, "org.freedesktop.login1.Manager.TerminateUser", dbus.FlagNoAutoStart, uid).Err
	}
}

// signal sends s to every process of the uids, and counts them. A number of a
// process can go to another between a look and a signal: a pidfd cannot.
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
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false, nil // gone, or a thread
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
		return true, fmt.Errorf("end process %d of uid %d: %w; where iam-cachefill runs without capabilities, give it CAP_KILL and ProtectProc=default", pid, uid, err)
	}
	return true, nil
}

// owner returns the real uid of a process, and whether it lives.
func owner(pid int) (uid uint32, alive bool, err error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	alive = true
	for line := range strings.Lines(string(b)) {
		switch key, value, _ := strings.Cut(line, ":"); key {
		case "State": // "Z (zombie)" has ended, and waits for its parent
			value = strings.TrimSpace(value)
			alive = !strings.HasPrefix(value, "Z") && !strings.HasPrefix(value, "X")
		case "Uid": // real, effective, saved, file system
			fields := strings.Fields(value)
			if len(fields) != 4 {
				return 0, false, fmt.Errorf("process %d has the uids %q", pid, value)
			}
			n, err := strconv.ParseUint(fields[0], 10, 32)
			return uint32(n), alive, err
		}
	}
	return 0, false, fmt.Errorf("process %d has no uid", pid)
}
