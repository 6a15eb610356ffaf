package hostsetup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Verdict is what sshd made of its configuration when its files were last
// others. It may be kept, so that sshd is asked once for each change.
type Verdict struct {
	Of    string // the state of the files that it is about; "" where nobody could ask
	Error string `json:",omitempty"` // the mistake that sshd found
	Answer
}

// watchPatience is how long sshd may take to read its configuration.
const watchPatience = 10 * time.Second

// maxSSHDFiles is far above what a configuration has.
const maxSSHDFiles = 1000

// Watch tells what Look tells, for somebody who asks often, or is confined: sshd is asked
// only if its files are not those of before. SSHD is false where that cannot be known,
// and on a host where setup has not touched sshd. A host that setup has not changed, or
// of which the caller may not know it, has SetUp false and no more.
func (h *Host) Watch(ctx context.Context, before Verdict) (Sight, Verdict) {
	s := h.files()
	if !s.SetUp {
		return Sight{}, Verdict{}
	}
	if s.SSHD = s.SSHD && h.touchedSSHD(); !s.SSHD {
		return s, Verdict{}
	}
	v := before
	switch of := h.sshdState(); {
	case v.Of == of:
	case h.transitionDenied():
		v = Verdict{}
	default:
		v = h.verdict(ctx, of)
	}
	s.SSHD, s.Answer = v.Of != "", v.Answer
	if v.Error != "" {
		s.SSHDError = errors.New(v.Error)
	}
	return s, v
}

// touchedSSHD reports whether setup has written lines for sshd.
func (h *Host) touchedSSHD() bool {
	j, err := h.load(lastingPath)
	return err == nil && j != nil && (j.find(sshdDropInPath) != nil || j.find(sshdConfigPath) != nil)
}

// mistake is in what sshd says of a configuration that it refuses. Other errors may be
// of who asks: a daemon without the folder /run/sshd, or one that may read no host key.
var mistake = regexp.MustCompile(`(?i)\bline \d+|bad configuration option`)

// verdict asks sshd, which takes some hundredths of a second.
func (h *Host) verdict(ctx context.Context, of string) Verdict {
	ctx, cancel := context.WithTimeout(ctx, watchPatience)
	defer cancel()
	watching := *h
	watching.makesNothing = true
	answer, err := watching.askSSHD(ctx)
	switch {
	case err == nil:
		return Verdict{Of: of, Answer: answer}
	case mistake.MatchString(err.Error()):
		return Verdict{Of: of, Error: err.Error()}
	}
	return Verdict{}
}

// transitionDenied reports whether SELinux would refuse sshd the domain that it has by
// the policy, and write that down: who may gain no privileges, as the daemon by its unit,
// may start no program with a domain of its own.
func (h *Host) transitionDenied() bool {
	bound := h.noNewPrivileges
	if bound == nil {
		bound = func() bool {
			set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
			return err == nil && set == 1
		}
	}
	return h.exists("/sys/fs/selinux/enforce") && bound()
}

// askSSHD runs sshd -t and -T.
func (h *Host) askSSHD(ctx context.Context) (Answer, error) {
	if err := h.checkSSHD(ctx); err != nil {
		return Answer{}, err
	}
	e, err := h.effectiveSSHD(ctx)
	if err != nil {
		return Answer{}, fmt.Errorf("read the effective configuration: %w", err)
	}
	return Answer{KeysCommand: e.keysCommand(), KeysUser: e.first("authorizedkeyscommanduser"),
		KeysFile: e.first("authorizedkeysfile"), UsePAM: e.first("usepam") == "yes"}, nil
}

// sshdState is another after each change of the program or of a file that it reads.
func (h *Host) sshdState() string {
	var all strings.Builder
	for _, name := range append(h.sshdFiles(), h.find("sshd")) {
		info, err := os.Stat(h.at(name))
		if err != nil {
			fmt.Fprintf(&all, "%q %v\n", name, errors.Is(err, fs.ErrNotExist))
			continue
		}
		stat := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&all, "%q %d %d %d %d.%d\n", name, stat.Ino, stat.Size, stat.Mode, stat.Ctim.Sec, stat.Ctim.Nsec)
	}
	sum := sha256.Sum256([]byte(all.String()))
	return hex.EncodeToString(sum[:])
}

// sshdFiles are the files of sshd's configuration, each once.
func (h *Host) sshdFiles() (names []string) {
	names = []string{sshdConfigPath}
	for i := 0; i < len(names) && len(names) < maxSSHDFiles; i++ {
		content, err := os.ReadFile(h.at(names[i]))
		if err != nil {
			continue
		}
		for _, d := range directives(string(content)) {
			if d.name != "include" {
				continue
			}
			for _, pattern := range includePatterns(d.value) {
				found, _ := filepath.Glob(h.at(pattern))
				for _, name := range found {
					name = filepath.Join("/", strings.TrimPrefix(name, filepath.Clean(h.Root)))
					if !slices.Contains(names, name) {
						names = append(names, name)
					}
				}
			}
		}
	}
	return names
}
