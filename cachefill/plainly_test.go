package main

import (
	"fmt"
	"io/fs"
	"testing"

	"github.com/nss-iam/nss-iam/internal/control"
)

func TestWhatTheDaemonRefusesIsQuotedOnce(t *testing.T) {
	err := fmt.Errorf("ask daemon at %q: %w", "/run/sock", control.Refusal{Said: `read group "ops": denied`})
	if got, want := plainly(err).Error(), `the daemon says: read group "ops": denied`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := fmt.Errorf("ask daemon: %w", fs.ErrNotExist); !noDaemon(plainly(err)) {
		t.Error("no daemon is not seen any more")
	}
}
