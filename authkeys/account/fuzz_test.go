package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/authlog"
	"github.com/nss-iam/nss-iam/internal/cache"
)

// FuzzAttempt states what no text of PAM's can change: everybody who the files
// do not serve passes, who may not come in is refused at every service, and the
// log line of a refusal is one line that is not too long.
func FuzzAttempt(f *testing.F) {
	for _, name := range []string{"alice", "carol", "frank", "root", "ubuntu", "olga", "", "alice\nbob", "ALICE",
		"2001000001", "-x", "alice\x00", strings.Repeat("a", 10000)} {
		f.Add(name, "sshd", "account", "192.0.2.7")
		f.Add(name, "cron\n", "", strings.Repeat("h", 10000))
	}
	work := f.TempDir()
	h := newHelper(work)
	h.getent, h.cacheDir = "/bin/false", work
	h.log = authlog.New(work+"/no-log", "nss-iam-account")
	t := keyTables()
	t.Policy.Online = "off"
	_, err := cache.PublishKeys(work, t, -1, time.Now())
	_, nssErr := cache.PublishNSS(work, tables(), time.Now())
	if err = errors.Join(err, nssErr); err != nil {
		f.Fatal(err)
	}
	served := map[string]bool{"alice": true, "bob": true, "carol": false, "frank": false}
	f.Fuzz(func(t *testing.T, name, service, kind, from string) {
		a := attempt{name, service, kind, from}
		err := h.decide(a)
		may, ours := served[name]
		if want := may || !ours; (err == nil) != want {
			t.Fatalf("%q at %q: %v, want let in: %v", name, service, err, want)
		}
		if err == nil {
			return
		}
		line := authlog.Printable(a.refused(err))
		if len(line) > 1000 || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("the log line is %q", line)
		}
		if !strings.HasPrefix(line, `user "`+name+`" refused at "`) {
			t.Fatalf("the log line %q does not begin with who was refused", line)
		}
	})
}
