package hostsetup

import (
	"context"
	"os"
)

// A Sight is how the host stands, for somebody who looks and changes nothing.
type Sight struct {
	SetUp         bool     // setup changed this host, and was not undone
	Interrupted   bool     // a setup or an undoing was killed and waits for the next run
	NsswitchFile  string   // the file that is edited on this host
	NsswitchError error    // it is broken, or cannot be read
	Edited        []string // files of setup's making that somebody edited since: setup refuses to change them
	Passwd, Group bool     // our service is in these lines
	Initgroups    bool     // the initgroups line, where there is one, goes on to our service after a success

	SSHD      bool  // there is an sshd
	SSHDError error // what sshd -t or -T said, or why it could not be asked
	Answer
	InUnit string // file of a unit that gives sshd another key command, or ""

	MakesHomes bool // by PAM, at a login
}

// An Answer is what sshd makes of its configuration.
type Answer struct {
	KeysCommand []string // effective, or nil
	KeysUser    string   // effective
	KeysFile    string   // the effective AuthorizedKeysFile
	UsePAM      bool
}

// Look tells how the host stands. Root sees all; others get errors of sshd's.
func (h *Host) Look(ctx context.Context) Sight {
	s := h.files()
	s.MakesHomes = h.makesHomes()
	if s.SSHD {
		s.Answer, s.SSHDError = h.askSSHD(ctx)
	}
	return s
}

// files tells what files say, without running a program.
func (h *Host) files() Sight {
	s := Sight{NsswitchFile: nsswitchPath}
	pending, err := h.load(pendingPath)
	lasting, lastingErr := h.load(lastingPath)
	s.SetUp = lasting != nil || pending != nil || h.exists(lastingPath)
	s.Interrupted = err == nil && pending != nil || lastingErr == nil && lasting != nil && lasting.State != stateApplied
	if lasting != nil {
		for _, e := range lasting.Files {
			if now, err := h.read(e.Path); e.Kind == kindOwn && err == nil && now != nil && e.After != digest(now.content) {
				s.Edited = append(s.Edited, e.Path)
			}
		}
	}
	// What glibc reads counts, no matter what generated it.
	if content, err := os.ReadFile(h.at(nsswitchPath)); err != nil {
		s.NsswitchError = err
	} else {
		s.Passwd, s.Group, s.NsswitchError = HasService(string(content))
		s.Initgroups = !initgroupsEnds(string(content))
	}
	s.SSHD = h.find("sshd") != "" && h.exists(sshdConfigPath)
	if !s.SSHD {
		return s
	}
	for _, c := range h.commandLineOptions() {
		if !h.exists(unitOverride(c.unit)) && len(c.words) > 0 && c.words[0] != Helper {
			s.InUnit = c.file
		}
	}
	return s
}
