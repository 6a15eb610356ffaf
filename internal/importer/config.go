package importer

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// list are the items of a list, cut where the old tool cut them.
func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(", \t\r\n", r) })
}

func array(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = strconv.Quote(item)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// everybody is what SUDOERS_GROUPS gives sudo to everybody by.
const everybody = "##ALL##"

// groupName is what IAM allows as the name of a group.
var groupName = regexp.MustCompile(`^[\w+=,.@-]{1,128}$`)

// A writer writes the new configuration.
type writer struct {
	Settings
	text  strings.Builder
	whole bool
}

// Config is the equivalent config.toml, and whether it does all that the old
// configuration did. What it does not do stands in comments. The text is for
// package config to judge.
func (s Settings) Config() (text string, whole bool) {
	w := &writer{Settings: s, whole: len(s.faults) == 0}
	w.line("# Made by \"iam-cachefill import\" from a configuration of aws-ec2-ssh.")
	for _, f := range s.faults {
		w.line("# Not carried over: %s: %s.", f, f.why)
		if f.keys == nil {
			w.line("# It may change every rule, so that all of them are comments.")
		}
	}
	w.source()
	w.login()
	w.sudo()
	w.accounts()
	return w.text.String(), w.whole
}

func (w *writer) line(format string, args ...any) { _, _ = fmt.Fprintf(&w.text, format+"\n", args...) }

// lost says that a rule is for a person to write.
func (w *writer) lost(format string, args ...any) {
	w.whole = false
	w.line("# By hand: "+format, args...)
}

// rule writes a rule that is made of keys: as a comment, if any of them may
// have another value.
func (w *writer) rule(text string, keys ...string) {
	for _, f := range w.faults {
		if slices.ContainsFunc(keys, f.sets) {
			w.lost("%s may change this rule.", f)
			w.line("# %s", strings.TrimPrefix(text, "# "))
			return
		}
	}
	w.line("%s", text)
}

// refused reports whether a line that sets key was not carried over.
func (w *writer) refused(key string) bool {
	return slices.ContainsFunc(w.faults, func(f fault) bool { return slices.Contains(f.keys, key) })
}

func (w *writer) source() {
	w.line("\n[source]")
	if v := w.values[assumeRole]; v != "" || w.refused(assumeRole) {
		w.rule("assume_role = "+strconv.Quote(v), assumeRole)
	}
	if v := w.values[region]; v != "" || w.refused(region) {
		w.rule("region = "+strconv.Quote(v), region)
	}
	for _, name := range environment {
		if w.values[name] != "" {
			w.lost("%s belongs into /etc/nss-iam/environment, as NAME=value, readable by root only.", name)
		}
	}
}

// groups are the rule's line for a list of groups or the tag that holds them. With a
// tag the old tool overwrote the list.
func (w *writer) groups(listKey, tagKey, items string) string {
	tag := w.values[tagKey]
	if tag == "" {
		return "groups = " + array(list(items))
	}
	if items != "" {
		w.line("# %s was set beside %s and had no effect: groups = %s", listKey, tagKey, array(list(items)))
	}
	return "groups_tag = " + strconv.Quote(tag)
}

// named reports whether every item can be a group of IAM.
func (w *writer) named(key, items string) bool {
	for _, item := range list(items) {
		if !groupName.MatchString(item) {
			w.lost("%s has %.60q, which is no name of an IAM group.", key, item)
			return false
		}
	}
	return true
}

// loginRule is the line that says who may log in, and what it is made of. It
// is "" where every user may.
func (w *writer) loginRule() (text string, keys []string) {
	keys = []string{loginGroups, loginTag, doNotSync}
	if w.values[loginTag] == "" && len(list(w.values[loginGroups])) == 0 {
		return "", keys
	}
	return w.groups(loginGroups, loginTag, w.values[loginGroups]), keys
}

func (w *writer) login() {
	w.line("\n[login]")
	text, keys := w.loginRule()
	if text == "" && w.values[doNotSync] != "" && w.values[doNotSync] != "0" {
		text = "all_users = true"
	}
	switch off := w.values[doNotSync]; {
	case strings.Trim(off, "01") != "" || len(off) > 1:
		w.lost("DONOTSYNC was %.60q, which is neither 0 nor 1.", off)
		text = "# " + text
	case off == "1":
		w.line("# DONOTSYNC was set: nobody was synced. Take the # away to let people in.")
		text = "# " + text
	case text == "" && w.values[loginGroups] != "":
		w.lost("%s was %.60q, which names no group.", loginGroups, w.values[loginGroups])
		text = "# groups = [\"…\"]"
	case text == "" && len(w.faults) == 0:
		w.line("# No group was named: every IAM user could log in. Every line of the old file was understood.")
		text = "all_users = true"
	case text == "":
		w.lost("no group was named, but not every line of the old file was understood.")
		text = "# all_users = true"
	case !w.named(loginGroups, w.values[loginGroups]):
		text = "# " + text
	}
	w.rule(text, keys...)
}

// sudoItems is the list of groups with sudo, and the key that had it.
func (w *writer) sudoItems() (key, items string) {
	if w.values[sudoGroups] != "" {
		return sudoGroups, w.values[sudoGroups]
	}
	return sudoGroup, w.values[sudoGroup]
}

func (w *writer) sudo() {
	w.line("\n[sudo]")
	keys := []string{sudoGroups, sudoGroup, sudoTag}
	key, items := w.sudoItems()
	switch {
	case items == everybody && w.values[sudoTag] == "":
		text, loginKeys := w.loginRule()
		if text == "" {
			w.lost("%s gave sudo to every IAM user: name their groups here.", everybody)
			text = "# groups = [\"…\"]"
		} else {
			w.line("# %s: everybody who may log in.", everybody)
		}
		w.rule(text, append(keys, loginKeys...)...)
	case w.values[sudoTag] != "":
		w.rule(w.groups(key, sudoTag, items), keys...)
	case len(list(items)) > 0:
		text := w.groups(key, sudoTag, items)
		if !w.named(key, items) {
			text = "# " + text
		}
		w.rule(text, keys...)
	case slices.ContainsFunc(keys, w.refused):
		w.rule("groups = [\"…\"]", keys...)
	}
}

func (w *writer) accounts() {
	w.line("\n[accounts]")
	w.added()
	w.localGroups()
	w.deleted()
	w.line("# The marker group was %s: the served group iam-users has everybody who may log in.",
		strconv.Quote(w.Marker()))
}

// added carries over how accounts were made.
func (w *writer) added() {
	keys := []string{useraddProgram, useraddArgs}
	program, args := w.values[useraddProgram], w.values[useraddArgs]
	account, unknown := parseUseradd(args)
	if name := path.Base(program); program != "" && name != "useradd" && name != "adduser" {
		unknown = program
	}
	comment := ""
	if unknown != "" {
		w.lost("accounts were made by %.60q with %.120q; %.60q has no equivalent.", program, args, unknown)
		comment = "# "
	}
	if account.shell != "" {
		w.rule(comment+"shell = "+strconv.Quote(account.shell), keys...)
	}
	if account.home != "" {
		w.rule(comment+"home = "+strconv.Quote(account.home), keys...)
	}
	if account.shell == "" && account.home == "" && slices.ContainsFunc(keys, w.refused) {
		w.rule("shell = \"/bin/bash\"", keys...)
	}
}

// An account is what arguments of useradd(8) say about accounts.
type account struct{ shell, home string }

// parseUseradd reads the arguments, up to one that has no equivalent.
func parseUseradd(args string) (a account, unknown string) {
	fields := strings.Fields(args)
	for len(fields) > 0 {
		field := fields[0]
		fields = fields[1:]
		option, value, attached := strings.Cut(field, "=")
		if !strings.HasPrefix(field, "--") && len(field) > 2 {
			option, value, attached = field[:2], field[2:], true
		}
		switch option {
		case "-m", "--create-home", "-U", "--user-group":
			if attached {
				return a, field
			}
		case "-s", "--shell", "-b", "--base-dir":
			if !attached && len(fields) > 0 {
				value, fields = fields[0], fields[1:]
			}
			if !strings.HasPrefix(value, "/") {
				return a, field
			}
			if strings.HasSuffix(option, "s") || option == "--shell" {
				a.shell = value
			} else {
				a.home = strings.ReplaceAll(strings.TrimRight(value, "/"), "%", "%%") + "/%u"
			}
		default:
			return a, field
		}
	}
	return a, ""
}

// deleted says what is not done any more.
func (w *writer) deleted() {
	args := strings.Fields(w.values[userdelArgs])
	slices.Sort(args)
	program := w.values[userdelProgram]
	switch {
	case slices.ContainsFunc([]string{userdelProgram, userdelArgs}, w.refused),
		program != "" && path.Base(program) != "userdel",
		len(args) > 0 && !slices.Equal(args, []string{"--force", "--remove"}) && !slices.Equal(args, []string{"-f", "-r"}):
		w.lost("accounts were deleted by %.60q with %.120q, which has no equivalent: homes are never deleted.", program,
			w.values[userdelArgs])
	default:
		w.line("# Homes of people who are gone were deleted; here homes are never deleted.")
	}
}

// localGroups maps every login group to a local group: the old tool gave its
// users all of them.
func (w *writer) localGroups() {
	local, login := list(w.values[localGroups]), list(w.values[loginGroups])
	keys := []string{localGroups, loginGroups, loginTag}
	switch {
	case len(local) == 0 && w.refused(localGroups):
		w.rule("map_groups = { \"…\" = \"…\" }", localGroups)
	case len(local) == 0:
	case len(login) == 0 || w.values[loginTag] != "" || len(local) > 1:
		w.lost("%s was %s: an IAM group maps to one local group each, as in", localGroups, array(local))
		w.line("# map_groups = { \"developers\" = %s }", strconv.Quote(local[0]))
	default:
		pairs := make([]string, len(login))
		for i, g := range login {
			pairs[i] = strconv.Quote(g) + " = " + strconv.Quote(local[0])
		}
		text := "map_groups = { " + strings.Join(pairs, ", ") + " }"
		if !w.named(loginGroups, w.values[loginGroups]) {
			text = "# " + text
		}
		w.rule(text, keys...)
		w.lost("a system group, or a group as good as root, is given only if it is named here, too:")
		w.line("# allow_privileged_groups = %s", array(local))
	}
}
