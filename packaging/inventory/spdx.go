package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The parts of SPDX 2.3 that are used: https://spdx.github.io/spdx-spec/v2.3/.
type document struct {
	Version       string         `json:"spdxVersion"`
	License       string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Packages      []part         `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type part struct {
	Name       string     `json:"name"`
	ID         string     `json:"SPDXID"`
	Version    string     `json:"versionInfo"`
	FileName   string     `json:"packageFileName,omitempty"`
	Supplier   string     `json:"supplier"`
	Download   string     `json:"downloadLocation"`
	Analyzed   bool       `json:"filesAnalyzed"`
	Checksums  []checksum `json:"checksums,omitempty"`
	Concluded  string     `json:"licenseConcluded"`
	Declared   string     `json:"licenseDeclared"`
	Copyright  string     `json:"copyrightText"`
	References []external `json:"externalRefs,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type external struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

const project = "https://github.com/nss-iam/nss-iam"

// Files of packages are named NAME_VERSION_ARCH.deb and NAME-VERSION-RELEASE.ARCH.rpm.
var packageFile = regexp.MustCompile(`^(?:([a-z-]+)_([^_]+)_([a-z0-9]+)\.(deb)|` +
	`([a-z-]+)-([^-]+)-[^-]+\.([a-z0-9_]+)\.(rpm))$`)

// writeSBOM writes NAME.spdx.json. The package that holds the programs contains
// every module; the others contain only what is ours.
func writeSBOM(name string, modules []module) error {
	match := packageFile.FindStringSubmatch(filepath.Base(name))
	if match == nil {
		return fmt.Errorf("%q is not named like a package", name)
	}
	offset := 1
	if match[8] == "rpm" {
		offset = 5
	}
	kind, version, format := match[offset], match[offset+1], match[offset+3]
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	created, err := sourceDate()
	if err != nil {
		return err
	}
	if kind != "nss-iam" {
		modules = nil
	}
	d := describe(kind, version, match[offset+2], format, filepath.Base(name), hex.EncodeToString(sum[:]), modules)
	d.Creation.Created = created.UTC().Format(time.RFC3339)
	out, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name+".spdx.json", append(out, '\n'), 0o644)
}

func describe(kind, version, architecture, format, file, sum string, modules []module) document {
	concluded := "Apache-2.0"
	if modules != nil {
		concluded = expression(modules)
	}
	root := part{
		Name: kind, ID: "SPDXRef-package", Version: version, FileName: file, Supplier: "Organization: the nss-iam authors",
		Download:  project,
		Checksums: []checksum{{"SHA256", sum}}, Concluded: concluded, Declared: concluded,
		Copyright: "Copyright 2026, the nss-iam authors",
		References: []external{{"PACKAGE-MANAGER", "purl", fmt.Sprintf("pkg:%s/%s@%s?arch=%s", format, kind, version,
			architecture)}},
	}
	d := document{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: file, Namespace: project + "/spdx/" + file +
			"-" + sum,
		Creation: creation{Creators: []string{"Tool: nss-iam-inventory", "Organization: the nss-iam authors"}},
		Packages: []part{root}, Relationships: []relationship{{"SPDXRef-DOCUMENT", "DESCRIBES", root.ID}},
	}
	for i, m := range modules {
		p := part{
			Name: m.path, ID: fmt.Sprintf("SPDXRef-module-%d", i+1), Version: m.version, Supplier: "NOASSERTION",
			Download:  "NOASSERTION",
			Concluded: strings.Join(m.ids, " AND "), Declared: strings.Join(m.ids, " AND "), Copyright: "Copyright " +
				strings.Join(m.copyrights, "\nCopyright "),
			References: []external{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + m.path + "@" + m.version}},
		}
		d.Packages = append(d.Packages, p)
		d.Relationships = append(d.Relationships, relationship{root.ID, "STATIC_LINK", p.ID})
	}
	return d
}

// sourceDate is the date of the source: SOURCE_DATE_EPOCH, or the last commit's.
func sourceDate() (time.Time, error) {
	said := os.Getenv("SOURCE_DATE_EPOCH")
	if said == "" {
		out, err := exec.Command("git", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return time.Time{}, fmt.Errorf("date the source: SOURCE_DATE_EPOCH is not set, and git says %w", err)
		}
		said = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(said, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("date the source: SOURCE_DATE_EPOCH is %q, no number of seconds", said)
	}
	return time.Unix(seconds, 0), nil
}
