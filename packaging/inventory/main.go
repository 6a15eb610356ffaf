// Command inventory says what other people's software is compiled into the
// programs: the modules, their licenses, copyright lines and notices, read from
// the module graph and the modules' own files.
//
// usage: inventory [-update] | -bundled | -modules | -license | -sbom FILE…
//
// Without flags it compares packaging/deb/debian/copyright and
// packaging/third-party.txt with what they should be; -update writes them.
// -bundled prints the rpm's Provides, -modules the modules' paths, -license the
// license expression of all, and -sbom writes FILE.spdx.json beside each package
// file, in SPDX 2.3.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "inventory:", err)
		os.Exit(1)
	}
}

func run() error {
	update := flag.Bool("update", false, "write the generated files")
	bundled := flag.Bool("bundled", false, "print the rpm's Provides")
	paths := flag.Bool("modules", false, "print the paths of the modules")
	license := flag.Bool("license", false, "print the license expression of all that is compiled in")
	sbom := flag.Bool("sbom", false, "write FILE.spdx.json beside each package file")
	flag.Parse()
	modules, err := compiledIn(".")
	if err != nil {
		return err
	}
	switch {
	case *bundled:
		fmt.Print(provides(modules))
		return nil
	case *paths:
		for _, m := range modules {
			if m.path != standard {
				fmt.Println(m.path)
			}
		}
		return nil
	case *license:
		fmt.Println(expression(modules))
		return nil
	case *sbom:
		for _, name := range flag.Args() {
			if err := writeSBOM(name, modules); err != nil {
				return err
			}
		}
		return nil
	}
	var stale []error
	for name, want := range generated(modules) {
		got, err := os.ReadFile(name)
		if err == nil && string(got) == want {
			continue
		}
		if !*update {
			stale = append(stale, fmt.Errorf("%q does not say what is compiled in; the command that writes it: go run "+
				"./packaging/inventory -update", name))
			continue
		}
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			return err
		}
	}
	return errors.Join(stale...)
}

// generated are the files in this repository that are written from the module
// graph, by their names below its top folder.
func generated(modules []module) map[string]string {
	return map[string]string{
		filepath.FromSlash("packaging/deb/debian/copyright"): copyright(modules),
		filepath.FromSlash("packaging/third-party.txt"):      thirdParty(modules),
	}
}
