package main

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

var sizes = []string{"5000", "100000"}

var modes = []struct{ name, title string }{
	{"name", "by name"}, {"few", "by name, of 1,000"}, {"uid", "by uid"}, {"initgroups", "groups of a user"},
	{"fifty", "groups, of fifty users"},
	{"missing", "missing name"}, {"threads", "by name, two threads"}, {"first", "first of a process"},
	{"short", "short buffer refused"}, {"id-large", "`id`, large group"}, {"id-small", "`id`, small groups"},
}

var services = []struct{ name, title, pkg string }{
	{"empty", "empty module", ""}, {"array", "array in memory", ""}, {"iam", "**nss-iam**", ""},
	{"sss", "SSSD, memory cache", "sssd-common"}, {"cache", "libnss-cache", "libnss-cache"},
	{"extrausers", "libnss-extrausers", "libnss-extrausers"},
	{"cache_oslogin", "guest-oslogin, cache", "google-compute-engine-oslogin"}, {"files", "glibc files", ""},
}

// Targets are ratios within a round, or nanoseconds where there is nothing to compare with.
var targets = []struct {
	title string
	a, b  what
	most  float64
	least bool // a target to be reached, not to be kept below
}{
	{"by name, of SSSD's", what{"5000", "iam", "name"}, what{"5000", "sss", "name"}, 0.35, false},
	{"by uid, of SSSD's", what{"5000", "iam", "uid"}, what{"5000", "sss", "uid"}, 0.35, false},
	{"groups, of fifty users, of SSSD's", what{"5000", "iam", "fifty"}, what{"5000", "sss", "fifty"}, 0.35, false},
	{"missing name, of a hit", what{"5000", "iam", "missing"}, what{"5000", "iam", "name"}, 1.2, false},
	{"two threads together, times one", what{"5000", "iam", "name"}, what{"5000", "iam", "threads"}, 1.4, true},
	{"— the empty module", what{"5000", "empty", "name"}, what{"5000", "empty", "threads"}, 0, false},
	{"— the same at 100,000 users", what{"100000", "iam", "name"}, what{"100000", "iam", "threads"}, 0, false},
	{"— an array in memory, 5,000", what{"5000", "array", "name"}, what{"5000", "array", "threads"}, 0, false},
	{"— an array in memory, 100,000", what{"100000", "array", "name"}, what{"100000", "array", "threads"}, 0, false},
	{"first of a process, of the empty module's", what{"5000", "iam", "first"}, what{"5000", "empty", "first"}, 1.25,
		false},
	{"short buffer refused, ns", what{"5000", "iam", "short"}, what{}, 1000, false},
	{"`id` in a group of 5,000, of in small groups", what{"5000", "iam", "id-large"}, what{"5000", "iam", "id-small"}, 3,
		false},
	{"100,000 users, of 5,000: a working set of 1,000", what{"100000", "iam", "few"}, what{"5000", "iam", "few"}, 1.5,
		false},
	{"100,000 users, of 5,000: all in random order, by name", what{"100000", "iam", "name"}, what{"5000", "iam", "name"},
		1.5, false},
	{"— by uid", what{"100000", "iam", "uid"}, what{"5000", "iam", "uid"}, 1.5, false},
	{"— groups of a user", what{"100000", "iam", "initgroups"}, what{"5000", "iam", "initgroups"}, 1.5, false},
	{"— an array in memory, by name", what{"100000", "array", "name"}, what{"5000", "array", "name"}, 0, false},
	{"— libnss-cache, by name", what{"100000", "cache", "name"}, what{"5000", "cache", "name"}, 0, false},
}

func text(r results, machine string) string {
	var b strings.Builder
	b.WriteString(`Through glibc, in nanoseconds a lookup: medians of rounds in which the services took turns (` +
		"`make nss-bench`" + `).
"Empty module" answers without looking, and "array in memory" with one read of an array of as many records: nothing
that holds its users in memory can do with less. SSSD learned the users beforehand, the groups of fifty of them, and
that fifty names are missing; libnss-cache has its index files. In random order over 100,000 users the processor's
caches do not help, and a lookup waits for the memory once, as the array's does; a thousand of the same users stay in
them. A dash is what was not timed, or what a service does not do.

![lookups](lookups.svg)

`)
	for _, users := range sizes {
		table(&b, r, users)
	}
	b.WriteString("Ratios, each the median of the rounds':\n\n| what | target | measured |\n|---|--:|--:|\n")
	for _, t := range targets {
		v, ok := r.ratio(t.a, t.b)
		if t.b == (what{}) {
			v, ok = r.median(t.a)
		}
		if !ok {
			continue
		}
		wanted := ""
		switch {
		case t.least:
			wanted = fmt.Sprintf("≥ %g", t.most)
		case t.most > 0:
			wanted = fmt.Sprintf("≤ %g", t.most)
		}
		fmt.Fprintf(&b, "| %s | %s | %.3g |\n", t.title, wanted, v)
	}
	b.WriteString("\n" + machine + "\n")
	return b.String()
}

// table writes a row for each service, a column for each mode that any has.
func table(b *strings.Builder, r results, users string) {
	var header, rule string
	rows := make([]string, len(services))
	any := make([]bool, len(services))
	for _, m := range modes {
		var column []string
		found := false
		for i, s := range services {
			ns, ok := r.median(what{users, s.name, m.name})
			column = append(column, "–")
			if ok {
				column[i], found, any[i] = thousands(ns), true, true
			}
		}
		if !found {
			continue
		}
		header, rule = header+" "+m.title+" |", rule+"--:|"
		for i, c := range column {
			rows[i] += " " + c + " |"
		}
	}
	if header == "" {
		return
	}
	fmt.Fprintf(b, "| %s users |%s\n|---|%s\n", thousandsOf(users), header, rule)
	for i, s := range services {
		if any[i] {
			fmt.Fprintf(b, "| %s |%s\n", s.title, rows[i])
		}
	}
	b.WriteString("\n")
}

func thousands(ns float64) string { return thousandsOf(fmt.Sprintf("%.0f", ns)) }

// thousandsOf sets commas into a number.
func thousandsOf(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// ownLoad is more than the benchmark itself makes: two threads at most.
const ownLoad = 2.5

// machine names what the figures are of.
func machine() string {
	out := func(name string, args ...string) string {
		b, _ := exec.Command(name, args...).Output()
		return strings.TrimSpace(string(b))
	}
	cpu := "unknown processor"
	for line := range strings.Lines(out("cat", "/proc/cpuinfo")) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			cpu = strings.TrimSpace(v)
		}
	}
	versions := []string{out("getconf", "GNU_LIBC_VERSION")}
	for _, s := range services {
		if s.pkg == "" {
			continue
		}
		_, candidate, _ := strings.Cut(out("apt-cache", "policy", s.pkg), "Candidate: ")
		if v, _, _ := strings.Cut(candidate, "\n"); v != "" {
			versions = append(versions, s.pkg+" "+v)
		}
	}
	load := strings.Fields(out("cat", "/proc/loadavg") + " ?")[0]
	note := ""
	if l, err := strconv.ParseFloat(load, 64); err != nil || l > ownLoad {
		note = " Other work went on meanwhile: the ratios are not those of a quiet machine."
	}
	return fmt.Sprintf("Measured on %s, %s processors (%s), Linux %s, load %s after the run; %s.%s",
		out("date", "+%F"), out("nproc"), cpu, out("uname", "-r"), load, strings.Join(versions, ", "), note)
}
