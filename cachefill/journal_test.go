package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

// Where systemd starts the daemon every line has a priority, so that an outage is
// in "journalctl -p warning", and so are last words.
func TestEveryLineOfTheDaemonInTheJournalHasItsPriority(t *testing.T) {
	unmet.Root(t, "the daemon's socket is root's")
	x := newTerminal(t)
	t.Setenv("WORK", x.dir)
	t.Setenv("IAM_CACHEFILL_OF_A_TEST", "1")
	rules := fmt.Sprintf("[source]\nendpoint = %q\nrate = 100\n%s", x.e.URL, logins)
	for name, c := range map[string]struct {
		config string
		spoil  func()
		says   string
	}{
		"a good refresh, then an outage": {rules, func() { _ = x.e.Close() },
			`(?m)^<3>refresh failed, what is served stays as it is error=.*unreachable`},
		"last words": {"[login]\ngroups = \"developers\"\n", func() {}, `(?m)^<3>iam-cachefill: .*config.toml:2`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(x.dir, "config.toml"), []byte(c.config), 0o644); err != nil {
				t.Fatal(err)
			}
			log, err := os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			info, err := log.Stat()
			if err != nil {
				t.Fatal(err)
			}
			s := info.Sys().(*syscall.Stat_t)
			cmd := exec.CommandContext(t.Context(), os.Args[0], "run")
			cmd.Env = append(os.Environ(), fmt.Sprintf("JOURNAL_STREAM=%d:%d", s.Dev, s.Ino))
			cmd.Stderr = log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
			text := func() string { b, _ := os.ReadFile(log.Name()); return string(b) }
			deadline := time.Now().Add(40 * time.Second)
			for spoiled := false; !regexp.MustCompile(c.says).MatchString(text()); time.Sleep(50 * time.Millisecond) {
				if !spoiled && strings.Contains(text(), "<6>refreshed generation=1 users=1") {
					spoiled = true
					c.spoil()
					_ = cmd.Process.Signal(syscall.SIGHUP) // which refreshes at once
				}
				if time.Now().After(deadline) {
					t.Fatalf("nothing like %q in\n%s", c.says, text())
				}
			}
			for line := range strings.Lines(text()) {
				if !regexp.MustCompile(`^<[34567]>.`).MatchString(line) {
					t.Errorf("no priority: %q", line)
				}
			}
		})
	}
}
