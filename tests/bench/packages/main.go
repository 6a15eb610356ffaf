// Command packages puts what "go test -bench -benchmem" of the packages in
// tests/bench.sh prints on its standard input into docs/benchmarks.md.
package main

import (
	"fmt"
	"io"
	"log"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/nss-iam/nss-iam/tests/bench/page"
)

// What each benchmark measures, and what is asked of it.
var rows = []struct{ benchmark, what, time, memory string }{
	{"Build5000Users300Groups", "who is served, computed for 5,000 users in 300 groups", "50 ms", ""},
	{"Build100000Users300Groups", "the same for 100,000 users", "2,000 ms", "200 MiB"},
	{"Sign", "a snapshot of 5,000 users with two keys each: packed and signed", "", ""},
	{"Open", "the same, verified and unpacked: a host's poll that finds a new one", "", ""},
	{"PublishChanged", "a publisher's turn with a change, to a file", "", ""},
	{"PublishUnchanged", "a publisher's turn without one", "", ""},
}

var (
	result = regexp.MustCompile(`(?m)^Benchmark(\w+?)(?:-\d+)?\s+\d+\s+(\d+) ns/op(.*)$`)
	bytes  = regexp.MustCompile(`(\d+) B/op`)
	size   = regexp.MustCompile(`(\d+) file-bytes`)
)

func main() {
	log.SetFlags(0)
	printed, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	measured := map[string][]string{}
	for _, m := range result.FindAllStringSubmatch(string(printed), -1) {
		measured[m[1]] = m
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%s/%s, %d processors, %s.\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	s.WriteString("| what | time | wanted | allocated in all | wanted |\n|---|--:|--:|--:|--:|\n")
	for _, r := range rows {
		m := measured[r.benchmark]
		if m == nil {
			log.Fatalf("no result of Benchmark%s in:\n%s", r.benchmark, printed)
		}
		if f := size.FindStringSubmatch(m[3]); f != nil {
			r.what += fmt.Sprintf(" (%.0f KiB)", number(f[1])/1024)
		}
		fmt.Fprintf(&s, "| %s | %.0f ms | %s | %.0f MiB | %s |\n", r.what, number(m[2])/1e6, r.time,
			number(bytes.FindStringSubmatch(m[3])[1])/(1<<20), r.memory)
	}
	fmt.Print(s.String())
	if err := page.Replace("docs/benchmarks.md", "packages", s.String()); err != nil {
		log.Fatal(err)
	}
}

func number(digits string) float64 {
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		log.Fatal(err)
	}
	return n
}
