package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// debian are Debian's names of licenses, where they are others than SPDX's.
var debian = map[string]string{"MIT": "Expat", "BSD-2-Clause": "BSD-2-clause", "BSD-3-Clause": "BSD-3-clause"}

const head = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: nss-iam
Source: https://github.com/nss-iam/nss-iam
Comment: Written by packaging/inventory from the module graph. The source package
 has the modules in the folder vendor. The programs are linked statically, so
 that what is in them is under these licenses, too, and under that of Go's
 standard library:
 .
`

const ours = `
Files: *
Copyright: 2026, the nss-iam authors
License: Apache-2.0
`

const apache = `
License: Apache-2.0
 On Debian systems the text of this license is in
 /usr/share/common-licenses/Apache-2.0.
`

// Debian does not want the Apache License once more where it is one of several
// in a file.
var apacheTerms = regexp.MustCompile(`(?s)[ \t]*Apache License\n.*?END OF TERMS AND CONDITIONS\n`)

const elsewhere = "[the terms of the Apache License 2.0: /usr/share/common-licenses/Apache-2.0]\n"

// copyright is debian/copyright: a paragraph for the modules that have the same
// holders, licenses and notices, with each text that Debian's own files have not.
func copyright(modules []module) string {
	var b strings.Builder
	b.WriteString(head)
	modules = slices.Clone(modules)
	if i := slices.IndexFunc(modules, func(m module) bool { return m.path == standard }); i >= 0 {
		for _, t := range modules[i].licenses {
			b.WriteString(paragraph(t.content))
		}
		modules = slices.Delete(modules, i, i+1)
	}
	b.WriteString(ours)
	for _, group := range grouped(modules) {
		m := group[0]
		var files, names []string
		for _, each := range group {
			files = append(files, "vendor/"+each.path+"/*")
		}
		for _, id := range m.ids {
			if debian[id] != "" {
				id = debian[id]
			}
			names = append(names, id)
		}
		fmt.Fprintf(&b, "\nFiles: %s\nCopyright: %s\nLicense: %s\n", strings.Join(files, "\n       "),
			strings.Join(m.copyrights, "\n           "), strings.Join(names, " and "))
		for _, t := range m.licenses {
			if !onlyApache(t) {
				b.WriteString(paragraph(apacheTerms.ReplaceAllString(t.content, elsewhere)))
			}
		}
		if len(m.notices) > 0 {
			b.WriteString("Comment: The notice that comes with it.\n")
		}
		for _, t := range m.notices {
			b.WriteString(" .\n" + paragraph(t.content))
		}
	}
	b.WriteString(apache)
	return b.String()
}

func onlyApache(t text) bool {
	plain := strings.Join(strings.Fields(t.content), " ")
	for _, s := range sentences[1:] {
		if strings.Contains(plain, s.sentence) {
			return false
		}
	}
	return strings.Contains(plain, sentences[0].sentence)
}

// paragraph is a text as the lines that continue a field.
func paragraph(content string) string {
	var b strings.Builder
	for line := range strings.Lines(content) {
		line = strings.TrimRight(line, " \t\n")
		if line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}

// grouped puts modules together that say the same, in the order of the first.
func grouped(modules []module) (groups [][]module) {
	index := make(map[string]int)
	for _, m := range modules {
		key := fmt.Sprintf("%q %q %q", m.copyrights, m.licenses, m.notices)
		if _, ok := index[key]; !ok {
			index[key] = len(groups)
			groups = append(groups, nil)
		}
		groups[index[key]] = append(groups[index[key]], m)
	}
	return groups
}

// thirdParty is the text that goes with the rpm: every license and notice once,
// with the modules that bring it.
func thirdParty(modules []module) string {
	var b strings.Builder
	b.WriteString("What other people wrote and is compiled into the programs of nss-iam, under which\n" +
		"licenses, and the notices that come with it. Written by packaging/inventory.\n\n")
	var order []string
	holders := make(map[string][]string)
	for _, m := range modules {
		name := m.path
		if m.path == standard {
			name = "the standard library of Go"
		}
		fmt.Fprintf(&b, "%s (%s)\n", name, strings.Join(m.ids, " AND "))
		for _, line := range m.copyrights {
			fmt.Fprintf(&b, "    Copyright %s\n", line)
		}
		for _, t := range slices.Concat(m.notices, m.licenses) {
			if holders[t.content] == nil {
				order = append(order, t.content)
			}
			holders[t.content] = append(holders[t.content], name+": "+t.name)
		}
	}
	for _, content := range order {
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s", strings.Repeat("=", 72), strings.Join(holders[content], "\n"), content)
	}
	return b.String()
}
