package main

import (
	"fmt"
	"slices"
	"strings"
)

// Licenses are known by a sentence of theirs, in SPDX's names. A license that is
// none of these stops the build of a package until somebody has read it.
var sentences = []struct{ id, sentence, without string }{
	{"Apache-2.0", "Apache License Version 2.0, January 2004", ""},
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy", ""},
	{"BSD-3-Clause", "may be used to endorse or promote products derived from this software", ""},
	{"BSD-2-Clause", "Redistribution and use in source and binary forms, with or without modification",
		"endorse or promote products"},
}

// patents is Google's grant beside Go's license: it takes nothing away, so that
// it has no name of its own.
const patents = "Additional IP Rights Grant (Patents)"

func licenseIDs(m module) (ids []string, err error) {
	for _, t := range m.licenses {
		plain := strings.Join(strings.Fields(t.content), " ")
		known := strings.HasPrefix(plain, patents)
		for _, s := range sentences {
			if strings.Contains(plain, s.sentence) && (s.without == "" || !strings.Contains(plain, s.without)) {
				ids, known = append(ids, s.id), true
			}
		}
		if !known {
			return nil, fmt.Errorf("module %q: file %q is under a license that is not known here", m.path, t.name)
		}
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("module %q has no license", m.path)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// expression is the SPDX expression of all that is compiled in, and of ours.
func expression(modules []module) string {
	all := []string{"Apache-2.0"}
	for _, m := range modules {
		all = append(all, m.ids...)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " AND ")
}

// provides are the lines by which Fedora's packages name what is compiled in.
func provides(modules []module) string {
	var b strings.Builder
	for _, m := range modules {
		if m.path != standard {
			// A hyphen would end an rpm's version.
			fmt.Fprintf(&b, "Provides:       bundled(golang(%s)) = %s\n", m.path,
				strings.ReplaceAll(strings.TrimPrefix(m.version, "v"), "-", "~"))
		}
	}
	return b.String()
}
