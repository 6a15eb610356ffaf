// Package importer reads what the tool widdix/aws-ec2-ssh left on a host, and
// writes the equivalent for nss-iam: a configuration, and a plan for the
// uids of the users it made. It changes nothing, and never runs the old
// file, which is shell.
package importer

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ConfigPath is where the old tool has its configuration.
const ConfigPath = "/etc/aws-ec2-ssh.conf"

// The variables that the old tool reads.
const (
	loginGroups    = "IAM_AUTHORIZED_GROUPS"
	loginTag       = "IAM_AUTHORIZED_GROUPS_TAG"
	sudoGroups     = "SUDOERS_GROUPS"
	sudoTag        = "SUDOERS_GROUPS_TAG"
	sudoGroup      = "SUDOERSGROUP" // what SUDOERS_GROUPS was called first
	localGroups    = "LOCAL_GROUPS"
	markerGroup    = "LOCAL_MARKER_GROUP"
	assumeRole     = "ASSUMEROLE"
	doNotSync      = "DONOTSYNC"
	useraddProgram = "USERADD_PROGRAM"
	useraddArgs    = "USERADD_ARGS"
	userdelProgram = "USERDEL_PROGRAM"
	userdelArgs    = "USERDEL_ARGS"
	region         = "AWS_DEFAULT_REGION"
)

var known = []string{
	loginGroups, loginTag, sudoGroups, sudoTag, sudoGroup, localGroups, markerGroup, assumeRole, doNotSync,
	useraddProgram, useraddArgs, userdelProgram, userdelArgs, region,
}

// environment are variables that programs read and not the old tool: their
// equivalent is the environment of the service.
var environment = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
	"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
	"http_proxy", "https_proxy", "no_proxy",
}

// idle are variables that nothing needs here.
var idle = []string{"PATH", "LANG", "LC_ALL", "AWS_DEFAULT_OUTPUT", "AWS_PAGER"}

// A fault is a line that was not carried over.
type fault struct {
	line    int
	subject string // what the line assigns, or its first word
	why     string
	keys    []string // what it may have changed; nil: anything
}

func (f fault) String() string {
	return fmt.Sprintf("line %d (%.60q)", f.line, f.subject)
}

// Settings are the variables of the old configuration.
type Settings struct {
	values map[string]string
	faults []fault
}

// A reader makes Settings of commands.
type reader struct {
	Settings
	readOnly map[string]bool
	used     map[string]bool // by the value of another variable
	lines    map[string]int  // where a variable was assigned last
}

// Parse reads the old configuration. A line that does more than to assign
// constants, or variables that the file has assigned itself, is a fault.
func Parse(text string) Settings {
	r := reader{Settings{values: make(map[string]string)}, make(map[string]bool), make(map[string]bool),
		make(map[string]int)}
	if strings.HasPrefix(text, "\ufeff") {
		// The shell takes the mark as the first letter of the first word.
		r.fault(command{line: 1}, "byte order mark", "the shell does not take what begins with a byte order mark as an "+
			"assignment")
	}
	if strings.ContainsRune(text, 0) {
		r.fault(command{line: 1}, "NUL", "the file has zero bytes")
		return r.Settings
	}
	l := lexer{text: strings.TrimPrefix(text, "\ufeff"), line: 1, lookup: func(name string) (string, bool) {
		value, ok := r.values[name]
		r.used[name] = true
		return value, ok && !r.doubtful(name)
	}}
	for {
		c, ok := l.next()
		if !ok {
			r.strangers()
			return r.Settings
		}
		r.command(c)
	}
}

// fault notes that a command was not carried over. Without keys it may have
// changed every one.
func (r *reader) fault(c command, subject, why string, keys ...string) {
	r.faults = append(r.faults, fault{c.line, subject, why, keys})
}

// doubtful reports whether a line that was not carried over may have set key.
func (s Settings) doubtful(key string) bool {
	return slices.ContainsFunc(s.faults, func(f fault) bool { return f.sets(key) })
}

func (f fault) sets(key string) bool { return f.keys == nil || slices.Contains(f.keys, key) }

// command takes the assignments of a command, if it does nothing else.
func (r *reader) command(c command) {
	words, readOnly, ok := assigning(c.words)
	names := c.expanded
	for _, w := range words {
		name := identifier(w.text)
		rest := strings.TrimPrefix(w.text[len(name):], "+")
		if name == "" || !strings.HasPrefix(rest, "=") || len(name) >= w.plain {
			ok = false
		}
		names = append(names, name)
	}
	switch {
	case c.lost:
		r.fault(c, first(c), c.odd+", and where it ends cannot be told")
	case !ok:
		why := "it is more than an assignment"
		if slices.ContainsFunc(c.words, func(w word) bool { return w.text == "." || w.text == "source" }) {
			why = "it reads another file"
		}
		r.fault(c, first(c), why)
	case c.odd != "":
		r.fault(c, names[len(names)-1], c.odd, names...)
	default:
		for i, w := range words {
			r.assign(c, names[len(c.expanded)+i], w, readOnly)
		}
	}
}

// first is what a command begins with, as far as it can be no secret.
func first(c command) string {
	if len(c.words) == 0 {
		return ""
	}
	name, _, _ := strings.Cut(c.words[0].text, "=")
	return name
}

// assigning returns the words of a command that assign, without the builtin
// and its options that may be before them.
func assigning(words []word) (assignments []word, readOnly, ok bool) {
	if len(words) == 0 {
		return nil, false, false
	}
	switch words[0].text {
	case "export", "readonly", "declare", "typeset":
		readOnly = words[0].text == "readonly"
		words = words[1:]
	default:
		return words, false, true
	}
	for len(words) > 0 && strings.HasPrefix(words[0].text, "-") {
		// Of the options only these leave the value as it is.
		if strings.Trim(words[0].text[1:], "grx") != "" {
			return words, readOnly, false
		}
		readOnly = readOnly || strings.Contains(words[0].text, "r")
		words = words[1:]
	}
	return words, readOnly, len(words) > 0
}

// assign takes one assignment.
func (r *reader) assign(c command, name string, w word, readOnly bool) {
	value, plain := strings.CutPrefix(w.text[len(name):], "=")
	switch {
	case !plain:
		r.fault(c, name, "it adds to a variable", name)
	case r.readOnly[name]:
		r.fault(c, name, "the variable was made read-only before", name)
	case strings.Contains(value, "~"):
		r.fault(c, name, "the shell may expand the \"~\"", name)
	case value == "" && w.cr:
		r.fault(c, name, "it is empty but for the carriage return at its end, with which the old tool let nobody in", name)
	case name == "IFS":
		r.fault(c, name, "it changes how lists are read")
	default:
		r.values[name] = value
		r.readOnly[name] = readOnly
		r.lines[name] = c.line
	}
}

// strangers notes the assigned variables that nobody uses: a misspelled key, or
// a key of a changed copy of the old tool.
func (r *reader) strangers() {
	for _, name := range slices.Sorted(maps.Keys(r.values)) {
		if !r.used[name] && !slices.Contains(slices.Concat(known, environment, idle), name) {
			r.fault(command{line: r.lines[name]}, name, "aws-ec2-ssh has no such key", name)
		}
	}
	slices.SortStableFunc(r.faults, func(a, b fault) int { return a.line - b.line })
}

// Marker is the local group that the old tool put its users into.
func (s Settings) Marker() string {
	if g := s.values[markerGroup]; g != "" {
		return g
	}
	return "iam-synced-users"
}
