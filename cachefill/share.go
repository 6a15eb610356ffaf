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

const (
	// unknownPeople is how many people are assumed where nobody was read yet.
	unknownPeople = 5000

	// What hosts that read the Identity Store should take of its rate: ten of them
	// together, and one.
	tenth     = 0.1
	hundredth = tenth / 10

	// longestInterval is how far source.refresh is stretched at most.
	longestInterval = 12 * time.Hour
)

// asksStore reports whether a host reads the Identity Store for itself, and not
// for others.
func asksStore(c config.Config) bool {
	return c.Source.Kind == config.KindIdentityCenter && c.Publish.URL == ""
}

// intervalFor is the time between refreshes, before jitter. A host that reads the
// Identity Store itself, and whose file has no source.refresh, stretches it until
// its own refreshes take a hundredth of the organization's rate. What it then
// serves stays younger than half of keys.max_stale.
func intervalFor(c config.Config, cost identitycenter.Cost) time.Duration {
	longest := longestInterval
	if stale := c.Keys.MaxStale; stale > 0 {
		longest = min(longest, stale/2-cache.CheckedLag(stale))
	}
	wanted := (schedule.Averaging(paid(c, cost)) + time.Minute - 1).Truncate(time.Minute) // as people read it
	return max(c.Source.Refresh, min(wanted, longest))
}

// paid is the average wait that keeps refreshes of this cost within the host's part of
// the rate. It is 0 for a host that does not stretch source.refresh.
func paid(c config.Config, cost identitycenter.Cost) time.Duration {
	if !asksStore(c) || c.Source.RefreshSet {
		return 0
	}
	return cost.Between(hundredth * identitycenter.OrganizationRate)
}

// pauseAfter is the wait for the next refresh. After a good one it follows the
// interval. After failures in a row, one that failed early is tried again soon, and
// one that failed late waits until the calls that it took are paid for, unless nobody
// is served yet.
func pauseAfter(c config.Config, interval time.Duration, failures, calls int, servesNobody bool,
	u float64) time.Duration {
	if failures == 0 {
		return schedule.Next(interval, 0, u)
	}
	wait := schedule.Next(c.Source.Refresh, failures, u)
	if servesNobody {
		return wait
	}
	return max(wait, min(paid(c, identitycenter.Cost{Each: calls}), interval))
}

// interval is intervalFor, by what is known of a cache folder: the report on its
// last refresh, or what is served.
func interval(c config.Config, r *report) time.Duration {
	if !asksStore(c) || c.Source.RefreshSet {
		return c.Source.Refresh // without a look at nss.db
	}
	if r != nil && r.Cost != nil {
		return intervalFor(c, *r.Cost)
	}
	served, _, _ := cache.ReadNSS(c.Cache.Dir) // none yet, or what is wrong with it is told elsewhere
	return shareOf(c, served, nil).interval
}

// A share is what a host takes of the rate that the Identity Store has for the
// whole organization.
type share struct {
	cost           identitycenter.Cost
	people, groups int
	assumed        bool          // nobody was read yet
	interval       time.Duration // between refreshes, before jitter
	stretched      bool          // it is longer than source.refresh
}

// shareOf is the share of a host whose nss.db has these tables, and whose
// refreshes cost this much; nil where that is not known. They have no ids.
func shareOf(c config.Config, served accounts.Tables, cost *identitycenter.Cost) share {
	s := share{people: len(served.Users)}
	private := map[uint32]bool{}
	for _, u := range served.Users {
		private[u.UID] = true
	}
	var members []int
	for _, g := range served.Groups {
		if !private[g.GID] && g.Name != accounts.UsersGroup && g.Name != accounts.SudoGroup {
			members = append(members, len(g.Members))
		}
	}
	if s.assumed = cost == nil && (s.people == 0 || members == nil); s.assumed {
		s.people, members = unknownPeople, []int{unknownPeople}
	}
	s.groups = len(members)
	if cost != nil {
		s.cost = *cost
	} else {
		s.cost = identitycenter.Estimate(s.people, members)
	}
	s.interval = intervalFor(c, s.cost)
	s.stretched = s.interval > c.Source.Refresh
	return s
}

// between is the time between refreshes on average.
func (s share) between() time.Duration { return schedule.Jittered(s.interval, 0.5) }

// calls is what a refresh takes.
func (s share) calls() float64 { return s.cost.Calls(s.between()) }

// hosts is how many hosts like this one use up a part of the rate.
func (s share) hosts(part float64) int { return s.cost.Hosts(s.between(), part) }

// rateShare says how many hosts like this one the rate of the Identity Store
// bears, or "" where this host reads another directory, or reads it for others.
// The report is that of the last refresh; nil if there was none.
func rateShare(c config.Config, r *report) string {
	if !asksStore(c) {
		return ""
	}
	served, _, _ := cache.ReadNSS(c.Cache.Dir) // none yet, or what is wrong with it is told elsewhere
	var cost *identitycenter.Cost
	if r != nil {
		cost = r.Cost
	}
	return shareOf(c, served, cost).String()
}

// pace says how often such a host asks, and how much.
func (s share) pace() string {
	stretched := ""
	if s.stretched {
		stretched = ", for the rate's sake"
	}
	return fmt.Sprintf("refreshes every %s%s: about %.0f calls each", short(s.interval), stretched, s.calls())
}

func (s share) String() string {
	people := fmt.Sprintf(" for %d people in %s", s.people, many(s.groups, "group"))
	switch {
	case s.assumed:
		people += " (assumed: nobody was read yet)"
	case s.people == 0:
		people = " (nobody is served now)"
	}
	return fmt.Sprintf("%s%s; the Identity Store "+
		"allows %g a second for the whole organization, which %d hosts like this one use up, and %d a tenth of it; for "+
		"more, let one host publish a snapshot and the others read it",
		s.pace(), people, identitycenter.OrganizationRate, s.hosts(1), s.hosts(tenth))
}
