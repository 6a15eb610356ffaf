package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func (h *Host) planSSHD(ctx context.Context, p *Plan, o Options, j *journal) error {
	if h.find("sshd") == "" {
		p.note("sshd is not installed: nobody logs in by ssh")
		return nil
	}
	main, err := h.read(sshdConfigPath)
	if err != nil {
		return err
	}
	if main == nil {
		p.note("there is no %s: nobody logs in by ssh", sshdConfigPath)
		return nil
	}
	if err := h.helperReady(); err != nil {
		return err
	}
	if err := h.checkSSHD(ctx); err != nil {
		return refuse("correct it until \"sshd -t\" says nothing", "sshd's configuration is broken already: %v", err)
	}
	before, err := h.effectiveSSHD(ctx)
	if err != nil {
		return refuse("correct it until \"sshd -T\" prints it", "sshd's effective configuration cannot be read: %v", err)
	}
	p.sshd, p.effective = true, before
	if err := h.conflict(before.keysCommand(), o); err != nil {
		return err
	}
	for _, d := range directives(main.content) {
		if words := strings.Fields(d.value); d.match && d.name == "authorizedkeyscommand" && len(words) > 0 &&
			words[0] != Helper {
			p.note("%s, line %d: a Match has an AuthorizedKeysCommand of its own, and the users that it matches have no keys "+
				"from the directory", sshdConfigPath, d.line)
		}
	}
	for _, name := range []string{"allowgroups", "allowusers"} {
		if len(before[name]) > 0 {
			p.note("sshd lets in only the users that %s names (%s); see that the directory's users are among them: group "+
				"iam-users has them all", name, strings.Join(before[name], " "))
		}
	}
	if strings.EqualFold(before.first("usepam"), "no") && o.HomesByPAM {
		p.note("sshd does not use PAM: set accounts.homes = \"create\" to have homes made")
	}
	if err := h.planOverrides(p, o, j); err != nil {
		return err
	}
	return h.planKeysCommand(ctx, p, o, j, main)
}

// conflict refuses to take the place of another command, unless ours asks it.
func (h *Host) conflict(words []string, o Options) error {
	if len(words) == 0 || words[0] == Helper || len(o.Chain) > 0 && o.Chain[0] == words[0] {
		return nil
	}
	remedy := fmt.Sprintf("to keep its keys, write under [keys] in the configuration: %s; then run setup again",
		ChainKey(words))
	return refuse(remedy, "sshd has another AuthorizedKeysCommand already: %s", strings.Join(words, " "))
}

// planOverrides takes options for the key command out of sshd's command line,
// where they would beat sshd_config.
func (h *Host) planOverrides(p *Plan, o Options, j *journal) error {
	for _, c := range h.commandLineOptions() {
		if err := h.conflict(c.words, o); err != nil {
			var r *Refusal
			if !errors.As(err, &r) {
				return err
			}
			r.What = "the ExecStart in " + c.file + " gives sshd another AuthorizedKeysCommand: " + strings.Join(c.words, " ")
			return r
		}
		changes := len(p.Changes)
		err := h.own(p, j, unitOverride(c.unit), "# Made by \"iam-cachefill setup\": "+Helper+
			" asks the command that was an option here.\n[Service]\nExecStart=\nExecStart="+c.without+"\n")
		if err != nil {
			return err
		}
		if len(p.Changes) > changes {
			p.units = append(p.units, c.unit)
		}
	}
	return nil
}

func (h *Host) planKeysCommand(ctx context.Context, p *Plan, o Options, j *journal, main *file) error {
	match := ownKeys
	if o.OwnKeys {
		match = ""
	}
	if words := p.effective.keysCommand(); len(words) > 0 && words[0] == Helper && j.find(sshdDropInPath) == nil &&
		j.find(sshdConfigPath) == nil {
		// Written there by somebody else, as cloud-init.
		if !o.OwnKeys {
			p.note("sshd asks the key helper already, by lines that setup has not written; see that this follows them: %s",
				strings.Join(strings.Fields(ownKeys), " "))
		}
		return nil
	}
	major, minor := h.sshdVersion(ctx)
	lines := keysCommand(major, minor)
	plain := RemoveBlock(main.content)
	info, err := os.Stat(h.at(filepath.Dir(sshdDropInPath)))
	if err == nil && info.IsDir() && includesDropIns(plain) {
		return h.own(p, j, sshdDropInPath, "# Made by \"iam-cachefill setup\": public keys of users of the directory, see "+
			"authkeys(8).\n"+lines+match)
	}
	if after := AddBlock(main.content, lines, match); after != main.content {
		p.Changes = append(p.Changes, Change{Path: sshdConfigPath, Kind: kindEdit, Before: main.content, After: after})
	}
	return nil
}

func (h *Host) helperReady() error {
	if !h.exists(Helper) {
		return refuse("install the whole package", "there is no key helper %q", Helper)
	}
	passwd, err := os.ReadFile(h.at("/etc/passwd"))
	if err != nil {
		return err
	}
	if !strings.HasPrefix(string(passwd), HelperUser+":") && !strings.Contains(string(passwd), "\n"+HelperUser+":") {
		return refuse("make it with: systemd-sysusers nss-iam.conf", "there is no user %s for the key helper", HelperUser)
	}
	return nil
}

// checkSSHD is sshd -t. The folder that sshd separates privileges in is there
// only while its service runs, on Debian.
func (h *Host) checkSSHD(ctx context.Context) error {
	_, err := h.runSSHD(ctx, "-t")
	return err
}

// lendKey runs a command with the file of a host key as its last argument.
const lendKey = `d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
ssh-keygen -q -t ed25519 -N '' -f "$d/key"
"$@" -h "$d/key"`

func (h *Host) keyless() bool {
	return h.image && len(h.glob([]string{"/etc/ssh/ssh_host_*_key"})) == 0
}

// runSSHD runs sshd to look at its configuration. It does not without a host
// key, which an image has only once it has booted, and is lent one.
func (h *Host) runSSHD(ctx context.Context, args ...string) (string, error) {
	defer h.privilegeSeparation()()
	argv := append([]string{h.find("sshd")}, args...)
	if h.keyless() {
		argv = append([]string{"sh", "-ec", lendKey, "sh"}, argv...)
	}
	return h.Run(ctx, argv...)
}

func (h *Host) effectiveSSHD(ctx context.Context) (effective, error) {
	return h.effectiveFor(ctx, "nobody")
}

// effectiveFor is what sshd does for one user.
func (h *Host) effectiveFor(ctx context.Context, user string) (effective, error) {
	// A connection for the Match blocks to look at; older sshds insist on one.
	text, err := h.runSSHD(ctx, "-T", "-C", "user="+user+",host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22")
	if err != nil {
		return nil, err
	}
	e := parseEffective(text)
	if h.keyless() {
		delete(e, "hostkey") // another one each time
	}
	return e, nil
}

func (h *Host) privilegeSeparation() (restore func()) {
	const dir = "/run/sshd"
	if h.makesNothing || !h.exists("/etc/debian_version") || h.exists(dir) {
		return func() {}
	}
	if err := os.Mkdir(h.at(dir), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return func() {} // sshd -t says so itself
	}
	return func() { _ = os.Remove(h.at(dir)) }
}

// sshdVersion asks ssh, which comes with sshd and, other than old sshds, says
// it; without an answer it is taken for a present one.
func (h *Host) sshdVersion(ctx context.Context) (major, minor int) {
	for _, argv := range [][]string{{"sshd", "-V"}, {"ssh", "-V"}} {
		if h.find(argv[0]) == "" {
			continue
		}
		out, err := h.Run(ctx, "sh", "-c", strings.Join(argv, " ")+" 2>&1 || :")
		if major, minor, ok := parseVersion(out); err == nil && ok {
			return major, minor
		}
	}
	return 9, 0
}

// sshdUnits are the names that sshd's service has on distributions.
var sshdUnits = []string{"ssh.service", "sshd.service"}

// lookingUp are services that look users up for as long as they live. glibc
// before 2.33 reads nsswitch.conf once in a process's life, so that cron there
// would take the crontab of a person of ours for an orphan's.
var lookingUp = []string{"nscd.service", "cron.service", "crond.service", "atd.service"}

// reload lets running services see what was changed, and says what it could
// not do. A reload of sshd ends no session. daemon says that our own unit is
// another now.
func (h *Host) reload(ctx context.Context, restart []string, daemon bool) (notes []string) {
	run := func(argv ...string) {
		if _, err := h.Run(ctx, argv...); err != nil {
			notes = append(notes, err.Error())
		}
	}
	if len(restart) > 0 || daemon {
		run("systemctl", "daemon-reload")
	}
	if daemon {
		run("systemctl", "--no-block", "try-restart", "nss-iam.service")
	}
	for _, unit := range sshdUnits {
		if _, err := h.Run(ctx, "systemctl", "is-active", "--quiet", unit); err != nil {
			continue
		}
		verb := "reload"
		if slices.Contains(restart, unit) {
			verb = "restart"
		}
		run("systemctl", verb, unit)
		break
	}
	for _, unit := range lookingUp {
		if _, err := h.Run(ctx, "systemctl", "is-active", "--quiet", unit); err == nil {
			run("systemctl", "restart", unit)
		}
	}
	return notes
}
