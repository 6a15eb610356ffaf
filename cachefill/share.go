package main

import (
	"fmt"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/internal/schedule"
)

// unknownPeople is how many people are assumed where nobody was read yet.
const unknownPeople = 5000

// rateShare says how many hosts like this one the rate of the Identity Store
// bears, or "" where this host asks another directory.
func rateShare(c config.Config, people int) string {
	if c.Source.Kind != "identity-center" {
		return ""
	}
	assumed := ""
	if people == 0 {
		people, assumed = unknownPeople, " (assumed: nobody was read yet)"
	}
	between := schedule.Jittered(c.Source.Refresh, 0.5)
	return fmt.Sprintf("a refresh takes about %.0f calls for %d people%s; the Identity Store allows %g a second for "+
		"the whole organization, "+
		"which %d hosts like this one use up, and %d a tenth of it; for more, let one host publish a snapshot and the "+
		"others read it",
		identitycenter.RefreshCalls(people, between), people, assumed, identitycenter.OrganizationRate,
		identitycenter.Hosts(people, between, 1), identitycenter.Hosts(people, between, 0.1))
}
