package documents

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v3"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testbed.Root(), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// prose is a Markdown document without its fenced blocks.
func prose(text string) string {
	var out []string
	inside := false
	for _, line := range strings.Split(text, "\n") {
		switch {
		case fence.MatchString(line):
			inside = !inside
		case !inside:
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInURL = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the names that headings have in links.
func anchors(text string) (all []string) {
	for _, match := range heading.FindAllStringSubmatch(prose(text), -1) {
		all = append(all, strings.ReplaceAll(notInURL.ReplaceAllString(strings.ToLower(match[1]), ""), " ", "-"))
	}
	return all
}

func TestLinksLeadSomewhere(t *testing.T) {
	texts, names, err := readAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for _, match := range link.FindAllStringSubmatch(prose(texts[name]), -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := name
			if target != "" {
				file = path.Join(path.Dir(name), target)
			}
			if _, err := os.Stat(filepath.Join(testbed.Root(), file)); err != nil {
				t.Errorf("%s: link to %q: %v", name, match[1], err)
			} else if anchor != "" && !slices.Contains(anchors(readFile(t, file)), anchor) {
				t.Errorf("%s: link to %q: no such heading", name, match[1])
			}
		}
	}
}

var (
	inline     = regexp.MustCompile("(?s)`([^`]+)`")
	subcommand = regexp.MustCompile(`(?m)^  ([a-z-]+) +[A-Z]`)
	option     = regexp.MustCompile(`(?m)--([a-z-]+)`)
)

// help is what iam-cachefill says of a command.
func help(t *testing.T, command ...string) string {
	t.Helper()
	out, err := exec.Command(filepath.Join(testbed.Build(), "iam-cachefill"), append(command, "--help")...).Output()
	if err != nil {
		t.Fatalf("iam-cachefill %q --help: %v", command, err)
	}
	return string(out)
}

// subcommands are the commands of people, each with its own options.
func subcommands(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for _, match := range subcommand.FindAllStringSubmatch(help(t), -1) {
		if name := match[1]; name != "help" && name != "completion" && name != "iam-cachefill" {
			for _, o := range option.FindAllStringSubmatch(help(t, name), -1) {
				all[name] = append(all[name], o[1])
			}
		}
	}
	if len(all) < 9 {
		t.Fatalf("commands: %q", all)
	}
	return all
}

// Commands in running text are not run, but they are commands.
func TestCommandsInRunningTextExist(t *testing.T) {
	testbed.RequireArtifacts(t)
	known := subcommands(t)
	texts, names, err := readAll()
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range names {
		for _, match := range inline.FindAllStringSubmatch(prose(texts[name]), -1) {
			words := strings.Fields(match[1])
			if words[0] != "iam-cachefill" || len(words) < 2 {
				continue
			}
			found++
			if words[1] == "--help" {
				continue
			}
			options, ok := known[words[1]]
			if !ok {
				t.Errorf("%s: %q: no such command", name, match[1])
			}
			for _, o := range option.FindAllStringSubmatch(match[1], -1) {
				if !slices.Contains(options, o[1]) {
					t.Errorf("%s: %q: no option --%s", name, match[1], o[1])
				}
			}
		}
	}
	if found < 15 {
		t.Errorf("%d commands found in running text", found)
	}
}

func TestTheManualKnowsEveryCommandAndOption(t *testing.T) {
	testbed.RequireArtifacts(t)
	page := readFile(t, "docs/man/iam-cachefill.8")
	for name, options := range subcommands(t) {
		if !regexp.MustCompile(`(?m)^\.It Cm ` + name + `\b`).MatchString(page) {
			t.Errorf("the manual has no command %q", name)
		}
		for _, o := range options {
			if o != "help" && !regexp.MustCompile(`Fl -`+o+`\b`).MatchString(page) {
				t.Errorf("the manual has no option --%s of %q", o, name)
			}
		}
	}
}

var (
	requirement = regexp.MustCompile(`(?m)^(?:require)?\s+\(?([a-z0-9.-]+\.[a-z]+/\S+) v\S+( // indirect)?$`)
	toolLine    = regexp.MustCompile(`(?m)^tool (\S+)$|^\t(\S+/cmd/\S+)$`)
)

// docs/dependencies.md has every direct dependency and no other.
func TestTheListOfDependenciesIsTrue(t *testing.T) {
	var direct []string
	for _, match := range requirement.FindAllStringSubmatch(readFile(t, "go.mod"), -1) {
		if match[2] == "" {
			direct = append(direct, match[1])
		}
	}
	tools := toolLine.FindStringSubmatch(readFile(t, "tools/go.mod"))
	if len(direct) < 15 || tools == nil {
		t.Fatalf("dependencies %q, tools %q", direct, tools)
	}
	var listed []string
	for _, line := range strings.Split(readFile(t, "docs/dependencies.md"), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || !strings.Contains(cells[1], "`") {
			continue
		}
		if strings.TrimSpace(cells[2]) == "" {
			t.Errorf("no reason: %s", line)
		}
		module := ""
		for i, match := range inline.FindAllStringSubmatch(cells[1], -1) {
			name := match[1]
			if i == 0 {
				module = name
			} else if !strings.Contains(name, ".") {
				name = module + "/" + name
			}
			listed = append(listed, name)
		}
	}
	// A listed name is a module or a package in one.
	within := func(name, module string) bool { return name == module || strings.HasPrefix(name, module+"/") }
	for _, module := range direct {
		if !slices.ContainsFunc(listed, func(name string) bool { return within(name, module) }) {
			t.Errorf("%s is in go.mod and not in docs/dependencies.md", module)
		}
	}
	for _, name := range listed {
		if !slices.ContainsFunc(direct, func(module string) bool { return within(name, module) }) &&
			!strings.Contains(readFile(t, "tools/go.mod"), name) {
			t.Errorf("%s is in docs/dependencies.md and not needed by go.mod", name)
		}
	}
}

// docs/architecture.md has a row for every package, or for the folder above it.
func TestTheArchitectureNamesEveryPackage(t *testing.T) {
	var rows []string
	for _, line := range strings.Split(readFile(t, "docs/architecture.md"), "\n") {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			for _, match := range inline.FindAllStringSubmatch(cells[1], -1) {
				rows = append(rows, strings.TrimSuffix(match[1], "/"))
			}
		}
	}
	packages := make(map[string]bool)
	err := filepath.WalkDir(testbed.Root(), func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(testbed.Root(), file)
		if err != nil {
			return err
		}
		if d.IsDir() && (relative == "build" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") &&
			relative != ".") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(file, ".go") {
			packages[path.Dir(relative)] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 30 {
		t.Fatalf("%d packages", len(packages))
	}
	for dir := range packages {
		up := dir
		for up != "." && !slices.Contains(rows, up) {
			up = path.Dir(up)
		}
		if up == "." || up == "internal" {
			t.Errorf("docs/architecture.md does not say what %s owns", dir)
		}
	}
	for _, row := range rows {
		if _, err := os.Stat(filepath.Join(testbed.Root(), row)); err != nil {
			t.Errorf("docs/architecture.md: %v", err)
		}
	}
}

// The alert rules are YAML of the form that Prometheus reads, on figures that exist.
func TestAlertsAreOnFiguresThatExist(t *testing.T) {
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	d := yaml.NewDecoder(strings.NewReader(readFile(t, "docs/alerts.yml")))
	d.KnownFields(true)
	if err := d.Decode(&rules); err != nil || len(rules.Groups) == 0 {
		t.Fatalf("%v, %d groups", err, len(rules.Groups))
	}
	source := readFile(t, "cachefill/metrics.go")
	operations := readFile(t, "docs/operations.md")
	for _, g := range rules.Groups {
		for _, rule := range g.Rules {
			for _, figure := range regexp.MustCompile(`nss_iam_([a-z_]+)`).FindAllStringSubmatch(rule.Expr, -1) {
				if !strings.Contains(source, `"`+figure[1]+`"`) {
					t.Errorf("%s: no figure %s", rule.Alert, figure[0])
				}
			}
			if !strings.Contains(operations, "| "+rule.Alert+" |") {
				t.Errorf("docs/operations.md does not say what to do about %s", rule.Alert)
			}
		}
	}
}

// What docs say is shown by a test is shown by a test that exists.
func TestTestsThatAreNamedExist(t *testing.T) {
	out, err := exec.Command("grep", "-rhoE", "--include=*_test.go", "^func Test[A-Za-z0-9]+", testbed.Root()).Output()
	if err != nil {
		t.Fatal(err)
	}
	texts, names, err := readAll()
	if err != nil {
		t.Fatal(err)
	}
	existing := strings.Split(strings.ReplaceAll(string(out), "func ", ""), "\n")
	found := 0
	for _, name := range names {
		for _, match := range regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]+)`").FindAllStringSubmatch(texts[name], -1) {
			found++
			if !slices.Contains(existing, match[1]) {
				t.Errorf("%s: there is no %s", name, match[1])
			}
		}
	}
	if found < 30 {
		t.Errorf("%d tests are named", found)
	}
}
