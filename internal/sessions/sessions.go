// Package sessions ends what runs under the uids of people who are out. It
// decides nobody's end: it is given uids, and refuses those that a local
// account or the system may have.
package sessions

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

// ErrNotOurs is returned for a uid that is not one that nss-iam serves.
var ErrNotOurs = errors.New("not a uid of a user of the directory")

// ErrHidden is returned where /proc does not show other users' processes:
// nobody would be found, and nobody ended.
var ErrHidden = errors.New("/proc hides other users' processes; run \"iam-cachefill setup\", which gives the " +
	"daemon's unit what it needs")

// errAlive is why a uid is not ended.
var errAlive = errors.New("some live on after SIGKILL")

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
var grace = 5 * time.Second

const pause = 50 * time.Millisecond // between two looks

// An Ended is what became of one uid.
type Ended struct {
	UID       uint32
	Processes int   // seen at the first look; 1 where they were there and not seen
	Err       error // why something of it may live on
}

// End ends everything that runs with one of uids as its real uid, and whatever
// else is in that user's slice, such as root shells that sudo opened in a
// session. It returns what it found, nothing for uids without processes. An
// Ended without an error says that nothing was left.
//
// First systemd-logind is asked (TerminateUser), and SIGTERM sent; after some
// seconds follow the slice's cgroup.kill and SIGKILL to all that the uid may
// signal, until the kernel knows no process of it. A uid outside the limits
// is ErrNotOurs, and nothing is done at all.
//
// Source: org.freedesktop.login1(5), kill(2), getpriority(2), cgroups(7).
func End(ctx context.Context, uids []uint32, limits Limits) ([]Ended, error) {
	for _, uid := range uids {
		if err := limits.check(uid); err != nil {
			return nil, err
		}
	}
	found := look(uids)
	if len(found) == 0 {
		return nil, nil
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	if hidesProcesses(string(mounts)) {
		return nil, ErrHidden
	}
	if err := count(found); err != nil {
		return nil, err
	}
	terminate(ctx, found)
	if err := askPolitely(ctx, found); err != nil {
		return nil, err
	}
	for i := range found {
		found[i].Err = kill(ctx, found[i].UID)
	}
	return found, nil
}

// look returns the uids that something runs under, or in the slice of.
func look(uids []uint32) []Ended {
	var found []Ended
	for _, uid := range uids {
		if exists(uid) || sliceOf(uid).populated() {
			found = append(found, Ended{UID: uid, Processes: 1})
		}
	}
	return found
}

func count(found []Ended) error {
	for i := range found {
		n, err := signal([]uint32{found[i].UID}, 0)
		if err != nil {
			return err
		}
		found[i].Processes = max(n, 1)
	}
	return nil
}

// exists reports whether the kernel knows a process whose real uid is uid. One
// that forks faster than /proc can be read cannot hide from it: the kernel
// walks its list with new processes at the end.
func exists(uid uint32) bool {
	_, err := unix.Getpriority(unix.PRIO_USER, int(uid))
	return !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EINVAL) // EINVAL: this user namespace has no such uid
}

// askPolitely sends SIGTERM, and gives up to grace to those who obey.
func askPolitely(ctx context.Context, found []Ended) error {
	for end := time.Now().Add(grace); ; {
		var left []uint32
		for _, f := range found {
			if exists(f.UID) {
				left = append(left, f.UID)
			}
		}
		if len(left) == 0 {
			return nil
		}
		living, err := signal(left, unix.SIGTERM)
		if err != nil {
			return err
		}
		if !hasPidfds() {
			for _, uid := range left {
				_ = signalAs(ctx, uid, unix.SIGTERM) // where it fails, kill says why
			}
		}
		if living == 0 || time.Now().After(end) {
			return nil
		}
		if err := wait(ctx); err != nil {
			return err
		}
	}
}

// kill ends what is left of one uid, and returns nil when nothing is.
func kill(ctx context.Context, uid uint32) error {
	for end := time.Now().Add(grace); ; {
		if !exists(uid) && !sliceOf(uid).populated() {
			return nil
		}
		err := errors.Join(sliceOf(uid).kill(), signalAs(ctx, uid, unix.SIGKILL))
		living, scanned := signal([]uint32{uid}, unix.SIGKILL)
		err = errors.Join(err, scanned)
		if err == nil && living == 0 && !sliceOf(uid).populated() {
			return nil // zombies at most, which wait for somebody else's wait(2)
		}
		if time.Now().After(end) {
			if err == nil {
				err = errAlive
			}
			return fmt.Errorf("end processes of uid %d: %w", uid, err)
		}
		if err := wait(ctx); err != nil {
			return fmt.Errorf("end processes of uid %d: %w", uid, err)
		}
	}
}

func wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pause):
		return nil
	}
}

// terminate asks logind. Where there is none, or it refuses, signals do it all.
func terminate(ctx context.Context, found []Ended) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	bus, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return
	}
	defer func() { _ = bus.Close() }()
	logind := bus.Object("org.freedesktop.login1", "/org/freedesktop/login1")
	for _, f := range found {
		_ = logind.CallWithContext(ctx, "org.freedesktop.login1.Manager.TerminateUser", dbus.FlagNoAutoStart, f.UID).Err
	}
}
