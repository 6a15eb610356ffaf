package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/hostsetup"
)

func (e *examination) configuration() {
	switch {
	case e.ConfigError == nil:
		e.good("configuration", fmt.Sprintf("%q is sound", e.ConfigFile))
	case errors.Is(e.ConfigError, config.ErrNotConfigured):
		e.add(Broken, "configuration", fmt.Sprintf("%q lets nobody log in", e.ConfigFile),
			"nothing is served until a login rule is set",
			"name the groups of the directory under [login] in "+e.ConfigFile)
	case errors.Is(e.ConfigError, fs.ErrNotExist):
		e.add(Broken, "configuration", fmt.Sprintf("%q is missing", e.ConfigFile), "nothing is refreshed until it is there",
			"write it: nss-iam.toml(5) has examples")
	default:
		e.add(Broken, "configuration", e.ConfigError.Error(), "nothing is refreshed until it is corrected",
			"iam-cachefill check-config")
	}
}

// unread reports whether nobody knows what the configuration says. What depends on it is
// not judged then.
func (e *examination) unread() bool {
	return e.ConfigError != nil && !errors.Is(e.ConfigError, config.ErrNotConfigured)
}

// An expected file or folder: what sshd, glibc and the module insist on.
type expected struct {
	path string
	mode fs.FileMode // the permissions that it has when installed
	gid  int         // -1: any
	bad  fs.FileMode // permissions that make it useless or dangerous
	need fs.FileMode // permissions without which it is useless
	why  string
	may  bool // be absent
}

func (e *examination) files() {
	const foreign = "a user who may write it can become anybody"
	before := len(e.findings)
	helper := []expected{
		{hostsetup.Helper, 0o755, -1, 0o022, 0o111, "sshd does not run a helper that others could change", false},
		{hostsetup.AccountHelper, 0o755, -1, 0o022, 0o111, "PAM runs it as root, and without it refuses everybody but " +
			"local accounts", false},
	}
	for dir := filepath.Dir(hostsetup.Helper); ; dir = filepath.Dir(dir) {
		helper = append(helper, expected{dir, 0o755, -1, 0o022, 0o111,
			"sshd does not run a helper in a folder that others could change", false})
		if dir == "/" {
			break
		}
	}
	for _, x := range append(helper,
		expected{e.ConfigFile, 0o644, -1, 0o022, 0, foreign, true},
		expected{filepath.Dir(e.ConfigFile), 0o755, -1, 0o022, 0, foreign, false},
		expected{e.CacheDir, 0o755, -1, 0o022, 0o055,
			"every program looks up users there, and none but root may write there", e.CacheMayLack},
		expected{filepath.Join(e.CacheDir, "nss.db"), 0o644, -1, 0o022, 0o044,
			"the module refuses a file that others could change, and must be able to read it", true},
		expected{filepath.Join(e.CacheDir, "keys.db"), 0o640, e.HelperGID, 0o027, 0o040,
			"the key helper must read it, and nobody else", true},
		expected{filepath.Join(e.CacheDir, "state.db"), 0o600, -1, 0o077, 0, "only the daemon may read it", true},
		expected{"/etc/nss-iam/environment", 0o600, -1, 0o077, 0, "it may hold AWS credentials", true},
	) {
		e.file(x)
	}
	if len(e.findings) == before {
		e.good("permissions", "owners and modes of all files are right")
	}
}

func (e *examination) file(x expected) {
	info, err := os.Lstat(filepath.Join(e.Host.Root, x.path))
	if errors.Is(err, fs.ErrNotExist) && x.may {
		return
	} else if err != nil {
		e.unreadable(x, err)
		return
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		if info, err = os.Stat(filepath.Join(e.Host.Root, x.path)); err != nil {
			e.unreadable(x, err)
			return
		}
	}
	owner := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	if owner.Uid != 0 {
		e.add(Broken, "permissions", fmt.Sprintf("%q belongs to uid %d", x.path, owner.Uid), x.why, "chown root "+x.path)
	}
	if mode&x.bad != 0 || mode&x.need != x.need {
		e.add(Broken, "permissions", fmt.Sprintf("%q has mode %04o", x.path, mode), x.why,
			fmt.Sprintf("chmod %04o %s", x.mode, x.path))
	}
	if x.gid >= 0 && owner.Gid != uint32(x.gid) {
		e.add(Broken, "permissions", fmt.Sprintf("%q belongs to group %d", x.path, owner.Gid), x.why,
			fmt.Sprintf("chgrp %d %s", x.gid, x.path))
	}
}

// unreadable adds the finding for a file whose owner and mode cannot be read,
// most often because it is missing.
func (e *examination) unreadable(x expected, err error) {
	what := err.Error()
	if errors.Is(err, fs.ErrNotExist) {
		what = fmt.Sprintf("%q is missing", x.path)
	}
	e.add(Broken, "permissions", what, x.why, "reinstall the package")
}
