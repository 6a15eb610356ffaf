package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

func TestAPersonWhoseHomeIsAnothersIsRefusedUntilTheNextRefresh(t *testing.T) {
	unmet.Root(t, "only root can give folders away")
	work := t.TempDir()
	h := newHelper(work)
	for _, dir := range []string{h.cacheDir, filepath.Join(work, "alice")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	home := filepath.Join(work, "alice")
	users, keys := tables(), keyTables()
	users.Users[0].Home, keys.Policy.Online = home, "off"
	if _, err := cache.PublishNSS(h.cacheDir, users, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := cache.PublishKeys(h.cacheDir, keys, -1, time.Now()); err != nil {
		t.Fatal(err)
	}
	for owner, refused := range map[int]bool{0: false, 2001000001: false, 2001000002: true, 1000: true} {
		if err := os.Chown(home, owner, 0); err != nil {
			t.Fatal(err)
		}
		err := h.decide(attempt{name: "alice", service: "sshd", kind: "account"})
		if errors.Is(err, errOut) != refused || refused && !strings.Contains(err.Error(), home) {
			t.Errorf("the home is uid %d's: %v, want a refusal that names it: %v", owner, err, refused)
		}
	}
}
