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

// Undo puts every file back as it was before setup, byte for byte. Of a file
// that somebody has edited since, only our own part is taken out; a file of
// ours that was edited is kept beside its place. It returns ErrNothingToUndo
// where setup changed nothing.
func (h *Host) Undo(ctx context.Context, offline bool) (*Result, error) {
	if !h.exists(lastingPath) && !h.exists(pendingPath) {
		return nil, ErrNothingToUndo
	}
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	r := new(Result)
	if r.Recovered, err = h.recover(ctx); err != nil {
		return r, err
	}
	j, err := h.load(lastingPath)
	if err != nil || j == nil {
		return r, err
	}
	j.State = stateUndoing
	if err := h.save(lastingPath, j); err != nil {
		return r, err
	}
	if r.Changed, r.Notes, err = h.restore(ctx, j); err != nil {
		return r, err
	}
	if err := h.forget(lastingPath); err != nil {
		return r, err
	}
	if !offline && h.booted() {
		ours := slices.ContainsFunc(j.Files, func(e entry) bool { return filepath.Dir(e.Path) == unitDropInDir })
		r.Notes = append(r.Notes, h.reload(ctx, j.Units, ours)...)
	}
	return r, nil
}

// UndoChanges is what Undo would do, for showing.
func (h *Host) UndoChanges() ([]Change, error) {
	j, err := h.load(lastingPath)
	if err != nil {
		return nil, err
	}
	if j == nil {
		return nil, ErrNothingToUndo
	}
	var changes []Change
	for i := range j.Files {
		e := &j.Files[len(j.Files)-1-i]
		now, err := h.read(e.Path)
		if err != nil {
			return nil, err
		}
		before, err := h.before(e)
		if err != nil {
			return nil, err
		}
		c := Change{Path: e.Path, Kind: e.Kind}
		if now != nil {
			c.Before = now.content
			if e.After != "" && digest(now.content) != e.After && e.Kind == kindEdit {
				if c.After, err = withoutOurs(e.Path, now.content); err != nil {
					return nil, err
				}
			} else if before != nil {
				c.After = before.content
			}
		}
		if c.Before != c.After {
			changes = append(changes, c)
		}
	}
	return changes, nil
}

// recover deals with a setup or an undoing that was interrupted, and says what
// it did.
func (h *Host) recover(ctx context.Context) (string, error) {
	pending, err := h.load(pendingPath)
	switch {
	case err != nil:
		return "", err
	case pending != nil && pending.State == stateVerified:
		if err := h.keep(pending); err != nil {
			return "", err
		}
		return "an earlier setup was interrupted when its work was done; the host was as it should be", nil
	case pending != nil:
		if err := h.putBack(ctx, pendingPath, pending); err != nil {
			return "", err
		}
		return "an earlier setup was interrupted; what it had begun has been put back, and the host was as before it", nil
	}
	lasting, err := h.load(lastingPath)
	if err != nil || lasting == nil || lasting.State != stateUndoing {
		return "", err
	}
	if err := h.putBack(ctx, lastingPath, lasting); err != nil {
		return "", err
	}
	return "an earlier undoing was interrupted and has been finished; the host was as before setup", nil
}

// putBack restores every file of a journal and forgets it.
func (h *Host) putBack(ctx context.Context, name string, j *journal) error {
	if _, _, err := h.restore(ctx, j); err != nil {
		return err
	}
	return h.forget(name)
}

// restore may be interrupted and begun again: what is as it was stays so.
func (h *Host) restore(ctx context.Context, j *journal) (changed, notes []string, err error) {
	if r := j.Running; r != nil {
		for _, pattern := range r.Patterns {
			for _, name := range h.glob([]string{temporary(pattern)}) {
				err = errors.Join(err, h.remove(name))
			}
			for _, name := range h.glob([]string{pattern}) {
				if !slices.Contains(r.There, name) {
					err = errors.Join(err, h.remove(name))
					changed = append(changed, name)
				}
			}
		}
	}
	edited := false
	for i := range j.Files {
		e := &j.Files[len(j.Files)-1-i] // sshd's first
		did, note, mine, oneErr := h.restoreOne(e)
		err = errors.Join(err, oneErr)
		if did {
			changed = append(changed, e.Path)
		}
		if note != "" {
			notes = append(notes, note)
		}
		edited = edited || !mine
	}
	if edited {
		for _, argv := range slices.Backward(j.Undo) {
			if oneErr := h.runWatched(ctx, argv, watchedBy[argv[0]]); oneErr != nil {
				notes = append(notes, oneErr.Error())
			}
		}
	}
	for _, dir := range j.Dirs {
		_ = os.Remove(h.at(dir)) // unless somebody put something there
	}
	return changed, notes, err
}

// restoreOne puts one file back. mine is false where a command's file was
// edited since, so that the command itself has to take its part out.
func (h *Host) restoreOne(e *entry) (did bool, note string, mine bool, err error) {
	_ = os.Remove(h.at(temporary(e.Path)))
	now, err := h.read(e.Path)
	if err != nil {
		return false, "", true, err
	}
	before, err := h.before(e)
	if err != nil {
		return false, "", true, err
	}
	switch {
	case now == nil && before == nil:
		return false, "", true, nil
	case now == nil:
		if e.Kind == kindWatched && e.After == "" {
			return true, "", true, h.replace(e.Path, *before) // the command was interrupted
		}
		return false, fmt.Sprintf("%s was removed since setup, and stays so", e.Path), true, nil
	case before != nil && now.content == before.content:
		return false, "", true, nil
	case e.After == "" || digest(now.content) == e.After:
		if before == nil {
			return true, "", true, h.remove(e.Path)
		}
		return true, "", true, h.replace(e.Path, *before)
	case e.Kind == kindWatched:
		return false, fmt.Sprintf("%s was edited since setup; its own program takes our part out", e.Path), false, nil
	case e.Kind == kindOwn:
		saved := e.Path + ".nss-iam-saved"
		if err := os.Rename(h.at(e.Path), h.at(saved)); err != nil {
			return false, "", true, err
		}
		return true, fmt.Sprintf("%s was edited since setup, and is kept as %s", e.Path, saved), true, nil
	}
	content, err := withoutOurs(e.Path, now.content)
	if err != nil || content == now.content {
		return false, "", true, err
	}
	now.content = content
	return true, fmt.Sprintf("%s was edited since setup; only our part was taken out", e.Path), true,
		h.replace(e.Path, *now)
}

func withoutOurs(name, content string) (string, error) {
	if strings.HasSuffix(name, "nsswitch.conf") {
		return RemoveService(content)
	}
	return RemoveBlock(content), nil
}
