package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Result is what setup or its undoing did.
type Result struct {
	Recovered string   // what an interrupted run had left, and what became of it; or ""
	Changed   []string // files
	Notes     []string // for the person who asked
}

// Setup brings the host to where the plan wants it. On an error the host is
// as it was.
func (h *Host) Setup(ctx context.Context, o Options) (*Result, error) {
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	r := new(Result)
	if r.Recovered, err = h.recover(ctx); err != nil {
		return r, err
	}
	p, err := h.Plan(ctx, o)
	if err != nil {
		return r, err
	}
	if r.Notes = p.Notes; len(p.Changes) == 0 && len(p.Commands) == 0 {
		return r, nil
	}
	j := new(journal)
	if r.Changed, err = h.apply(ctx, p, j); err != nil {
		if back := h.putBack(ctx, pendingPath, j); back != nil {
			return r, errors.Join(err, fmt.Errorf("and putting the host back failed: %w; run \"iam-cachefill setup --undo\"",
				back))
		}
		r.Changed = nil
		return r, fmt.Errorf("%w; the host is as it was", err)
	}
	r.Notes = p.Notes // with what was seen only afterwards
	if !o.Offline {
		r.Notes = append(r.Notes, h.reload(ctx, p.units, p.daemon)...)
	}
	return r, nil
}

// apply makes a plan's changes and checks the host afterwards. The journal is
// always ahead of the files.
func (h *Host) apply(ctx context.Context, p *Plan, j *journal) (changed []string, err error) {
	j.State = stateApplying
	j.Units = append(j.Units, p.units...)
	for _, c := range p.Changes {
		if err := h.backUp(j, c.Path, c.Kind); err != nil {
			return nil, err
		}
		j.find(c.Path).After = digest(c.After)
		for dir := filepath.Dir(c.Path); !h.exists(dir) && !slices.Contains(j.Dirs, dir); dir = filepath.Dir(dir) {
			j.Dirs = append(j.Dirs, dir)
		}
	}
	if err := h.save(pendingPath, j); err != nil {
		return nil, err
	}
	h.step("journal written")
	late := func(c Change) bool { return c.Path == sshdConfigPath || c.Path == sshdDropInPath }
	for _, c := range p.Changes {
		if !late(c) {
			if err := h.make(c); err != nil {
				return nil, err
			}
			changed = append(changed, c.Path)
		}
	}
	for _, c := range p.Commands {
		files, err := h.command(ctx, j, c)
		if err != nil {
			return nil, err
		}
		changed = append(changed, files...)
	}
	for _, c := range p.Changes {
		if late(c) {
			if err := h.make(c); err != nil {
				return nil, err
			}
			changed = append(changed, c.Path)
		}
	}
	if err := h.verify(ctx, p); err != nil {
		return nil, err
	}
	j.State = stateVerified
	if err := h.save(pendingPath, j); err != nil {
		return nil, err
	}
	return changed, h.keep(j)
}

// keep makes a finished setup's journal part of the lasting one.
func (h *Host) keep(pending *journal) error {
	lasting, err := h.load(lastingPath)
	if err != nil {
		return err
	}
	if lasting == nil {
		lasting = new(journal)
	}
	lasting.merge(pending)
	if err := h.save(lastingPath, lasting); err != nil {
		return err
	}
	return h.forget(pendingPath)
}

func (h *Host) make(c Change) error {
	if err := os.MkdirAll(h.at(filepath.Dir(c.Path)), 0o755); err != nil {
		return err
	}
	now, err := h.read(c.Path)
	if err != nil {
		return err
	}
	f := file{content: c.After, mode: 0o644}
	if c.Path == sudoersPath {
		f.mode = 0o440
	}
	if now != nil {
		if now.content != c.Before {
			return fmt.Errorf("%q was changed by somebody else just now", c.Path)
		}
		f.mode, f.uid, f.gid = now.mode, now.uid, now.gid
	} else if !c.New {
		return fmt.Errorf("%q was removed by somebody else just now", c.Path)
	}
	return h.replace(c.Path, f)
}

// command runs a command that changes files of its own choice, and notes
// which.
func (h *Host) command(ctx context.Context, j *journal, c Command) (changed []string, err error) {
	watched := h.glob(c.Watches)
	for _, name := range watched {
		if err := h.backUp(j, name, kindWatched); err != nil {
			return nil, err
		}
		j.find(name).After = ""
	}
	j.Undo = append(j.Undo, c.Undo)
	j.Running = &running{c.Watches, watched}
	if err := h.save(pendingPath, j); err != nil {
		return nil, err
	}
	h.step("before " + c.Argv[0])
	if err := h.runWatched(ctx, c.Argv, c.Watches); err != nil {
		return nil, err
	}
	h.step("after " + c.Argv[0])
	j.Running = nil
	for _, name := range h.glob(c.Watches) {
		now, err := h.read(name)
		if err != nil || now == nil {
			return nil, errors.Join(fmt.Errorf("read %q", name), err)
		}
		e := j.find(name)
		if e == nil {
			j.Files = append(j.Files, entry{Path: name, Kind: kindWatched})
			e = &j.Files[len(j.Files)-1]
		}
		e.After = digest(now.content)
		if !e.Existed || e.After != e.Backup {
			changed = append(changed, name)
		}
	}
	// What the command left alone is none of ours.
	j.Files = slices.DeleteFunc(j.Files, func(e entry) bool {
		return e.Kind == kindWatched && e.Existed && e.After == e.Backup
	})
	return changed, h.save(pendingPath, j)
}

// glob returns the regular files that match.
func (h *Host) glob(patterns []string) (names []string) {
	for _, pattern := range patterns {
		found, _ := filepath.Glob(h.at(pattern))
		for _, name := range found {
			if info, err := os.Lstat(name); err == nil && info.Mode().IsRegular() {
				names = append(names, "/"+strings.TrimPrefix(strings.TrimPrefix(name, filepath.Clean(h.Root)), "/"))
			}
		}
	}
	return names
}

// verify asks the programs concerned whether the host is what was meant.
func (h *Host) verify(ctx context.Context, p *Plan) error {
	if slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Path == sudoersPath }) {
		if _, err := h.Run(ctx, "visudo", "-c"); err != nil {
			return err
		}
	}
	for _, c := range p.Commands {
		if c.Argv[0] != "pam-auth-update" {
			continue
		}
		const left = "pam-auth-update left PAM alone, because its files were edited by hand; "
		if slices.Contains(c.Argv, homesProfile) && !h.makesHomes() {
			p.note(left + "add to /etc/pam.d/common-session: session optional pam_mkhomedir.so umask=0077")
		}
		if slices.Contains(c.Argv, accountProfile) && !accountAsked(h.pamText("common-account")) {
			p.note(left+"add to the end of /etc/pam.d/common-account:\n%s", accountLines)
		}
	}
	if !p.sshd {
		return nil
	}
	if err := h.checkSSHD(ctx); err != nil {
		return err
	}
	after, err := h.effectiveSSHD(ctx)
	if err != nil {
		return err
	}
	if words := after.keysCommand(); len(words) == 0 || words[0] != Helper {
		return fmt.Errorf("sshd's effective AuthorizedKeysCommand is %q and not ours", strings.Join(words, " "))
	}
	if user := after.first("authorizedkeyscommanduser"); user != HelperUser {
		return fmt.Errorf("sshd's effective AuthorizedKeysCommandUser is %q and not %s", user, HelperUser)
	}
	if other := p.effective.otherwise(after); len(other) > 0 {
		return fmt.Errorf("sshd's %s would change as well", strings.Join(other, ", "))
	}
	return nil
}
