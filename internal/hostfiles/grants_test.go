package hostfiles

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestWhatLocalFilesGrantANameIsFound(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/group": "root:x:0:\ndocker:x:999:bob, alice\n#old:x:1:alice\nalice:x:1000:\n" +
			"malice:x:7:malice\n",
		"etc/sudoers": "root ALL=(ALL:ALL) ALL\n# alice was here\nUser_Alias OPS = bob,alice\n" +
			"@includedir /etc/sudoers.d\n#include /etc/more-sudoers\n",
		"etc/sudoers.d/web":                "%web ALL=(www) ALL\n\"alice\" ALL=NOPASSWD: ALL\nalice-x ALL=ALL\n",
		"etc/sudoers.d/off.bak":            "alice ALL=ALL\n",
		"etc/sudoers.d/old~":               "alice ALL=ALL\n",
		"etc/more-sudoers":                 "Defaults:alice !lecture\n@include more-sudoers\n",
		"etc/crontab":                      "17 * * * * root run alice\n@reboot alice sync\n",
		"etc/cron.d/report":                "MAILTO=alice\n0 5 * * 1 alice /usr/bin/report\n#0 5 * * 1 alice no\n",
		"etc/cron.allow":                   "bob\nalice\n",
		"etc/at.allow":                     " alice \n",
		"etc/cron.deny":                    "alice\n",
		"var/spool/cron/crontabs/alice":    "* * * * * true",
		"var/spool/cron/alice":             "",
		"var/spool/cron/crontabs/x":        "",
		"var/lib/systemd/linger/alice":     "",
		"var/lib/systemd/linger/something": "",
	})
	got, err := Grants(root, []string{"alice", "nobody-at-all"})
	if err != nil {
		t.Error(err)
	}
	want := []accounts.Grant{
		{LoginName: "alice", File: "/etc/group", What: `a member of "docker"`},
		{LoginName: "alice", File: "/etc/sudoers:3", What: "a sudo rule"},
		{LoginName: "alice", File: "/etc/sudoers.d/web:2", What: "a sudo rule"},
		{LoginName: "alice", File: "/etc/more-sudoers:1", What: "a sudo rule"},
		{LoginName: "alice", File: "/etc/crontab:2", What: "a cron job"},
		{LoginName: "alice", File: "/etc/cron.d/report:2", What: "a cron job"},
		{LoginName: "alice", File: "/etc/cron.allow:2", What: "permission"},
		{LoginName: "alice", File: "/etc/at.allow:1", What: "permission"},
		{LoginName: "alice", File: "/var/spool/cron/crontabs/alice", What: "a crontab"},
		{LoginName: "alice", File: "/var/spool/cron/alice", What: "a crontab"},
		{LoginName: "alice", File: "/var/lib/systemd/linger/alice", What: "lingering"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\ngot  %+v\nwant %+v", got, want)
	}
	if got, err := Grants(t.TempDir(), []string{"alice"}); err != nil || len(got) != 0 {
		t.Errorf("an empty host: %v, %v", got, err)
	}
}

// To sudo capitals and small letters are one in names; to cron they are not.
func TestARuleOfSudoIsFoundInAnyLetters(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/sudoers":    "ALICE ALL=(ALL) ALL\n%Alice ALL=(ALL) ALL\nmalice ALL=(ALL) ALL\n",
		"etc/cron.allow": "alice\n",
	})
	got, err := Grants(root, []string{"Alice"})
	want := []accounts.Grant{
		{LoginName: "Alice", File: "/etc/sudoers:1", What: "a sudo rule"},
		{LoginName: "Alice", File: "/etc/sudoers:2", What: "a sudo rule"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestOddFilesHoldUpNoScan(t *testing.T) {
	root := tree(t, map[string]string{
		"etc/sudoers":      strings.Repeat("alice ", maxGrantFile/6+1),
		"etc/group":        "\x00:::alice\n:::,,,\n" + strings.Repeat("a", 100000) + ":x:1:alice\n",
		"etc/crontab":      "@reboot\n\n* * * * *\nalice\n",
		"etc/cron.d/dir/x": "",
	})
	if err := syscall.Mkfifo(filepath.Join(root, "etc/cron.d/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", filepath.Join(root, "etc/cron.d/loop")); err != nil {
		t.Fatal(err)
	}
	got, err := Grants(root, []string{"alice"})
	if len(got) != 2 {
		t.Errorf("got %+v, want the two lines of /etc/group", got)
	}
	for _, want := range []string{`"/etc/sudoers": it is larger`, "loop"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q in it", err, want)
		}
	}
	for _, g := range got {
		if len(g.What) > 500 || strings.ContainsRune(g.What, 0) {
			t.Errorf("%q is shown raw", g.What)
		}
	}
}

func TestIncludesAreBounded(t *testing.T) {
	files := map[string]string{"etc/sudoers": "@include /etc/s0\n"}
	for i := range maxIncludes + 50 {
		files[fmt.Sprintf("etc/s%d", i)] = fmt.Sprintf("@include /etc/s%d\n@includedir /etc/sudoers.d\n", i+1)
	}
	files["etc/sudoers.d/self"] = "@includedir /etc/sudoers.d\nalice ALL=ALL\n"
	got, err := Grants(tree(t, files), []string{"alice"})
	if err != nil || len(got) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}
