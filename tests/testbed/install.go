package testbed

import (
	"bytes"
	"context"
	"regexp"
	"strings"
)

// Paths that the artifacts have on a host.
const (
	Config   = "/etc/nss-iam/config.toml"
	CacheDir = "/var/lib/nss-iam"
	Helper   = "/usr/libexec/nss-iam/authkeys"
	Account  = "/usr/libexec/nss-iam/account"
	Refresh  = "/usr/sbin/iam-cachefill"
)

// Install puts on the host what "make install" installs, makes the helper's
// user nss-iam, and adds the module to nsswitch.conf, after what is there.
func (h *Host) Install() {
	h.t.Helper()
	RequireArtifacts(h.t)
	archive, err := staged()
	if err != nil {
		h.t.Fatal(err)
	}
	unpack := h.command(context.Background(), nil, "tar", "-C", "/", "--no-overwrite-dir", "--keep-directory-symlink",
		"-x")
	unpack.Stdin = bytes.NewReader(archive)
	if out, err := unpack.CombinedOutput(); err != nil {
		h.t.Fatalf("unpack what is installed: %v\n%s", err, out)
	}
	if h.Try("getent", "passwd", "nss-iam").Code != 0 {
		h.Run("useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin",
			"nss-iam")
	}
	h.Write("/etc/nsswitch.conf", withModule(h.Read("/etc/nsswitch.conf")), 0o644)
}

var accountLine = regexp.MustCompile(`(?m)^(passwd|group):.*`)

func withModule(nsswitch string) string {
	return accountLine.ReplaceAllStringFunc(nsswitch, func(line string) string {
		return strings.TrimRight(line, " \t") +
			" iam"
	})
}

// Configure writes config.toml.
func (h *Host) Configure(config string) {
	h.t.Helper()
	h.Write(Config, config, 0o644)
}
