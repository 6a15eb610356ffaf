package hostfiles

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

// Bounds of what Grants reads. Ordinary hosts are far below.
const (
	maxGrantFile  = 4 << 20 // bytes of one file
	maxGrantFiles = 2000    // of one folder
	maxIncludes   = 200     // of sudoers, in all
)

// Grants returns what local files below root grant to login names: memberships
// in /etc/group, rules of sudo, system crontabs, crontabs of their own, lists of
// who may use cron and at, lingering. They name people, and names move: the
// next person of the name has it all. A file that cannot be read is in the error,
// beside what the others hold.
//
// It looks for names and understands no rule: a line of sudoers that mentions a
// name is told, whatever it says of it. Jobs of at belong to a uid, not to a name.
func Grants(root string, names []string) ([]accounts.Grant, error) {
	s := &scan{root: root, names: make(map[string]bool, len(names)), folded: make(map[string][]string, len(names))}
	for _, name := range names {
		s.names[name] = true
		s.folded[strings.ToLower(name)] = append(s.folded[strings.ToLower(name)], name)
	}
	s.lines("/etc/group", s.group)
	s.sudoers("/etc/sudoers")
	s.sudoersFolder("/etc/sudoers.d")
	s.lines("/etc/crontab", s.crontab)
	for _, file := range s.folder("/etc/cron.d") {
		s.lines(file, s.crontab)
	}
	for _, file := range []string{"/etc/cron.allow", "/etc/at.allow"} {
		s.lines(file, s.allowed)
	}
	for _, folder := range []struct{ path, what string }{
		{"/var/spool/cron/crontabs", "a crontab"}, {"/var/spool/cron", "a crontab"}, {"/var/lib/systemd/linger", "lingering"},
	} {
		for _, file := range s.folder(folder.path) {
			if name := filepath.Base(file); s.names[name] {
				s.add(name, file, folder.what)
			}
		}
	}
	slices.SortStableFunc(s.found, func(a, b accounts.Grant) int { return strings.Compare(a.LoginName, b.LoginName) })
	return s.found, errors.Join(s.faults...)
}

// A scan is one call of Grants.
type scan struct {
	root     string
	names    map[string]bool
	folded   map[string][]string // the names by how they look in small letters
	included int
	found    []accounts.Grant
	faults   []error
}

func (s *scan) add(name, file, what string) {
	g := accounts.Grant{LoginName: name, File: file, What: what}
	if !slices.Contains(s.found, g) {
		s.found = append(s.found, g)
	}
}

func (s *scan) fault(err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		s.faults = append(s.faults, err)
	}
}

// folder lists the regular names in a folder; what is missing is empty.
func (s *scan) folder(path string) (files []string) {
	dir, err := os.Open(filepath.Join(s.root, path))
	if err != nil {
		s.fault(err)
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(maxGrantFiles)
	if err != nil && !errors.Is(err, io.EOF) {
		s.fault(err)
	}
	if len(names) == maxGrantFiles {
		s.fault(fmt.Errorf("read %q: it has %d files or more, and the rest was left out", path, maxGrantFiles))
	}
	slices.Sort(names)
	for _, name := range names {
		files = append(files, filepath.Join(path, name))
	}
	return files
}

// lines hands each line of a regular file to look, with its place.
func (s *scan) lines(path string, look func(place, line string)) {
	// Nothing may hang here: a pipe in place of a file opens, and is left out.
	file, err := os.OpenFile(filepath.Join(s.root, path), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		s.fault(err)
		return
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	if info.Size() > maxGrantFile {
		s.fault(fmt.Errorf("read %q: it is larger than %d bytes", path, maxGrantFile))
		return
	}
	in := bufio.NewScanner(io.LimitReader(file, maxGrantFile))
	in.Buffer(nil, maxGrantFile)
	for n := 1; in.Scan(); n++ {
		look(fmt.Sprintf("%s:%d", path, n), in.Text())
	}
	if err := in.Err(); err != nil {
		s.fault(fmt.Errorf("read %q: %w", path, err))
	}
}

// group reads name:password:gid:member,member.
func (s *scan) group(_, line string) {
	f := strings.Split(line, ":")
	if len(f) < 4 || strings.HasPrefix(line, "#") {
		return
	}
	for member := range strings.SplitSeq(f[3], ",") {
		if member = strings.TrimSpace(member); s.names[member] {
			s.add(member, "/etc/group", fmt.Sprintf("a member of %.80q", f[0]))
		}
	}
}

// crontab reads the system format: five times or one word with @, then the user.
func (s *scan) crontab(place, line string) {
	f := strings.Fields(line)
	at := 5
	if len(f) > 0 && strings.HasPrefix(f[0], "@") {
		at = 1
	}
	if len(f) > at && !strings.HasPrefix(f[0], "#") && s.names[f[at]] {
		s.add(f[at], place, "a cron job")
	}
}

func (s *scan) allowed(place, line string) {
	if name := strings.TrimSpace(line); s.names[name] {
		s.add(name, place, "permission")
	}
}

func (s *scan) sudoers(path string) {
	s.lines(path, func(place, line string) {
		trimmed := strings.TrimSpace(line)
		for _, sign := range []string{"@", "#"} {
			for _, word := range []string{"includedir", "include"} {
				rest, found := strings.CutPrefix(trimmed, sign+word)
				if target := strings.Trim(strings.TrimSpace(rest), `"`); found && rest != strings.TrimLeft(rest, " \t") &&
					target != "" {
					s.include(path, target, word == "includedir")
					return
				}
			}
		}
		if strings.HasPrefix(trimmed, "#") {
			return
		}
		for _, word := range strings.FieldsFunc(line, func(c rune) bool {
			return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("._-", c))
		}) {
			for _, name := range s.folded[strings.ToLower(word)] { // case_insensitive_user of sudoers(5)
				s.add(name, place, "a sudo rule")
			}
		}
	})
}

func (s *scan) include(from, target string, folder bool) {
	if s.included++; s.included > maxIncludes {
		return
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(from), target)
	}
	if folder {
		s.sudoersFolder(target)
		return
	}
	s.sudoers(target)
}

// sudoersFolder reads a folder as sudo does: names with a dot or a ~ at the end are left out.
func (s *scan) sudoersFolder(path string) {
	for _, file := range s.folder(path) {
		if name := filepath.Base(file); !strings.Contains(name, ".") && !strings.HasSuffix(name, "~") {
			s.sudoers(file)
		}
	}
}
