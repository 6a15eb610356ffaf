package hostsetup

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// copying runs a command where copies stand in the place of the folders that
// it writes to, in a mount namespace of its own, and prints what is in them
// afterwards. Its first argument is the number of folders that follow.
const copying = `n=$1; shift
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

// onCopies runs a command on copies and returns the files that it watches as they
// would be afterwards. Copies of further folders take what else it writes.
func (h *Host) onCopies(ctx context.Context, argv, watches []string, further ...string) (map[string]file, error) {
	dirs := slices.Clone(further)
	for _, pattern := range watches {
		dirs = append(dirs, path.Dir(pattern))
	}
	shell := append([]string{"unshare", "--mount", "sh", "-ec", copying, "copying", fmt.Sprint(len(dirs))}, dirs...)
	text, err := h.Run(ctx, append(shell, argv...)...)
	if err != nil {
		return nil, err
	}
	after := make(map[string]file)
	for archive := tar.NewReader(strings.NewReader(text)); ; {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		name := path.Join("/", entry.Name)
		if !watched(watches, name) || entry.Size > maxFile {
			continue
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		after[name] = file{content: string(content), mode: entry.FileInfo().Mode(), uid: entry.Uid, gid: entry.Gid}
	}
	for _, name := range h.glob(watches) {
		if _, there := after[name]; !there {
			return nil, fmt.Errorf("%q is not among the copies", name)
		}
	}
	return after, nil
}

func watched(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if ok, _ := filepath.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

// runWatched runs a command so that a power cut finds each file that it watches as it was or
// as the command makes it. pam-auth-update renames files into place that it has not
// synced: they may be empty afterwards, and then nobody logs in. So it works on copies,
// and what it changes is replaced here. Where there can be no mount namespace it works
// on the files themselves, and they are synced at its end.
func (h *Host) runWatched(ctx context.Context, argv, watches []string) error {
	if argv[0] == "pam-auth-update" {
		if after, err := h.onCopies(ctx, argv, watches); err == nil {
			return h.place(after)
		}
	}
	if _, err := h.Run(ctx, argv...); err != nil {
		return err
	}
	return h.settle(h.glob(watches))
}

// place replaces what is not yet as it is to be: a file of PAM's, and right after it
// what pam-auth-update remembers of it, in its own order.
func (h *Host) place(after map[string]file) error {
	names := slices.SortedFunc(maps.Keys(after), func(a, b string) int {
		kind := func(name string) string { return strings.TrimPrefix(path.Base(name), "common-") }
		return cmp.Or(cmp.Compare(kind(a), kind(b)), cmp.Compare(a, b))
	})
	for _, name := range names {
		now, err := h.read(name)
		if err != nil {
			return err
		}
		if now == nil || now.content != after[name].content {
			if err := h.replace(name, after[name]); err != nil {
				return err
			}
		}
	}
	return nil
}
