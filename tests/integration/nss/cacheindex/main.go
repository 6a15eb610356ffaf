// Command cacheindex writes the index files that libnss-cache searches in place
// of reading passwd.cache and group.cache from the beginning.
//
// usage: cacheindex PASSWD GROUP DIR
//
// Files written: DIR/passwd.cache.ixname and .ixuid, DIR/group.cache.ixname and
// .ixgid. An entry is a key, NUL, the offset of its line, NULs up to the same
// length for all, and a newline; entries are in the order of their keys' bytes.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: cacheindex PASSWD GROUP DIR")
		os.Exit(2)
	}
	for _, x := range []struct {
		file, to string
		field    int
	}{
		{os.Args[1], "passwd.cache.ixname", 0}, {os.Args[1], "passwd.cache.ixuid", 2},
		{os.Args[2], "group.cache.ixname", 0}, {os.Args[2], "group.cache.ixgid", 2},
	} {
		if err := write(x.file, filepath.Join(os.Args[3], x.to), x.field); err != nil {
			fmt.Fprintln(os.Stderr, "cacheindex:", err)
			os.Exit(1)
		}
	}
}

// write writes the index of the lines of file by one of their fields.
func write(file, to string, field int) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var entries []string
	offset, longest := 0, 0
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(line, ":", field+2)
		if len(fields) < field+2 {
			return fmt.Errorf("read %q: line at %d has no field %d", file, offset, field)
		}
		entries = append(entries, fmt.Sprintf("%s\x00%d\x00", fields[field], offset))
		longest = max(longest, len(entries[len(entries)-1]))
		offset += len(line)
	}
	slices.Sort(entries)
	var out bytes.Buffer
	for _, e := range entries {
		out.WriteString(e + strings.Repeat("\x00", longest-len(e)) + "\n")
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}
