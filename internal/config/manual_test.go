package config

import (
	"os"
	"strings"
	"testing"
)

func TestTheManualPageNamesEveryKey(t *testing.T) {
	page, err := os.ReadFile("../../docs/man/nss-iam.toml.5")
	if err != nil {
		t.Fatal(err)
	}
	parts := make(map[string]string)
	for _, part := range strings.Split(string(page), "\n.Ss ")[1:] {
		name, text, _ := strings.Cut(part, "\n")
		text, _, _ = strings.Cut(text, "\n.Sh ")
		parts[strings.TrimPrefix(name, "Section ")] = text
	}
	check := func(section, key string) {
		if !strings.Contains(parts[section], "\n.It Ic "+key+"\n") {
			t.Errorf("nss-iam.toml(5) says nothing of %s.%s", section, key)
		}
	}
	for section, keys := range sections {
		for key := range keys {
			check(section, key)
		}
	}
	check("shared", "allow_root")
	for section, text := range parts {
		for _, line := range strings.Split(text, "\n") {
			if key, ok := strings.CutPrefix(line, ".It Ic "); ok && sections[section][key] == nil && section+"."+
				key != "shared.allow_root" {
				t.Errorf("nss-iam.toml(5) tells of %s.%s, which there is not", section, key)
			}
		}
	}
}
