package hostsetup

import (
	"strings"
	"testing"
)

func TestOurServiceComesAfterAllOthersAndNothingElseChanges(t *testing.T) {
	for _, c := range []struct{ name, before, after string }{
		{"Debian's file", "# comment\n\npasswd:         files systemd\ngroup:          files systemd\n" +
			"shadow:         files\n",
			"# comment\n\npasswd:         files systemd iam\ngroup:          files systemd iam\nshadow:         files\n"},
		{"tabs, trailing space and a comment stay", "passwd:\tfiles  # local first\ngroup: files \t\n",
			"passwd:\tfiles iam  # local first\ngroup: files iam \t\n"},
		{"no newline at the end", "group: files\npasswd: files", "group: files iam\npasswd: files iam"},
		{"merging of groups stays", "passwd: compat\ngroup: files [SUCCESS=merge] systemd\n",
			"passwd: compat iam\ngroup: files [SUCCESS=merge] systemd iam\n"},
		{"initgroups is asked too, where it is told apart", "passwd: files\ngroup: files\ninitgroups: files\n",
			"passwd: files iam\ngroup: files iam\ninitgroups: files [SUCCESS=continue] iam\n"},
		{"initgroups is asked after others that have an action", "passwd: files\ngroup: files\ninitgroups: files " +
			"[SUCCESS=continue] sss # x\n", "passwd: files iam\ngroup: files iam\ninitgroups: files [SUCCESS=continue] sss " +
			"[SUCCESS=continue] iam # x\n"},
		{"initgroups goes on by an action of the host's", "passwd: files\ngroup: files\ninitgroups: files [SUCCESS=merge]\n",
			"passwd: files iam\ngroup: files iam\ninitgroups: files [SUCCESS=merge] iam\n"},
		{"before a service that ends the lookup", "passwd: files sss [NOTFOUND=return] nis\ngroup: files\n",
			"passwd: files iam sss [NOTFOUND=return] nis\ngroup: files iam\n"},
		{"before a service that ends the lookup by a negation", "passwd: files sss [!UNAVAIL=return]\ngroup: files\n",
			"passwd: files iam sss [!UNAVAIL=return]\ngroup: files iam\n"},
		{"Windows line ends", "passwd: files\r\ngroup: files\r\n", "passwd: files iam\r\ngroup: files iam\r\n"},
		{"lines that were defaults", "hosts: files dns", "hosts: files dns\npasswd:         files iam\ngroup:          " +
			"files iam\n"},
		{"no file at all", "", "passwd:         files iam\ngroup:          files iam\n"},
		{"a name in which ours is a part", "passwd: files iamx\ngroup: files xiam\n",
			"passwd: files iamx iam\ngroup: files xiam iam\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := AddService(c.before)
			if err != nil || got != c.after {
				t.Fatalf("AddService = %q, %v, want %q", got, err, c.after)
			}
			if again, err := AddService(got); err != nil || again != got {
				t.Errorf("a second AddService = %q, %v", again, err)
			}
			if passwd, group, err := HasService(got); !passwd || !group || err != nil {
				t.Errorf("HasService = %v, %v, %v", passwd, group, err)
			}
			if strings.Contains(c.before, "passwd") {
				if back, err := RemoveService(got); err != nil || back != c.before {
					t.Errorf("RemoveService = %q, %v, want %q", back, err, c.before)
				}
			}
		})
	}
}

func TestAnInitgroupsLineThatEndsBeforeOursIsSeenAndRepaired(t *testing.T) {
	const head = "passwd: files iam\ngroup: files iam\n"
	for _, c := range []struct{ name, line, repaired string }{
		{"as earlier versions wrote it", "initgroups: files iam\n", "initgroups: files [SUCCESS=continue] iam\n"},
		{"with an action for another result", "initgroups: files [NOTFOUND=continue] iam",
			"initgroups: files [NOTFOUND=continue] [SUCCESS=continue] iam"},
		{"with the action", "initgroups: files [SUCCESS=continue] iam\n", ""},
		{"with the action among others, in other letters", "initgroups: files [notfound=continue success=CONTINUE] iam\n",
			""},
		{"with ours first", "initgroups: iam files\n", ""},
		{"no such line", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := initgroupsEnds(head + c.line); got != (c.repaired != "") {
				t.Errorf("initgroupsEnds = %v", got)
			}
			want := head + c.line
			if c.repaired != "" {
				want = head + c.repaired
			}
			if got, err := AddService(head + c.line); err != nil || got != want {
				t.Errorf("AddService = %q, %v, want %q", got, err, want)
			}
		})
	}
}

func TestABrokenNsswitchIsRefused(t *testing.T) {
	for name, content := range map[string]string{
		"a line without a colon":              "passwd files\n",
		"a bracket without its other":         "passwd: files [NOTFOUND=return\ngroup: files\n",
		"a database twice":                    "passwd: files\npasswd: sss\ngroup: files\n",
		"no text":                             "passwd: files\x00\n",
		"files that end the lookup":           "passwd: files [NOTFOUND=return] sss\ngroup: files\n",
		"a service before files that ends it": "passwd: sss [NOTFOUND=return] files\ngroup: files\n",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := AddService(content); err == nil {
				t.Errorf("AddService = %q, want an error", got)
			}
		})
	}
}

func FuzzServiceIsAddedAndTakenOutAgain(f *testing.F) {
	f.Add("passwd: files systemd # x\ngroup: files [SUCCESS=merge] systemd\n")
	f.Fuzz(func(t *testing.T, content string) {
		added, err := AddService(content)
		if err != nil {
			return
		}
		if again, err := AddService(added); err != nil || again != added {
			t.Fatalf("added twice: %q, %v, want %q", again, err, added)
		}
		// Whitespace that Go knows and nsswitch.conf does not is not ours to judge.
		if strings.ContainsFunc(content, func(r rune) bool { return r > 126 || r < 32 && r != '\n' && r != '\t' }) {
			return
		}
		if passwd, group, err := HasService(content); err != nil || passwd || group {
			return
		}
		removed, err := RemoveService(added)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(strings.Fields(removed), " ") != strings.Join(strings.Fields(content), " ") &&
			strings.Contains(content, "passwd") && strings.Contains(content, "group") {
			if _, seen, _ := nsswitchLines(content); len(seen) > 0 {
				_, p := seen["passwd"]
				_, g := seen["group"]
				if p && g {
					t.Fatalf("%q with ours %q without %q", content, added, removed)
				}
			}
		}
	})
}
