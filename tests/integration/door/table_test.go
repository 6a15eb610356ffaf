package door

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// expected are the results that the rules want of every release.
func expected() results {
	all := results{}
	for _, pam := range []string{"yes", "no", ""} {
		for _, w := range waysOf(pam) {
			for _, s := range states {
				all[cell{w.id, s.name, pam}] = w.rule(s, pam)
			}
		}
	}
	return all
}

func TestThePageShowsWhatTheRulesWant(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(testbed.Root(), "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _, ok := between(string(content))
	if !ok {
		t.Fatal("docs/security.md has no place for the tables")
	}
	want := tables([]string{"a"}, map[string]results{"a": expected()})
	shownLines, wantLines := strings.Split(shown, "\n"), strings.Split(want, "\n")
	for i := range max(len(shownLines), len(wantLines)) {
		var got, rule string
		if i < len(shownLines) {
			got = shownLines[i]
		}
		if i < len(wantLines) {
			rule = wantLines[i]
		}
		if got != rule {
			t.Errorf("line %d:\npage:  %s\nrules: %s", i+1, got, rule)
		}
	}
}

func TestACellTellsReleasesApart(t *testing.T) {
	c := cell{"su", "active", ""}
	for _, test := range []struct {
		name string
		seen map[string]results
		want string
	}{
		{"the same everywhere", map[string]results{"old": {c: in}, "new": {c: in}}, "in"},
		{"another answer on one", map[string]results{"old": {c: no}, "new": {c: in}}, "old: no, new: in"},
		{"not tried on one", map[string]results{"old": {}, "new": {c: in}}, "old: , new: in"},
	} {
		if got := onAll([]string{"old", "new"}, test.seen, c); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
