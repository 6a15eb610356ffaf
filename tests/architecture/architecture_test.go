// Package architecture holds docs/architecture.md against the code: which
// package imports which, and which may never import what. It has no code but
// its tests, and imports nothing of the project.
package architecture

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the picture of the imports into docs/architecture.md")

const (
	module = "github.com/nss-iam/nss-iam/"
	page   = "docs/architecture.md"
	begin  = "<!-- not run: a picture, drawn by go test ./tests/architecture -update -->\n```text\n"
	end    = "```\n\n## Why it is so"
)

// imports are the packages of this module, by their folder, and what each
// imports in the code that is not a test's.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	list := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		all[strings.TrimPrefix(words[0], module)] = words[1:]
	}
	if len(all) < 20 {
		t.Fatalf("go list names %d packages, too few for the test to mean anything", len(all))
	}
	return all
}

// within are the packages of this module among some imports, by their folder.
func within(imports []string) []string {
	var own []string
	for _, path := range imports {
		if folder, ok := strings.CutPrefix(path, module); ok {
			own = append(own, folder)
		}
	}
	slices.Sort(own)
	return own
}

// shipped reports whether a package is, or is part of, what is installed.
func shipped(folder string) bool {
	return !strings.HasPrefix(folder, "tests/") && !strings.HasPrefix(folder, "packaging/") && folder != "nss/mknss"
}

func TestThePictureOfTheImportsIsTrue(t *testing.T) {
	all := imports(t)
	var picture strings.Builder
	for _, folder := range slices.Sorted(maps.Keys(all)) {
		if !shipped(folder) {
			continue
		}
		var names []string
		for _, own := range within(all[folder]) {
			names = append(names, filepath.Base(own))
		}
		if len(names) == 0 {
			names = []string{"–"}
		}
		line := fmt.Sprintf("%-24s ──▶ ", folder)
		for i, name := range names {
			if i > 0 {
				name = ", " + name
			}
			if width := len([]rune(line[strings.LastIndex(line, "\n")+1:])); width+len(name) > 118 {
				line += ",\n" + strings.Repeat(" ", 29)
				name = strings.TrimPrefix(name, ", ")
			}
			line += name
		}
		picture.WriteString(line + "\n")
	}
	path := filepath.Join("../..", page)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	had, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no picture between %q and %q", page, begin, end)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+begin+picture.String()+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if had != picture.String() {
		t.Errorf("%s shows other imports than the code has; look whether the arrow that is new is right, then: go test "+
			"./tests/architecture -update\nin the page:\n%s\nin the code:\n%s", page, had, picture.String())
	}
}

func TestEveryPackageHasItsRowInTheDocument(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("../..", page))
	if err != nil {
		t.Fatal(err)
	}
	for folder := range imports(t) {
		if !strings.HasPrefix(folder, "internal/") && shipped(folder) && strings.Contains(folder, "/") &&
			folder != "authkeys/account" {
			continue
		}
		if strings.HasPrefix(folder, "tests/") {
			folder = strings.Join(strings.SplitN(folder, "/", 3)[:2], "/")
		}
		if folder == "nss/mknss" || strings.HasPrefix(folder, "packaging/") {
			continue
		}
		if !strings.Contains(string(text), "| `"+folder+"`") && !strings.Contains(string(text), "| `"+folder+"/`") {
			t.Errorf("%s has no row for %s: what it owns, and what it must not do", page, folder)
		}
	}
}

// What may not be imported, directly or through other packages of the module.
var never = []struct {
	name   string
	folder *regexp.Regexp // these packages …
	reach  *regexp.Regexp // … reach none of these imports
}{
	{"the policy does no input or output", regexp.MustCompile(`^internal/(accounts|directory|keys)$`),
		regexp.MustCompile(`^(os|os/.*|net|net/.*|syscall|io/ioutil|database/.*|golang.org/x/sys/.*)$`)},
	{"only the packages of the sources, and what opens them, know AWS",
		regexp.MustCompile(`^internal/(accounts|admission|cache|config|control|directory|doctor|health|homes|hostfiles|` +
			`hostsetup|keys|refresh|schedule|sessions|state)$`), regexp.MustCompile(`^github.com/aws/`)},
	{"helpers that sshd and PAM run know neither AWS nor the configuration", regexp.MustCompile(`^authkeys(/account)?$`),
		regexp.MustCompile(`^github.com/aws/|/internal/(config|iam|snapshot|identitycenter|refresh|state)$`)},
	{"the module's binding reads files and knows no package of ours", regexp.MustCompile(`^nss$`),
		regexp.MustCompile(`^` + module)},
	{"the policy and the module do not know which directory they serve",
		regexp.MustCompile(`^(internal/(accounts|cache|admission|keys)|nss)$`),
		regexp.MustCompile(`/internal/(awsapi|iam|identitycenter|snapshot)$`)},
	{"what is installed holds nothing of the tests", regexp.MustCompile(`^(cachefill|authkeys.*|nss|internal/[^/]*)$`),
		regexp.MustCompile(module + `tests/`)},
	{"a refresh knows neither the configuration file nor sockets", regexp.MustCompile(`^internal/refresh$`),
		regexp.MustCompile(`/internal/(config|control|iam|snapshot|identitycenter)$`)},
}

func TestArrowsPointOneWay(t *testing.T) {
	all := imports(t)
	for _, rule := range never {
		t.Run(rule.name, func(t *testing.T) {
			matched := false
			for folder := range all {
				if !rule.folder.MatchString(folder) {
					continue
				}
				matched = true
				for _, way := range reached(all, folder, rule.reach, nil) {
					t.Errorf("%s", way)
				}
			}
			if !matched {
				t.Error("no package has one of these names any more: correct the rule")
			}
		})
	}
}

// reached returns the ways from a package to an import that it must not reach.
func reached(all map[string][]string, folder string, what *regexp.Regexp, way []string) []string {
	way = append(slices.Clone(way), folder)
	if len(way) > 20 {
		return []string{"imports go in a circle: " + strings.Join(way, " → ")}
	}
	var ways []string
	for _, path := range all[folder] {
		if what.MatchString(path) {
			ways = append(ways, strings.Join(append(slices.Clone(way), path), " → "))
		}
	}
	for _, own := range within(all[folder]) {
		ways = append(ways, reached(all, own, what, way)...)
	}
	return ways
}
