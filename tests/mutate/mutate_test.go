package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

// commandDecide is a program with a bound, and testOfIt notices one change of it only.
const (
	commandDecide = `package main

func main() {}

func young(age int) bool {
	for age > 1000 {
	}
	return age < 30
}
`
	testOfIt = `package main

import "testing"

func TestYoung(t *testing.T) {
	if !young(20) || young(40) {
		t.Error("wrong")
	}
}
`
)

func TestTheStandInSaysWhatBecameOfAChange(t *testing.T) {
	unmet.Long(t, "go is run for each change")
	goCommand, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		now  string // in place of age < 30
		want int
	}{
		{"a change that a test of a command notices", "age >= 30", noticed},
		{"a change that no test notices", "age <= 30", survived},
		{"a change that does not compile", `age < "30"`, unbuilt},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv(realGo, goCommand)
			t.Setenv(workDir, t.TempDir())
			write(t, filepath.Join(dir, "go.mod"), "module decide\n\ngo 1.26\n")
			write(t, filepath.Join(dir, "main_test.go"), testOfIt)
			write(t, filepath.Join(dir, "main.go"), replaceOnce(t, commandDecide, "age < 30", c.now))
			t.Chdir(dir)
			if got := judge(); got != c.want {
				t.Errorf("exit status %d, want %d", got, c.want)
			}
		})
	}
}

func TestTestsThatDoNotEndAreEndedAndCalledHung(t *testing.T) {
	start := time.Now()
	if _, err := runTests("/bin/sh", ".", time.Minute); err == nil {
		t.Error("a program that knows no test flags passed")
	}
	script := filepath.Join(t.TempDir(), "endless")
	write(t, script, "#!/bin/sh\nsleep 600 & wait\n")
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := runTests(script, ".", 100*time.Millisecond); !errors.Is(err, errHung) {
		t.Errorf("got %v, want %v", err, errHung)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

func TestOnlyTheTestsThatFailedRunAgain(t *testing.T) {
	out := "--- FAIL: TestOne (0.00s)\n    --- FAIL: TestOne/inner (0.00s)\n--- FAIL: TestTwo (0.00s)\nFAIL\n"
	if got, want := onlyFailed([]byte(out)), "^(TestOne|TestTwo)$"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := onlyFailed([]byte("panic: in an init function")); got != "" {
		t.Errorf("without a name: got %q, want all tests", got)
	}
}

func TestSlowTestsRunLast(t *testing.T) {
	out := "--- PASS: TestQuick (0.09s)\n    --- PASS: TestQuick/part (5.00s)\n--- PASS: TestSlow (0.60s)\n--- PASS: " +
		"TestSlower (0.80s)\n"
	if got, want := slowTests([]byte(out), 2*time.Second), "^(TestSlow|TestSlower)$"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := slowTests([]byte("--- PASS: TestQuick (0.00s)\n"), time.Second); got != "" {
		t.Errorf("got %q where none is slow", got)
	}
}

func TestWhatHasNoVerdictCountsAsNotNoticed(t *testing.T) {
	var r row
	for _, status := range []string{"KILLED", "KILLED", "NOT VIABLE", "LIVED", "NOT COVERED", "TIMED OUT", "SKIPPED"} {
		r.add(survivor{}, status)
	}
	if r.changes() != 6 || r.Noticed != 2 || r.Unbuilt != 1 || len(r.Survivors) != 2 || r.Unfinished != 2 {
		t.Errorf("got %+v", r)
	}
	if got := r.share(); int(got) != 33 {
		t.Errorf("share %v, want a third", got)
	}
}

func TestAFileOrAPackageIsChosenByItsPath(t *testing.T) {
	got, err := choose([]string{"./internal/keys/", "internal/accounts/removal.go", "internal/accounts/rules.go"})
	want := []target{{Dir: "internal/keys"}, {Dir: "internal/accounts", Files: []string{"removal.go", "rules.go"}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if got, err := choose(nil); err != nil || len(got) != len(targets) {
		t.Errorf("nothing named: got %v, %v; want all", got, err)
	}
	if got, err := choose([]string{"internal/iam"}); err == nil {
		t.Errorf("another package: got %v", got)
	}
}

func TestTheTableAddsUpTheReportsOfFilesThatAreThere(t *testing.T) {
	out, tree, here := t.TempDir(), t.TempDir(), target{Dir: "p"}
	if err := os.Mkdir(filepath.Join(tree, "p"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, report := range map[string]string{
		"a.go": `{"file_name":"a.go","hung":1,"mutations":[{"type":"X","status":"KILLED","line":1},{"type":"X",` +
			`"status":"LIVED","line":2}]}`,
		"c.go":    "",
		"b.go":    `{"file_name":"b.go","mutations":[{"type":"X","status":"KILLED","line":1}]}`,
		"gone.go": `{"file_name":"gone.go","mutations":[{"type":"X","status":"LIVED","line":1}]}`,
	} {
		if report != "" {
			write(t, here.report(out, name), report)
		}
		if name != "gone.go" {
			write(t, filepath.Join(tree, "p", name), "package p\n")
		}
	}
	r, err := here.read(out, tree)
	if err != nil || r.Noticed != 2 || r.Hung != 1 || len(r.Survivors) != 1 || r.Survivors[0].File != "p/a.go" ||
		!slices.Equal(r.Untried, []string{"c.go"}) || !slices.Equal(r.Changed, []string{"a.go", "b.go"}) {
		t.Errorf("got %+v, %v", r, err)
	}
	here.Files = []string{"b"}
	if r, err := here.read(out, tree); err != nil || r.Noticed != 1 || len(r.Survivors) != 0 {
		t.Errorf("of b alone: got %+v, %v", r, err)
	}
}

func TestOnlySurvivorsAreTriedAgainWhileTheirFileIsTheSame(t *testing.T) {
	work := t.TempDir()
	earlier := fileReport{Name: "a.go", Hung: 1, Mutations: []change{{"X", "KILLED", 1, 2}, {"X", "LIVED", 3, 4},
		{"Y", "NOT VIABLE", 3, 4}}}
	if err := noteTried(work, map[string]fileReport{"a.go": earlier, "b.go": {Name: "b.go"}}); err != nil {
		t.Fatal(err)
	}
	got := coverage([]string{"m/p/a.go", "m/p/b.go", "m/p/c.go"}, noted(work, "tried"))
	want := "m/p/a.go:0.0,0.0 1 1\nm/p/a.go:3.4,3.4 1 1\nm/p/b.go:0.0,0.0 1 1\nm/p/c.go:1.1,1000000.1 1 1\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	now := fileReport{Name: "a.go", Mutations: []change{{"X", "NOT COVERED", 1, 2}, {"X", "KILLED", 3, 4},
		{"Y", "NOT COVERED", 5, 6}}}
	now.add(earlier)
	if want := []change{{"X", "KILLED", 1, 2}, {"X", "KILLED", 3, 4},
		{"Y", "NOT COVERED", 5, 6}}; !reflect.DeepEqual(now.Mutations, want) || now.Hung != 1 {
		t.Errorf("got %+v, want %+v", now, want)
	}

	out, tree, here := t.TempDir(), t.TempDir(), target{Dir: "p"}
	if err := os.Mkdir(filepath.Join(tree, "p"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(tree, "p", "a.go")
	write(t, path, "package p\n")
	source, err := digest(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, here.report(out, "a.go"), `{"file_name":"a.go","source":"`+source+`"}`)
	if reports, err := here.earlier(out, tree); err != nil || len(reports) != 1 {
		t.Errorf("the same file: %v, %v", reports, err)
	}
	write(t, path, "package p // changed\n")
	if reports, err := here.earlier(out, tree); err != nil || len(reports) != 0 {
		t.Errorf("a changed file: %v, %v", reports, err)
	}
}

func TestEveryMutatedPackageIsThere(t *testing.T) {
	for _, target := range targets {
		dir := filepath.Join("..", "..", target.Dir)
		if sources, err := filepath.Glob(filepath.Join(dir, "*.go")); err != nil || len(sources) == 0 {
			t.Errorf("%s: no Go files, %v", target.Dir, err)
		}
		for _, prefix := range target.Files {
			if sources, err := filepath.Glob(filepath.Join(dir, prefix+"*.go")); err != nil || len(sources) == 0 {
				t.Errorf("%s: no file %s*.go, %v", target.Dir, prefix, err)
			}
		}
	}
}

func write(t *testing.T, path, body string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
}

func replaceOnce(t *testing.T, s, old, now string) string {
	t.Helper()
	if strings.Count(s, old) != 1 {
		t.Fatalf("%q is not once in %q", old, s)
	}
	return strings.Replace(s, old, now, 1)
}
