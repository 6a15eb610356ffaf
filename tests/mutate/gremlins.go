package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// never is a factor of gremlins' own time limit that is never reached: the
// limit of the stand-in counts.
const never = "10000"

// A report is what gremlins writes about the files of one package.
type report struct {
	Files []fileReport `json:"files"`
}

// A fileReport is what became of the changes to one file.
type fileReport struct {
	Name      string   `json:"file_name"`
	Source    string   `json:"source"` // SHA-256 of the file, hex; this and Hung are ours, and not gremlins'
	Hung      int      `json:"hung"`
	Mutations []change `json:"mutations"`
}

// A change is one mutation and what became of it, in gremlins' words.
type change struct {
	Type   string `json:"type"`
	Status string `json:"status"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

// mutate runs gremlins over one package of the copy in tree, and keeps a report
// of each file in the folder out. With survivorsOnly, it tries only the changes
// that the reports there have as not noticed, in files that are as they were.
func mutate(t target, gremlins, out, tree string, survivorsOnly bool) error {
	work, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	env, err := standInEnvironment(work)
	if err != nil {
		return err
	}
	gremlins, err = filepath.Abs(gremlins)
	if err != nil {
		return err
	}
	result := filepath.Join(work, "report.json")
	earlier := map[string]fileReport{}
	if survivorsOnly {
		if earlier, err = t.earlier(out, tree); err != nil {
			return err
		}
	}
	if err := noteTried(work, earlier); err != nil {
		return err
	}
	rest, err := t.leftOut(filepath.Join(tree, t.Dir))
	if err != nil {
		return err
	}
	args := []string{"unleash", "--workers=1", "--invert-logical",
		"--timeout-coefficient=" + never, "--output=" + result}
	for _, pattern := range rest {
		args = append(args, "--exclude-files="+pattern)
	}
	cmd := exec.Command(gremlins, append(args, "./"+t.Dir)...)
	cmd.Dir, cmd.Env = tree, env
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run gremlins: %w", err)
	}
	body, err := os.ReadFile(result)
	if err != nil {
		return err
	}
	var rep report
	if err := json.Unmarshal(body, &rep); err != nil {
		return fmt.Errorf("read gremlins' report: %w", err)
	}
	names, err := t.files(tree)
	if err != nil {
		return err
	}
	for _, name := range names { // gremlins is silent on files without anything to change
		if !slices.ContainsFunc(rep.Files, func(f fileReport) bool { return f.Name == name }) {
			rep.Files = append(rep.Files, fileReport{Name: name})
		}
	}
	for _, f := range rep.Files {
		f.Hung = strings.Count(noted(work, "hangs"), f.Name+"\n")
		f.add(earlier[f.Name])
		if f.Source, err = digest(filepath.Join(tree, t.Dir, f.Name)); err != nil {
			return err
		}
		if body, err = json.Marshal(f); err != nil {
			return err
		}
		if err := os.WriteFile(t.report(out, f.Name), body, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// files are the names of the target's files in tree, without tests.
func (t target) files(tree string) (names []string, err error) {
	paths, err := filepath.Glob(filepath.Join(tree, t.Dir, "*.go"))
	for _, path := range paths {
		if name := filepath.Base(path); t.has(name) && !strings.HasSuffix(name, "_test.go") {
			names = append(names, name)
		}
	}
	return names, err
}

// report is where the report of a file is kept.
func (t target) report(out, file string) string {
	return filepath.Join(out, strings.ReplaceAll(filepath.Join(t.Dir, file), "/", "-")+".json")
}

// add fills in what became of the changes that were not tried again.
func (f *fileReport) add(earlier fileReport) {
	type place struct {
		kind         string
		line, column int
	}
	was := make(map[place]string, len(earlier.Mutations))
	for _, m := range earlier.Mutations {
		was[place{m.Type, m.Line, m.Column}] = m.Status
	}
	for i, m := range f.Mutations {
		if status, known := was[place{m.Type, m.Line, m.Column}]; known && m.Status == "NOT COVERED" {
			f.Mutations[i].Status = status
		}
	}
	f.Hung += earlier.Hung
}

// earlier are the reports of files that have not changed since.
func (t target) earlier(out, tree string) (map[string]fileReport, error) {
	reports := map[string]fileReport{}
	names, err := t.files(tree)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		f, found, err := t.load(out, name)
		if err != nil {
			return nil, err
		}
		source, err := digest(filepath.Join(tree, t.Dir, name))
		if err != nil {
			return nil, err
		}
		if found && f.Source == source {
			reports[f.Name] = f
		}
	}
	return reports, nil
}

// noteTried tells the stand-in which places of these files are tried again.
func noteTried(work string, earlier map[string]fileReport) error {
	var places strings.Builder
	for name, f := range earlier {
		fmt.Fprintf(&places, "%s 0 0\n", name) // a file of which perhaps nothing is tried
		for _, m := range f.Mutations {
			if m.Status != "KILLED" && m.Status != "NOT VIABLE" {
				fmt.Fprintf(&places, "%s %d %d\n", name, m.Line, m.Column)
			}
		}
	}
	return os.WriteFile(filepath.Join(work, "tried"), []byte(places.String()), 0o600)
}

func digest(path string) (string, error) {
	body, err := os.ReadFile(path)
	return fmt.Sprintf("%x", sha256.Sum256(body)), err
}

// load reads the report of a file, if there is one.
func (t target) load(out, file string) (f fileReport, found bool, err error) {
	body, err := os.ReadFile(t.report(out, file))
	if os.IsNotExist(err) {
		return f, false, nil
	}
	if err == nil {
		err = json.Unmarshal(body, &f)
	}
	return f, err == nil, err
}

// read adds up the reports of the target's files that are in tree.
func (t target) read(out, tree string) (row, error) {
	r := row{Dir: t.Dir}
	names, err := t.files(tree)
	if err != nil {
		return r, err
	}
	for _, name := range names {
		f, found, err := t.load(out, name)
		if err != nil {
			return r, err
		}
		source, err := digest(filepath.Join(tree, t.Dir, name))
		if err != nil {
			return r, err
		}
		switch {
		case !found:
			r.Untried = append(r.Untried, name)
			continue
		case f.Source != source:
			r.Changed = append(r.Changed, name)
		}
		r.Hung += f.Hung
		for _, m := range f.Mutations {
			r.add(survivor{File: filepath.Join(t.Dir, f.Name), Line: m.Line, Column: m.Column, Change: m.Type}, m.Status)
		}
	}
	return r, nil
}

// has reports whether a file of the folder is among those that are mutated.
func (t target) has(file string) bool {
	return len(t.Files) == 0 || slices.ContainsFunc(t.Files, func(p string) bool { return strings.HasPrefix(file, p) })
}

// leftOut returns patterns for the files in dir that are not mutated, and for
// those of packages below it.
func (t target) leftOut(dir string) ([]string, error) {
	patterns := []string{"/"}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".go" && !t.has(e.Name()) {
			patterns = append(patterns, "^"+regexp.QuoteMeta(e.Name())+"$")
		}
	}
	return patterns, nil
}

// copyTree copies what git knows of this repository, and what it would add, to
// a folder of its own: gremlins copies all that lies in a module's folder.
func copyTree() (string, error) {
	list, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return "", fmt.Errorf("list the repository's files: %w", err)
	}
	tree, err := os.MkdirTemp("", "mutate-tree-")
	if err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		if err := copyFile(name, filepath.Join(tree, name)); err != nil && !os.IsNotExist(err) {
			os.RemoveAll(tree)
			return "", err
		}
	}
	return tree, nil
}

func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	body, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, body, info.Mode().Perm())
}
