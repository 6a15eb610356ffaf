package health

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nss-iam/nss-iam/internal/hostsetup"
)

// SetUp is the command that writes our part of the host's files again.
const SetUp = "iam-cachefill setup"

// A Wish is what the configuration wants of what setup edits.
type Wish struct {
	Chain      []string // keys.chain
	ConfigFile string
}

// Edits judges whether glibc and sshd ask us, by what setup edits. It has a finding for
// what is good, too.
func Edits(s hostsetup.Sight, w Wish) []Finding {
	var e examination
	if s.Interrupted {
		e.add(Broken, "setup", "a setup was interrupted", "the host is set up in part", SetUp)
	}
	switch {
	case s.NsswitchError != nil:
		e.add(Broken, "nsswitch", fmt.Sprintf("%s is broken: %v", s.NsswitchFile, s.NsswitchError),
			"glibc may know no user at all", "correct it; nsswitch.conf(5) says how")
	case !s.Passwd:
		e.shut("nsswitch", s.NsswitchFile+" does not name iam for passwd", "no program knows a user of the directory", SetUp)
	case !s.Group:
		e.add(Broken, "nsswitch", s.NsswitchFile+" does not name iam for group", "no program knows a group of the directory",
			SetUp)
	case !s.Initgroups:
		e.add(Broken, "nsswitch", s.NsswitchFile+" has an initgroups line without [SUCCESS=continue] before iam",
			"a person in one local group is in none of ours", SetUp)
	default:
		e.good("nsswitch", s.NsswitchFile+" names iam")
	}
	if s.SSHD {
		e.sshd(s, w)
	}
	return e.findings
}

func (e *examination) sshd(s hostsetup.Sight, w Wish) {
	command := strings.Join(s.KeysCommand, " ")
	switch {
	case s.SSHDError != nil:
		e.add(Broken, "sshd", fmt.Sprintf("sshd refuses its configuration: %v", s.SSHDError),
			"after the next restart nobody logs in by ssh", "sshd -t")
	case s.InUnit != "":
		e.shut("sshd", s.InUnit+" gives sshd another AuthorizedKeysCommand",
			"a command line beats sshd_config, so the directory is never asked",
			"take it out of that file, then systemctl daemon-reload and "+SetUp+"; setup says how to keep the other command")
	case len(s.KeysCommand) == 0:
		e.shut("sshd", "sshd has no AuthorizedKeysCommand", "keys in the directory open nothing", SetUp)
	case s.KeysCommand[0] != hostsetup.Helper:
		e.shut("sshd", "sshd's AuthorizedKeysCommand is "+command, "keys in the directory open nothing",
			w.beside(s.KeysCommand))
	case s.KeysUser != hostsetup.HelperUser:
		e.add(Broken, "sshd", "sshd runs the key helper as "+s.KeysUser, "only "+hostsetup.HelperUser+" may read the keys",
			SetUp)
	case len(s.KeysCommand) < 2 || s.KeysCommand[1] != "%u":
		e.add(Broken, "sshd", "sshd does not pass the login name first: "+command, "the helper refuses to guess", SetUp)
	case !strings.Contains(command, "%U"):
		e.add(Warning, "sshd", "sshd does not pass %U: "+command, "the helper cannot compare the uid that sshd found "+
			"with its own", "with OpenSSH 7.7 or later: "+SetUp)
	default:
		e.good("sshd", "sshd asks the key helper")
	}
}

// beside is the remedy where another helper has our place. setup alone refuses to
// replace it, because people may need that way in.
func (w Wish) beside(command []string) string {
	if len(w.Chain) > 0 && w.Chain[0] == command[0] {
		return SetUp
	}
	return fmt.Sprintf("to keep its keys, write under [keys] in %s: %s; otherwise take it out of sshd's configuration; "+
		"then %s", w.ConfigFile, hostsetup.ChainKey(command), SetUp)
}

// Movable completes remedies that run setup: files that somebody edited, which setup
// refuses to write again, are moved away first. setup --undo does that itself.
func Movable(findings []Finding, edited []string) []Finding {
	if len(edited) == 0 {
		return findings
	}
	findings = slices.Clone(findings)
	for i, f := range findings {
		if !strings.Contains(f.Fix, SetUp+" --undo") {
			findings[i].Fix = strings.ReplaceAll(f.Fix, SetUp, "mv "+strings.Join(edited, " ")+" /root/ && "+SetUp)
		}
	}
	return findings
}
