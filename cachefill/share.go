package main

import (
	"fmt"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
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
	members []int         // of each group that is read
	assumed bool          // nobody was read yet
	between time.Duration // refreshes, at the least
}

// shareOf is the share of a host whose nss.db has these tables. They have no ids.
func shareOf(c config.Config, served accounts.Tables) share {
	s := share{people: len(served.Users), between: schedule.Jittered(c.Source.Refresh, 0.5)}
	private := map[uint32]bool{}
	for _, u := range served.Users {
		private[u.UID] = true
	}
	for _, g := range served.Groups {
		if !private[g.GID] && g.Name != accounts.UsersGroup && g.Name != accounts.SudoGroup {
			s.members = append(s.members, len(g.Members))
		}
	}
	if s.assumed = s.people == 0 || s.members == nil; s.assumed {
		s.people, s.members = unknownPeople, []int{unknownPeople}
	}
	return s
}

// calls is what a refresh takes.
func (s share) calls() float64 { return identitycenter.RefreshCalls(s.people, s.members, s.between) }

// hosts is how many hosts like this one use up a part of the rate.
func (s share) hosts(part float64) int { return identitycenter.Hosts(s.calls(), s.between, part) }

// rateShare says how many hosts like this one the rate of the Identity Store
// bears, or "" where this host reads another directory, or reads it for others.
func rateShare(c config.Config) string {
	if c.Source.Kind != config.KindIdentityCenter || c.Publish.URL != "" {
		return ""
	}
	served, _, _ := cache.ReadNSS(c.Cache.Dir) // none yet, or what is wrong with it is told elsewhere
	return shareOf(c, served).String()
}

func (s share) String() string {
	assumed, groups := "", "1 group"
	if len(s.members) > 1 {
		groups = fmt.Sprintf("%d groups", len(s.members))
	}
	if s.assumed {
		assumed = " (assumed: nobody was read yet)"
	}
	return fmt.Sprintf("a refresh takes about %.0f calls for %d people in %s%s; the Identity Store "+
		"allows %g a second for the whole organization, which %d hosts like this one use up, and %d a tenth of it; for "+
		"more, let one host publish a snapshot and the others read it",
		s.calls(), s.people, groups, assumed, identitycenter.OrganizationRate, s.hosts(1), s.hosts(tenth))
}

// tenth is what hosts that read the Identity Store should take of the rate together.
const tenth = 0.1
