package hostsetup

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

// preview runs a command where copies stand in the place of the folders that
// it writes to, in a mount namespace of its own, and prints what is in them
// afterwards. Its first argument is the number of folders that follow.
const preview = `n=$1; shift
mount -t tmpfs -o mode=0700 tmpfs /tmp
i=0
while [ $i -lt "$n" ]; do
	if [ -d "$1" ]; then
		cp -a "$1" /tmp/$i
		mount --bind /tmp/$i "$1"
		dirs="$dirs .$1"
	fi
	i=$((i + 1)); shift
done
cd /
"$@" >&2 </dev/null
exec tar -c --no-recursion $(find $dirs -type f)`

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
	dirs := []string{"/var/cache/debconf"}
	for _, pattern := range c.Watches {
		dirs = append(dirs, path.Dir(pattern))
	}
	argv := []string{"unshare", "--mount", "sh", "-ec", preview, "preview", fmt.Sprint(len(dirs))}
	text, err := h.Run(ctx, append(append(argv, dirs...), c.Argv...)...)
	if err != nil {
		return nil, err
	}
	after := make(map[string]string)
	for archive := tar.NewReader(strings.NewReader(text)); ; {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		name := path.Join("/", entry.Name)
		if !watched(c.Watches, name) || entry.Size > maxFile {
			continue
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		after[name] = string(content)
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
		change := Change{Path: name, Kind: kindWatched, After: after[name], New: now == nil}
		if now != nil {
			change.Before = now.content
		}
		if change.Before != change.After {
			changes = append(changes, change)
		}
	}
	return changes, nil
}

func watched(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if ok, _ := filepath.Match(pattern, name); ok {
			return true
		}
	}
	return false
}
