package hostsetup

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// service is our word in nsswitch.conf(5).
const service = "iam"

// goOn stands before our service on an initgroups line. There, unlike on a
// group line, glibc asks no further service once one has found something, and
// a person in one local group would be in none of ours.
const goOn = "[SUCCESS=continue]"

var (
	nsswitchDatabase = regexp.MustCompile(`^([ \t]*)([A-Za-z_]+)[ \t]*:`)
	nsswitchToken    = regexp.MustCompile(`\[[^\[\]\n]*\]|[^\s\[\]]+`)
	returnsOnMissing = regexp.MustCompile(`(?i)(?:\bNOTFOUND|!(?:SUCCESS|UNAVAIL|TRYAGAIN))[ \t]*=[ \t]*return\b`)
)

// AddService returns nsswitch.conf with our service in the lines passwd and
// group, and initgroups where there is one, after all that is there. Nothing
// else changes, spacing and comments included. A file that names it already
// comes back as it is, but for what an initgroups line lacks before it; a
// broken one is an error.
func AddService(content string) (string, error) {
	lines, seen, err := nsswitchLines(content)
	if err != nil {
		return "", err
	}
	for _, database := range []string{"passwd", "group", "initgroups"} {
		n, there := seen[database]
		if !there {
			continue
		}
		if lines[n], err = addTo(lines[n]); err != nil {
			return "", fmt.Errorf("line %d, %s: %w", n+1, database, err)
		}
		if database == "initgroups" {
			lines[n] = goingOn(lines[n])
		}
	}
	text := strings.Join(lines, "")
	for _, database := range []string{"passwd", "group"} {
		if _, there := seen[database]; there {
			continue
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		text += fmt.Sprintf("%-15s files %s\n", database+":", service)
	}
	return text, nil
}

// RemoveService takes our service out of every line.
func RemoveService(content string) (string, error) {
	lines, seen, err := nsswitchLines(content)
	if err != nil {
		return "", err
	}
	for _, n := range seen {
		rule, rest := splitComment(lines[n])
		start := strings.Index(rule, ":") + 1
		tokens := nsswitchToken.FindAllStringIndex(rule[start:], -1)
		slices.Reverse(tokens)
		for _, at := range tokens {
			if start+at[1] > len(rule) || rule[start+at[0]:start+at[1]] != service {
				continue // goOn went with our service
			}
			before := rule[:start+at[0]]
			before = strings.TrimRight(before[:len(before)-goOnBefore(before)], " \t")
			after := rule[start+at[1]:]
			if before == rule[:start] {
				after = " " + strings.TrimLeft(after, " \t")
			}
			rule = before + after
		}
		lines[n] = rule + rest
	}
	return strings.Join(lines, ""), nil
}

// HasService reports whether the lines passwd and group both name our service
// where a lookup can reach it.
func HasService(content string) (passwd, group bool, err error) {
	lines, seen, err := nsswitchLines(content)
	if err != nil {
		return false, false, err
	}
	has := func(database string) bool {
		n, there := seen[database]
		if !there {
			return false
		}
		services := services(lines[n])
		return slices.Contains(services, service)
	}
	return has("passwd"), has("group"), nil
}

// initgroupsEnds reports whether an initgroups line names our service behind
// another whose success ends the lookup.
func initgroupsEnds(content string) bool {
	lines, seen, err := nsswitchLines(content)
	if err != nil {
		return false
	}
	n, there := seen["initgroups"]
	return there && goingOn(lines[n]) != lines[n]
}

var continues = regexp.MustCompile(`(?i)\bSUCCESS[ \t]*=[ \t]*(?:continue|merge)\b`)

// goingOn returns an initgroups line with goOn before our service, unless it
// is first, or an action there has the same effect.
func goingOn(line string) string {
	rule, rest := splitComment(line)
	start := strings.Index(rule, ":") + 1
	before := ""
	for _, at := range nsswitchToken.FindAllStringIndex(rule[start:], -1) {
		token := rule[start+at[0] : start+at[1]]
		if token == service && before != "" && !continues.MatchString(before) {
			return rule[:start+at[0]] + goOn + " " + rule[start+at[0]:] + rest
		}
		before = token
	}
	return line
}

// goOnBefore returns how many bytes goOn and the space behind it take at the
// end of text.
func goOnBefore(text string) int {
	kept := strings.TrimSuffix(strings.TrimRight(text, " \t"), goOn)
	if kept == strings.TrimRight(text, " \t") {
		return 0
	}
	return len(text) - len(kept)
}

// nsswitchLines splits content into lines with their ends, and finds the line
// of each database.
func nsswitchLines(content string) ([]string, map[string]int, error) {
	if len(content) > 1<<20 || strings.ContainsRune(content, 0) {
		return nil, nil, errors.New("it is no text file")
	}
	lines := strings.SplitAfter(content, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	seen := make(map[string]int)
	for i, line := range lines {
		rule, _ := splitComment(line)
		if strings.TrimSpace(rule) == "" {
			continue
		}
		match := nsswitchDatabase.FindStringSubmatch(rule)
		if match == nil {
			return nil, nil, fmt.Errorf("line %d is no rule: %.80q", i+1, strings.TrimSpace(rule))
		}
		list := rule[len(match[0]):]
		if left := nsswitchToken.ReplaceAllString(list, ""); strings.TrimSpace(left) != "" {
			return nil, nil, fmt.Errorf("line %d has a bracket without its other: %.80q", i+1, strings.TrimSpace(rule))
		}
		name := match[2]
		if first, twice := seen[name]; twice && slices.Contains([]string{"passwd", "group", "initgroups"}, name) {
			return nil, nil, fmt.Errorf("lines %d and %d are both for %s", first+1, i+1, name)
		}
		seen[name] = i
	}
	return lines, seen, nil
}

// splitComment cuts a line where its rule ends: before trailing space, a
// comment or the line's end.
func splitComment(line string) (rule, rest string) {
	end := len(line)
	if i := strings.IndexByte(line, '#'); i >= 0 {
		end = i
	}
	end = len(strings.TrimRight(line[:end], " \t\r\n"))
	return line[:end], line[end:]
}

// services returns the tokens of a rule that are no actions.
func services(line string) []string {
	rule, _ := splitComment(line)
	tokens := nsswitchToken.FindAllString(rule[strings.Index(rule, ":")+1:], -1)
	return slices.DeleteFunc(tokens, func(token string) bool { return token[0] == '[' })
}

// addTo adds our service to one rule: at its end, or before the service after
// which a missing user ends the lookup, but never before the host's own files.
func addTo(line string) (string, error) {
	names := services(line)
	if slices.Contains(names, service) {
		return line, nil
	}
	if len(names) == 0 {
		return "", errors.New("it names no service")
	}
	rule, rest := splitComment(line)
	start := strings.Index(rule, ":") + 1
	last := -1 // where the last service before the present token begins
	files := !slices.ContainsFunc(names, isFiles)
	for _, at := range nsswitchToken.FindAllStringIndex(rule[start:], -1) {
		token := rule[start+at[0] : start+at[1]]
		if token[0] != '[' {
			last = start + at[0]
			continue
		}
		if !returnsOnMissing.MatchString(token) || last < 0 {
			continue
		}
		word := strings.FieldsFunc(rule[last:], func(r rune) bool { return r == ' ' || r == '\t' || r == '[' })[0]
		if isFiles(word) || !files && !filesBefore(rule[start:last]) {
			return "", fmt.Errorf("%s after %q ends every lookup before a further service is asked", token, word)
		}
		return rule[:last] + service + " " + rule[last:] + rest, nil
	}
	return rule + " " + service + rest, nil
}

func isFiles(name string) bool { return name == "files" || name == "compat" }

func filesBefore(list string) bool {
	return slices.ContainsFunc(nsswitchToken.FindAllString(list, -1), isFiles)
}
