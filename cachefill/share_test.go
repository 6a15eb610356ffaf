package main

import (
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/internal/schedule"
)

func TestTheDefaultIntervalKeepsTenHostsWithinATenthOfTheOrganizationsRate(t *testing.T) {
	c, err := config.Parse("test", []byte("[source]\nkind = \"identity-center\"\n[login]\nall_users = true\n"))
	if err != nil {
		t.Fatal(err)
	}
	if n := identitycenter.Hosts(5000, schedule.Jittered(c.Source.Refresh, 0.5), 0.1); n < 10 {
		t.Errorf("%d hosts of 5,000 people use a tenth, want ten or more", n)
	}
	for people, want := range map[int]string{0: "5000 people (assumed", 50: "about 3 calls for 50 people;"} {
		if got := rateShare(c, people); !strings.Contains(got, want) ||
			!strings.Contains(got, "20 a second for the whole organization") {
			t.Errorf("for %d people: %s", people, got)
		}
	}
	c.Source.Kind = "s3"
	if got := rateShare(c, 5000); got != "" {
		t.Errorf("a host that reads a snapshot: %q", got)
	}
}
