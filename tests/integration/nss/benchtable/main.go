// Command benchtable turns the lines of bench.sh into a table and a picture.
//
// usage: benchtable RESULTS DOCUMENT
//
// The table takes the place of what stands between the markers
// "<!-- lookups -->" and "<!-- /lookups -->" in DOCUMENT, or is appended; the
// picture is lookups.svg beside it.
package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const begin, end = "<!-- lookups -->", "<!-- /lookups -->"

var modes = []struct{ name, title string }{
	{"name", "by name"}, {"uid", "by uid"}, {"initgroups", "groups of a user"}, {"missing", "missing name"},
	{"threads", "by name, two threads"}, {"first", "first of a process"}, {"short", "short buffer refused"},
}

var services = []struct{ name, title string }{
	{"empty", "empty module (the floor)"}, {"iam", "nss-iam"}, {"sss", "SSSD, memory cache"},
	{"cache", "libnss-cache"}, {"extrausers", "libnss-extrausers"}, {"files", "glibc files"},
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: benchtable RESULTS DOCUMENT")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

func run(results, document string) error {
	ns, err := read(results)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(document)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	text := string(old)
	before, rest, found := strings.Cut(text, begin)
	_, after, _ := strings.Cut(rest, end)
	if !found {
		before = strings.TrimRight(before, "\n") + "\n\n"
		after = "\n"
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(document), "lookups.svg"), []byte(picture(ns)), 0o644); err != nil {
		return err
	}
	return os.WriteFile(document, []byte(before+begin+"\n"+table(ns)+end+after), 0o644)
}

type key struct{ users, service, mode string }

func read(path string) (map[key]float64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	ns := map[key]float64{}
	for s := bufio.NewScanner(f); s.Scan(); {
		w := strings.Fields(s.Text())
		if len(w) != 4 {
			continue
		}
		if v, err := strconv.ParseFloat(w[3], 64); err == nil {
			ns[key{w[0], w[1], w[2]}] = v
		}
	}
	return ns, nil
}

func table(ns map[key]float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Lookups\n\nNanoseconds a lookup through glibc, medians of one run (`make nss-bench`). %s\n\n![lookups](lookups.svg)\n\n", machine())
	for _, users := range []string{"5000", "100000"} {
		fmt.Fprintf(&b, "%s users:\n\n| service |", users)
		for _, m := range modes {
			fmt.Fprintf(&b, " %s |", m.title)
		}
		b.WriteString("\n|---|" + strings.Repeat("---:|", len(modes)) + "\n")
		for _, s := range services {
			row, any := "| "+s.title+" |", false
			for _, m := range modes {
				v, ok := ns[key{users, s.name, m.name}]
				any = any || ok
				if ok {
					row += fmt.Sprintf(" %.0f |", v)
				} else {
					row += " – |"
				}
			}
			if any {
				b.WriteString(row + "\n")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func machine() string {
	out := func(name string, args ...string) string {
		b, _ := exec.Command(name, args...).Output()
		return strings.TrimSpace(string(b))
	}
	cpu := "unknown CPU"
	for line := range strings.Lines(out("cat", "/proc/cpuinfo")) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			cpu = strings.TrimSpace(v)
		}
	}
	versions := []string{out("getconf", "GNU_LIBC_VERSION")}
	for _, p := range []string{"sssd", "libnss-cache", "libnss-extrausers"} {
		if v := out("dpkg-query", "-W", "-f", "${Version}", p); v != "" {
			versions = append(versions, p+" "+v)
		}
	}
	return fmt.Sprintf("%s, %s cores, Linux %s; %s.", cpu, out("nproc"), out("uname", "-r"), strings.Join(versions, ", "))
}

// picture draws the lookups by name at 5,000 users on a logarithmic scale.
func picture(ns map[key]float64) string {
	var b strings.Builder
	const left, width, row = 190, 420, 26
	y := 34
	var bars strings.Builder
	for _, s := range services {
		v, ok := ns[key{"5000", s.name, "name"}]
		if !ok || v <= 0 {
			continue
		}
		length := math.Log10(v / 10)
		colour := "#8aa4c8"
		if s.name == "iam" {
			colour = "#c8553d"
		}
		w := max(4, length*width/5)
		fmt.Fprintf(&bars, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.0f" height="16" fill="%s"/><text x="%.0f" y="%d">%.0f ns</text>`+"\n",
			left-8, y+13, s.title, left, y, w, colour, float64(left)+w+6, y+13, v)
		y += row
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="720" height="%d" font-family="sans-serif" font-size="13">`+"\n", y+10)
	b.WriteString(`<text x="10" y="20">getpwnam_r by name, 5,000 users (logarithmic)</text>` + "\n")
	b.WriteString(bars.String() + "</svg>\n")
	return b.String()
}
