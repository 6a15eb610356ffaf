package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/snapshot"
)

// formats are the versions that a release writes and reads.
var formats = map[string]struct{ written, oldest, newest int }{
	"nss.db":   {cache.Version, cache.OldestVersion, cache.NewestVersion},
	"keys.db":  {cache.KeysVersion, cache.OldestKeysVersion, cache.NewestKeysVersion},
	"snapshot": {snapshot.Version, snapshot.OldestVersion, snapshot.NewestVersion},
	"control":  {control.Version, control.OldestVersion, control.NewestVersion},
}

// Hosts, and processes on them, go on for a while with the release before.
func TestTheReleaseBeforeReadsWhatIsWrittenAndTheOtherWayRound(t *testing.T) {
	changelog, err := os.ReadFile(filepath.Join("..", "CHANGELOG.md"))
	if err != nil {
		t.Fatal(err)
	}
	last := regexp.MustCompile(`(?m)^## (\S+), \d{4}-\d\d-\d\d$`).FindStringSubmatch(string(changelog))
	if last == nil {
		t.Fatal("CHANGELOG.md has no release")
	}
	releases, err := os.ReadFile(filepath.Join("testdata", "releases"))
	if err != nil {
		t.Fatal(err)
	}
	for name, now := range formats {
		if now.written < now.oldest || now.newest < now.written || now.newest > now.oldest+1 {
			t.Errorf("%s: %d is written, %d to %d are read", name, now.written, now.oldest, now.newest)
		}
		var found bool
		for line := range strings.Lines(string(releases)) {
			var release, format string
			var written, oldest, newest int
			if _, err := fmt.Sscanf(line, "%s %s %d %d %d", &release, &format, &written, &oldest, &newest); err != nil ||
				release != last[1] || format != name {
				continue
			}
			found = true
			if now.written < oldest || now.written > newest {
				t.Errorf("%s: version %d is written, and %s reads %d to %d; write it from the next release on", name, now.written,
					release, oldest, newest)
			}
			if written < now.oldest || written > now.newest {
				t.Errorf("%s: %s wrote version %d, and this program reads %d to %d", name, release, written, now.oldest, now.newest)
			}
		}
		if !found {
			t.Errorf("testdata/releases does not say which versions of %s release %s writes and reads", name, last[1])
		}
	}
}
