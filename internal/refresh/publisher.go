package refresh

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// leavers is what a publisher remembers of the account as a whole, whoever may
// log in on its own host.
type leavers struct {
	Former []directory.Former // ascending by ID
	Since  int                // answers since one that lacked somebody, or a membership
}

// manyAnswers is more than removal.confirm can be.
const manyAnswers = 1000

// leave compares two answers. Hosts guard the identity of those who are
// missing; what is published is what the directory says.
func (l leavers) leave(before, now directory.Directory, policy accounts.Policy, at time.Time) leavers {
	d := directory.Compare(before, now)
	lost := len(d.RemovedUsers)
	next := leavers{Since: min(l.Since+1, manyAnswers)}
	switch {
	case len(before.Users) == 0: // the first answer of all
		next.Since = manyAnswers
	case lost+len(d.Left) > 0:
		next.Since = 0
	}
	here := make(map[string]bool, len(now.Users))
	for _, u := range now.Users {
		here[u.ID] = true
	}
	for _, f := range l.Former {
		if !here[f.ID] && at.Before(f.Left.Add(policy.KeepNames)) {
			next.Former = append(next.Former, f)
		}
	}
	for _, u := range d.RemovedUsers {
		next.Former = append(next.Former, directory.Former{ID: u.ID, Name: u.Name, Left: at.UTC().Truncate(time.Second)})
	}
	slices.SortFunc(next.Former, func(a, b directory.Former) int { return cmp.Compare(a.ID, b.ID) })
	return next
}

// before is the last answer, from memory or from the state.
func (r *Refresher) before() (directory.Directory, error) {
	if a := r.last(); a.known {
		return a.directory, nil
	}
	var d directory.Directory
	return d, r.State.Load(savedDirectory, &d)
}

// All returns what a snapshot of the last answer holds, of a Refresher with
// Everybody. repeat says that the answer confirms an earlier one in which
// somebody was missing, so that it is worth publishing although nothing
// changed: hosts count confirmations by generations.
func (r *Refresher) All() (all directory.Answer, repeat bool, err error) {
	r.State.Publish.Lock()
	defer r.State.Publish.Unlock()
	a := r.last()
	if !a.known {
		return directory.Answer{}, false, errors.New("nothing was read from IAM yet")
	}
	var l leavers
	listings, err := r.State.Listings()
	if err := errors.Join(err, r.State.Load(savedLeavers, &l)); err != nil {
		return directory.Answer{}, false, err
	}
	all = directory.Answer{Directory: a.directory, AsOf: a.at, Pins: r.Policy.Pins, Former: l.Former, Listings: map[string]directory.KeyListing{}}
	all.Directory.Users = slices.Clone(a.directory.Users)
	for i := range all.Directory.Users {
		u := &all.Directory.Users[i]
		l := listings[u.ID]
		if u.Tags == nil {
			u.Tags = l.Tags
		}
		if !l.Checked.IsZero() {
			all.Listings[u.ID] = l
		}
	}
	return all, l.Since > 0 && l.Since < r.Policy.Confirm, nil
}

// everybody adds to the people of a host all others of the directory.
func (a answer) everybody() []person {
	people := slices.Clone(a.allowed)
	here := make(map[string]bool, len(people))
	for _, p := range people {
		here[p.ID] = true
	}
	for _, u := range a.directory.Users {
		if !here[u.ID] {
			people = append(people, person{ID: u.ID, IAMName: u.Name, Name: u.Name, tags: u.Tags})
		}
	}
	return people
}

// takeListings remembers the listings of those served that are newer than
// what is known of them.
func (r *Refresher) takeListings(a answer, said map[string]directory.KeyListing) error {
	if len(said) == 0 {
		return nil
	}
	checked, err := r.lastChecked()
	if err != nil {
		return err
	}
	newer := map[string]directory.KeyListing{}
	for _, p := range a.allowed {
		if l, ok := said[p.ID]; ok && l.Checked.After(checked[p.ID]) {
			newer[p.ID] = l
		}
	}
	return r.learn(newer)
}
