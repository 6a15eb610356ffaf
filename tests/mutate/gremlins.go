package main

import (
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

// A report is what gremlins writes about one package.
type report struct {
	Files []struct {
		Name      string `json:"file_name"`
		Mutations []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
			Line   int    `json:"line"`
			Column int    `json:"column"`
		} `json:"mutations"`
	} `json:"files"`
}

// mutate runs gremlins over one package of the copy in tree.
func mutate(t target, gremlins, out, tree string) (row, error) {
	r := row{Dir: t.Dir}
	work, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(work)
	env, err := standInEnvironment(work)
	if err != nil {
		return r, err
	}
	gremlins, err = filepath.Abs(gremlins)
	if err != nil {
		return r, err
	}
	result, err := filepath.Abs(filepath.Join(out, strings.ReplaceAll(t.Dir, "/", "-")+".json"))
	if err != nil {
		return r, err
	}
	rest, err := leftOut(filepath.Join(tree, t.Dir), t.Files)
	if err != nil {
		return r, err
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
		return r, fmt.Errorf("run gremlins: %w", err)
	}
	if err := r.read(result); err != nil {
		return r, err
	}
	r.Hung, err = countHangs(work)
	return r, err
}

// leftOut returns patterns for the files in dir that are not mutated: those
// of packages below it, and those whose names begin with none of prefixes.
func leftOut(dir string, prefixes []string) ([]string, error) {
	patterns := []string{"/"}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		named := slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(e.Name(), p) })
		if filepath.Ext(e.Name()) == ".go" && len(prefixes) > 0 && !named {
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

func (r *row) read(path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var rep report
	if err := json.Unmarshal(body, &rep); err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	for _, f := range rep.Files {
		for _, m := range f.Mutations {
			r.add(survivor{File: filepath.Join(r.Dir, f.Name), Line: m.Line, Column: m.Column, Change: m.Type}, m.Status)
		}
	}
	return nil
}
