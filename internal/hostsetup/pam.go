package hostsetup

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// AccountHelper answers in PAM's account phase whether a person of ours may
// come in now.
const AccountHelper = "/usr/libexec/nss-iam/account"

const (
	pamDir         = "/etc/pam.d"
	pamProfiles    = "/usr/share/pam-configs"
	homesProfile   = "nss-iam"
	accountProfile = "nss-iam-account"
)

// accountLines ask the account helper about everybody but local accounts: they
// are jumped over it, so that whatever becomes of it costs them nothing.
const accountLines = "account     [success=1 default=ignore]    pam_localuser.so\n" +
	"account     [success=ok default=bad]      pam_exec.so quiet seteuid " + AccountHelper + "\n"

// pamWatched are the files that pam-auth-update may change.
var pamWatched = []string{"/etc/pam.d/common-*", "/var/lib/pam/*"}

// watchedBy are the files that a program of the journal may change.
var watchedBy = map[string][]string{"pam-auth-update": pamWatched, "authselect": authselectFiles}

var mkhomedir = regexp.MustCompile(`(?m)^[ \t]*-?session\b[^#\n]*\bpam_(?:oddjob_)?mkhomedir\.so\b`)

// homesServices are where a line that makes homes is looked for.
var homesServices = []string{"common-session", "password-auth", "sshd"}

// makesHomes reports whether PAM makes homes at a login already.
func (h *Host) makesHomes() bool { return h.homesLine(mkhomedir) }

func (h *Host) homesLine(line *regexp.Regexp) bool {
	return slices.ContainsFunc(homesServices, func(service string) bool { return line.MatchString(h.pamText(service)) })
}

var oddjobMkhomedir = regexp.MustCompile(`(?m)^[ \t]*-?session\b[^#\n]*\bpam_oddjob_mkhomedir\.so\b`)

// HelpedMkhomedir reports whether PAM has homes made by a daemon that SELinux lets
// make them: pam_mkhomedir itself makes them in sshd's domain, which may not.
func (h *Host) HelpedMkhomedir() bool { return h.homesLine(oddjobMkhomedir) }

// planPAM has PAM ask the account helper, and make homes where that is wanted.
//
// Debian has pam-auth-update for both. authselect has a feature for homes and
// no place for lines of others: a custom profile would have to be chosen in
// the place of the host's own, and would not follow its updates, and edits of
// the files that it generates make it refuse to work. So there the services'
// own files are edited, which are the host's and not authselect's; elsewhere
// the files that the services share.
func (h *Host) planPAM(_ context.Context, p *Plan, o Options, _ *journal) error {
	homes := o.HomesByPAM && !h.makesHomes()
	if h.find("pam-auth-update") != "" && h.exists(filepath.Join(pamProfiles, accountProfile)) {
		var profiles []string
		if !accountAsked(h.pamText("common-account")) {
			profiles = append(profiles, accountProfile)
		}
		if homes {
			profiles = append(profiles, homesProfile)
		}
		if len(profiles) > 0 {
			p.Commands = append(p.Commands, Command{
				Argv:    append([]string{"pam-auth-update", "--package", "--enable"}, profiles...),
				Watches: pamWatched,
				Undo:    append([]string{"pam-auth-update", "--package", "--remove"}, profiles...),
			})
		}
		return nil
	}
	switch {
	case !homes:
	case h.authselected():
		p.Commands = append(p.Commands, Command{
			Argv:    []string{"authselect", "enable-feature", "with-mkhomedir"},
			Watches: authselectFiles,
			Undo:    []string{"authselect", "disable-feature", "with-mkhomedir"},
		})
	default:
		p.note("homes are not made at login; add to /etc/pam.d/sshd: session optional pam_mkhomedir.so umask=0077; or set " +
			"accounts.homes = \"create\"")
	}
	return h.planAccount(p)
}

// planAccount edits PAM's files where no program does.
func (h *Host) planAccount(p *Plan) error {
	names := h.accountFiles()
	if len(names) == 0 {
		p.note("no file of PAM's is known here to ask the account helper in; add after each account line that includes "+
			"the host's common ones:\n%s", accountLines)
	}
	for _, name := range names {
		now, err := h.read(name)
		if err != nil {
			return err
		}
		if after := AddAccount(now.content); after != now.content {
			p.Changes = append(p.Changes, Change{Path: name, Kind: kindEdit, Before: now.content, After: after})
		}
	}
	return nil
}

var (
	sharedStacks  = []string{"system-auth", "password-auth", "common-account"}
	sharedInclude = regexp.MustCompile(`(?m)^[ \t]*-?account[ \t]+(?:include|substack)` +
		`[ \t]+(?:system-auth|password-auth)[ \t]*(?:#.*)?$`)
)

// accountFiles returns the files to edit: those that the services share, or
// where authselect generates these, each service's that includes them.
func (h *Host) accountFiles() (names []string) {
	generated := h.authselected()
	for _, name := range h.glob([]string{pamDir + "/*"}) {
		service := filepath.Base(name)
		shared := slices.Contains(sharedStacks, service)
		if !generated && shared || generated && !shared && sharedInclude.MatchString(h.pamText(service)) {
			names = append(names, name)
		}
	}
	if generated {
		return names
	}
	// Amazon Linux 2 has them as links to files beside them.
	for _, stack := range sharedStacks {
		target, err := os.Readlink(h.at(filepath.Join(pamDir, stack)))
		if err != nil {
			continue
		}
		if target = filepath.Base(target); h.exists(filepath.Join(pamDir, target)) &&
			!slices.Contains(names, filepath.Join(pamDir, target)) {
			names = append(names, filepath.Join(pamDir, target))
		}
	}
	return names
}

// pamText is a file of PAM's, or "".
func (h *Host) pamText(service string) string {
	for _, dir := range []string{pamDir, "/usr/lib/pam.d"} {
		if content, err := os.ReadFile(h.at(filepath.Join(dir, service))); err == nil {
			return string(content)
		}
	}
	return ""
}

var accountLine = regexp.MustCompile(`(?m)^[ \t]*-?account[ \t](?:[^\n]*\\\n)*[^\n]*\n?`)

// AddAccount returns a file of PAM's with our lines in a marked block after
// the last line for the account phase. A file without such a line, or with
// ours, comes back as it is.
func AddAccount(content string) string {
	all := accountLine.FindAllStringIndex(content, -1)
	if len(all) == 0 || accountAsked(content) {
		return content
	}
	at := all[len(all)-1][1]
	before := content[:at]
	if !strings.HasSuffix(before, "\n") {
		before += "\n"
	}
	return before + blockBegin + accountLines + blockEnd + content[at:]
}

var accountExec = regexp.MustCompile(`(?m)^[ \t]*-?account\b[^#\n]*\bpam_exec\.so\b[^#\n]*[ \t]` +
	regexp.QuoteMeta(AccountHelper) + `[ \t]*(?:#.*)?$`)

// accountAsked reports whether a file of PAM's asks the account helper itself.
func accountAsked(content string) bool { return accountExec.MatchString(content) }
