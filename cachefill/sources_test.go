package main

import (
	"slices"
	"testing"

	"github.com/nss-iam/nss-iam/internal/config"
)

func TestEveryKindOfSourceHasWhatOpensIt(t *testing.T) {
	for _, kind := range config.Kinds() {
		if openers[kind] == nil {
			t.Errorf("source.kind %q is accepted, and nothing opens it", kind)
		}
	}
	for kind := range openers {
		if !slices.Contains(config.Kinds(), kind) {
			t.Errorf("source.kind %q can be opened, and is not accepted", kind)
		}
	}
}
