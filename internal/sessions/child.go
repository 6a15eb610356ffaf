package sessions

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

// childName is the name under which a program that calls Child runs itself.
const childName = "nss-iam-end-processes"

// outsider is the uid that the child has besides the one it takes. No process
// that it hunts may signal it, nor may another child: the daemon and an expel may
// end people at the same time. No host uses these uids: they lie between
// systemd's foreign range and 2³¹ (systemd's UIDS-GIDS).
func outsider() int {
	const first, count = 2147418112, 65535
	return first + os.Getpid()%count
}

// childPatience bounds one child.
const childPatience = 2 * time.Second

// Child makes a program able to run End: its main and its tests call it first.
// In the process that End started it does not return.
func Child() {
	if len(os.Args) != 3 || os.Args[0] != childName {
		return
	}
	if err := child(os.Args[1], os.Args[2] == endNow); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// endNow has the child send SIGKILL until there is nothing, in place of one SIGTERM.
const endNow = "now"

// signalAs has a child take the uid and signal all that it may: SIGTERM once, or
// SIGKILL until there is nothing. What forks faster than it is looked at does not escape
// that: kill(2) of -1 signals all processes in one step, during which none
// forks.
func signalAs(ctx context.Context, uid uint32, s unix.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, 2*childPatience)
	defer cancel()
	how := ""
	if s == unix.SIGKILL {
		how = endNow
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", strconv.FormatUint(uint64(uid), 10), how)
	cmd.Args[0], cmd.Env = childName, []string{}
	out, err := cmd.CombinedOutput()
	if text := strings.TrimSpace(string(out)); err != nil && text != "" {
		return errors.New(text)
	}
	return err
}

func child(text string, now bool) error {
	n, err := strconv.ParseUint(text, 10, 32)
	uid := uint32(n)
	if err != nil || uid < accounts.MinID || uid > accounts.MaxID {
		return fmt.Errorf("%w: %.40q", ErrNotOurs, text)
	}
	if err := become(uid); err != nil {
		return err
	}
	if !now {
		_ = unix.Kill(-1, unix.SIGTERM) // as for SIGKILL below
		return nil
	}
	for end := time.Now().Add(childPatience); ; time.Sleep(pause / 5) {
		// ESRCH: nobody else is there at all. Other errors say nothing of those
		// who were signaled.
		_ = unix.Kill(-1, unix.SIGKILL)
		if !exists(uid) || time.Now().After(end) {
			return nil
		}
	}
}

// become gives up every right but to signal the processes of uid. It must not
// fail half: kill(2) of -1 by root would end the host.
//
// As kill(2) has it, the real or effective uid of the sender must be the real
// or saved one of the receiver. So uid is the effective one alone.
func become(uid uint32) error {
	outside := outsider()
	const remedy = `run "iam-cachefill setup", which gives the daemon's unit CAP_SETUID and CAP_SETGID`
	if err := unix.Setgroups(nil); err != nil {
		return fmt.Errorf("drop all groups: %w; %s", err, remedy)
	}
	if err := unix.Setresgid(outside, outside, outside); err != nil {
		return fmt.Errorf("take the group %d: %w; %s", outside, err, remedy)
	}
	if err := unix.Setresuid(outside, int(uid), outside); err != nil {
		return fmt.Errorf("take the uid %d: %w; %s", uid, err, remedy)
	}
	if real, effective, saved := unix.Getresuid(); real != outside || effective != int(uid) || saved != outside {
		return fmt.Errorf("the uids are %d, %d and %d after taking %d", real, effective, saved, uid)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("read the capabilities: %w", err)
	}
	if sets[0].Effective|sets[0].Permitted|sets[1].Effective|sets[1].Permitted != 0 {
		return errors.New("the capabilities outlast the change of the uid; remove SecureBits= from the unit")
	}
	return nil
}
