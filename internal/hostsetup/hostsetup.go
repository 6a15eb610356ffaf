// Package hostsetup owns the edits that setup makes in a host's configuration
// (nsswitch.conf, sshd, sudoers, PAM, systemd drop-ins), applying them so that
// nothing is ever left between, and undoing them byte for byte. It knows
// neither AWS nor config.toml, and decides nothing about users.
//
// Order matters: an edit that comes first does no harm without those that come
// later. sshd is last, so that keys are asked for only on a host that knows
// the users.
package hostsetup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Where things are on a host.
const (
	Helper     = "/usr/libexec/nss-iam/authkeys"
	HelperUser = "nss-iam"
	SudoGroup  = "iam-sudo"
	// StateDir holds the journal and the files as they were before.
	StateDir = "/var/lib/nss-iam/setup"

	nsswitchPath     = "/etc/nsswitch.conf"
	userNsswitchPath = "/etc/authselect/user-nsswitch.conf"
	sshdConfigPath   = "/etc/ssh/sshd_config"
	sshdDropInPath   = "/etc/ssh/sshd_config.d/10-nss-iam.conf"
	sudoersPath      = "/etc/sudoers.d/nss-iam"
	unitDropInDir    = "/etc/systemd/system/nss-iam.service.d"
	featuresDir      = "/usr/share/nss-iam/systemd"
)

// Options say what the configuration wants of the host.
type Options struct {
	Sudo        bool     // members of iam-sudo may use sudo
	HomesByPAM  bool     // pam_mkhomedir makes homes
	HomesFolder string   // where the daemon makes homes, or ""
	EndSessions bool     // the daemon ends processes
	OwnKeys     bool     // sshd reads served users' own authorized_keys
	Chain       []string // the other AuthorizedKeysCommand that the helper runs, or nil
	Offline     bool     // an image or a chroot: no service is reloaded, and no systemd needed
}

// A Host is a file tree and the way to run commands in it.
type Host struct {
	Root string // "/", or the folder of a tree
	// Run runs a command of the host and returns its standard output. The error
	// of a command that failed holds what it wrote to standard error.
	Run func(ctx context.Context, argv ...string) (string, error)

	image        bool // it has not booted yet, as Options.Offline says
	makesNothing bool // not even the folder that sshd needs to look at itself
	// noNewPrivileges reports whether PR_SET_NO_NEW_PRIVS is set; nil asks the kernel.
	noNewPrivileges func() bool
	interrupt       func(where string) // tests end the process here
}

// This is the host that the program runs on.
func This() *Host { return Tree("/") }

// Tree is the host whose files are in the folder root; its commands are run by
// chroot.
func Tree(root string) *Host {
	h := &Host{Root: root}
	h.Run = func(ctx context.Context, argv ...string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
		defer cancel()
		if filepath.Clean(root) != "/" {
			argv = append([]string{"chroot", root}, argv...)
		}
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Env = []string{"PATH=" + searchPath, "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive"}
		cmd.Dir = "/"
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			said := oneLine(stderr.String() + "\n" + stdout.String())
			return stdout.String(), fmt.Errorf("run %q: %w: %.2000s", strings.Join(argv, " "), err, said)
		}
		return stdout.String(), nil
	}
	return h
}

// oneLine is what a program said about a fault, without the files that visudo finds sound.
func oneLine(said string) string {
	var lines []string
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasSuffix(line, ": parsed OK") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (h *Host) at(name string) string { return filepath.Join(h.Root, name) }

// find returns where a program of the host is, or "".
func (h *Host) find(program string) string {
	for dir := range strings.SplitSeq(searchPath, ":") {
		name := filepath.Join(dir, program)
		if info, err := os.Stat(h.at(name)); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return name
		}
	}
	return ""
}

// booted reports whether systemd runs the host, sd_booted(3).
func (h *Host) booted() bool {
	info, err := os.Lstat(h.at("/run/systemd/system"))
	return err == nil && info.IsDir()
}

// A Refusal is why setup changed nothing.
type Refusal struct{ What, Remedy string }

func (r *Refusal) Error() string { return r.What + "; " + r.Remedy }

func refuse(remedy, format string, args ...any) error {
	return &Refusal{What: fmt.Sprintf(format, args...), Remedy: remedy}
}

// ErrNothingToUndo is returned by Undo on a host where setup changed nothing.
var ErrNothingToUndo = errors.New("setup has changed nothing on this host")

// step is a point between two changes of the host.
func (h *Host) step(where string) {
	if h.interrupt != nil {
		h.interrupt(where)
	}
}
