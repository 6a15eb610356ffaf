package importer

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/config"
)

var update = flag.Bool("update", false, "write what is printed now into testdata")

// The configurations are like those that people have published, in words of our own.
func TestConfigurationsAsPeopleHaveThem(t *testing.T) {
	for _, c := range []struct {
		name  string
		whole bool
		idle  bool // nobody may log in
	}{
		{"as-installed", true, true},
		{"user-data", true, false},
		{"container", false, false},
		{"bastion-tags", false, false},
		{"sysconfig-old", false, false},
		{"terraform-template", false, true},
		{"own-variables", true, false},
		{"everybody-sudo", false, false},
		{"changed-copy", false, false},
		{"written-on-windows", true, false},
		{"reads-another", false, true},
		{"by-instance", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			old, err := os.ReadFile(filepath.Join("testdata", c.name+".conf"))
			if err != nil {
				t.Fatal(err)
			}
			got, whole := Parse(string(old)).Config()
			golden := filepath.Join("testdata", c.name+".toml")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if whole != c.whole {
				t.Errorf("carried over whole: %v, want %v", whole, c.whole)
			}
			if _, err := config.Parse("config.toml", []byte(got)); c.idle != errors.Is(err, config.ErrNotConfigured) ||
				err != nil && !c.idle {
				t.Errorf("%v in:\n%s", err, got)
			}
			if strings.Contains(got, "not/a/secret") {
				t.Error("a secret is printed")
			}
		})
	}
}

// spellings are lines that name a group of people who may log in. want is the
// rule, or "" where the line is refused.
var spellings = []struct{ name, old, want string }{
	{"in double quotes", `IAM_AUTHORIZED_GROUPS="devs"`, `["devs"]`},
	{"in single quotes", `IAM_AUTHORIZED_GROUPS='devs'`, `["devs"]`},
	{"bare", `IAM_AUTHORIZED_GROUPS=devs`, `["devs"]`},
	{"in quotes of both kinds", `IAM_AUTHORIZED_GROUPS=de"v"'s'`, `["devs"]`},
	{"with an escape", `IAM_AUTHORIZED_GROUPS="dev\\s"`, ""},
	{"a quote escaped without need", `IAM_AUTHORIZED_GROUPS=\devs`, `["devs"]`},
	{"exported", `export IAM_AUTHORIZED_GROUPS="devs"`, `["devs"]`},
	{"exported by declare", `declare -x IAM_AUTHORIZED_GROUPS="devs"`, `["devs"]`},
	{"in capitals by declare", `declare -u IAM_AUTHORIZED_GROUPS="devs"`, ""},
	{"read-only", `readonly IAM_AUTHORIZED_GROUPS="devs"`, `["devs"]`},
	{"read-only, then assigned", "readonly IAM_AUTHORIZED_GROUPS=devs\nIAM_AUTHORIZED_GROUPS=ops", ""},
	{"a semicolon at the end", `IAM_AUTHORIZED_GROUPS="devs";`, `["devs"]`},
	{"two on a line", `SUDOERS_GROUPS=ops; IAM_AUTHORIZED_GROUPS="devs"`, `["devs"]`},
	{"two in a command", `SUDOERS_GROUPS=ops IAM_AUTHORIZED_GROUPS="devs"`, `["devs"]`},
	{"twice: the last counts", "IAM_AUTHORIZED_GROUPS=ops\nIAM_AUTHORIZED_GROUPS=devs", `["devs"]`},
	{"a comment behind", `IAM_AUTHORIZED_GROUPS=devs # not all`, `["devs"]`},
	{"a # in the middle", `IAM_AUTHORIZED_GROUPS=devs#all`, ""},
	{"indented", "  \tIAM_AUTHORIZED_GROUPS=devs", `["devs"]`},
	{"no line end", "DONOTSYNC=0\nIAM_AUTHORIZED_GROUPS=devs", `["devs"]`},
	{"continued", "IAM_AUTHORIZED_GROUPS=devs,\\\nops", `["devs", "ops"]`},
	{"continued in quotes", "IAM_AUTHORIZED_GROUPS=\"devs,\\\n  ops\"", `["devs", "ops"]`},
	{"over two lines", "IAM_AUTHORIZED_GROUPS=\"devs\nops\"", `["devs", "ops"]`},
	{"a variable of the file", "A=de\nIAM_AUTHORIZED_GROUPS=${A}vs", `["devs"]`},
	{"a variable in single quotes", "A=de\nIAM_AUTHORIZED_GROUPS='${A}vs'", ""},
	{"a variable that the file does not set", `IAM_AUTHORIZED_GROUPS="${ENV}-ssh"`, ""},
	{"a variable with a default", `IAM_AUTHORIZED_GROUPS="${ENV:-devs}"`, ""},
	{"a variable of a refused line", "A=$(id)\nIAM_AUTHORIZED_GROUPS=$A", ""},
	{"a default", `: ${IAM_AUTHORIZED_GROUPS:="devs"}`, ""},
	{"assigned inside of another", "IAM_AUTHORIZED_GROUPS=\"\"\nA=${IAM_AUTHORIZED_GROUPS:=devs}", ""},
	{"a command", `IAM_AUTHORIZED_GROUPS=$(touch /tmp/x)`, ""},
	{"an old command", "IAM_AUTHORIZED_GROUPS=`id`", ""},
	{"a command over lines", "IAM_AUTHORIZED_GROUPS=$(cat <<E\nIAM_AUTHORIZED_GROUPS=devs\nE\n)", ""},
	{"added to", "IAM_AUTHORIZED_GROUPS=devs\nIAM_AUTHORIZED_GROUPS+=,ops", ""},
	{"an array", `IAM_AUTHORIZED_GROUPS=(devs ops)`, ""},
	{"a condition", "if true; then IAM_AUTHORIZED_GROUPS=devs; fi", ""},
	{"a list of commands", `true && IAM_AUTHORIZED_GROUPS=devs`, ""},
	{"a function", "f() {\nIAM_AUTHORIZED_GROUPS=devs\n}\n", ""},
	{"text for a command", "cat <<E\nIAM_AUTHORIZED_GROUPS=devs\nE\n", ""},
	{"for one command", `IAM_AUTHORIZED_GROUPS=devs true`, ""},
	{"another file", "IAM_AUTHORIZED_GROUPS=devs\n. /etc/aws-ec2-ssh.local", ""},
	{"another file, by source", "source /etc/defaults\nIAM_AUTHORIZED_GROUPS=devs", ""},
	{"other separators", "IAM_AUTHORIZED_GROUPS=devs\nIFS=:", ""},
	{"taken away", "IAM_AUTHORIZED_GROUPS=devs\nunset IAM_AUTHORIZED_GROUPS", ""},
	{"blanks around the equals sign", `IAM_AUTHORIZED_GROUPS = "devs"`, ""},
	{"a quoted name", `"IAM_AUTHORIZED_GROUPS"=devs`, ""},
	{"a quoted equals sign", `IAM_AUTHORIZED_GROUPS"="devs`, ""},
	{"a quote that is not closed", `IAM_AUTHORIZED_GROUPS="devs`, ""},
	{"a quote with escapes", `IAM_AUTHORIZED_GROUPS=$'de\'vs'`, ""},
	{"in the background", `IAM_AUTHORIZED_GROUPS=devs &`, ""},
	{"a misspelled key", `IAM_AUTHORISED_GROUPS=devs`, ""},
	{"a pattern", `IAM_AUTHORIZED_GROUPS=dev*`, ""},
	{"only commas", `IAM_AUTHORIZED_GROUPS=,`, ""},
	{"a byte order mark", "\ufeffIAM_AUTHORIZED_GROUPS=devs", ""},
	{"a zero byte", "IAM_AUTHORIZED_GROUPS=devs\x00", ""},
	{"DOS line ends", "DONOTSYNC=0\r\nIAM_AUTHORIZED_GROUPS=\"devs\"\r\n", `["devs"]`},
	{"DOS line ends, continued", "IAM_AUTHORIZED_GROUPS=devs,\\\r\nops\r\n", `["devs", "ops"]`},
	{"DOS line ends, empty", "IAM_AUTHORIZED_GROUPS=\"\"\r\n", ""},
	{"not to sync, oddly", "IAM_AUTHORIZED_GROUPS=devs\nDONOTSYNC=yes", ""},
	{"not to sync, by a command", "IAM_AUTHORIZED_GROUPS=devs\nDONOTSYNC=$(hostname)", ""},
}

func TestALineIsReadAsTheShellReadsItOrOpensNothing(t *testing.T) {
	for _, c := range spellings {
		t.Run(c.name, func(t *testing.T) {
			got, whole := Parse(c.old).Config()
			parsed, err := config.Parse("config.toml", []byte(got))
			if c.want == "" {
				if whole || !errors.Is(err, config.ErrNotConfigured) {
					t.Errorf("whole %v, %v, and a rule in:\n%s", whole, err, got)
				}
				return
			}
			if err != nil || parsed.Login.AllUsers || array(parsed.Login.Groups) != c.want {
				t.Errorf("%v, not %s in:\n%s", err, c.want, got)
			}
		})
	}
}

// What is understood is what bash makes of the same text.
func TestWhatIsUnderstoodIsWhatBashReads(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	texts := make(map[string]string)
	for _, c := range spellings {
		texts[c.name] = c.old
	}
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	compared := 0
	for name, text := range texts {
		s := Parse(text)
		if slices.ContainsFunc(s.faults, func(f fault) bool { return f.keys == nil }) || strings.Contains(text, "\r") {
			continue // it may do anything, and is not run; DOS line ends are read as they are meant
		}
		for _, key := range known {
			if s.doubtful(key) {
				continue
			}
			cmd := exec.Command(bash, "--noprofile", "--norc", "-c", text+"\nbuiltin printf %s \"$"+key+"\"")
			cmd.Env = []string{"PATH=/nonexistent"}
			out, err := cmd.Output()
			if err != nil || string(out) != s.values[key] {
				t.Errorf("%s: %s is %q, bash has %q (%v)", name, key, s.values[key], out, err)
			}
			compared++
		}
	}
	if compared < 300 {
		t.Errorf("only %d values compared", compared)
	}
}

func TestEveryIAMUserMayLogInOnlyWhereEveryLineWasUnderstood(t *testing.T) {
	for _, c := range []struct {
		name, old  string
		all, whole bool
	}{
		{"no group", "IAM_AUTHORIZED_GROUPS=\"\"\n", true, true},
		{"nothing at all", "", true, true},
		{"beside a line about sudo that is not understood", "SUDOERS_GROUPS=$(cat /etc/sudoers)\n", false, false},
		{"beside a key that nobody knows", "GROUPS_ALLOWED=devs\n", false, false},
		{"beside a region", "AWS_DEFAULT_REGION=eu-west-1\n", true, true},
		{"not to sync", "DONOTSYNC=1\n", false, true},
		{"syncing", "DONOTSYNC=0\n", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, whole := Parse(c.old).Config()
			if all := strings.Contains(got, "\nall_users = true"); all != c.all || whole != c.whole {
				t.Errorf("all %v, whole %v in:\n%s", all, whole, got)
			}
			if c.all && !strings.Contains(got, "Every line of the old file was understood.") {
				t.Errorf("does not say that all was understood:\n%s", got)
			}
		})
	}
}

func TestALineTouchesOnlyTheRulesThatItCanChange(t *testing.T) {
	got, whole := Parse("IAM_AUTHORIZED_GROUPS=devs\nSUDOERS_GROUPS=$(id)\nLOCAL_GROUPS=users\n").Config()
	if whole || !strings.Contains(got, "\ngroups = [\"devs\"]") || !strings.Contains(got, "\nmap_groups =") ||
		!strings.Contains(got, "line 2 (\"SUDOERS_GROUPS\")") || strings.Contains(got, "[sudo]\ngroups") {
		t.Errorf("whole %v:\n%s", whole, got)
	}
}

func TestArgumentsOfUseradd(t *testing.T) {
	for _, c := range []struct{ args, shell, home, unknown string }{
		{"", "", "", ""},
		{"--user-group --create-home --shell /bin/bash", "/bin/bash", "", ""},
		{"-m -s /bin/zsh -b /srv/100%/", "/bin/zsh", "/srv/100%%/%u", ""},
		{"-s/bin/sh --base-dir=/data", "/bin/sh", "/data/%u", ""},
		{"--shell /bin/sh --groups docker", "/bin/sh", "", "--groups"},
		{"-s", "", "", "-s"},
		{"--shell bash", "", "", "--shell"},
		{"-N -s /bin/sh", "", "", "-N"},
	} {
		a, unknown := parseUseradd(c.args)
		if a != (account{c.shell, c.home}) || unknown != c.unknown {
			t.Errorf("%q: %+v, %q", c.args, a, unknown)
		}
	}
}

func FuzzWhatIsUnderstoodIsNoShell(f *testing.F) {
	for _, c := range spellings {
		f.Add(c.old)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := Parse(text)
		got, whole := s.Config()
		if _, err := config.Parse("config.toml", []byte(got)); whole && strings.Contains(got, "all_users") &&
			len(s.faults) > 0 {
			t.Errorf("%v: %q", err, text)
		}
		for line := range strings.Lines(got) {
			if strings.HasPrefix(line, "all_users") && len(s.faults) > 0 {
				t.Errorf("all users, of %q", text)
			}
		}
	})
}

func TestOnlyUsersOfTheMarkerGroupAreTheOldTools(t *testing.T) {
	passwd := "root:x:0:0:root:/root:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/bash\n" +
		"bob:x:1002:1002::/home/bob:/bin/bash\nbad:x:y:1::/:/\nlow:x:33:33::/:/bin/sh\n"
	group := "iam-synced-users:x:2000:alice,root,low,bad\nother:x:2001:bob\n"
	users := LocalUsers(passwd, group, Settings{}.Marker())
	if len(users) != 1 || users[0] != (LocalUser{"alice", 1001, 1001, "/home/alice"}) {
		t.Errorf("LocalUsers = %+v", users)
	}
}

func TestThePlanRunsNothing(t *testing.T) {
	plan := Plan([]Move{
		{LocalUser: LocalUser{"alice", 1001, 1001, "/home/alice"}, IAM: "alice", ID: "AIDAALICE", New: 2001000001},
		{LocalUser: LocalUser{"bob", 1002, 1002, "/home/bob"}},
		{LocalUser: LocalUser{"carol", 70000, 70000, "/home/carol"}, IAM: "carol", ID: "AIDACAROL", New: 2001000003,
			Pin: true},
	})
	for line := range strings.Lines(plan) {
		if !strings.HasPrefix(line, "#") {
			t.Errorf("a line that would run: %q", line)
		}
	}
	for _, want := range []string{"alice: uid 1001 becomes 2001000001", "chown -h 2001000001",
		"bob (uid 1002): no IAM user", `pin = { "AIDACAROL" = 70000 }`} {
		if !strings.Contains(plan, want) {
			t.Errorf("no %q in:\n%s", want, plan)
		}
	}
	if strings.Contains(plan, `"AIDAALICE" =`) {
		t.Errorf("a pin below the range of pins:\n%s", plan)
	}
}

func TestNamesAreWrittenAsTheOldToolDid(t *testing.T) {
	if got := UnixName("a+b=c,d@e"); got != "a.plus.b.equal.c.comma.d.at.e" {
		t.Errorf("UnixName = %q", got)
	}
}
