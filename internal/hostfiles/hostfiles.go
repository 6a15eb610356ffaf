// Package hostfiles reads the local accounts, groups and sub-id ranges that a
// host's own files hold. It opens the paths it is given and nothing else, asks
// no name service, and decides nothing: package accounts does.
package hostfiles

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

// Paths are the files of one host.
type Paths struct{ Passwd, Group, SubUID, SubGID, LoginDefs string }

// System are the paths of the running host.
var System = Paths{"/etc/passwd", "/etc/group", "/etc/subuid", "/etc/subgid", "/etc/login.defs"}

// maxFile is far above what these files hold anywhere.
const maxFile = 64 << 20

// Read reads all files. A line that cannot be understood is left out, as
// glibc leaves it out, and told in problems. The sub-id files and login.defs may be missing;
// any other file that cannot be read is an error, for without it nobody can
// know what is local.
func Read(p Paths) (host accounts.Host, problems []error, err error) {
	read := func(path string, needed bool, line func([]string) error) {
		if err != nil {
			return
		}
		file, openErr := os.Open(path)
		if openErr != nil {
			if needed || !errors.Is(openErr, fs.ErrNotExist) {
				err = fmt.Errorf("read local accounts: %w", openErr)
			}
			return
		}
		defer file.Close()
		found, readErr := eachLine(path, file, line)
		problems = append(problems, found...)
		if readErr != nil {
			err = fmt.Errorf("read local accounts from %q: %w", path, readErr)
		}
	}
	read(p.Passwd, true, func(f []string) error { return user(&host, f) })
	read(p.Group, true, func(f []string) error { return group(&host, f) })
	read(p.SubUID, false, func(f []string) error { return subIDs(&host, "subuid", f) })
	read(p.SubGID, false, func(f []string) error { return subIDs(&host, "subgid", f) })
	if err != nil {
		return accounts.Host{}, nil, err
	}
	host.SysGIDMax = sysGIDMax(p.LoginDefs)
	return host, problems, nil
}

// sysGIDMax reads SYS_GID_MAX, or GID_MIN less one, as groupadd(8) does. 0 means
// that the file says nothing, or cannot be read to its end: the default holds.
func sysGIDMax(path string) uint32 {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	var sys, least uint64
	lines := bufio.NewScanner(io.LimitReader(file, maxFile))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 2 {
			continue
		}
		n, err := strconv.ParseUint(f[1], 0, 32)
		switch {
		case err != nil:
		case f[0] == "SYS_GID_MAX":
			sys = n
		case f[0] == "GID_MIN" && n > 0:
			least = n - 1
		}
	}
	if lines.Err() != nil {
		return 0
	}
	if sys == 0 {
		sys = least
	}
	return uint32(sys)
}

// eachLine calls parse with the fields of every line that holds an entry.
func eachLine(path string, r io.Reader, parse func([]string) error) (problems []error, err error) {
	in := bufio.NewReader(io.LimitReader(r, maxFile+1))
	size := 0
	for n := 1; ; n++ {
		line, readErr := in.ReadString('\n')
		if size += len(line); size > maxFile {
			return problems, fmt.Errorf("larger than %d bytes", maxFile)
		}
		// glibc takes leading blanks, comments and the compat lines of NIS
		// for nothing that names an account.
		if text := strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t"); text != "" && text[0] != '#' &&
			text[0] != '+' && text[0] != '-' {
			if problem := parse(strings.Split(text, ":")); problem != nil {
				problems = append(problems, fmt.Errorf("%s:%d: %w, leaving the line out", path, n, problem))
			}
		}
		if readErr == io.EOF {
			return problems, nil
		}
		if readErr != nil {
			return problems, readErr
		}
	}
}

// user reads name:password:uid:gid:gecos:home:shell. The end may be missing.
func user(host *accounts.Host, f []string) error {
	if len(f) < 4 || f[0] == "" {
		return fmt.Errorf("not a passwd(5) entry: %.80q", strings.Join(f, ":"))
	}
	uid, err := number(f[2])
	if err != nil {
		return fmt.Errorf("user %.80q: uid %w", f[0], err)
	}
	gid, err := number(f[3])
	if err != nil {
		return fmt.Errorf("user %.80q: gid %w", f[0], err)
	}
	host.Users = append(host.Users, accounts.HostUser{Name: f[0], UID: uid, GID: gid})
	return nil
}

// group reads name:password:gid:member,member.
func group(host *accounts.Host, f []string) error {
	if len(f) < 3 || f[0] == "" {
		return fmt.Errorf("not a group(5) entry: %.80q", strings.Join(f, ":"))
	}
	gid, err := number(f[2])
	if err != nil {
		return fmt.Errorf("group %.80q: gid %w", f[0], err)
	}
	g := accounts.HostGroup{Name: f[0], GID: gid}
	if len(f) > 3 {
		for member := range strings.SplitSeq(f[3], ",") {
			if member = strings.TrimSpace(member); member != "" {
				g.Members = append(g.Members, member)
			}
		}
	}
	host.Groups = append(host.Groups, g)
	return nil
}

// subIDs reads owner:first:count.
func subIDs(host *accounts.Host, file string, f []string) error {
	if len(f) != 3 || f[0] == "" {
		return fmt.Errorf("not a %s(5) entry: %.80q", file, strings.Join(f, ":"))
	}
	first, err := number(f[1])
	if err != nil {
		return fmt.Errorf("%s of %.80q: first id %w", file, f[0], err)
	}
	count, err := strconv.ParseUint(f[2], 10, 64)
	if err != nil {
		return fmt.Errorf("%s of %.80q: count %.80q is not a number", file, f[0], f[2])
	}
	if count == 0 {
		return nil
	}
	last := uint64(math.MaxUint32)
	if count-1 < last-uint64(first) {
		last = uint64(first) + count - 1
	}
	host.SubIDs = append(host.SubIDs, accounts.HostRange{Range: accounts.Range{Low: first, High: uint32(last)},
		Owner: f[0], File: file})
	return nil
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%.80q is not a number of 0 to %d", s, uint32(math.MaxUint32))
	}
	return uint32(n), nil
}

// Stamp changes whenever one of the files does, as far as stat(2) can tell.
func Stamp(p Paths) string {
	var s strings.Builder
	for _, path := range []string{p.Passwd, p.Group, p.SubUID, p.SubGID, p.LoginDefs} {
		info, err := os.Stat(path)
		if err != nil {
			s.WriteString("-;")
			continue
		}
		stat := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&s, "%d %d %d %d;", stat.Dev, stat.Ino, stat.Size, stat.Ctim.Nano())
	}
	return s.String()
}
