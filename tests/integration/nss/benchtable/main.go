// Command benchtable turns the lines of bench.sh into tables and a picture.
//
// usage: benchtable RESULTS DOCUMENT
//
// The tables take the place of the section "lookups" of DOCUMENT; the picture
// is lookups.svg beside it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/nss-iam/nss-iam/tests/bench/page"
)

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

func run(file, document string) error {
	r, err := read(file)
	if err != nil {
		return err
	}
	if err := page.Replace(document, "lookups", text(r, machine())); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(filepath.Dir(document), "lookups.svg"), []byte(picture(r)), 0o644)
}
