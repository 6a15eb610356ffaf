// Package support makes the archive that goes with a bug report: what a host has of
// nss-iam, without keys, tokens and external ids. It asks nobody but programs of this host,
// changes nothing, and sends nothing anywhere.
package support

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// A Host is where pieces come from.
type Host struct {
	Root string // "/", or another folder in tests
	// Run is the output of a program of the host, both kinds.
	Run func(ctx context.Context, name string, args ...string) (string, error)
	Now time.Time
}

// A Bundle is the archive's files by their names, each without secrets.
type Bundle struct {
	host    Host
	hide    *Redactor
	files   map[string]string
	missing []string
}

// mostBytes is how much of one piece is kept: its end.
const mostBytes = 1 << 20

// New returns a bundle of what every host can give. The secrets are texts that are left
// out wherever they stand, besides everything that looks like one.
func New(ctx context.Context, h Host, secrets []string) *Bundle {
	b := &Bundle{host: h, hide: NewRedactor(secrets), files: map[string]string{}}
	for _, name := range files {
		b.file(name)
	}
	for _, pattern := range folders {
		names, _ := filepath.Glob(filepath.Join(h.Root, pattern))
		for _, name := range names {
			b.file(strings.TrimPrefix(name, strings.TrimSuffix(h.Root, "/")))
		}
	}
	for _, p := range programs {
		b.program(ctx, p.name, p.argv...)
	}
	return b
}

// files are those of the host that say how it is set up.
var files = []string{
	"/etc/nsswitch.conf", "/etc/os-release", "/etc/sudo.conf", "/etc/ssh/sshd_config", "/etc/nscd.conf",
	"/etc/nss-iam/environment",
}

var folders = []string{"/etc/ssh/sshd_config.d/*.conf", "/etc/pam.d/sshd", "/etc/pam.d/common-*", "/etc/pam.d/*-auth",
	"/etc/systemd/system/nss-iam.service.d/*.conf"}

var programs = []struct {
	name string
	argv []string
}{
	{"uname.txt", []string{"uname", "-a"}},
	{"unit.txt", []string{"systemctl", "--no-pager", "show", "nss-iam"}},
	{"daemon.log", []string{"journalctl", "--no-pager", "-o", "short-iso", "-n", "2000", "-u", "nss-iam"}},
	{"authkeys.log", []string{"journalctl", "--no-pager", "-o", "short-iso", "-n", "500", "-t", "authkeys"}},
	{"account.log", []string{"journalctl", "--no-pager", "-o", "short-iso", "-n", "500", "-t", "nss-iam-account"}},
	{"sshd.txt", []string{"sshd", "-T"}},
	{"files.txt", []string{"ls", "-lan", "/var/lib/nss-iam", "/run/nss-iam", "/etc/nss-iam"}},
	{"packages.txt", []string{"sh", "-c", "dpkg-query -W nss-iam libc6 openssh-server systemd sudo 2>/dev/null || rpm " +
		"-q nss-iam glibc openssh-server systemd sudo"}},
}

// Add puts a text into the bundle.
func (b *Bundle) Add(name, text string) {
	if len(text) > mostBytes {
		text = "… (the beginning is left out)\n" + text[len(text)-mostBytes:]
	}
	b.files[name] = b.hide.Text(text)
}

// File adds a file of the host by its path; one that is not there is named.
func (b *Bundle) file(path string) {
	text, err := os.ReadFile(filepath.Join(b.host.Root, path))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			b.Missing(path, err)
		}
		return
	}
	b.Add(strings.TrimPrefix(path, "/"), string(text))
}

// AddFile adds a file by its path, such as a configuration that --config names.
func (b *Bundle) AddFile(path, name string) {
	text, err := os.ReadFile(path)
	if err != nil {
		b.Missing(name, err)
		return
	}
	b.Add(name, string(text))
}

func (b *Bundle) program(ctx context.Context, name string, argv ...string) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	text, err := b.host.Run(ctx, argv[0], argv[1:]...)
	if err != nil {
		b.Missing(name, err)
	}
	if text != "" {
		b.Add(name, text)
	}
}

// Missing notes why a piece is not there.
func (b *Bundle) Missing(name string, why error) {
	b.missing = append(b.missing, b.hide.Text(fmt.Sprintf("%s: %v", name, why)))
}

// Names are the archive's files, sorted.
func (b *Bundle) Names() []string {
	names := []string{"README.txt"}
	for name := range b.files {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

const about = `What iam-cachefill support-bundle found on a host, for a bug report of nss-iam.

Left out, by their look and by their values: private keys, SSH keys, access keys,
secrets, tokens, passwords and external ids. Names of people, groups, hosts and
accounts are in here: read it before you hand it on.
`

// Write writes the archive, a gzipped tar.
func (b *Bundle) Write(w io.Writer) error {
	readme := about
	if len(b.missing) > 0 {
		readme += "\nCould not be read:\n" + strings.Join(b.missing, "\n") + "\n"
	}
	zip := gzip.NewWriter(w)
	archive := tar.NewWriter(zip)
	for _, name := range b.Names() {
		text := b.files[name]
		if name == "README.txt" {
			text = readme
		}
		header := &tar.Header{Name: "nss-iam-support/" + name, Mode: 0o600, Size: int64(len(text)), ModTime: b.host.Now,
			Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.WriteString(archive, text); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), zip.Close())
}
