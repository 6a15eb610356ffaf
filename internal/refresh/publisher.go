package refresh

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// formerUsers is what a publisher keeps of the account as a whole, whether or
// not the users may log in on its own host.
type formerUsers struct {
	Former []directory.Former // ascending by ID
	Since  int                // answers since the last one in which a user or membership was missing
}

// manyAnswers is more than removal.confirm can be.
const manyAnswers = 1000

// after compares two answers. A publisher publishes what the directory says; hosts
// guard the identity of users who are missing.
func (l formerUsers) after(before, now directory.Directory, policy accounts.Policy, at time.Time) formerUsers {
	d := directory.Compare(before, now)
	missing := len(d.RemovedUsers)
	next := formerUsers{Since: min(l.Since+1, manyAnswers)}
	switch {
	case len(before.Users) == 0: // the very first answer
		next.Since = manyAnswers
	case missing+len(d.Ended) > 0:
		next.Since = 0
	}
	here := make(map[string]bool, len(now.Users))
	for _, u := range now.Users {
		here[u.ID] = true
	}
	for _, f := range l.Former {
		if !here[f.ID] && at.Before(f.Since.Add(policy.KeepNames)) {
			next.Former = append(next.Former, f)
		}
	}
	for _, u := range d.RemovedUsers {
		next.Former = append(next.Former, directory.Former{ID: u.ID, Name: u.Name, Since: at.UTC().Truncate(time.Second)})
	}
	slices.SortFunc(next.Former, func(a, b directory.Former) int { return cmp.Compare(a.ID, b.ID) })
	return next
}

// All returns the content of a snapshot of the last answer, for a Refresher with
// WholeAccount. repeat says that the answer confirms an earlier one in which
// somebody was missing. Then it is published although nothing changed, because
// hosts count confirmations by generations.
func (r *Refresher) All() (all directory.Answer, repeat bool, err error) {
	r.publishing.Lock()
	defer r.publishing.Unlock()
	a := r.last()
	if !a.known {
		return directory.Answer{}, false, errors.New("nothing was read from the directory yet")
	}
	var former formerUsers
	listings, err := r.State.Listings()
	if err := errors.Join(err, r.State.Load(savedFormer, &former)); err != nil {
		return directory.Answer{}, false, err
	}
	all = directory.Answer{Directory: a.directory, AsOf: a.at, Pins: r.Policy.Pins, Former: former.Former,
		Listings: map[string]directory.KeyListing{}}
	all.Directory.Users = slices.Clone(a.directory.Users)
	for i := range all.Directory.Users {
		u := &all.Directory.Users[i]
		l := listings[u.ID]
		if a.directory.Keyless() {
			l = directory.KeyListing{Checked: a.at} // nobody has keys there
		}
		if u.Tags == nil {
			u.Tags = l.Tags
		}
		if !l.Checked.IsZero() {
			all.Listings[u.ID] = l
		}
	}
	return all, former.Since > 0 && former.Since < r.Policy.Confirm, nil
}
