package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/nss-iam/nss-iam/internal/hostsetup"
)

const (
	buildModule    = "/usr/share/nss-iam/selinux/build /root/nss_iam.pp && semodule -i /root/nss_iam.pp && " + relabel
	installModule  = "dnf install nss-iam-selinux && " + relabel
	relabel        = "restorecon -R /var/lib/nss-iam /run/nss-iam /usr/libexec/nss-iam"
	reloadAppArmor = "systemctl reload apparmor"
)

// policyModule is the command that brings our policy module: where there are rpms it
// comes compiled.
func (e *examination) policyModule() string {
	if _, err := os.Stat(filepath.Join(e.Host.Root, "/usr/bin/dnf")); err == nil {
		return installModule
	}
	return buildModule
}

// selinux says before the first login what an enforcing policy would refuse.
func (e *examination) selinux(ctx context.Context) {
	mode, err := os.ReadFile(filepath.Join(e.Host.Root, "/sys/fs/selinux/enforce"))
	if err != nil || strings.TrimSpace(string(mode)) != "1" {
		return
	}
	before := len(e.findings)
	for _, file := range []struct{ path, want string }{
		{e.CacheDir, "nss_iam_cache_t"}, {hostsetup.AccountHelper, "nss_iam_account_exec_t"},
	} {
		if label, err := e.Host.Run(ctx, "stat", "-L", "-c", "%C", file.path); err != nil ||
			typeOf(strings.TrimSpace(label)) != file.want {
			e.add(Broken, "selinux", fmt.Sprintf("%q has the SELinux label %.100q, and needs the type %s%s", file.path,
				strings.TrimSpace(label), file.want, errorText(err)),
				"SELinux enforces, and keeps confined programs from the users and their keys", e.policyModule())
		}
	}
	if e.HomesByPAM && !e.Host.HelpedMkhomedir() {
		e.add(Broken, "selinux", "pam_mkhomedir makes homes, and SELinux does not let sshd make any",
			"new people log in to / and can save nothing", `set accounts.homes = "create", then `+setUp+
				"; or use pam_oddjob_mkhomedir")
	}
	if len(e.findings) == before {
		e.good("selinux", "SELinux enforces, and our files have the labels of our policy module")
	}
}

// typeOf is the type in "system_u:object_r:nss_iam_cache_t:s0", or "".
func typeOf(label string) string {
	parts := strings.Split(label, ":")
	if len(parts) < 3 {
		return ""
	}
	return parts[2]
}

// denials counts what AppArmor and SELinux refused of our own files since the boot.
func (e *examination) denials(ctx context.Context) {
	log, err := e.Host.Run(ctx, "journalctl", "-q", "-b", "--no-pager", "-o", "cat", "-n", "20000", "_TRANSPORT=kernel",
		"+", "_TRANSPORT=audit")
	if err != nil {
		return
	}
	var denied []string
	for line := range strings.Lines(log) {
		if e.deniesOurs(line) {
			denied = append(denied, strings.TrimSpace(line))
		}
	}
	if len(denied) == 0 {
		return
	}
	last := denied[len(denied)-1]
	fix := e.policyModule()
	if strings.Contains(last, "apparmor") {
		fix = reloadAppArmor
	}
	e.add(Broken, "confinement", fmt.Sprintf("%d accesses to our files were denied since the boot, the last: %.300s",
		len(denied), last),
		"confined programs do not know users of the directory", fix)
}

var (
	refused      = regexp.MustCompile(`apparmor="DENIED"|avc:\s+denied`)
	deniedPath   = regexp.MustCompile(`\b(?:path|name)="(/[^"]*)"`)
	deniedName   = regexp.MustCompile(`\bname="([^"/]+)"`)
	deniedTarget = regexp.MustCompile(`\btcontext=(\S+)`)
	libraryName  = regexp.MustCompile(`^/(?:usr/)?lib(?:32|64)?/(?:[^/]+/)?libnss_iam\.so`)
)

// unlabelled are the types that our files have where our policy module is not installed.
var unlabelled = []string{"var_lib_t", "var_run_t", "bin_t", "lib_t", "etc_t", "unlabeled_t", "file_t", "default_t"}

// deniesOurs reports whether a line of the log says that an access to a file of
// ours was refused: by its path; by its type, which only our policy module gives;
// or where SELinux knows a bare name, by a name that is ours alone under a type that our
// files have without the module. Anybody may give a file of theirs such a name.
func (e *examination) deniesOurs(line string) bool {
	if !refused.MatchString(line) {
		return false
	}
	target := ""
	if m := deniedTarget.FindStringSubmatch(line); m != nil {
		target = typeOf(m[1])
	}
	if strings.HasPrefix(target, "nss_iam_") {
		return true
	}
	if m := deniedPath.FindStringSubmatch(line); m != nil {
		for _, folder := range []string{e.CacheDir, "/run/nss-iam", "/etc/nss-iam", filepath.Dir(hostsetup.Helper)} {
			if m[1] == folder || strings.HasPrefix(m[1], folder+"/") {
				return true
			}
		}
		return libraryName.MatchString(m[1])
	}
	m := deniedName.FindStringSubmatch(line)
	return m != nil && slices.Contains(unlabelled, target) &&
		(m[1] == filepath.Base(e.CacheDir) || m[1] == "nss.db" || strings.HasPrefix(m[1], "libnss_iam.so"))
}
