package main

import (
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/config"
)

// inGroups are so many people, all of them in so many groups of the directory.
func inGroups(people, groups int) (t accounts.Tables) {
	all := make([]string, people)
	t.Users = make([]accounts.User, people)
	for i := range t.Users {
		t.Users[i].UID = uint32(i)
		t.Groups = append(t.Groups, accounts.Group{GID: uint32(i)})
	}
	for i := range groups {
		t.Groups = append(t.Groups, accounts.Group{GID: uint32(people + i), Members: all})
	}
	t.Groups = append(t.Groups, accounts.Group{GID: 1e9, Name: accounts.UsersGroup, Members: all},
		accounts.Group{GID: 1e9 + 1, Name: accounts.SudoGroup, Members: all})
	return t
}

func TestTheDefaultIntervalKeepsTenHostsWithinATenthOfTheOrganizationsRate(t *testing.T) {
	c, err := config.Parse("test", []byte("[source]\nkind = \"identity-center\"\n[login]\nall_users = true\n"))
	if err != nil {
		t.Fatal(err)
	}
	c.Cache.Dir = t.TempDir()
	if n := shareOf(c, inGroups(5000, 1)).hosts(tenth); n < 10 {
		t.Errorf("%d hosts of 5,000 people use a tenth, want ten or more", n)
	}
	if got, want := rateShare(c), shareOf(c, accounts.Tables{}).String(); got != want || !strings.Contains(got,
		"5000 people in 1 group (assumed") {
		t.Errorf("before a refresh: %q", got)
	}
	c.Publish.URL = "s3://bucket/key"
	if got := rateShare(c); got != "" {
		t.Errorf("a publisher: %q", got)
	}
	c.Publish.URL, c.Source.Kind = "", config.KindS3
	if got := rateShare(c); got != "" {
		t.Errorf("a host that reads a snapshot: %q", got)
	}
}

// The figures are near those of docs/benchmarks.md, which are counted.
func TestAShareCountsEachGroupsPages(t *testing.T) {
	c, err := config.Parse("test", []byte("[source]\nkind = \"identity-center\"\n[login]\nall_users = true\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ people, groups, calls, hosts int }{
		{50, 1, 3, 333}, {50, 10, 12, 83}, {50, 100, 102, 10},
		{500, 1, 6, 150}, {500, 10, 51, 19}, {500, 100, 501, 2},
		{5000, 1, 52, 17}, {5000, 10, 502, 2}, {5000, 100, 5002, 0},
	} {
		s := shareOf(c, inGroups(test.people, test.groups))
		if calls := s.calls(); calls < float64(test.calls) || calls > 1.1*float64(test.calls)+2 {
			t.Errorf("%d people in %d groups: %g calls, counted are %d", test.people, test.groups, calls, test.calls)
		}
		if n := s.hosts(tenth); n < test.hosts*3/4 || n > test.hosts*5/4 {
			t.Errorf("%d people in %d groups: %d hosts, counted are %d", test.people, test.groups, n, test.hosts)
		}
	}
}
