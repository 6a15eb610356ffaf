package main

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The manual's examples of JSON are parts of what the schema describes.
func TestTheManualsExamplesOfJSONAreOfTheInterface(t *testing.T) {
	text, err := os.ReadFile("../docs/man/iam-cachefill.8")
	if err != nil {
		t.Fatal(err)
	}
	root, err := readSchema()
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), ".Sh JSON\n")
	section, _, _ = strings.Cut(section, "\n.Sh ")
	examples := regexp.MustCompile(`(?m)^\.It Cm (\S+)\n\.Li (.*?)( ;)?$`).FindAllStringSubmatch(section, -1)
	if len(examples) < 10 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, match := range examples {
		var v any
		if err := json.Unmarshal([]byte(strings.ReplaceAll(match[2], `\(dq`, `"`)), &v); err != nil {
			t.Errorf("%s: %v: %s", match[1], err, match[2])
			continue
		}
		for _, fault := range root.check(root.Defs[match[1]], match[1], v) {
			if !strings.Contains(fault, "has no ") { // they are parts
				t.Error(fault)
			}
		}
	}
}
