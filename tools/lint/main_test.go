package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// build returns the command under test, ready to run.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "lint")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

func TestEveryCheckOfGoVetAndOfStaticcheckIsMade(t *testing.T) {
	list := func(program string, args ...string) string {
		t.Helper()
		out, err := exec.Command(program, args...).Output()
		if err != nil {
			t.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
		}
		return string(out)
	}
	ours := list(build(t), "-list-checks")
	help := list("go", "tool", "vet", "help")
	_, help, _ = strings.Cut(help, "Registered analyzers:")
	help, _, _ = strings.Cut(help, "By default all analyzers are run")

	theirs := regexp.MustCompile(`(?m)^ +([a-z]+) `).FindAllStringSubmatch(help, -1)
	theirs = append(theirs, regexp.MustCompile(`(?m)^([A-Z]+[0-9]+) `).FindAllStringSubmatch(
		list("go", "tool", "staticcheck", "-list-checks"), -1)...)
	if len(theirs) < 150 {
		t.Fatalf("only %d checks are listed", len(theirs))
	}
	for _, check := range theirs {
		if !regexp.MustCompile(`(?m)^` + check[1] + `\b`).MatchString(ours) {
			t.Errorf("%s is not checked", check[1])
		}
	}
}

func TestAFaultOfEachKindIsFound(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.com/faults\n\ngo 1.26\n")
	write("faults.go", `package faults

import (
	"fmt"
	"sync"
)

func logf(format string, args ...any) { fmt.Printf(format, args...) }

func Show(lock sync.Mutex) {
	logf("%d", "a string")
}

func Same(n int) bool { return n == n }

func never() {}
`)
	write("faults_test.go", "package faults\n\nimport \"testing\"\n\nfunc Testlower(t *testing.T) {}\n")
	cmd := exec.Command(build(t), "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("the command found nothing")
	}
	for _, want := range []string{"(printf)", "(copylocks)", "(tests)", "(SA4000)", "(U1000)"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no finding %s in\n%s", want, out)
		}
	}
}
