// Package importer reads what the tool widdix/aws-ec2-ssh left on a host, and
// writes the equivalent for nss-iam: a configuration, and a plan for the
// numbers of the users it made. It changes nothing, and never runs the old
// file, which is shell.
package importer

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ConfigPath is where the old tool has its configuration.
const ConfigPath = "/etc/aws-ec2-ssh.conf"

// Settings are the variables of the old configuration.
type Settings struct {
	values map[string]string
	odd    []int // lines that are no plain assignment
}

var (
	assignment = regexp.MustCompile(`^(?:export[ \t]+)?([A-Z_]+)=(?:"([^"$` + "`" + `\\]*)"|'([^']*)'|([^\s"'$` + "`" + `\\;&|<>()#]*))[ \t]*(?:#.*)?$`)
	known      = []string{
		"ASSUMEROLE", "IAM_AUTHORIZED_GROUPS", "IAM_AUTHORIZED_GROUPS_TAG", "LOCAL_MARKER_GROUP", "LOCAL_GROUPS", "SUDOERS_GROUPS",
		"SUDOERS_GROUPS_TAG", "USERADD_PROGRAM", "USERADD_ARGS", "USERDEL_PROGRAM", "USERDEL_ARGS", "DONOTSYNC",
	}
)

// Parse reads the old configuration. A line that is more than an assignment of
// a constant is not understood, and the configuration made of it says so.
func Parse(text string) Settings {
	s := Settings{values: make(map[string]string)}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		m := assignment.FindStringSubmatch(line)
		if m == nil || !slices.Contains(known, m[1]) {
			s.odd = append(s.odd, i+1)
			continue
		}
		s.values[m[1]] = m[2] + m[3] + m[4]
	}
	return s
}

// Marker is the local group that the old tool put its users into.
func (s Settings) Marker() string {
	if g := s.values["LOCAL_MARKER_GROUP"]; g != "" {
		return g
	}
	return "iam-synced-users"
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

func array(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = strconv.Quote(item)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

var shellArgument = regexp.MustCompile(`(?:^|\s)(?:--shell[ =]|-s\s*)(/\S+)`)

// Config is the equivalent config.toml. Comments tell what has no equivalent.
// It is for package config to judge.
func (s Settings) Config() string {
	var b strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	v := s.values
	line("# Made by \"iam-cachefill import\" from a configuration of aws-ec2-ssh.")
	for _, n := range s.odd {
		line("# Line %d of it was not understood: carry it over by hand.", n)
	}
	line("\n[source]")
	if v["ASSUMEROLE"] != "" {
		line("assume_role = %s", strconv.Quote(v["ASSUMEROLE"]))
	}
	groups, tag := list(v["IAM_AUTHORIZED_GROUPS"]), v["IAM_AUTHORIZED_GROUPS_TAG"]
	line("\n[login]")
	off := ""
	if v["DONOTSYNC"] != "" && v["DONOTSYNC"] != "0" {
		off = "# "
		line("# DONOTSYNC was set: nobody was synced. Take the # away to let people in.")
	}
	switch {
	case len(groups) == 0 && tag == "":
		line("# No group was named: every IAM user could log in.\n%sall_users = true", off)
	default:
		if len(groups) > 0 {
			line("%sgroups = %s", off, array(groups))
		}
		if tag != "" {
			line("%sgroups_tag = %s", off, strconv.Quote(tag))
		}
	}
	line("\n[sudo]")
	switch sudo := list(v["SUDOERS_GROUPS"]); {
	case slices.Contains(sudo, "##ALL##") && len(groups) > 0:
		line("# ##ALL##: everybody who may log in.\ngroups = %s", array(groups))
	case slices.Contains(sudo, "##ALL##"):
		line("# ##ALL## gave sudo to everybody who may log in; name their IAM groups:\n# groups = [\"…\"]")
	case len(sudo) > 0:
		line("groups = %s", array(sudo))
	}
	if v["SUDOERS_GROUPS_TAG"] != "" {
		line("groups_tag = %s", strconv.Quote(v["SUDOERS_GROUPS_TAG"]))
	}
	line("\n[accounts]")
	if m := shellArgument.FindStringSubmatch(v["USERADD_ARGS"]); m != nil {
		line("shell = %s", strconv.Quote(m[1]))
	}
	s.localGroups(line, groups)
	for _, name := range []string{"USERADD_PROGRAM", "USERADD_ARGS"} {
		if v[name] != "" {
			line("# %s was %q: nobody is added to /etc/passwd any more.", name, v[name])
		}
	}
	for _, name := range []string{"USERDEL_PROGRAM", "USERDEL_ARGS"} {
		if v[name] != "" {
			line("# %s was %q: homes are never deleted.", name, v[name])
		}
	}
	line("# The marker group was %s: the served group iam-users has everybody who may log in.", strconv.Quote(s.Marker()))
	return b.String()
}

// localGroups maps every login group to a local group: the old tool gave its
// users all of them.
func (s Settings) localGroups(line func(string, ...any), groups []string) {
	local := list(s.values["LOCAL_GROUPS"])
	if len(local) == 0 {
		return
	}
	if len(groups) == 0 || len(local) > 1 {
		line("# LOCAL_GROUPS was %s: an IAM group maps to one local group each, as in\n# map_groups = { \"developers\" = %s }", array(local), strconv.Quote(local[0]))
		return
	}
	pairs := make([]string, len(groups))
	for i, g := range groups {
		pairs[i] = strconv.Quote(g) + " = " + strconv.Quote(local[0])
	}
	line("map_groups = { %s }", strings.Join(pairs, ", "))
	line("# A group as good as root is given only if it is named here too:\n# allow_privileged_groups = %s", array(local))
}
