// Package leftovers finds what a person who is out has left behind on a host
// and no refresh takes away: rules of local files that name the person, jobs,
// keys in other accounts, and processes that were begun in the person's
// sessions under another uid. It reads and reports; it changes nothing.
package leftovers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// A Person is whose leftovers are looked for.
type Person struct {
	Names        []string // login names and directory names
	UIDs         []uint32
	Homes        []string
	Fingerprints []string // of the person's keys, SHA256:…; those in the person's home are added
}

// An Account is somebody whose authorized_keys may hold the person's keys.
type Account struct{ Name, Home string }

// A Leftover is one thing for a person to look at.
type Leftover struct {
	Where  string `json:"where"` // a file with its line, or a process
	What   string `json:"what"`
	Remedy string `json:"remedy"`
}

// Accounts returns the accounts of /etc/passwd below root.
func Accounts(root string) ([]Account, error) {
	var all []Account
	err := eachLine(filepath.Join(root, "/etc/passwd"), func(_ int, line string) {
		if fields := strings.Split(line, ":"); len(fields) == 7 {
			all = append(all, Account{Name: fields[0], Home: filepath.Clean(fields[5])})
		}
	})
	return all, err
}

// maxFile bounds what is read of one file.
const maxFile = 4 << 20

// Find looks below root, "/" for the running host. accounts are everybody who
// has a home. A folder that an automounter would have to mount is not looked
// into, and is reported. The errors are of files that could not be read.
func Find(root string, p Person, accounts []Account) ([]Leftover, []error) {
	f := finder{root: root, person: p}
	f.rules()
	f.jobs()
	f.keys(accounts)
	f.processes()
	return f.found, f.faults
}

type finder struct {
	root   string
	person Person
	found  []Leftover
	faults []error
}

func (f *finder) at(path string) string { return filepath.Join(f.root, path) }

func (f *finder) add(where, what, remedy string) {
	f.found = append(f.found, Leftover{where, what, remedy})
}

func (f *finder) fault(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH) {
		f.faults = append(f.faults, err)
	}
}

// rules are files in which a name grants something, with what it may grant.
var rules = []struct{ pattern, what string }{
	{"/etc/group", "is a member of a local group"},
	{"/etc/sudoers", "is named by a rule of sudo"},
	{"/etc/sudoers.d/*", "is named by a rule of sudo"},
	{"/etc/doas.conf", "is named by a rule of doas"},
	{"/etc/ssh/sshd_config", "is named by sshd's configuration"},
	{"/etc/ssh/sshd_config.d/*", "is named by sshd's configuration"},
	{"/etc/security/access.conf", "is named by pam_access"},
	{"/etc/polkit-1/rules.d/*", "is named by a rule of polkit"},
	{"/etc/crontab", "has a job of cron"},
	{"/etc/cron.d/*", "has a job of cron"},
	{"/etc/cron.allow", "may use cron"},
	{"/etc/at.allow", "may use at"},
	{"/etc/systemd/system/*.service", "is named by a unit of systemd"},
	{"/etc/systemd/system/*.service.d/*.conf", "is named by a unit of systemd"},
	{"/etc/subuid", "has further uids"},
	{"/etc/subgid", "has further gids"},
}

func (f *finder) rules() {
	for _, rule := range rules {
		paths, err := filepath.Glob(f.at(rule.pattern))
		f.fault(err)
		for _, path := range paths {
			f.fault(eachLine(path, func(n int, line string) {
				if name := f.named(line); name != "" {
					f.add(fmt.Sprintf("%s:%d", path, n), fmt.Sprintf("%q %s: %.200q", name, rule.what, strings.TrimSpace(line)),
						"take the name out of the line; who gets the name next has what it grants")
				}
			}))
		}
	}
}

// named returns which of the names is in a line as a word of its own, outside
// comments; or the uid, as sudoers(5) writes it.
func (f *finder) named(line string) string {
	for _, uid := range f.person.UIDs {
		if name := fmt.Sprintf("#%d", uid); slices.Contains(strings.FieldsFunc(line,
			func(r rune) bool { return strings.ContainsRune(" \t,:=", r) }), name) {
			return name
		}
	}
	line, _, _ = strings.Cut(line, "#")
	line = strings.ToLower(line) // sudo takes alice for ALICE
	for _, name := range f.person.Names {
		for rest := line; name != ""; {
			before, after, ok := strings.Cut(rest, strings.ToLower(name))
			if !ok {
				break
			}
			if !endsInWord(before) && !beginsWithWord(after) {
				return name
			}
			rest = after
		}
	}
	return ""
}

const inWords = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/@"

func endsInWord(s string) bool { return s != "" && strings.Contains(inWords, s[len(s)-1:]) }

func beginsWithWord(s string) bool { return s != "" && strings.Contains(inWords, s[:1]) }

// jobs are what begins by itself: crontabs and linger by name, at by owner.
func (f *finder) jobs() {
	for _, name := range f.person.Names {
		if name == "" || strings.ContainsAny(name, "/\x00") || name == "." || name == ".." {
			continue
		}
		for folder, what := range map[string]string{
			"/var/spool/cron/crontabs": "a crontab", "/var/spool/cron": "a crontab",
			"/var/lib/systemd/linger": "services that start at boot (linger)",
		} {
			path := filepath.Join(f.at(folder), name)
			if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
				f.add(path, fmt.Sprintf("%q has %s", name, what), fmt.Sprintf("rm %q, if it is not wanted", path))
			} else {
				f.fault(err)
			}
		}
	}
	for _, folder := range []string{"/var/spool/cron/atjobs", "/var/spool/at"} {
		entries, err := os.ReadDir(f.at(folder))
		f.fault(err)
		for _, e := range entries {
			info, err := e.Info()
			f.fault(err)
			if err == nil && info.Mode().IsRegular() && slices.Contains(f.person.UIDs, info.Sys().(*syscall.Stat_t).Uid) {
				path := filepath.Join(f.at(folder), e.Name())
				f.add(path, "is a job of at", fmt.Sprintf("rm %q, if it is not wanted", path))
			}
		}
	}
}

// processes are those that were begun in a session of the person and run under
// another uid, as sudo starts them. Linux's audit remembers whose session
// it was.
//
// Source: proc_pid_loginuid(5).
func (f *finder) processes() {
	entries, err := os.ReadDir(f.at("/proc"))
	f.fault(err)
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		dir := filepath.Join(f.at("/proc"), e.Name())
		text, err := os.ReadFile(filepath.Join(dir, "loginuid"))
		f.fault(err)
		uid, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
		if err != nil || !slices.Contains(f.person.UIDs, uint32(uid)) {
			continue
		}
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		f.fault(err)
		if err == nil {
			f.add("process "+e.Name(), fmt.Sprintf("%.40q was begun in a session of uid %d", strings.TrimSpace(string(name)),
				uid),
				"see what it is (ps -fp "+e.Name()+"), and end it if it is not wanted")
		}
	}
}

// keys finds the person's keys in other accounts.
func (f *finder) keys(accounts []Account) {
	auto := f.automounts()
	closed := func(home string) bool {
		return slices.ContainsFunc(auto, func(dir string) bool { return home == dir || strings.HasPrefix(home, dir+"/") })
	}
	for _, home := range f.person.Homes {
		if !closed(home) {
			f.ownKeys(home)
			f.mail(home)
		}
	}
	var unseen []string
	looked := map[string]bool{}
	for _, a := range accounts {
		if looked[a.Home] || slices.Contains(f.person.Homes, a.Home) || !filepath.IsAbs(a.Home) {
			continue
		}
		looked[a.Home] = true
		if closed(a.Home) {
			unseen = append(unseen, a.Home)
			continue
		}
		for _, name := range []string{"authorized_keys", "authorized_keys2"} {
			path := filepath.Join(f.at(a.Home), ".ssh", name)
			f.fault(eachLine(path, func(n int, line string) {
				key, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
				if err != nil {
					return
				}
				where := fmt.Sprintf("%s:%d", path, n)
				if sum := ssh.FingerprintSHA256(key); slices.Contains(f.person.Fingerprints, sum) {
					f.add(where, fmt.Sprintf("the person's key %s opens the account %q", sum, a.Name), "take the line out")
				} else if name := f.named(strings.ReplaceAll(comment, "@", " ")); name != "" {
					f.add(where, fmt.Sprintf("a key whose comment names %q opens the account %q: %.100q", name, a.Name, comment),
						"see whose it is")
				}
			}))
		}
	}
	if len(unseen) > 0 {
		f.add(strings.Join(unseen[:min(len(unseen), 5)], " "), fmt.Sprintf("%d homes are mounted on demand and were not "+
			"looked into", len(unseen)),
			"look into their .ssh/authorized_keys on the server")
	}
}

// mail looks for what has the mail server run commands as the person: it asks nobody.
func (f *finder) mail(home string) {
	for _, name := range []string{".forward", ".procmailrc", ".qmail", ".mailfilter"} {
		path := filepath.Join(f.at(home), name)
		if _, err := os.Lstat(path); err != nil {
			f.fault(err)
			continue
		}
		f.add(path, "tells a mail server what to run as the person", fmt.Sprintf("rm %q, if it is not wanted", path))
	}
}

// ownKeys learns the keys that the person keeps at home.
func (f *finder) ownKeys(home string) {
	paths, err := filepath.Glob(filepath.Join(f.at(home), ".ssh", "*.pub"))
	f.fault(err)
	real, err := filepath.EvalSymlinks(f.at(home))
	f.fault(err)
	for _, path := range append(paths, filepath.Join(f.at(home), ".ssh", "authorized_keys"),
		filepath.Join(f.at(home), ".ssh", "authorized_keys2")) {
		// A link to another's file would make the keys there the person's.
		if target, err := filepath.EvalSymlinks(path); err != nil || !strings.HasPrefix(target, real+"/") {
			f.fault(err)
			continue
		}
		f.fault(eachLine(path, func(_ int, line string) {
			if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err == nil {
				f.person.Fingerprints = append(f.person.Fingerprints, ssh.FingerprintSHA256(key))
			}
		}))
	}
}

// automounts returns where an automounter mounts what is looked at.
//
// Source: proc_pid_mountinfo(5): fields before " - ", then type and source.
func (f *finder) automounts() []string {
	var dirs []string
	f.fault(eachLine(f.at("/proc/self/mountinfo"), func(_ int, line string) {
		before, after, _ := strings.Cut(line, " - ")
		place, kind := strings.Fields(before), strings.Fields(after)
		if len(place) > 4 && len(kind) > 0 && kind[0] == "autofs" {
			dirs = append(dirs, place[4])
		}
	}))
	return dirs
}

// eachLine reads a regular file. A person may own it: a fifo or a link to a
// device must not hold us up.
func eachLine(path string, fn func(n int, line string)) error {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return nil
	}
	bounded := &io.LimitedReader{R: file, N: maxFile}
	lines := bufio.NewScanner(bounded)
	lines.Buffer(nil, 64<<10)
	for n := 1; lines.Scan(); n++ {
		fn(n, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	if bounded.N <= 0 && info.Size() > maxFile {
		return fmt.Errorf("read %q: it has %d bytes, and what is behind the first %d was not looked at", path, info.Size(),
			maxFile)
	}
	return nil
}
