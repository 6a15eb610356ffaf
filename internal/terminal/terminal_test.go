package terminal

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestTextIsWrappedBetweenWords(t *testing.T) {
	for _, c := range []struct {
		name, text string
		first      int
		rest       int
		want       []string
	}{
		{"short text is one line", "a b c", 10, 10, []string{"a b c"}},
		{"a line is full and not longer", "aaa bbb ccc", 7, 7, []string{"aaa bbb", "ccc"}},
		{"the first line may have less room", "aaa bbb ccc", 4, 20, []string{"aaa", "bbb ccc"}},
		{"a word that is too long has a line of its own", "a arn:aws:iam::1:x b", 6, 6,
			[]string{"a", "arn:aws:iam::1:x", "b"}},
		{"a command in quotes is not broken", `run "nscd -i passwd" now`, 12, 12, []string{"run", `"nscd -i passwd"`, "now"}},
		{"a quote that does not end is a letter", `the 5" disk is full`, 10, 10, []string{`the 5"`, "disk is", "full"}},
		{"ends of lines stay", "a\nb", 10, 10, []string{"a", "b"}},
		{"letters of two bytes are one column", "ää öö", 5, 5, []string{"ää öö"}},
		{"no text is one empty line", "", 10, 10, []string{""}},
	} {
		if got := Wrap(c.text, c.first, c.rest); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestALineIsColoredAndWrappedForPeopleOnly(t *testing.T) {
	for _, c := range []struct {
		name  string
		width int
		color bool
		want  string
	}{
		{"nobody reads", 0, false, "broken  the daemon does not answer to anybody\n"},
		{"a terminal", 30, false, "broken  the daemon does not\n        answer to anybody\n"},
		{"with color", 30, true, "\x1b[31mbroken  \x1b[0mthe daemon does not\n        answer to anybody\n"},
	} {
		var b bytes.Buffer
		s := Of(&b, c.width, c.color)
		s.Line("broken  ", Bad, "the daemon does not answer to anybody")
		if b.String() != c.want || s.Err() != nil {
			t.Errorf("%s: got %q, want %q", c.name, b.String(), c.want)
		}
	}
}

func TestATableFitsIntoFortyColumns(t *testing.T) {
	rows := [][]string{
		{"user added", "alice", "2049520388", "home /home/alice, shell /bin/bash"},
		{"user removed", "bob", "2049520389", ""},
	}
	var wide, narrow bytes.Buffer
	Of(&wide, 0, false).Table(rows)
	want := "user added    alice  2049520388  home /home/alice, shell /bin/bash\nuser removed  bob    2049520389\n"
	if wide.String() != want {
		t.Errorf("got %q, want %q", wide.String(), want)
	}
	Of(&narrow, 40, false).Table(rows)
	for _, line := range strings.Split(narrow.String(), "\n") {
		if len(line) > 40 {
			t.Errorf("%d columns: %q", len(line), line)
		}
	}
	if got := strings.Join(strings.Fields(narrow.String()), " "); got != strings.Join(strings.Fields(want), " ") {
		t.Errorf("words were lost: %q", got)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestTheFirstFaultOfWritingIsKept(t *testing.T) {
	s := On(full{})
	s.Text("a")
	s.Text("b")
	if s.Err() == nil || s.Width() != 0 {
		t.Errorf("got %v, width %d", s.Err(), s.Width())
	}
}
