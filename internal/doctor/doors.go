package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/nss-iam/nss-iam/internal/hostsetup"
)

// doors looks for ways in that nobody is asked about.
func (e *examination) doors(ctx context.Context, s hostsetup.Sight) {
	stack := e.Host.LookAtPAM()
	e.pam(stack)
	if s.SSHD && s.SSHDError == nil && e.Served.Name != "" {
		entrance, err := e.Host.EntranceOf(ctx, e.Served.Name)
		if err != nil {
			e.add(Warning, "sshd", fmt.Sprintf("what sshd does for %q cannot be read: %v", e.Served.Name, err),
				"own keys and certificates may open logins", "sshd -T -C user="+e.Served.Name)
		} else {
			e.userCAs = entrance.UserCAs
			e.entrance(entrance)
		}
	}
	if e.Sudo {
		e.sudo(ctx)
	}
}

func (e *examination) pam(s hostsetup.Stack) {
	before := len(e.findings)
	const out = "a person without the right to log in can still enter by other means than a key in the directory"
	if len(s.Unasked) > 0 {
		e.add(Broken, "pam", "PAM does not ask the account helper at: "+strings.Join(s.Unasked, ", "), out, setUp)
	}
	if len(s.Ends) > 0 {
		e.add(Broken, "pam", "a line ends PAM's account phase before the account helper is asked at: "+strings.Join(s.Ends,
			", "), out,
			"make that line required, or move it behind the helper's")
	}
	if len(s.Misjumps) > 0 {
		e.add(Broken, "pam", "the line before the account helper's is not \"account [success=1 default=ignore] "+
			"pam_localuser.so\" at: "+strings.Join(s.Misjumps, ", "),
			"a fault of the helper keeps local accounts out, or the jump skips another line", e.rewritePAM())
	}
	if len(s.Broken) > 0 {
		e.add(Warning, "pam", "pam_unix has broken_shadow at: "+strings.Join(s.Broken, ", "),
			"the lock on former users' accounts is not seen; the account helper alone keeps them out",
			"take broken_shadow out of the account lines, if no other directory needs it")
	}
	if len(e.findings) == before {
		e.good("pam", "PAM asks the account helper at every door")
	}
}

// rewritePAM writes PAM's lines again. Debian's program leaves files alone that somebody
// edited, also when it is to take a part out.
func (e *examination) rewritePAM() string {
	if _, err := os.Stat(filepath.Join(e.Host.Root, "/usr/sbin/pam-auth-update")); err == nil {
		return "pam-auth-update --package --force, which undoes every edit of /etc/pam.d/common-*"
	}
	return setUp + " --undo; " + setUp
}

func (e *examination) entrance(s hostsetup.Entrance) {
	before := len(e.findings)
	switch own := s.KeysFile != "none"; {
	case own && e.unread(): // it may allow them
	case own && !e.AllowOwn:
		e.add(Broken, "own keys", fmt.Sprintf("sshd reads %q of served users (sshd -T -C user=%s)", s.KeysFile,
			e.Served.Name),
			"such a key still opens the login after the key in the directory is removed",
			ignoreOwn)
	case own && !s.UsePAM:
		e.add(Broken, "own keys", fmt.Sprintf("sshd reads %q of served users and does not ask PAM", s.KeysFile),
			"nothing checks whether the person may log in", "UsePAM yes; or set keys.own_file = \"ignore\", then "+setUp)
	}
	if len(e.OwnKeys) > 0 {
		state, why := Warning, "sshd ignores them; the person who put them there may think otherwise"
		if s.KeysFile != "none" {
			why = "they open these logins besides the keys in the directory"
		}
		e.add(state, "own keys", fmt.Sprintf("%d served users have an authorized_keys file: %s", len(e.OwnKeys),
			some(e.OwnKeys)), why,
			"have them upload the keys to the directory, and remove the files")
	}
	if given(s.UserCAs) && !s.UsePAM {
		e.add(Broken, "certificates", "sshd trusts the certificates of "+s.UserCAs+" and does not ask PAM",
			"a certificate opens the login as long as it is valid", "UsePAM yes")
	}
	if given(s.UserCAs) && given(s.Principals) && (strings.HasPrefix(s.Principals, "%h") ||
		!strings.HasPrefix(s.Principals, "/")) {
		e.add(Warning, "certificates", "sshd reads who may enter a login from the user's own file "+s.Principals,
			"each user decides who else may enter", "AuthorizedPrincipalsFile none; or a path outside homes")
	}
	if !s.UsePAM {
		e.add(Warning, "sshd", "sshd does not use PAM", "other ways in than keys, such as GSSAPI, are not checked",
			"UsePAM yes")
	}
	if len(e.findings) == before {
		e.good("own keys", "no key or certificate opens a served user's login without a question to the key helper or PAM")
	}
}

// maxNamed is how many users a finding names.
const maxNamed = 20

func some(names []string) string {
	if len(names) > maxNamed {
		return strings.Join(names[:maxNamed], ", ") + " and others"
	}
	return strings.Join(names, ", ")
}

func given(value string) bool { return value != "" && value != "none" }

func (e *examination) sudo(ctx context.Context) {
	source, ok := e.Host.SudoGroups(ctx)
	const why = "a person who lost " + hostsetup.SudoGroup + " can still become root in an open session"
	switch {
	case !ok:
	case source == "dynamic":
		e.good("sudo", "sudo looks at the group database")
	case source == "":
		e.add(Broken, "sudo", "sudo takes groups from the process that calls it", why, setUp)
	default:
		e.add(Warning, "sudo", fmt.Sprintf("/etc/sudo.conf has \"group_source %s\", and setup leaves that alone", source),
			why, "write in /etc/sudo.conf: Set group_source dynamic")
	}
}
