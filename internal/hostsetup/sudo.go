package hostsetup

import (
	"context"
	"os"
	"regexp"
	"strings"
)

const sudoConfPath = "/etc/sudo.conf"

// groupSource is the setting that has sudo look at the group database: by
// default it takes the groups of the process that calls it, and a person who lost
// iam-sudo keeps root in every session that is open. See sudo.conf(5).
const groupSource = "Set group_source dynamic\n"

var groupSourceSet = regexp.MustCompile(`(?mi)^[ \t]*set[ \t]+group_source[ \t]+(\S+)`)

// GroupSource returns where the text of sudo.conf says that sudo takes a
// user's groups from, or "".
func GroupSource(content string) string {
	all := groupSourceSet.FindAllStringSubmatch(content, -1)
	if len(all) == 0 {
		return ""
	}
	return strings.ToLower(all[len(all)-1][1])
}

// readsSudoConf reports whether there is a sudo that sudo.conf concerns. sudo-rs
// reads no such file, and looks at the group database: seen with 0.2.5 of
// Debian 13, whose session's groups counted neither for nor against anybody.
func (h *Host) readsSudoConf(ctx context.Context) bool {
	if h.find("sudo") == "" {
		return false
	}
	out, err := h.Run(ctx, "sudo", "--version")
	return err != nil || !strings.HasPrefix(out, "sudo-rs ")
}

// SudoGroups says where sudo takes a user's groups from: "dynamic", another
// choice of the host's, or "" for sudo's own. ok is false where there is no
// sudo that has the choice.
func (h *Host) SudoGroups(ctx context.Context) (source string, ok bool) {
	if !h.readsSudoConf(ctx) {
		return "", false
	}
	content, err := os.ReadFile(h.at(sudoConfPath))
	if err != nil {
		return "", true
	}
	return GroupSource(string(content)), true
}

// planSudoGroups leaves a host's own choice alone, and says what follows of it.
func (h *Host) planSudoGroups(ctx context.Context, p *Plan, o Options, _ *journal) error {
	if !o.Sudo || !h.readsSudoConf(ctx) {
		return nil
	}
	now, err := h.read(sudoConfPath)
	if err != nil {
		return err
	}
	c := Change{Path: sudoConfPath, Kind: kindEdit, New: now == nil}
	if now != nil {
		c.Before = now.content
	}
	switch source := GroupSource(c.Before); source {
	case "dynamic":
		return nil
	case "":
	default:
		p.note("%s has \"group_source %s\": a person who lost %s can still become root in an open session; "+
			"to have sudo look at the group database, write: %s",
			sudoConfPath, source, SudoGroup, strings.TrimSpace(groupSource))
		return nil
	}
	c.After = c.Before
	if c.After != "" && !strings.HasSuffix(c.After, "\n") {
		c.After += "\n"
	}
	c.After += blockBegin + groupSource + blockEnd
	p.Changes = append(p.Changes, c)
	return nil
}
