package hostsetup

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

// A tree is a small host: files in a folder, and stand-ins for its programs
// that read them. The real programs are asked in tests/integration/packaging.
type tree struct {
	*Host
	t *testing.T
}

// debian is what a fresh Debian has of the files that setup looks at.
var debian = map[string]string{
	"/etc/debian_version": "12.1\n",
	"/etc/nsswitch.conf": "# GNU Name Service Switch\npasswd:         files systemd\ngroup:        " +
		"  files systemd\nshadow:         files\n",
	"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\n" +
		"nss-iam:x:998:998::/nonexistent:/usr/sbin/nologin\n",
	"/etc/ssh/sshd_config": "# sshd\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\nMatch User " +
		"git\n\tForceCommand x",
	"/etc/ssh/sshd_config.d/50-a.conf": "X11Forwarding no\n",
	"/etc/sudoers":                     "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
	"/etc/sudoers.d/README":            "#\n",
	"/etc/pam.d/common-session":        "session required pam_unix.so\n",
	"/etc/pam.d/common-auth":           "auth required pam_unix.so\n",
	"/var/lib/pam/seen":                "unix\n",
	"/etc/pam.d/common-account": "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\n" +
		"account requisite pam_deny.so\naccount required pam_permit.so\n",
	"/etc/sudo.conf":                         "# Set group_source static\n",
	"/usr/bin/sudo":                          "",
	"/usr/share/pam-configs/nss-iam":         "Name: x\n",
	"/usr/share/pam-configs/nss-iam-account": "Name: y\n",
	"/usr/lib/systemd/system/ssh.service":    "[Service]\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n",
	Helper:                                   "",
	"/usr/sbin/sshd":                         "",
	"/usr/sbin/visudo":                       "",
	"/usr/sbin/pam-auth-update":              "",
}

func newTree(t *testing.T) tree {
	t.Helper()
	unmet.Root(t, "only root can give files to root, as setup does")
	root := t.TempDir()
	d := tree{&Host{Root: root}, t}
	for name, content := range debian {
		d.write(name, content)
	}
	if err := os.MkdirAll(d.at("/run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{Helper, "/usr/sbin/sshd", "/usr/sbin/visudo", "/usr/bin/sudo",
		"/usr/sbin/pam-auth-update"} {
		if err := os.Chmod(d.at(program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.Run = d.run
	return d
}

func (d tree) write(name, content string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(d.at(name)), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.at(name), []byte(content), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

func (d tree) text(name string) string {
	content, err := os.ReadFile(d.at(name))
	if err != nil {
		return ""
	}
	return string(content)
}

// run plays the programs: a configuration with the word BROKEN is broken.
func (d tree) run(_ context.Context, argv ...string) (string, error) {
	switch filepath.Base(argv[0]) {
	case "sshd":
		all := d.sshdConfig()
		if slices.ContainsFunc(all, func(l directive) bool { return l.name == "broken" }) {
			return "", errors.New("sshd: Bad configuration option")
		}
		if argv[1] == "-t" {
			return "", nil
		}
		e := map[string]string{"usepam": "no", "authorizedkeyscommand": "none", "authorizedkeyscommanduser": "none",
			"authorizedkeysfile": ".ssh/authorized_keys"}
		seen := map[string]bool{}
		within := ""                                  // the Match that a line is in
		for _, inMatch := range []bool{true, false} { // a Match that fits goes before what is outside
			for _, l := range all {
				if l.name == "match" {
					within = l.value
				}
				fits := within == "all" || strings.Contains(argv[3], "user=served,") && within == "Group iam-users"
				if l.match == inMatch && (!l.match || fits) && !seen[l.name] && l.name != "include" && l.name != "match" {
					e[l.name], seen[l.name] = l.value, true
				}
			}
		}
		var out strings.Builder
		for name, value := range e {
			fmt.Fprintf(&out, "%s %s\n", name, value)
		}
		return out.String(), nil
	case "visudo":
		found, _ := filepath.Glob(d.at("/etc/sudoers*"))
		more, _ := filepath.Glob(d.at("/etc/sudoers.d/*"))
		for _, name := range append(found, more...) {
			if content, err := os.ReadFile(name); err == nil && strings.Contains(string(content), "BROKEN") {
				return "", errors.New("visudo: syntax error")
			}
		}
		return "", nil
	case "unshare":
		return d.unshare(argv)
	case "pam-auth-update":
		for _, profile := range argv[3:] {
			file, record, lines := "/etc/pam.d/common-session", "/var/lib/pam/session",
				"session optional pam_mkhomedir.so umask=0077\n"
			if profile == accountProfile {
				file, record, lines = "/etc/pam.d/common-account", "/var/lib/pam/account", accountLines
			}
			text := strings.ReplaceAll(d.text(file), lines, "")
			if argv[2] == "--enable" {
				text += lines
				d.write(record, profile+"\n")
			} else {
				_ = os.Remove(d.at(record))
			}
			d.write(file, text)
		}
		return "", nil
	case "sudo":
		return d.text("/usr/bin/sudo"), nil
	case "systemctl", "sh":
		return "", nil
	}
	return "", fmt.Errorf("no program %q", argv[0])
}

// unshare plays a command on copies.
func (d tree) unshare(argv []string) (string, error) {
	root, err := os.MkdirTemp("", "copies")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(root) }()
	copies := tree{&Host{Root: root}, d.t}
	patterns := []string{"/etc/pam.d/*", "/var/lib/pam/*"}
	for _, name := range d.glob(patterns) {
		copies.write(name, d.text(name))
	}
	at := slices.Index(argv, "pam-auth-update")
	if _, err := copies.run(context.Background(), argv[at:]...); err != nil {
		return "", err
	}
	var out strings.Builder
	archive := tar.NewWriter(&out)
	for _, name := range copies.glob(patterns) {
		text := copies.text(name)
		if err := archive.WriteHeader(&tar.Header{Name: "." + name, Size: int64(len(text)), Mode: 0o644}); err != nil {
			return "", err
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			return "", err
		}
	}
	return out.String(), archive.Close()
}

// sshdConfig is sshd_config with its drop-ins in the place of Include. A Match
// of theirs ends with their file.
func (d tree) sshdConfig() (all []directive) {
	for _, l := range directives(d.text(sshdConfigPath)) {
		if l.name != "include" {
			all = append(all, l)
			continue
		}
		found, _ := filepath.Glob(d.at("/etc/ssh/sshd_config.d/*.conf"))
		for _, name := range found {
			content, _ := os.ReadFile(name)
			all = append(all, directives(string(content))...)
		}
	}
	return all
}

// snapshot is every file of the host but what setup keeps for itself.
func (d tree) snapshot() map[string]string {
	d.t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(d.Root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, d.Root)
		if name == StateDir || name == filepath.Dir(StateDir) {
			if name == StateDir {
				return fs.SkipDir
			}
			return nil
		}
		info, err := e.Info()
		if err != nil || e.IsDir() {
			files[name] = "folder"
			return err
		}
		content, err := os.ReadFile(path)
		files[name] = fmt.Sprintf("%v %q", info.Mode(), content)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return files
}

// same fails the test where the host is not as it was.
func (d tree) same(want map[string]string) {
	d.t.Helper()
	got := d.snapshot()
	for name, w := range want {
		if g, ok := got[name]; !ok || g != w {
			d.t.Errorf("%s: %s, want %s", name, g, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			d.t.Errorf("%s is new: %s", name, got[name])
		}
	}
}

// all is everything that setup can do.
var all = Options{Sudo: true, HomesByPAM: true}
