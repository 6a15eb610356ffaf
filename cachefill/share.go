package main

import (
	"fmt"
	"time"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/internal/schedule"
)

// unknownPeople is how many people are assumed where nobody was read yet.
const unknownPeople = 5000

// A share is what a host takes of the rate that the Identity Store has for the
// whole organization.
type share struct {
	people  int
	assumed bool          // nobody was read yet
	between time.Duration // refreshes, at the least
}

// shareOf is the share of a configuration; ok is false where it reads another directory.
func shareOf(c config.Config, people int) (s share, ok bool) {
	s = share{people, people == 0, schedule.Jittered(c.Source.Refresh, 0.5)}
	if s.assumed {
		s.people = unknownPeople
	}
	return s, c.Source.Kind == config.KindIdentityCenter
}

// hosts is how many hosts like this one use up a part of the rate.
func (s share) hosts(part float64) int { return identitycenter.Hosts(s.people, s.between, part) }

// rateShare says how many hosts like this one the rate of the Identity Store
// bears, or "" where this host asks another directory.
func rateShare(c config.Config, people int) string {
	s, ok := shareOf(c, people)
	if !ok {
		return ""
	}
	assumed := ""
	if s.assumed {
		assumed = " (assumed: nobody was read yet)"
	}
	return fmt.Sprintf("a refresh takes about %.0f calls for %d people%s; the Identity Store allows %g a second for "+
		"the whole organization, "+
		"which %d hosts like this one use up, and %d a tenth of it; for more, let one host publish a snapshot and the "+
		"others read it",
		identitycenter.RefreshCalls(s.people, s.between), s.people, assumed, identitycenter.OrganizationRate,
		s.hosts(1), s.hosts(tenth))
}

// tenth is what hosts that read the Identity Store should take of the rate together.
const tenth = 0.1
