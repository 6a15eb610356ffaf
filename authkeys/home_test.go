package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/authlog"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

func TestNoKeyOpensALoginIntoAnothersHome(t *testing.T) {
	unmet.Root(t, "only root can give folders away")
	work := t.TempDir()
	home := filepath.Join(work, "alice")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	passwd := filepath.Join(work, "passwd")
	if err := os.WriteFile(passwd, []byte("root:x:0:0::/root:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := helper{cacheDir: work, socket: filepath.Join(work, "none"), passwd: passwd,
		log: authlog.New(filepath.Join(work, "log"), "authkeys"), now: time.Now}
	const uid = 2001000001
	users := accounts.Tables{
		Range:  accounts.Range{Low: 2001000000, High: 2146999999},
		Users:  []accounts.User{{Name: "alice", UID: uid, Home: home, Shell: "/bin/sh"}},
		Groups: []accounts.Group{{Name: "alice", GID: uid}},
	}
	keys := company()
	keys.Policy.Online = "off"
	if _, err := cache.PublishNSS(work, users, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := cache.PublishKeys(work, keys, -1, time.Now()); err != nil {
		t.Fatal(err)
	}
	for owner, opens := range map[int]bool{0: true, uid: true, uid + 1: false, 1000: false} {
		if err := os.Chown(home, owner, 0); err != nil {
			t.Fatal(err)
		}
		v := h.decide(question{name: "alice", uid: uid, hasUID: true})
		if v.err != nil || len(v.offers) > 0 != opens || v.final == opens {
			t.Errorf("the home is uid %d's: %d keys, final %v, %v; want keys: %v", owner, len(v.offers), v.final, v.err, opens)
		}
	}
}
