// Command accounts puts what "go test -bench Build ./internal/accounts" prints
// on its standard input into docs/benchmarks.md.
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

// What is asked of each: milliseconds, and MiB allocated in all.
var targets = map[string]struct{ time, memory string }{
	"5000":   {"≤ 50 ms", ""},
	"100000": {"≤ 2,000 ms", "≤ 200 MiB"},
}

var result = regexp.MustCompile(`(?m)^BenchmarkBuild(\d+)Users(\d+)Groups\S*\s+(\d+)\s+(\d+) ns/op.*?(\d+) B/op`)

func main() {
	log.SetFlags(0)
	printed, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "`accounts.Build`: who is served, from what IAM says; everybody in nine groups. %s/%s, %d processors, %s.\n\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	s.WriteString("| users | groups | time | wanted | allocated in all | wanted |\n|--:|--:|--:|--:|--:|--:|\n")
	found := result.FindAllStringSubmatch(string(printed), -1)
	if len(found) == 0 {
		log.Fatalf("no result of a benchmark in:\n%s", printed)
	}
	for _, m := range found {
		fmt.Fprintf(&s, "| %s | %s | %.0f ms | %s | %.0f MiB | %s |\n", m[1], m[2], number(m[4])/1e6, targets[m[1]].time, number(m[5])/(1<<20), targets[m[1]].memory)
	}
	fmt.Print(s.String())
	if err := page.Replace("docs/benchmarks.md", "accounts", s.String()); err != nil {
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
