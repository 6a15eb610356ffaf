package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A row is the outcome for one package.
type row struct {
	Dir        string
	Noticed    int // some test failed
	Hung       int // of those: the tests did not end in time
	Unbuilt    int // the compiler notices: not counted
	Unfinished int // gremlins has no verdict: counted as not noticed
	Survivors  []survivor
	Untried    []string // files of the package of which there is no report
	Changed    []string // files that are not as they were when they were tried
}

// A survivor is a change that no test notices.
type survivor struct {
	File         string
	Line, Column int
	Change       string
}

// add counts one change by gremlins' word for what became of it.
func (r *row) add(s survivor, status string) {
	switch status {
	case "KILLED":
		r.Noticed++
	case "NOT VIABLE":
		r.Unbuilt++
	case "LIVED", "NOT COVERED":
		r.Survivors = append(r.Survivors, s)
	default:
		r.Unfinished++
	}
}

func (r row) changes() int { return r.Noticed + len(r.Survivors) + r.Unfinished }

// share is the percentage of changes that some test notices.
func (r row) share() float64 {
	if r.changes() == 0 {
		return 100
	}
	return 100 * float64(r.Noticed) / float64(r.changes())
}

// table prints the rows as docs/security.md has them.
func table(rows []row) string {
	var b strings.Builder
	b.WriteString("| package | changes | noticed | of these by a hang | not noticed | share |\n" +
		"|---|---|---|---|---|---|\n")
	for _, r := range rows {
		share := fmt.Sprintf("%.0f %%", r.share())
		if n := len(r.Untried); n > 0 {
			share += fmt.Sprintf(", %d files not tried", n)
		}
		if n := len(r.Changed); n > 0 {
			share += fmt.Sprintf(", %d files changed since", n)
		}
		fmt.Fprintf(&b, "| `%s` | %d | %d | %d | %d | %s |\n",
			r.Dir, r.changes(), r.Noticed, r.Hung, r.changes()-r.Noticed, share)
	}
	return b.String()
}

// survivors prints where the changes are that no test notices, with the line
// as it is in tree.
func survivors(rows []row, tree string) string {
	var b strings.Builder
	for _, r := range rows {
		slices.SortFunc(r.Survivors, func(x, y survivor) int {
			return cmp.Or(cmp.Compare(x.File, y.File), x.Line-y.Line, x.Column-y.Column)
		})
		for _, s := range r.Survivors {
			line := sourceLine(filepath.Join(tree, s.File), s.Line)
			fmt.Fprintf(&b, "%s:%d:%d: %s: %s\n", s.File, s.Line, s.Column, s.Change, line)
		}
		if len(r.Untried) > 0 {
			fmt.Fprintf(&b, "%s: never tried: %s\n", r.Dir, strings.Join(r.Untried, ", "))
		}
		if len(r.Changed) > 0 {
			fmt.Fprintf(&b, "%s: changed since: %s\n", r.Dir, strings.Join(r.Changed, ", "))
		}
		if r.Unfinished > 0 {
			fmt.Fprintf(&b, "%s: %d changes without a verdict\n", r.Dir, r.Unfinished)
		}
	}
	return b.String()
}

func sourceLine(path string, n int) string {
	body, err := os.ReadFile(path)
	lines := strings.Split(string(body), "\n")
	if err != nil || n < 1 || n > len(lines) {
		return ""
	}
	return strings.TrimSpace(lines[n-1])
}
