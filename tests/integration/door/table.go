package door

import (
	"fmt"
	"strings"
)

// What stands around the tables in the page.
const (
	tablesBegin = "<!-- BEGIN ways in: written by \"go test ./tests/integration/door -update\", compared by every " +
		"other run -->\n"
	tablesEnd = "<!-- END ways in -->\n"
)

// A cell is where one way led for one person.
type cell struct{ way, state, pam string }

// Results are what was seen on one release's host.
type results map[cell]verdict

// tables prints what was seen on the releases, as the page has it.
func tables(releases []string, seen map[string]results) string {
	var b strings.Builder
	for _, t := range []struct{ title, pam string }{
		{"sshd with `UsePAM yes`", "yes"},
		{"sshd with `UsePAM no`", "no"},
		{"beside sshd", ""},
	} {
		fmt.Fprintf(&b, "\n| %s |", t.title)
		for _, s := range states {
			fmt.Fprintf(&b, " %s |", s.title)
		}
		b.WriteString("\n|" + strings.Repeat("---|", len(states)+1) + "\n")
		for _, w := range waysOf(t.pam) {
			fmt.Fprintf(&b, "| %s |", w.title)
			for _, s := range states {
				fmt.Fprintf(&b, " %s |", onAll(releases, seen, cell{w.id, s.name, t.pam}))
			}
			b.WriteByte('\n')
		}
	}
	b.WriteByte('\n')
	return b.String()
}

// onAll is the text of a cell: one verdict, or each release's where they differ.
func onAll(releases []string, seen map[string]results, c cell) string {
	var each []string
	same := true
	for _, release := range releases {
		v := seen[release][c]
		same = same && v == seen[releases[0]][c]
		each = append(each, release+": "+string(v))
	}
	if same {
		return string(seen[releases[0]][c])
	}
	return strings.Join(each, ", ")
}

// between splits a page at its tables.
func between(page string) (before, tables, after string, ok bool) {
	before, rest, ok := strings.Cut(page, tablesBegin)
	if !ok {
		return page, "", "", false
	}
	tables, after, ok = strings.Cut(rest, tablesEnd)
	return before, tables, after, ok
}
