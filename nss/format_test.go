package main

import (
	"testing"

	"github.com/nss-iam/nss-iam/internal/cache"
)

func TestTheHeaderHasTheContractsNumbers(t *testing.T) {
	for _, c := range []struct {
		name    string
		c, want int
	}{
		{"version", formatVersion, cache.Version},
		{"page size", formatPageSize, cache.PageSize},
		{"longest name", formatMaxName, cache.MaxNameLen},
		{"longest field", formatMaxField, cache.MaxFieldLen},
		{"most groups", formatMaxGroups, cache.MaxGroups},
		{"largest file", formatMaxFile, cache.MaxFileSize},
		{"lowest id", formatMinID, cache.MinID},
		{"highest id", formatMaxID, cache.MaxID},
	} {
		if c.c != c.want {
			t.Errorf("%s: %d in nss/format.h, %d in internal/cache", c.name, c.c, c.want)
		}
	}
	if formatFile != cache.NSSFile {
		t.Errorf("file name: %q in nss/format.h, %q in internal/cache", formatFile, cache.NSSFile)
	}
}
