package hostsetup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A setup at work keeps a journal of its own, "pending". Interrupted while it
// is in stateApplying, what it changed is to be put back; once it is in
// stateVerified, it is to be merged into the lasting journal, which says all
// that is to be undone and is in stateApplied. In stateUndoing, undoing is to be
// finished.
const (
	pendingPath = StateDir + "/pending.json"
	lastingPath = StateDir + "/journal.json"

	stateApplying = "applying"
	stateVerified = "verified"
	stateApplied  = "applied"
	stateUndoing  = "undoing"
)

// A journal says what setup changed. It is written before the change.
type journal struct {
	State string
	Files []entry
	Dirs  []string   // folders that setup made, the deepest first
	Undo  [][]string // commands that take out what is ours of files edited since
	// Running is set while a command is at work: what it makes is not known yet.
	Running *running `json:",omitempty"`
	Units   []string // units of sshd's that were overridden and need a restart
}

// A running command may change files that match Patterns; There were there
// before, and others are of its making.
type running struct{ Patterns, There []string }

// An entry is one file.
type entry struct {
	Path    string
	Kind    string // kindEdit, kindOwn or kindWatched
	Existed bool
	Backup  string `json:",omitempty"` // file in StateDir with what it was
	Mode    fs.FileMode
	UID     int
	GID     int
	Changed time.Time
	After   string // digest of what setup made of it; "" while a command is at work
}

// Kinds of files.
const (
	kindEdit    = "edit"    // the host's, with our part in it
	kindOwn     = "own"     // ours alone
	kindWatched = "watched" // changed by a command that setup ran
)

func (j *journal) find(name string) *entry {
	i := slices.IndexFunc(j.Files, func(e entry) bool { return e.Path == name })
	if i < 0 {
		return nil
	}
	return &j.Files[i]
}

// load returns the journal at name, or nil where there is none.
func (h *Host) load(name string) (*journal, error) {
	text, err := os.ReadFile(h.at(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	var j journal
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, fmt.Errorf("read journal %q: %w; the files as they were are beside it", name, err)
	}
	return &j, nil
}

func (h *Host) save(name string, j *journal) error {
	text, err := json.MarshalIndent(j, "", "\t")
	if err != nil {
		return err
	}
	if err := h.replace(name, file{content: string(text) + "\n", mode: 0o600}); err != nil {
		return fmt.Errorf("keep journal: %w", err)
	}
	return nil
}

// backUp notes a file as it is before it is changed for the first time.
func (h *Host) backUp(j *journal, name, kind string) error {
	if j.find(name) != nil {
		return nil
	}
	now, err := h.read(name)
	if err != nil {
		return err
	}
	e := entry{Path: name, Kind: kind}
	if now != nil {
		e.Existed, e.Mode, e.UID, e.GID, e.Changed = true, now.mode, now.uid, now.gid, now.changed
		e.Backup = digest(now.content)
		if err := h.replace(filepath.Join(StateDir, e.Backup), file{content: now.content, mode: 0o600}); err != nil {
			return err
		}
	}
	j.Files = append(j.Files, e)
	return nil
}

// before returns what a file was, or nil where there was none.
func (h *Host) before(e *entry) (*file, error) {
	if !e.Existed {
		return nil, nil
	}
	content, err := os.ReadFile(h.at(filepath.Join(StateDir, e.Backup)))
	if err != nil {
		return nil, err
	}
	if digest(string(content)) != e.Backup {
		return nil, fmt.Errorf("backup of %q is damaged, leaving the file alone", e.Path)
	}
	return &file{string(content), e.Mode, e.UID, e.GID, e.Changed}, nil
}

// merge adds what a later setup changed. A file that nobody changed between
// the two keeps its first backup. Merging twice is as good as once.
func (j *journal) merge(later *journal) {
	j.State = stateApplied
	for _, e := range later.Files {
		old := j.find(e.Path)
		switch {
		case old == nil:
			j.Files = append(j.Files, e)
		case old.After == e.Backup:
			old.After = e.After
		case old.After != e.After:
			*old = e
		}
	}
	for _, dir := range later.Dirs {
		if !slices.Contains(j.Dirs, dir) {
			j.Dirs = append(j.Dirs, dir)
		}
	}
	for _, argv := range later.Undo {
		if !slices.ContainsFunc(j.Undo, func(a []string) bool { return slices.Equal(a, argv) }) {
			j.Undo = append(j.Undo, argv)
		}
	}
	for _, unit := range later.Units {
		if !slices.Contains(j.Units, unit) {
			j.Units = append(j.Units, unit)
		}
	}
}

// forget removes a journal, and the backups with the last one.
func (h *Host) forget(name string) error {
	if err := h.remove(name); err != nil {
		return err
	}
	if slices.ContainsFunc([]string{pendingPath, lastingPath}, h.exists) {
		return nil
	}
	left, err := os.ReadDir(h.at(StateDir))
	for _, e := range left {
		err = errors.Join(err, os.Remove(h.at(filepath.Join(StateDir, e.Name()))))
	}
	return err
}

// lock makes the state folder and keeps other setups out until unlock.
func (h *Host) lock() (unlock func(), err error) {
	if err := h.writable(StateDir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(h.at(filepath.Dir(StateDir)), 0o755); err != nil {
		return nil, err
	}
	if err := os.Mkdir(h.at(StateDir), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	dir, err := os.Open(h.at(StateDir))
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = dir.Close()
		return nil, refuse("wait for it to end", "another setup is running")
	}
	return func() {
		// Where nothing is kept nothing is left; otherwise this fails.
		_ = os.Remove(h.at(StateDir))
		_ = dir.Close()
	}, nil
}
