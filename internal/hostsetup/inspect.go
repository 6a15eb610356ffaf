package hostsetup

import (
	"context"
	"fmt"
	"os"
)

// A Sight is how the host stands, for somebody who looks and changes nothing.
type Sight struct {
	Interrupted   bool     // a setup or an undoing was killed and waits for the next run
	NsswitchFile  string   // the file that is edited on this host
	NsswitchError error    // it is broken, or cannot be read
	Edited        []string // files of setup's making that somebody edited since: setup refuses to change them
	Passwd, Group bool     // our service is in these lines
	Initgroups    bool     // the initgroups line, where there is one, goes on to our service after a success

	SSHD        bool     // there is an sshd
	SSHDError   error    // what sshd -t or -T said
	KeysCommand []string // effective, or nil
	KeysUser    string   // effective
	KeysFile    string   // the effective AuthorizedKeysFile
	UsePAM      bool
	InUnit      string // file of a unit that gives sshd another key command, or ""

	MakesHomes bool // by PAM, at a login
}

// Look tells how the host stands. Root sees all; others get errors of sshd's.
func (h *Host) Look(ctx context.Context) Sight {
	s := Sight{NsswitchFile: nsswitchPath, MakesHomes: h.makesHomes()}
	pending, err := h.load(pendingPath)
	lasting, lastingErr := h.load(lastingPath)
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
	if h.find("sshd") == "" || !h.exists(sshdConfigPath) {
		return s
	}
	s.SSHD = true
	if err := h.checkSSHD(ctx); err != nil {
		s.SSHDError = err
		return s
	}
	e, err := h.effectiveSSHD(ctx)
	if err != nil {
		s.SSHDError = fmt.Errorf("read the effective configuration: %w", err)
		return s
	}
	s.KeysCommand, s.KeysUser = e.keysCommand(), e.first("authorizedkeyscommanduser")
	s.KeysFile, s.UsePAM = e.first("authorizedkeysfile"), e.first("usepam") == "yes"
	for _, c := range h.commandLineOptions() {
		if !h.exists(unitOverride(c.unit)) && len(c.words) > 0 && c.words[0] != Helper {
			s.InUnit = c.file
		}
	}
	return s
}
