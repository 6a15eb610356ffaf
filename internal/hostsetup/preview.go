package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Preview says what the plan's commands would change, where that can be found
// out without changing anything: it runs them on copies. What authselect makes
// follows from a file that is not there yet, and is not shown.
func (h *Host) Preview(ctx context.Context, p *Plan) ([]Change, error) {
	var all []Change
	for _, c := range p.Commands {
		if c.Argv[0] != "pam-auth-update" {
			continue
		}
		changes, err := h.preview(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("what %q would change cannot be shown: %w", strings.Join(c.Argv, " "), err)
		}
		all = append(all, changes...)
	}
	return all, nil
}

func (h *Host) preview(ctx context.Context, c Command) (changes []Change, err error) {
	after, err := h.onCopies(ctx, c.Argv, c.Watches, "/var/cache/debconf")
	if err != nil {
		return nil, err
	}
	names := h.glob(c.Watches)
	for name := range after {
		if !h.exists(name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		now, err := h.read(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		change := Change{Path: name, Kind: kindWatched, After: after[name].content, New: now == nil}
		if now != nil {
			change.Before = now.content
		}
		if change.Before != change.After {
			changes = append(changes, change)
		}
	}
	return changes, nil
}
