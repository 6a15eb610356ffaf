package hostsetup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"
)

// A Change is one file that setup writes.
type Change struct {
	Path          string
	Kind          string
	Before, After string
	New           bool // there is no such file yet
}

// A Command is one program that setup runs because its files are generated.
type Command struct {
	Argv    []string
	Watches []string // patterns of the files that it may change
	Undo    []string // takes out what it put in, where the files were edited since
}

// A Plan is what setup would do.
type Plan struct {
	Changes  []Change
	Commands []Command
	Notes    []string // for the person who asked

	sshd      bool      // sshd is there, and is asked for keys
	effective effective // of sshd, before
	units     []string  // of sshd's that need a restart to lose an option
	daemon    bool      // its unit changes
}

// Plan reads the host and says what setup would change. Everything that
// speaks against changing it is an error here, a *Refusal where a person can
// correct it.
func (h *Host) Plan(ctx context.Context, o Options) (*Plan, error) {
	j, err := h.load(lastingPath)
	if err != nil {
		return nil, err
	}
	if j == nil {
		j = new(journal)
	}
	if !o.Offline && !h.booted() {
		return nil, refuse("where this is an image or a chroot, run setup with --offline; elsewhere start \"iam-cachefill "+
			"run\" by other means, and run setup with --offline",
			"this host does not run systemd")
	}
	h.image = o.Offline
	p := new(Plan)
	for _, part := range []func(context.Context, Options, *journal) error{p.of(h.planSudo), p.of(h.planSudoGroups),
		p.of(h.planUnit), p.of(h.planNsswitch), p.of(h.planPAM), p.of(h.planSSHD)} {
		if err := part(ctx, o, j); err != nil {
			return nil, err
		}
	}
	for _, c := range p.Changes {
		if err := h.writable(filepath.Dir(c.Path)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Plan) of(part func(context.Context, *Plan, Options, *journal) error) func(context.Context, Options,
	*journal) error {
	return func(ctx context.Context, o Options, j *journal) error { return part(ctx, p, o, j) }
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// own plans a file of ours. A file of that name that somebody else wrote is
// not touched.
func (h *Host) own(p *Plan, j *journal, name, content string) error {
	now, err := h.read(name)
	switch {
	case err != nil:
		return err
	case now == nil:
		p.Changes = append(p.Changes, Change{Path: name, Kind: kindOwn, After: content, New: true})
		return nil
	case now.content == content:
		return nil
	}
	switch e := j.find(name); {
	case e != nil && e.After != digest(now.content):
		return refuse(fmt.Sprintf("to have it made again: mv %s /root/ && iam-cachefill setup", name),
			"%q was edited since setup made it", name)
	case e == nil:
		return refuse("compare it with what \"iam-cachefill setup --dry-run\" shows once it is moved away",
			"%q is there already and is not what setup writes", name)
	}
	p.Changes = append(p.Changes, Change{Path: name, Kind: kindOwn, Before: now.content, After: content})
	return nil
}

var sudoersIncludes = regexp.MustCompile(`(?m)^[#@]includedir[ \t]+/etc/sudoers\.d/?[ \t]*$`)

func (h *Host) planSudo(ctx context.Context, p *Plan, o Options, j *journal) error {
	if !o.Sudo {
		return nil
	}
	if h.find("visudo") == "" {
		p.note("sudo is not installed: members of %s cannot become root", SudoGroup)
		return nil
	}
	if _, err := h.Run(ctx, "visudo", "-c"); err != nil {
		return refuse(`correct that file; "visudo -c" must find nothing`, "sudo's configuration is broken already: %v", err)
	}
	if main, err := os.ReadFile(h.at("/etc/sudoers")); err != nil || !sudoersIncludes.Match(main) {
		p.note("/etc/sudoers does not read /etc/sudoers.d; with visudo add: @includedir /etc/sudoers.d")
	}
	return h.own(p, j, sudoersPath, "# Made by \"iam-cachefill setup\". Users of the directory have no password to ask "+
		"for.\n%"+SudoGroup+" ALL=(ALL:ALL) NOPASSWD: ALL\n")
}

// planUnit gives the daemon what optional features need.
func (h *Host) planUnit(_ context.Context, p *Plan, o Options, j *journal) error {
	before := len(p.Changes)
	if o.EndSessions {
		const feature = "sessions.conf"
		content, err := os.ReadFile(h.at(filepath.Join(featuresDir, feature)))
		if err != nil {
			return refuse("install the whole package", "the daemon cannot be given what a feature needs: %v", err)
		}
		if err := h.own(p, j, filepath.Join(unitDropInDir, feature), string(content)); err != nil {
			return err
		}
	}
	if o.HomesFolder != "" {
		if err := h.own(p, j, homesDropIn, homesUnit(o.HomesFolder)); err != nil {
			return err
		}
	}
	p.daemon = len(p.Changes) > before
	slices.SortFunc(p.Changes, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

const homesDropIn = unitDropInDir + "/homes.conf"

// MayMakeHomes reports whether the daemon's unit lets it make homes in folder,
// as far as setup is concerned.
func (h *Host) MayMakeHomes(folder string) bool {
	content, err := os.ReadFile(h.at(homesDropIn))
	return err == nil && string(content) == homesUnit(folder)
}

// homesUnit lets the daemon make homes in a folder. It begins after file
// systems that the host mounts there, because it sees none that come later.
func homesUnit(folder string) string {
	var mounts []string
	for dir := folder; dir != "/"; dir = filepath.Dir(dir) {
		mounts = append(mounts, unit.UnitNamePathEscape(dir)+".mount")
	}
	text := "# accounts.homes = \"create\": the refresher makes homes that are missing. Made by\n# \"iam-cachefill " +
		"setup\".\n"
	if len(mounts) > 0 {
		slices.Reverse(mounts)
		text += "[Unit]\nAfter=" + strings.Join(mounts, " ") + "\n"
	}
	text += "[Service]\nCapabilityBoundingSet=CAP_CHOWN\nReadWritePaths=\"-" + strings.NewReplacer(`\`, `\\`, `"`, `\"`,
		"%", "%%").Replace(folder) + "\"\n"
	for _, hidden := range []string{"/home", "/root", "/run/user"} {
		if folder == "/" || folder == hidden || strings.HasPrefix(folder, hidden+"/") {
			return text + "ProtectHome=no\n"
		}
	}
	return text
}

// authselected reports whether authselect generates nsswitch.conf.
func (h *Host) authselected() bool {
	if h.find("authselect") == "" || !h.exists("/etc/authselect/authselect.conf") {
		return false
	}
	if target, err := os.Readlink(h.at(nsswitchPath)); err == nil {
		return strings.HasPrefix(target, "/etc/authselect/")
	}
	content, err := os.ReadFile(h.at(nsswitchPath))
	return err == nil && strings.Contains(string(content), "Generated by authselect")
}

var authselectFiles = []string{"/etc/authselect/*", "/etc/nsswitch.conf", "/etc/pam.d/*"}

func (h *Host) planNsswitch(_ context.Context, p *Plan, _ Options, _ *journal) error {
	name := nsswitchPath
	managed := h.authselected()
	if managed {
		name = userNsswitchPath
	}
	now, err := h.read(name)
	if err != nil {
		return err
	}
	change := Change{Path: name, Kind: kindEdit, New: now == nil}
	if now != nil {
		change.Before = now.content
	}
	if change.After, err = AddService(change.Before); err != nil {
		return refuse("correct it; nsswitch.conf(5) says how", "%s is broken: %v", name, err)
	}
	if change.After == change.Before {
		return nil
	}
	p.Changes = append(p.Changes, change)
	if managed {
		p.Commands = append(p.Commands, Command{
			Argv: []string{"authselect", "apply-changes"}, Watches: authselectFiles,
			Undo: []string{"authselect", "apply-changes"},
		})
	}
	return nil
}
