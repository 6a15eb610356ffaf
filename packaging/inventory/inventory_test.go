package main

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

const top = "../.."

func read(t *testing.T) []module {
	t.Helper()
	modules, err := compiledIn(top)
	if err != nil {
		t.Fatal(err)
	}
	return modules
}

func TestTheCopyrightFilesSayWhatIsCompiledIn(t *testing.T) {
	t.Parallel()
	for name, want := range generated(read(t)) {
		got, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is of other modules; the command that writes it: go run ./packaging/inventory -update", name)
		}
	}
}

func TestTheRPMNamesEveryLicense(t *testing.T) {
	t.Parallel()
	spec, err := os.ReadFile(filepath.Join(top, "packaging/rpm/nss-iam.spec"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "\nLicense:        " + expression(read(t)) + "\n"; !strings.Contains(string(spec), want) {
		t.Errorf("nss-iam.spec lacks %q", want)
	}
}

func TestNothingIsInTheProgramsThatTheInventoryLacks(t *testing.T) {
	t.Parallel()
	var listed []string
	for _, m := range read(t) {
		listed = append(listed, m.path+" "+m.version)
	}
	for _, name := range []string{"iam-cachefill", "authkeys", "account"} {
		info, err := buildinfo.ReadFile(filepath.Join(testbed.Build(), name))
		if err != nil {
			unmet.Skip(t, "%v; the command that supplies it: make build", err)
		}
		for _, dependency := range info.Deps {
			if name := dependency.Path + " " + dependency.Version; !slices.Contains(listed, name) {
				t.Errorf("the inventory lacks %s", name)
			}
		}
	}
}

func TestLicensesAreKnownByTheirSentences(t *testing.T) {
	t.Parallel()
	const redistribution = "Redistribution and use in source and binary forms, with or without\nmodification, are " +
		"permitted\n"
	for name, c := range map[string]struct {
		texts []string
		want  string // "" for an error
	}{
		"Apache": {[]string{"  Apache License\n  Version 2.0, January 2004\n"}, "Apache-2.0"},
		"BSD with three clauses": {[]string{redistribution + "names may not\nbe used; may be used to endorse or " +
			"promote products derived from this software"}, "BSD-3-Clause"},
		"BSD with two clauses":      {[]string{redistribution}, "BSD-2-Clause"},
		"a grant of patents beside": {[]string{redistribution, patents + "\n"}, "BSD-2-Clause"},
		"a grant of patents alone":  {[]string{patents + "\n"}, ""},
		"two licenses in two files": {[]string{redistribution, "Apache License Version 2.0, January 2004"},
			"Apache-2.0 BSD-2-Clause"},
		"one that nobody has read": {[]string{redistribution, "GNU GENERAL PUBLIC LICENSE"}, ""},
		"none":                     {nil, ""},
	} {
		m := module{path: "example.com/m"}
		for _, content := range c.texts {
			m.licenses = append(m.licenses, text{"LICENSE", content})
		}
		ids, err := licenseIDs(m)
		if got := strings.Join(ids, " "); (err != nil) != (c.want == "") || err == nil && got != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func TestCopyrightLinesAreTold(t *testing.T) {
	t.Parallel()
	r := newReader("m", "v1", "/")
	for _, line := range []string{
		"Copyright (c) 2012 The Go Authors. All rights reserved.", "// Copyright 2009 The Go Authors. All rights reserved.",
		"Copyright © 2012 The Go Authors",
		"Copyright 2015 CoreOS, Inc", " * Copyright (c) 2013, Georg Reinke <g@example.com>",
		"The above copyright notice and this permission notice shall be included",
		"   Copyright [yyyy] [name of copyright owner]",
	} {
		r.copyright(line)
	}
	want := []string{"2009, 2012, The Go Authors", "2013, Georg Reinke <g@example.com>", "2015, CoreOS, Inc."}
	if got := r.copyrights(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheSBOMNamesThePackageAndItsModules(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1764000000")
	modules := read(t)
	for file, want := range map[string]struct {
		purl  string
		parts int
	}{
		"nss-iam_0.2.0~3_amd64.deb":                 {"pkg:deb/nss-iam@0.2.0~3?arch=amd64", 1 + len(modules)},
		"libnss-iam_0.2.0~3_arm64.deb":              {"pkg:deb/libnss-iam@0.2.0~3?arch=arm64", 1},
		"nss-iam-0.2.0~3-1.x86_64.rpm":              {"pkg:rpm/nss-iam@0.2.0~3?arch=x86_64", 1 + len(modules)},
		"nss-iam-selinux-0.2.0~3-1.el9.noarch.rpm":  {"pkg:rpm/nss-iam-selinux@0.2.0~3?arch=noarch", 1},
		"something that is not named like packages": {},
	} {
		name := filepath.Join(t.TempDir(), file)
		if err := os.WriteFile(name, []byte("package"), 0o644); err != nil {
			t.Fatal(err)
		}
		err := writeSBOM(name, modules)
		if want.parts == 0 {
			if err == nil {
				t.Errorf("%q was taken for a package", file)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(name + ".spdx.json")
		if err != nil {
			t.Fatal(err)
		}
		var d document
		if err := json.Unmarshal(content, &d); err != nil {
			t.Fatal(err)
		}
		if len(d.Packages) != want.parts || d.Packages[0].References[0].Locator != want.purl ||
			d.Creation.Created != "2025-11-24T16:00:00Z" ||
			d.Packages[0].Checksums[0].Value != "bc4a71180870f7945155fbb02f4b0a2e3faa2a62d6d31b7039013055ed19869a" {
			t.Errorf("%s: %d packages, %+v", file, len(d.Packages), d.Packages[0])
		}
		othersRead(t, name+".spdx.json")
	}
}

// othersRead has the SPDX project's own library read a document.
func othersRead(t *testing.T, file string) {
	t.Helper()
	if testing.Short() {
		return // it is compiled first
	}
	tool := exec.Command("go", "tool", "-modfile=tools/go.mod", "8-jsontotv", file, file+".tv")
	tool.Dir = top
	if out, err := tool.CombinedOutput(); err != nil {
		t.Errorf("the reader of the SPDX project: %v\n%s", err, out)
	}
	converted, err := os.ReadFile(file + ".tv")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(converted), "\nPackageVersion: 0.2.0~3\n") {
		t.Errorf("%s lost its package", file)
	}
}
