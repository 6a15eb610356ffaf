package hostsetup

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	blockBegin = "# BEGIN nss-iam: made by \"iam-cachefill setup\", removed by \"setup --undo\"\n"
	blockEnd   = "# END nss-iam\n"
)

// keysCommand returns the two directives for an sshd of this version.
func keysCommand(major, minor int) string {
	arguments := "%u %U %f %k %t"
	if major < 7 || major == 7 && minor < 7 {
		arguments = "%u %f %k %t" // %U came with 7.7
	}
	return "AuthorizedKeysCommand " + Helper + " " + arguments + "\nAuthorizedKeysCommandUser " + HelperUser + "\n"
}

// ownKeys is the Match that has sshd ignore the keys that served users put into
// files of their own. Group iam-users has every served user, those who are
// about to go included. sshd takes the first value that a connection matches,
// so nothing below changes it.
const ownKeys = "Match Group iam-users\n\tAuthorizedKeysFile none\n"

// AddBlock puts directives into a marked block at the head of sshd_config:
// before any Match, and before any other value, because sshd takes the first.
// A match goes into a block at its end, where it holds nothing else, and ends
// there, whatever is appended later. Blocks that are there already are replaced.
func AddBlock(content, directives, match string) string {
	content = RemoveBlock(content)
	if match != "" {
		if content != "" && !strings.HasSuffix(content, "\n") {
			content += "\n"
		}
		content += blockBegin + match + "Match all\n" + blockEnd
	}
	return blockBegin + directives + blockEnd + content
}

// RemoveBlock returns a file without our marked blocks.
func RemoveBlock(content string) string {
	kept := ""
	for {
		begin := strings.Index(content, blockBegin)
		if begin < 0 || begin > 0 && content[begin-1] != '\n' {
			return kept + content
		}
		end := strings.Index(content[begin:], blockEnd)
		if end < 0 {
			return kept + content
		}
		kept, content = kept+content[:begin], content[begin+end+len(blockEnd):]
	}
}

// A directive is one line of sshd_config.
type directive struct {
	line  int // from 1
	name  string
	value string
	match bool // below a Match
}

// directives reads sshd_config as far as setup must understand it. Whether it
// is right, sshd -t says.
func directives(content string) (all []directive) {
	match := false
	for i, line := range strings.Split(content, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value := line, ""
		if end := strings.IndexAny(line, " \t="); end >= 0 {
			name, value = line[:end], strings.TrimLeft(line[end:], " \t=")
		}
		name = strings.ToLower(name)
		match = match || name == "match"
		all = append(all, directive{i + 1, name, value, match})
	}
	return all
}

// includesDropIns reports whether a drop-in comes before everything in
// sshd_config that could take its place: its Include stands before any Match
// and before any AuthorizedKeysCommand.
func includesDropIns(content string) bool {
	for _, d := range directives(content) {
		switch {
		case d.match, d.name == "authorizedkeyscommand", d.name == "authorizedkeyscommanduser":
			return false
		case d.name == "include":
			for _, pattern := range includePatterns(d.value) {
				if ok, err := path.Match(pattern, sshdDropInPath); err == nil && ok {
					return true
				}
			}
		}
	}
	return false
}

// includePatterns are what an Include names: absolute patterns of files.
func includePatterns(value string) (patterns []string) {
	for pattern := range strings.FieldsSeq(value) {
		pattern = strings.Trim(pattern, `"`)
		if !path.IsAbs(pattern) {
			pattern = path.Join("/etc/ssh", pattern)
		}
		patterns = append(patterns, pattern)
	}
	return patterns
}

var sshVersion = regexp.MustCompile(`OpenSSH_(\d+)\.(\d+)`)

func parseVersion(text string) (major, minor int, ok bool) {
	m := sshVersion.FindStringSubmatch(text)
	if m == nil {
		return 0, 0, false
	}
	major, _ = strconv.Atoi(m[1])
	minor, _ = strconv.Atoi(m[2])
	return major, minor, true
}

// An effective configuration is what sshd -T prints: names in lower case, and
// values.
type effective map[string][]string

func parseEffective(text string) effective {
	e := make(effective)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		e[name] = append(e[name], value)
	}
	return e
}

func (e effective) first(name string) string {
	if len(e[name]) == 0 {
		return ""
	}
	return e[name][0]
}

// keysCommand returns the words of the AuthorizedKeysCommand, or nil.
func (e effective) keysCommand() []string {
	words := strings.Fields(e.first("authorizedkeyscommand"))
	if len(words) == 1 && words[0] == "none" {
		return nil
	}
	return words
}

// otherwise lists what differs between two effective configurations besides
// the key command and its user: nothing, if setup did only what it should.
func (e effective) otherwise(after effective) (names []string) {
	for name, values := range e {
		if !strings.HasPrefix(name, "authorizedkeyscommand") && !slices.Equal(values, after[name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ChainKey is the line of the configuration by which another AuthorizedKeysCommand goes on
// being asked.
func ChainKey(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	return "chain = [" + strings.Join(quoted, ", ") + "]"
}
