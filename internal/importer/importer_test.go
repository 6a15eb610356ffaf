package importer

import (
	"errors"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/config"
)

func TestTheOldConfigurationBecomesOneThatIsSound(t *testing.T) {
	for _, c := range []struct {
		name, old string
		want      []string
		idle      bool // nobody may log in
	}{
		{"as installed", "IAM_AUTHORIZED_GROUPS=\"\"\nLOCAL_MARKER_GROUP=\"iam-synced-users\"\nLOCAL_GROUPS=\"\"\nSUDOERS_GROUPS=\"\"\nASSUMEROLE=\"\"\nDONOTSYNC=1\n",
			[]string{"# all_users = true", "DONOTSYNC was set"}, true},
		{"everybody", "IAM_AUTHORIZED_GROUPS=\"\"\n", []string{"\nall_users = true"}, false},
		{"groups, sudo and a role", "IAM_AUTHORIZED_GROUPS=\"developers, ops\"\nSUDOERS_GROUPS=ops\nASSUMEROLE='arn:aws:iam::123456789012:role/keys'\nUSERADD_ARGS=\"--create-home --shell /bin/zsh\"\nDONOTSYNC=0\n",
			[]string{`groups = ["developers", "ops"]`, "[sudo]\ngroups = [\"ops\"]", `assume_role = "arn:aws:iam::123456789012:role/keys"`, `shell = "/bin/zsh"`, "USERADD_ARGS was"}, false},
		{"sudo for all", "IAM_AUTHORIZED_GROUPS=developers\nSUDOERS_GROUPS=\"##ALL##\"\nLOCAL_GROUPS=docker\n",
			[]string{"[sudo]\n# ##ALL##: everybody who may log in.\ngroups = [\"developers\"]", `map_groups = { "developers" = "docker" }`}, false},
		{"tags", "IAM_AUTHORIZED_GROUPS_TAG=login\nSUDOERS_GROUPS_TAG=sudo\n", []string{"[login]\ngroups_tag = \"login\"", "[sudo]\ngroups_tag = \"sudo\""}, false},
		{"homes were deleted", "USERDEL_ARGS=\"--force --remove\"\n", []string{"homes are never deleted"}, false},
		{"shell that is not run", "IAM_AUTHORIZED_GROUPS=$(touch /tmp/x)\nSUDOERS_GROUPS=\"`id`\"\nfoo\n",
			[]string{"Line 1 of it was not understood", "Line 2 of it", "Line 3 of it"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Parse(c.old).Config()
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in:\n%s", want, got)
				}
			}
			_, err := config.Parse("config.toml", []byte(got))
			if c.idle != errors.Is(err, config.ErrNotConfigured) || err != nil && !c.idle {
				t.Errorf("%v in:\n%s", err, got)
			}
		})
	}
}

func TestOnlyUsersOfTheMarkerGroupAreTheOldTools(t *testing.T) {
	passwd := "root:x:0:0:root:/root:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/bash\nbob:x:1002:1002::/home/bob:/bin/bash\nbad:x:y:1::/:/\nlow:x:33:33::/:/bin/sh\n"
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
		{LocalUser: LocalUser{"carol", 70000, 70000, "/home/carol"}, IAM: "carol", ID: "AIDACAROL", New: 2001000003, Pin: true},
	})
	for line := range strings.Lines(plan) {
		if !strings.HasPrefix(line, "#") {
			t.Errorf("a line that would run: %q", line)
		}
	}
	for _, want := range []string{"alice: uid 1001 becomes 2001000001", "chown -h 2001000001", "bob (uid 1002): no IAM user", `pin = { "AIDACAROL" = 70000 }`} {
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
