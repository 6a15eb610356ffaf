package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A module is a module of which some package is compiled into a program of
// ours, or Go's standard library.
type module struct {
	path, version string
	licenses      []text   // of the module and of the packages compiled in
	notices       []text   // what Apache-2.0, section 4(d), asks to hand on
	copyrights    []string // "2013, Ben Johnson", sorted
	ids           []string // SPDX's names of the licenses, sorted
}

// A text is a file that a module brings.
type text struct{ name, content string }

// standard is the path that the standard library goes by.
const standard = "std"

var (
	programs      = []string{"./cachefill", "./authkeys", "./authkeys/account"}
	architectures = []string{"amd64", "arm64"}
	licenseFile   = regexp.MustCompile(`(?i)^(licen[sc]e|copying|patents)(\.(txt|md))?$`)
	noticeFile    = regexp.MustCompile(`(?i)^notice(\.(txt|md))?$`)
	copyrightLine = regexp.MustCompile(`(?i)^[\s/*#]*(?:portions )?copyright (?:\(c\)|©)?\s*` +
		`((?:[0-9]{4}[-, ]*(?:present)?)+)\W*(?:by )?(.+)$`)
)

// compiledIn reads the module graph of the source in a folder.
func compiledIn(folder string) ([]module, error) {
	type listed struct {
		Dir, ImportPath string
		Standard        bool
		GoFiles         []string
		Module          *struct {
			Path, Version, Dir string
			Main               bool
		}
	}
	found := make(map[string]*reader)
	for _, architecture := range architectures {
		list := exec.Command("go", append([]string{"list", "-deps", "-json=Dir,ImportPath,Standard,GoFiles,Module"},
			programs...)...)
		list.Dir = folder
		list.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+architecture, "CGO_ENABLED=0")
		list.Stderr = os.Stderr
		out, err := list.Output()
		if err != nil {
			return nil, fmt.Errorf("list what is compiled in: %w", err)
		}
		decoder := json.NewDecoder(bytes.NewReader(out))
		for {
			var p listed
			if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("read what is compiled in: %w", err)
			}
			if p.Standard || p.Module.Main {
				continue
			}
			if p.Module.Dir == "" {
				return nil, fmt.Errorf("module %q is in a vendor folder: its licenses are read from the module itself",
					p.Module.Path)
			}
			if found[p.Module.Path] == nil {
				found[p.Module.Path] = newReader(p.Module.Path, p.Module.Version, p.Module.Dir)
			}
			if err := found[p.Module.Path].folder(p.Dir, p.GoFiles); err != nil {
				return nil, err
			}
		}
	}
	library, err := standardLibrary(folder)
	if err != nil {
		return nil, err
	}
	found[standard] = library
	return finish(found)
}

func standardLibrary(folder string) (*reader, error) {
	env := exec.Command("go", "env", "GOROOT", "GOVERSION")
	env.Dir = folder
	out, err := env.Output()
	if err != nil {
		return nil, fmt.Errorf("ask for Go's folder: %w", err)
	}
	said := strings.Fields(string(out))
	r := newReader(standard, strings.TrimPrefix(said[1], "go"), said[0])
	return r, r.folder(said[0], nil)
}

// finish gives each module the names of its licenses. A module without any
// copyright line of its own is a part of the one whose path begins its own.
func finish(found map[string]*reader) (all []module, err error) {
	for _, path := range slices.Sorted(maps.Keys(found)) {
		m := found[path].module
		whole := path
		for len(found[whole].holders) == 0 {
			cut := strings.LastIndex(whole, "/")
			if cut < 0 {
				return nil, fmt.Errorf("module %q names no copyright", path)
			}
			for whole = whole[:cut]; found[whole] == nil && strings.Contains(whole, "/"); {
				whole = whole[:strings.LastIndex(whole, "/")]
			}
			if found[whole] == nil {
				return nil, fmt.Errorf("module %q names no copyright", path)
			}
		}
		m.copyrights = found[whole].copyrights()
		if m.ids, err = licenseIDs(m); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// A reader collects what is said of one module.
type reader struct {
	module
	top     string
	seen    map[string]bool
	holders map[string][]string // of copyrights, with the years
}

func newReader(path, version, top string) *reader {
	return &reader{module: module{path: path, version: version}, top: top, seen: make(map[string]bool),
		holders: make(map[string][]string)}
}

// folder reads the licenses of a package: those of its folder and of each folder
// above it, up to the module's; and the copyright lines at the beginning of its files.
func (r *reader) folder(dir string, files []string) error {
	for at := dir; !r.seen[at]; at = filepath.Dir(at) {
		r.seen[at] = true
		entries, err := os.ReadDir(at)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || !licenseFile.MatchString(e.Name()) && !noticeFile.MatchString(e.Name()) {
				continue
			}
			if err := r.text(filepath.Join(at, e.Name())); err != nil {
				return err
			}
		}
		if at == r.top {
			break
		}
	}
	for _, name := range files {
		if err := r.head(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) text(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	name, err := filepath.Rel(r.top, file)
	if err != nil {
		return err
	}
	t := text{name, strings.TrimSpace(strings.ReplaceAll(string(content), "\r\n", "\n")) + "\n"}
	if noticeFile.MatchString(filepath.Base(file)) {
		r.notices = append(r.notices, t)
	} else {
		r.licenses = append(r.licenses, t)
	}
	for line := range strings.Lines(t.content) {
		r.copyright(line)
	}
	return nil
}

// head reads the comment that a source file begins with.
func (r *reader) head(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "package ") {
		r.copyright(lines.Text())
	}
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return err
	}
	return nil // a line that is too long is no copyright line
}

func (r *reader) copyright(line string) {
	match := copyrightLine.FindStringSubmatch(strings.TrimSpace(line))
	if match == nil {
		return
	}
	holder := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(match[2]), "All rights reserved."))
	holder = strings.TrimRight(holder, ", */")
	holder = strings.TrimSuffix(holder, ".")
	if strings.HasSuffix(holder, " Inc") {
		holder += "."
	}
	for year := range strings.SplitSeq(match[1], ",") {
		if year = strings.ReplaceAll(year, " ", ""); year != "" {
			r.holders[holder] = append(r.holders[holder], year)
		}
	}
}

// copyrights is a line for each holder, with all years.
func (r *reader) copyrights() (lines []string) {
	for holder, years := range r.holders {
		slices.Sort(years)
		lines = append(lines, strings.Join(slices.Compact(years), ", ")+", "+holder)
	}
	slices.Sort(lines)
	return lines
}
