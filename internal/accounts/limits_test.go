package accounts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// NFS takes sixteen groups; what is beyond is left out in an order that keeps
// the rights that nothing else gives: fixed groups, local ones, then the oldest.
func TestMaxGroupsLeavesOutTheYoungestAndOnlyThem(t *testing.T) {
	host := Host{Groups: []HostGroup{{"video", 44, nil}, {"audio", 29, nil}, {"render", 105, nil}}}
	for _, c := range []struct {
		most int
		want string // of the groups beside the private one
		left string // as the finding has it; "": no finding
	}{
		{0, "iam-users 29 44 105 dev team-a team-b", ""},
		{8, "iam-users 29 44 105 dev team-a team-b", ""},
		{7, "iam-users 29 44 105 dev team-a", "team-b"},
		{5, "iam-users 29 44 105", "dev, team-a, team-b"},
		{4, "iam-users 29 44", "the local gid 105, dev, team-a, team-b"},
		{2, "iam-users", "the local gid 29, the local gid 44, the local gid 105, dev, team-a, team-b"},
		{1, "iam-users", "the local gid 29, the local gid 44, the local gid 105, dev, team-a, team-b"},
	} {
		d := company([]string{"bob", "alice"}, "dev: bob alice", "tv: bob", "hifi: bob", "gpu: bob", "team-a: bob",
			"team-b: bob")
		p := policy()
		p.Publish, p.MaxGroups = []string{"team-*"}, c.most
		p.MapGroups, p.AllowPrivileged = map[string]string{"tv": "video", "hifi": "audio", "gpu": "render"},
			[]string{"video", "audio", "render"}
		r := build(t, Input{Directory: d, Policy: p, Host: host})
		var got []string
		for _, name := range []string{UsersGroup, "29", "44", "105", "dev", "team-a", "team-b"} {
			gid := r.Tables.group(name).GID
			if gid == 0 {
				_, _ = fmt.Sscan(name, &gid)
			}
			if slices.Contains(r.Tables.user("bob").Groups, gid) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != c.want || len(r.Tables.user("bob").Groups) != len(got) {
			t.Errorf("max_groups %d: %v (%q), want %q", c.most, r.Tables.user("bob").Groups, got, c.want)
		}
		f := finding(r.Findings, r.Tables.user("bob").ID)
		if c.left == "" && f.Reason != "" || c.left != "" && !strings.HasPrefix(f.Detail, "is left out of "+c.left+
			" to stay") {
			t.Errorf("max_groups %d: the finding is %v, want %q", c.most, f, c.left)
		}
		if c.most != 1 && c.most != 2 && finding(r.Findings, r.Tables.user("alice").ID).Reason != "" {
			t.Errorf("max_groups %d: alice, who has three groups, is %+v", c.most, r.Tables.user("alice"))
		}
	}
}
