package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

const login = "[login]\ngroups = [\"developers\"]\n"

func TestTheInstalledFileIsSoundAndServesNobody(t *testing.T) {
	got, err := Load(filepath.Join("..", "..", "packaging", "config.toml"))
	if !errors.Is(err, ErrNotConfigured) {
		t.Fatalf("got error %v, want ErrNotConfigured", err)
	}
	if !reflect.DeepEqual(got, Default()) {
		t.Errorf("the file as installed changes a default:\ngot  %+v\nwant %+v", got, Default())
	}
}

// Every commented key of the installed file must be one that the parser knows
// and an example that it accepts, alone in its section.
func TestEveryCommentedExampleOfTheInstalledFileIsAccepted(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "packaging", "config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	companion := map[string]string{
		"external_id":  "assume_role = \"arn:aws:iam::123456789012:role/r\"\n",
		"url":          "kind = \"s3\"\ntrusted_keys = [\"k\"]\n",
		"trusted_keys": "kind = \"s3\"\nurl = \"s3://bucket/key\"\n",
		"expires_tag":  "",

		"identity_store": "kind = \"identity-center\"\n",

		"publish.url":          "key = \"/k\"\n",
		"publish.key":          "url = \"s3://bucket/key\"\n",
		"publish.expires":      "url = \"s3://bucket/key\"\nkey = \"/k\"\n",
		"publish.trusted_keys": "url = \"s3://bucket/key\"\nkey = \"/k\"\n",
	}
	section, seen := "", map[string]bool{}
	for _, line := range strings.Split(string(data), "\n") {
		if m := regexp.MustCompile(`^\[(\w+)\]`).FindStringSubmatch(line); m != nil {
			section = m[1]
			continue
		}
		m := regexp.MustCompile(`^# ([a-z0-9_-]+) = `).FindStringSubmatch(line)
		if m == nil {
			continue
		}
		seen[section+"."+m[1]] = true
		with, own := companion[section+"."+m[1]]
		if !own {
			with = companion[m[1]]
		}
		text := "[" + section + "]\n" + with + strings.TrimPrefix(line, "# ") + "\n"
		if m[1] == "expires_tag" {
			text += "[source]\nbulk = true\n"
		}
		if m[1] == "name_from" {
			text += "[source]\nkind = \"identity-center\"\n"
		}
		if _, err := Parse("example", []byte(text)); err != nil && !errors.Is(err, ErrNotConfigured) {
			t.Errorf("%s: %v", strings.TrimSpace(line), err)
		}
	}
	for section, keys := range sections {
		for key := range keys {
			if !seen[section+"."+key] {
				t.Errorf("the installed file does not show %s.%s", section, key)
			}
		}
	}
}

func TestValuesArriveInTheirPlaces(t *testing.T) {
	got, err := Parse("f", []byte(`
[source]
kind = "s3"
refresh = "30s"
url = "s3://bucket/some/key"
trusted_keys = ["k1", "k2"]
[login]
groups = ["developers"]
groups_tag = "nss-iam:login"
[sudo]
groups = ["admins"]
end_sessions = true
[accounts]
home = "/efs/%U"
publish_groups = ["team-*"]
map_groups = { "docker-users" = "docker" }
max_groups = 16
expires_tag = "nss-iam:expires"
[ids]
range = [70000, 2147352575]
[ids.pin]
AIDAALICE = 70001
iam-sudo = 70002
[keys]
max_stale = "0"
max_age = "90d"
types = ["ssh-ed25519"]
options = ["restrict", "pty"]
chain = ["/opt/helper", "%u"]
[shared]
ec2-user = ["ops"]
root = ["ops"]
allow_root = true
[removal]
max_fraction = 1
keep_names = "1d12h"
end_sessions = "at-once"
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Source = Source{Kind: "s3", Refresh: 30 * time.Second, RefreshSet: true, Rate: 5, URL: "s3://bucket/some/key",
		TrustedKeys: []string{"k1", "k2"}}
	want.Login = Login{Groups: []string{"developers"}, GroupsTag: "nss-iam:login"}
	want.Sudo = Sudo{Groups: []string{"admins"}, EndSessions: true}
	want.Accounts.Home = "/efs/%U"
	want.Accounts.PublishGroups = []string{"team-*"}
	want.Accounts.MapGroups = map[string]string{"docker-users": "docker"}
	want.Accounts.MaxGroups = 16
	want.Accounts.ExpiresTag = "nss-iam:expires"
	want.IDs = IDs{70000, 2147352575, map[string]uint32{"AIDAALICE": 70001, "iam-sudo": 70002}}
	want.Keys.MaxStale = 0
	want.Keys.MaxAge = 90 * 24 * time.Hour
	want.Keys.Types = []string{"ssh-ed25519"}
	want.Keys.Options = []string{"restrict", "pty"}
	want.Keys.Chain = []string{"/opt/helper", "%u"}
	want.Shared = map[string][]string{"ec2-user": {"ops"}, "root": {"ops"}}
	want.SharedAllowRoot = true
	want.Removal.MaxFraction = 1
	want.Removal.KeepNames = 36 * time.Hour
	want.Removal.EndSessions, want.Removal.EndAtOnce = true, true
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\ngot  %+v\nwant %+v", got, want)
	}
}

func TestAPublisherSaysWhereAndWithWhat(t *testing.T) {
	got, err := Parse("f", []byte(login+`[publish]
url = "s3://bucket/fleet/snapshot"
key = "ssm:///nss-iam/signing"
expires = "7d"
trusted_keys = ["old"]
`))
	want := Publish{"s3://bucket/fleet/snapshot", "ssm:///nss-iam/signing", 7 * 24 * time.Hour, []string{"old"}}
	if err != nil || !reflect.DeepEqual(got.Publish, want) {
		t.Errorf("got %+v, %v; want %+v", got.Publish, err, want)
	}
}

func TestASnapshotIsPolledMoreOftenThanIAM(t *testing.T) {
	got, err := Parse("f", []byte(login+"[source]\nkind = \"file\"\nurl = \"file:///var/snapshot\"\ntrusted_keys = "+
		"[\"k\"]\n"))
	if err != nil || got.Source.Refresh != 45*time.Second {
		t.Errorf("got refresh %v, error %v; want 45s", got.Source.Refresh, err)
	}
}

func TestAFileWithoutALoginRuleIsCompleteAndReported(t *testing.T) {
	got, err := Parse("f", []byte("[accounts]\nshell = \"/bin/zsh\"\n[login]\n"))
	if !errors.Is(err, ErrNotConfigured) {
		t.Fatalf("got error %v, want ErrNotConfigured", err)
	}
	if want := `f:3:2: key "login": nothing is served until one of groups, groups_tag and all_users is set; name the ` +
		`IAM groups whose members may log in, as in groups = ["developers"]`; err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if got.Accounts.Shell != "/bin/zsh" {
		t.Errorf("got shell %q, want the file's", got.Accounts.Shell)
	}
}

func TestEachFaultIsNamedWithItsPlace(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       string // the whole error, or its beginning
	}{
		{"an unknown key with its likely meaning", "[source]\nrefesh = \"5m\"\n",
			`f:2:1: key "source.refesh": no such key; [source] has assume_role, bulk, endpoint, external_id, identity_store, ` +
				`kind, path_prefix, rate, refresh, region, trusted_keys, url; perhaps refresh was meant`},
		{"an unknown section", "\n[logins]\ngroups = []\n",
			`f:2:2: key "logins": no such section; known are accounts, cache, ids, keys, login, metrics, publish, removal, ` +
				`source, sudo, shared; perhaps login was meant`},
		{"a key outside any section", "groups = [\"a\"]\n", `f:1:1: key "groups": no such section`},
		{"a section that is a value", "login = true\n",
			`f:1:1: key "login": is a true or false, not a section; write [login] on a line of its own and its keys below`},
		{"a string for a list", "[login]\n  groups = \"a\"\n",
			`f:2:3: key "login.groups": is a string, not a list of strings; write it as ["developers"]`},
		{"a number in a list of names", "[login]\ngroups = [\"a\",\n  7]\n",
			`f:3:3: key "login.groups": element 2 is a whole number, not a string`},
		{"a group named twice", "[login]\ngroups = [\"a\", \"A\"]\n",
			`f:2:16: key "login.groups": "A" stands twice in the list; remove one`},
		{"a group name that IAM does not allow", "[login]\ngroups = [\"a b\"]\n",
			`f:2:11: key "login.groups": "a b" is not an IAM group name`},
		{"a tag key that metadata cannot show", "[login]\ngroups_tag = \"a/b\"\n",
			`f:2:1: key "login.groups_tag": "a/b" is not a tag key that instance metadata can show`},
		{"a reserved tag key", "[sudo]\ngroups_tag = \"aws:x\"\n",
			`f:2:1: key "sudo.groups_tag": "aws:x" is reserved by AWS`},
		{"a string for true", "[login]\nall_users = \"yes\"\n",
			`f:2:1: key "login.all_users": is a string, not true or false; write it as all_users = true`},
		{"an unknown kind", "[source]\nkind = \"ldap\"\n",
			`f:2:1: key "source.kind": "ldap" is not known; write one of "iam", "identity-center", "s3", "file"`},
		{"s3 without an address", "[source]\nkind = \"s3\"\ntrusted_keys = [\"k\"]\n",
			`f:2:1: key "source.kind": "s3" needs the address of a snapshot; add url = "s3://bucket/key"`},
		{"s3 without keys", "[source]\nkind = \"s3\"\nurl = \"s3://bucket/key\"\n",
			`f:2:1: key "source.kind": "s3" needs the keys that may sign the snapshot`},
		{"a file address for s3", "[source]\nkind = \"s3\"\nurl = \"file:///x\"\ntrusted_keys = [\"k\"]\n",
			`f:3:1: key "source.url": "file:///x" does not fit kind = "s3"`},
		{"a publication without a key", "[publish]\nurl = \"s3://bucket/key\"\n",
			`f:2:1: key "publish.url": needs the key that signs`},
		{"a signing key without a place", "[publish]\nkey = \"/k\"\n",
			`f:2:1: key "publish.key": has no effect without publish.url`},
		{"a signing key at a relative path", "[publish]\nurl = \"s3://bucket/key\"\nkey = \"k\"\n",
			`f:3:1: key "publish.key": "k" is not the place of a private key`},
		{"a signing key nowhere in SSM", "[publish]\nurl = \"s3://bucket/key\"\nkey = \"ssm://\"\n",
			`f:3:1: key "publish.key": "ssm://" is not the place`},
		{"a parameter's path without its slash", "[publish]\nurl = \"s3://bucket/key\"\nkey = \"ssm://nss-iam/signing\"\n",
			`f:3:1: key "publish.key": "ssm://nss-iam/signing" is not the place`},
		{"a publisher that reads a snapshot", "[source]\nkind = \"file\"\nurl = \"file:///x\"\ntrusted_keys = [\"k\"]\n" +
			"[publish]\nurl = \"file:///y\"\nkey = \"/k\"\n",
			`f:6:1: key "publish.url": a host that reads a snapshot does not write one`},
		{"a publication to nowhere", "[publish]\nurl = \"http://x/y\"\nkey = \"/k\"\n",
			`f:2:1: key "publish.url": "http://x/y" is not the address of a snapshot`},
		{"an address that is none", "[source]\nkind = \"s3\"\nurl = \"bucket/key\"\ntrusted_keys = [\"k\"]\n",
			`f:3:1: key "source.url": "bucket/key" is not the address of a snapshot`},
		{"a relative file address", "[source]\nkind = \"file\"\nurl = \"file://snap\"\ntrusted_keys = [\"k\"]\n",
			`f:3:1: key "source.url": "file://snap" is not the address`},
		{"an address for IAM", "[source]\nurl = \"s3://bucket/key\"\n",
			`f:2:1: key "source.url": has no effect with kind = "iam"`},
		{"a refresh that hammers IAM", "[source]\nrefresh = \"10s\"\n",
			`f:2:1: key "source.refresh": "10s" would ask IAM more often than it answers; write "30s" or more`},
		{"a duration without a unit", "[source]\nrefresh = \"300\"\n",
			`f:2:1: key "source.refresh": "300" is not a duration; write it as "5m"`},
		{"a duration that is a number", "[keys]\nmax_age = 90\n",
			`f:2:1: key "keys.max_age": is a whole number, not a duration in quotes`},
		{"sessions that end some day", "[removal]\nend_sessions = \"later\"\n",
			`f:2:1: key "removal.end_sessions": "later" is neither true nor false nor "at-once"; write one of them`},
		{"sessions by number", "[removal]\nend_sessions = 1\n",
			`f:2:1: key "removal.end_sessions": "1" is neither true nor false nor "at-once"; write one of them`},
		{"a negative duration", "[removal]\nkeep_names = \"-1d\"\n",
			`f:2:1: key "removal.keep_names": "-1d" is not a duration`},
		{"a duration beyond all time", "[removal]\nkeep_names = \"999999999d\"\n",
			`f:2:1: key "removal.keep_names": "999999999d" is longer than a hundred years`},
		{"an endpoint that anybody on the way can forge", "[source]\nendpoint = \"http://iam.example.com\"\n",
			`f:2:1: key "source.endpoint": "http://iam.example.com" is not encrypted`},
		{"an endpoint of another host by number", "[source]\nendpoint = \"http://10.0.0.1:80\"\n",
			`f:2:1: key "source.endpoint": "http://10.0.0.1:80" is not encrypted`},
		{"an endpoint whose name begins as this host's", "[source]\nendpoint = \"http://127.0.0.1.example.com\"\n",
			`f:2:1: key "source.endpoint": "http://127.0.0.1.example.com" is not encrypted`},
		{"an endpoint without a scheme", "[source]\nendpoint = \"iam.example.com\"\n",
			`f:2:1: key "source.endpoint": "iam.example.com" is not the address of an endpoint`},
		{"a role that is no ARN", "[source]\nassume_role = \"reader\"\n",
			`f:2:1: key "source.assume_role": "reader" is not the ARN of a role`},
		{"an external id without a role", "[source]\nexternal_id = \"abc\"\n",
			`f:2:1: key "source.external_id": has no effect without assume_role`},
		{"a path prefix without slashes", "[source]\npath_prefix = \"staff\"\n",
			`f:2:1: key "source.path_prefix": "staff" is not an IAM path`},
		{"a shell that is not absolute", "[accounts]\nshell = \"bash\"\n",
			`f:2:1: key "accounts.shell": "bash" is not an absolute path; write it as "/bin/bash"`},
		{"a shell with a colon", "[accounts]\nshell = \"/bin/a:b\"\n",
			`f:2:1: key "accounts.shell": "/bin/a:b" holds a colon or a control character`},
		{"a shell with a newline", "[accounts]\nshell = \"/bin/a\\nb\"\n",
			`f:2:1: key "accounts.shell": "/bin/a\nb" holds a colon or a control character`},
		{"a home token that is not known", "[accounts]\nhome = \"/home/%d\"\n",
			`f:2:1: key "accounts.home": "/home/%d" holds a token that is not known`},
		{"a home that ends in a percent sign", "[accounts]\nhome = \"/home/%u%\"\n",
			`f:2:1: key "accounts.home": "/home/%u%" holds a token that is not known`},
		{"one home for everybody", "[accounts]\nhome = \"/home/all%%u\"\n",
			`f:2:1: key "accounts.home": "/home/all%%u" is one home for everybody`},
		{"a home that climbs", "[accounts]\nhome = \"/home/../%u\"\n",
			`f:2:1: key "accounts.home": "/home/../%u" holds "..", "." or a slash too many`},
		{"a home that is too long", "[accounts]\nhome = \"/" + strings.Repeat("x", 240) + "/%u\"\n",
			`f:2:1: key "accounts.home": "/` + strings.Repeat("x", 198)},
		{"a domain with its at sign", "[accounts]\nstrip_domains = [\"@example.com\"]\n",
			`f:2:18: key "accounts.strip_domains": "@example.com" is not a domain`},
		{"a pattern that is broken", "[accounts]\npublish_groups = [\"team-[\"]\n",
			`f:2:19: key "accounts.publish_groups": "team-[" is not a pattern`},
		{"a local group that cannot be", "[accounts]\nmap_groups = { \"a\" = \"x y\" }\n",
			`f:2:16: key "accounts.map_groups.a": "x y" is not a name of a local group`},
		{"too few groups for anybody", "[accounts]\nmax_groups = 2\n", `f:2:1: key "accounts.max_groups": 2 leaves no room`},
		{"expiry without tags", "[accounts]\nexpires_tag = \"end\"\n",
			`f:2:1: key "accounts.expires_tag": needs tags, which are read in bulk only; add bulk = true to [source]`},
		{"a range below the local accounts' end", "[ids]\nrange = [1000, 70000]\n",
			`f:2:10: key "ids.range": 1000 is not in 65536 to 2147352575`},
		{"a range above the kernel's comfort", "[ids]\nrange = [65536, 4294967295]\n",
			`f:2:17: key "ids.range": 4294967295 is not in 65536 to 2147352575`},
		{"a range upside down", "[ids]\nrange = [80000, 70000]\n",
			`f:2:1: key "ids.range": begins at 80000, above its end 70000`},
		{"a range of three", "[ids]\nrange = [70000, 80000, 90000]\n", `f:2:1: key "ids.range": has 3 numbers, not two`},
		{"a pin out of range", "[ids]\npin = { \"AIDAA\" = 0 }\n",
			`f:2:9: key "ids.pin.AIDAA": 0 is not in the range 2001000000 to 2146999999`},
		{"a number pinned twice", "[ids.pin]\nAIDAA = 2001000000\nAIDAB = 2001000000\n",
			`f:3:1: key "ids.pin.AIDAB": 2001000000 is pinned to "AIDAA" as well`},
		{"a pin by name", "[ids]\npin = { alice = 2001000000 }\n",
			`f:2:9: key "ids.pin.alice": "alice" is not a UserId or GroupId`},
		{"a pin that is text", "[ids]\npin = { AIDAA = \"2001000000\" }\n",
			`f:2:9: key "ids.pin.AIDAA": is a string, not a whole number`},
		{"weak keys", "[keys]\nmin_rsa_bits = 512\n", `f:2:1: key "keys.min_rsa_bits": 512 is not in 1024 to 16384`},
		{"a key type that is none", "[keys]\ntypes = [\"ssh-dss\"]\n",
			`f:2:10: key "keys.types": "ssh-dss" is not a key type`},
		{"no key type at all", "[keys]\ntypes = []\n", `f:2:1: key "keys.types": allows no key at all`},
		{"an option with a value", "[keys]\noptions = [\"command=\\\"/bin/sh\\\"\"]\n",
			`f:2:12: key "keys.options": "command=\"/bin/sh\"" is not an option that every key may carry; known are restrict, `},
		{"an option that opens more", "[keys]\noptions = [\"restrict\", \"cert-authority\"]\n",
			`f:2:24: key "keys.options": "cert-authority" is not an option that every key may carry`},
		{"an option and its contrary", "[keys]\noptions = [\"no-pty\", \"pty\"]\n",
			`f:2:1: key "keys.options": "pty" contradicts "no-pty"; remove one of the two`},
		{"a chain through the path", "[keys]\nchain = [\"helper\"]\n",
			`f:2:10: key "keys.chain": "helper" is not an absolute path; name the program by its whole path`},
		{"a shared account with a slash", "[shared]\n\"a/b\" = [\"ops\"]\n",
			`f:2:1: key "shared.a/b": "a/b" cannot be the name of a Unix account`},
		{"root as a shared account", "[shared]\nroot = [\"ops\"]\n",
			`f:2:1: key "shared.root": would let IAM users log in as root; remove it, or add allow_root = true`},
		{"a shared account for nobody", "[shared]\nec2-user = []\n", `f:2:1: key "shared.ec2-user": names no group`},
		{"no confirmation", "[removal]\nconfirm = 0\n", `f:2:1: key "removal.confirm": 0 is not in 1 to 1000`},
		{"a fraction above one", "[removal]\nmax_fraction = 20\n", `f:2:1: key "removal.max_fraction": 20 is not in 0 to 1`},
		{"a fraction that is no number", "[removal]\nmax_fraction = nan\n",
			`f:2:1: key "removal.max_fraction": NaN is not in 0 to 1`},
		{"a relative cache folder", "[cache]\ndir = \"cache\"\n", `f:2:1: key "cache.dir": "cache" is not an absolute path`},
		{"figures in a file that nobody reads", "[metrics]\ntextfile = \"/var/figures\"\n",
			`f:2:1: key "metrics.textfile": "/var/figures" does not end in .prom`},
		{"text that is not TOML", "[login]\ngroups = [\n", `f:2:11: not TOML: array is incomplete`},
		{"a key given twice", "[login]\nall_users = true\nall_users = true\n", `f:3:1: not TOML: `},
	} {
		t.Run(test.name, func(t *testing.T) {
			config, err := Parse("f", []byte(test.text))
			var faults Errors
			if !errors.As(err, &faults) {
				t.Fatalf("got error %v, want Errors", err)
			}
			if errors.Is(err, ErrNotConfigured) {
				t.Fatalf("got ErrNotConfigured, want the fault")
			}
			if len(faults) != 1 {
				t.Errorf("got %d faults, want 1:\n%v", len(faults), err)
			}
			if !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
			if !reflect.DeepEqual(config, Config{}) {
				t.Error("got a configuration beside the fault")
			}
		})
	}
}

func TestAllFaultsAreReportedTogetherInTheirOrder(t *testing.T) {
	_, err := Parse("f", []byte("[removal]\nconfirm = 0\n[accounts]\nshell = 7\nhome = \"x\"\nhoem = 1\n"))
	var got []string
	for _, line := range strings.Split(err.Error(), "\n") {
		got = append(got, strings.Join(strings.SplitN(line, ": ", 3)[:2], ": "))
	}
	want := []string{`f:2:1: key "removal.confirm"`, `f:4:1: key "accounts.shell"`, `f:5:1: key "accounts.home"`,
		`f:6:1: key "accounts.hoem"`}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	name := filepath.Join(t.TempDir(), "none.toml")
	_, err := Load(name)
	if want := `open configuration "` + name +
		`": no such file or directory; create it or name another with --config`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestDurationsAreReadAndWrittenAlike(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "90d": 90 * day, "1d12h": 36 * time.Hour, "24h": day, "5m": 5 * time.Minute,
		"1.5h": 90 * time.Minute, "500ms": 500 * time.Millisecond, "2s": 2 * time.Second,
	} {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", text, got, err, want)
		}
		if again, err := ParseDuration(FormatDuration(got)); err != nil || again != got {
			t.Errorf("FormatDuration(%v) = %q, which reads as %v, %v", got, FormatDuration(got), again, err)
		}
	}
	for _, text := range []string{"", "1", "d", "1w", "-1d", "+1d", "1 d", "1e3s", "0x1d", ".5h", "1d\n", "1..5h"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}

// Whatever the text, Parse returns, names a line of the text in each fault,
// and says each fault in one line of printable characters.
func FuzzParse(f *testing.F) {
	installed, err := os.ReadFile(filepath.Join("..", "..", "packaging", "config.toml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(installed)
	f.Add([]byte(login))
	f.Add([]byte("[ids]\nrange=[1,2]\npin={AIDAA=1,\"\\u0000\"=2}\n[[source]]\n[shared]\n\"a\\nb\"=[1]"))
	f.Add([]byte("accounts.map_groups.a.b = 1\nlogin = {groups = [[\"a\"], {b=1}]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := Parse("f", data)
		if err == nil {
			return
		}
		var faults Errors
		if !errors.As(err, &faults) || len(faults) == 0 {
			t.Fatalf("got %v, want Errors", err)
		}
		for _, fault := range faults {
			if fault.Line < 1 || fault.Line > strings.Count(string(data), "\n")+1 || fault.Column < 1 {
				t.Errorf("%v: no such place", fault)
			}
			for _, c := range fault.Error() {
				if c < ' ' || c == 0x7f {
					t.Errorf("control character in %q", fault.Error())
				}
			}
		}
	})
}

func TestEveryFormCompiles(t *testing.T) {
	for i, f := range []form{
		iamGroupForm, regionForm, roleForm, externalIDForm, pathPrefixForm, bucketForm, trustedKeyForm, signingParameterForm,
		domainForm,
		iamTagForm, instanceTagForm, localNameForm, principalForm, patternForm, durationForm, durationPart,
	} {
		if f.compiled().MatchString("") {
			t.Errorf("form %d matches nothing at all", i)
		}
	}
}

func TestTheFolderOfHomesIsAboveEveryHome(t *testing.T) {
	for home, want := range map[string]string{
		"/home/%u": "/home", "/srv/%u/home": "/srv", "/home/u-%U": "/home", "/%u": "/", "/efs/100%%/%u": "/efs/100%",
		"/efs/a%%b-%u/x": "/efs",
	} {
		if got := (Accounts{Home: home}).HomesFolder(); got != want {
			t.Errorf("%q: %q, want %q", home, got, want)
		}
	}
}

func TestAnEndpointOfThisHostNeedsNoEncryption(t *testing.T) {
	for _, address := range []string{"http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost:8000",
		"http://127.9.9.9", "https://iam.example.com"} {
		if got, err := Parse("f", []byte(login+"[source]\nendpoint = \""+address+"\"\n")); err != nil ||
			got.Source.Endpoint != address {
			t.Errorf("%s: got %q, %v", address, got.Source.Endpoint, err)
		}
	}
}
