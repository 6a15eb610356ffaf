package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Gremlins runs "go" from PATH, and finds this program there. It is needed
// since gremlins by itself
//   - counts a change that does not compile as noticed, since go test exits
//     with 1 for both;
//   - runs the tests of another package, which has none, for a package main,
//     and counts that as noticed too;
//   - passes no -short, and has go vet look at every change;
//   - tries only what the coverage says, which knows nothing of a program that
//     a test starts;
//   - kills go test after its time limit, and not the test;
//   - believes one failure, of a test that is late on a busy machine too.
//
// So the stand-in builds the tests, runs them with a limit of its own and the
// slow ones last, runs those that failed once more, and calls everything covered.

// What the runner says to the stand-in.
const (
	realGo   = "MUTATE_GO"   // the go command
	workDir  = "MUTATE_WORK" // a folder: how long the tests take, and what hung
	noticed  = 1             // exit status: a test fails, or does not end
	unbuilt  = 2             // exit status: the change does not compile
	survived = 0             // exit status: all tests pass
)

var errHung = errors.New("the tests did not end in time")

// standInEnvironment returns the environment in which "go" is this program.
func standInEnvironment(work string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	path, err := exec.LookPath("go")
	if err != nil {
		return nil, err
	}
	// A copy: the next make mutate builds this program again, under one that runs.
	if err := copyFile(self, filepath.Join(work, "go")); err != nil {
		return nil, err
	}
	return append(os.Environ(), realGo+"="+path, workDir+"="+work,
		"PATH="+work+string(os.PathListSeparator)+os.Getenv("PATH")), nil
}

// standIn does what gremlins wants of go and returns the exit status.
func standIn(args []string) int {
	if len(args) == 0 || args[0] != "test" {
		cmd := exec.Command(os.Getenv(realGo), args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return 1
		}
		return 0
	}
	if i := slices.Index(args, "-coverprofile"); i >= 0 && i+1 < len(args) {
		if err := baseline(args[i+1], strings.TrimSuffix(args[len(args)-1], "/...")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	return judge()
}

// baseline runs the tests of the package in dir unchanged, notes how long they
// take, and writes a coverage profile by which every line is covered.
func baseline(profile, dir string) error {
	program, err := build(dir)
	if err != nil {
		return err
	}
	defer os.Remove(program)
	start := time.Now()
	out, err := runTests(program, dir, 20*time.Minute, "-test.v")
	if err != nil {
		return fmt.Errorf("the tests of %s fail without any change: %w\n%s", dir, err, out)
	}
	took := time.Since(start)
	err = errors.Join(note("took", strconv.FormatInt(int64(took), 10)), note("slow", slowTests(out, took)))
	if err != nil {
		return err
	}
	const files = `{{$p := .ImportPath}}{{range .GoFiles}}{{$p}}/{{.}} {{end}}`
	list, err := exec.Command(os.Getenv(realGo), "list", "-f", files, dir).Output()
	if err != nil {
		return err
	}
	covered := "mode: set\n" + coverage(strings.Fields(string(list)), noted(os.Getenv(workDir), "tried"))
	return os.WriteFile(profile, []byte(covered), 0o600)
}

// coverage covers of the files in tried the places named there, and all others whole.
func coverage(files []string, tried string) string {
	places := map[string][]string{}
	for line := range strings.Lines(tried) {
		var name string
		var at, column int
		if _, err := fmt.Sscan(line, &name, &at, &column); err == nil {
			places[name] = append(places[name], fmt.Sprintf("%d.%d,%d.%d", at, column, at, column))
		}
	}
	var blocks strings.Builder
	for _, file := range files {
		some, only := places[filepath.Base(file)]
		if !only {
			some = []string{"1.1,1000000.1"}
		}
		for _, block := range some {
			fmt.Fprintf(&blocks, "%s:%s 1 1\n", file, block)
		}
	}
	return blocks.String()
}

// judge runs the tests of the package in this folder, in which one thing is changed.
func judge() int {
	program, err := build(".")
	if err != nil {
		return unbuilt
	}
	defer os.Remove(program)
	slow := noted(os.Getenv(workDir), "slow")
	out, err := runTests(program, ".", limit(), "-test.skip="+slow)
	if err == nil && slow != "" {
		out, err = runTests(program, ".", limit(), "-test.run="+slow)
	}
	if err == nil {
		return survived
	}
	_, err = runTests(program, ".", limit(), "-test.run="+onlyFailed(out))
	if err == nil {
		return survived
	}
	if errors.Is(err, errHung) {
		if err := noteHang(); err != nil {
			fmt.Fprintln(os.Stderr, "mutate:", err)
		}
	}
	return noticed
}

var passed = regexp.MustCompile(`(?m)^--- PASS: (\w+) \(([0-9.]+)s\)`)

// slowTests returns the pattern of the tests that take a tenth of the whole
// time each, by the output of go test -v: they run last, and seldom.
func slowTests(out []byte, whole time.Duration) string {
	var names []string
	for _, m := range passed.FindAllSubmatch(out, -1) {
		if took, err := time.ParseDuration(string(m[2]) + "s"); err == nil && took > whole/10 {
			names = append(names, string(m[1]))
		}
	}
	return pattern(names)
}

// pattern matches exactly the tests of these names; it is "" for none.
func pattern(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "^(" + strings.Join(names, "|") + ")$"
}

// build compiles the tests of the package in dir.
func build(dir string) (string, error) {
	f, err := os.CreateTemp(os.Getenv(workDir), "test-")
	if err != nil {
		return "", err
	}
	f.Close()
	cmd := exec.Command(os.Getenv(realGo), "test", "-c", "-vet=off", "-ldflags=-s -w", "-o", f.Name(), ".")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("build the tests of %s: %w\n%s", dir, err, out)
	}
	return f.Name(), nil
}

// runTests runs a built test program until its first failure, and ends what it started.
func runTests(program, dir string, limit time.Duration, flags ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"-test.short", "-test.failfast"}, flags...)...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout = &limited{w: &out, left: 1 << 20}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	err := cmd.Wait()
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what a failed test left running
	if ctx.Err() != nil {
		return out.Bytes(), errHung
	}
	return out.Bytes(), err
}

// limited drops what comes after left bytes: a changed loop may print without end.
type limited struct {
	w    io.Writer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.left -= n
	if _, err := l.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)

// onlyFailed returns the pattern of the tests that out calls failed; all if there are none.
func onlyFailed(out []byte) string {
	var names []string
	for _, m := range failed.FindAllSubmatch(out, -1) {
		names = append(names, string(m[1]))
	}
	return pattern(names)
}

// limit is far beyond what the tests need, on a busy machine too.
func limit() time.Duration {
	took, err := strconv.ParseInt(noted(os.Getenv(workDir), "took"), 10, 64)
	if err != nil {
		return 10 * time.Minute
	}
	return 30*time.Second + 5*time.Duration(took)
}

// note keeps what the baseline found for the runs after it, under a name.
func note(name, text string) error {
	return os.WriteFile(filepath.Join(os.Getenv(workDir), name), []byte(text), 0o600)
}

func noted(work, name string) string {
	text, _ := os.ReadFile(filepath.Join(work, name)) // "" where nothing was noted
	return string(text)
}

// noteHang keeps the name of the file that is changed: the one written last.
func noteHang() error {
	files, err := filepath.Glob("*.go")
	if err != nil {
		return err
	}
	newest, name := time.Time{}, ""
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.ModTime().After(newest) {
			newest, name = info.ModTime(), file
		}
	}
	return note("hangs", noted(os.Getenv(workDir), "hangs")+name+"\n")
}
