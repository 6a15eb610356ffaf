package unmet

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A recorder is a test that remembers how it ended.
type recorder struct {
	testing.TB
	ended, text string
}

func (r *recorder) Helper()               {}
func (r *recorder) Name() string          { return "TestOfIt/case" }
func (r *recorder) Fatalf(string, ...any) { r.ended = "failed" }
func (r *recorder) Skipf(format string, args ...any) {
	r.ended, r.text = r.ended+"skipped", fmt.Sprintf(format, args...)
}

func TestWhatCannotRunIsSkippedAndFailsInCI(t *testing.T) {
	for ci, want := range map[string]string{"true": "failed", "": "skipped", "false": "skipped"} {
		t.Setenv("CI", ci)
		r := new(recorder)
		Skip(r, "no such tool")
		if !strings.HasPrefix(r.ended, want) {
			t.Errorf("CI=%q: the test was %s, want %s", ci, r.ended, want)
		}
	}
}

func TestASlowTestIsLeftOutByShortAndByNothingElse(t *testing.T) {
	before := flag.Lookup("test.short").Value.String()
	defer func() { _ = flag.Set("test.short", before) }()
	for short, want := range map[string]string{"true": "skipped", "false": ""} {
		if err := flag.Set("test.short", short); err != nil {
			t.Fatal(err)
		}
		r := new(recorder)
		Long(r, "it waits")
		if r.ended != want {
			t.Errorf("-short=%s: the test was %q, want %q", short, r.ended, want)
		}
		if command := "go test -run '^TestOfIt$' ./tests/unmet"; want != "" && !strings.HasSuffix(r.text, command) {
			t.Errorf("-short=%s: %q does not end with %q", short, r.text, command)
		}
	}
}

var skips = regexp.MustCompile(`\.(?:Skip|Skipf|SkipNow)\(`)

func TestNoOtherTestSkips(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (name == filepath.Join(root, "build") || name == filepath.Join(root, "tests", "unmet") ||
			name == filepath.Join(root, ".git")):
			return fs.SkipDir
		case filepath.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(name)
		for line := range strings.Lines(string(text)) {
			if skips.MatchString(line) && !strings.Contains(line, "unmet.Skip(") {
				t.Errorf("%s: a skip that CI would not notice: %s", name, strings.TrimSpace(line))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
