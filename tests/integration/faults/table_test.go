package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

var checkForm = regexp.MustCompile(`(?:broken|warning) \+\(?([a-z]+)`)

// broken is the name of the check in a pattern.
func broken(pattern string) string {
	if m := checkForm.FindStringSubmatch(pattern); m != nil {
		return m[1]
	}
	return pattern
}

func table(heard map[string]said) string {
	var b, notes strings.Builder
	reasons := map[string]int{}
	b.WriteString("| fault | `status` | `explain` of the person | `doctor` | alert | journal |\n" +
		"|---|---|---|---|---|---|\n")
	for _, f := range faults {
		x := heard[f.name]
		cell := func(text string, w witness) string {
			if w.quiet == "" {
				return text
			}
			n, ok := reasons[w.quiet]
			if !ok {
				n = len(reasons) + 1
				reasons[w.quiet] = n
				fmt.Fprintf(&notes, "%d. %s\n", n, w.quiet)
			}
			return fmt.Sprintf("%s (%d)", strings.TrimSuffix(text, ", –"), n)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", f.name, cell(x.status, f.status), cell(x.explain, f.explain),
			cell(x.doctor, f.doctor), cell(x.alert, f.alert), cell(x.journal, f.journal))
	}
	return b.String() + "\nWhere it does not show, and why:\n\n" + notes.String()
}

const (
	tableBegins = "<!-- table of faults: go test ./tests/integration/faults -update -->\n"
	tableEnds   = "<!-- end of the table of faults -->\n"
)

// inDocument holds the page against the table, or writes it there.
func inDocument(t *testing.T, table string) {
	t.Helper()
	page := filepath.Join(testbed.Root(), "docs/operations.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegins)
	had, after, closed := strings.Cut(rest, tableEnds)
	switch {
	case !ok || !closed:
		t.Errorf("%s has no table of faults", page)
	case *update:
		if err := os.WriteFile(page, []byte(before+tableBegins+"\n"+table+"\n"+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
	case had != "\n"+table+"\n":
		t.Errorf("docs/operations.md has another table of faults; go test ./tests/integration/faults -update writes this "+
			"one:\n%s", table)
	}
}
