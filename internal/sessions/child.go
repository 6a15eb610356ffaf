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

// outsider is the number that the child has besides the one it takes: no
// process that it hunts may signal it. It lies above every number that a host
// has a use for (systemd's UIDS-GIDS: "unused").
const outsider = 2147483646

// childPatience bounds one child.
const childPatience = 2 * time.Second

// Child makes a program able to run End: its main and its tests call it first.
// In the process that End started it does not return.
func Child() {
	if len(os.Args) != 2 || os.Args[0] != childName {
		return
	}
	if err := child(os.Args[1]); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// killAs has a child take the number and send SIGKILL to all that it may, until
// there is nothing. What forks faster than it is looked at does not escape
// that: kill(2) of -1 signals all processes in one step, during which none
// forks.
func killAs(ctx context.Context, uid uint32) error {
	ctx, cancel := context.WithTimeout(ctx, 2*childPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", strconv.FormatUint(uint64(uid), 10))
	cmd.Args[0], cmd.Env = childName, []string{}
	out, err := cmd.CombinedOutput()
	if text := strings.TrimSpace(string(out)); err != nil && text != "" {
		return errors.New(text)
	}
	return err
}

func child(text string) error {
	n, err := strconv.ParseUint(text, 10, 32)
	uid := uint32(n)
	if err != nil || uid < accounts.MinID || uid > accounts.MaxID {
		return fmt.Errorf("%w: %.40q", ErrNotOurs, text)
	}
	if err := become(uid); err != nil {
		return err
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
	const remedy = `run "iam-cachefill setup", which gives the daemon's unit CAP_SETUID and CAP_SETGID`
	if err := unix.Setgroups(nil); err != nil {
		return fmt.Errorf("drop all groups: %w; %s", err, remedy)
	}
	if err := unix.Setresgid(outsider, outsider, outsider); err != nil {
		return fmt.Errorf("take the group %d: %w; %s", outsider, err, remedy)
	}
	if err := unix.Setresuid(outsider, int(uid), outsider); err != nil {
		return fmt.Errorf("take the uid %d: %w; %s", uid, err, remedy)
	}
	if real, effective, saved := unix.Getresuid(); real != outsider || effective != int(uid) || saved != outsider {
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
