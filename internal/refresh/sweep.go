package refresh

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// How many users are asked about at a time, and how much of a sweep a crash
// may lose or a publication wait for.
const (
	sweepWorkers = 4
	sweepBatch   = 100
	sweepPublish = 10 * time.Second
)

// sweepCalls is how many users an hour a host asks about even if their listings are
// not old yet: so few calls are no burden, even from a hundred hosts.
const sweepCalls = 400

// A user about which the directory refuses to answer is asked about again after
// refusedAgain. If a sweep gets refusedAtOnce refusals and no answer, the cause is
// not these users: the permission is missing.
const (
	refusedAgain  = 10 * time.Minute
	refusedAtOnce = 10
)

// Swept tells what a sweep did.
type Swept struct {
	Users     int // whose keys were listed
	Keys      int // that were found
	Refused   int // users about which the directory does not answer
	Remaining int // users that are due and were not asked about
}

// Sweep lists the keys of those who were never listed, and of those whose last
// listing is old, the oldest first and at most most users (0: all). What it
// learns is kept and published as it goes. It ends at the first error that is
// not about one user alone. Users about which the directory refuses to answer
// are in the findings of the next refresh.
func (l *Logins) Sweep(ctx context.Context, most int) (Swept, error) {
	checked, err := l.listings.lastChecked()
	if err != nil || l.setup.Users == nil {
		return Swept{}, err
	}
	now, a := l.setup.Now(), l.last()
	due := a.due(checked, append(l.denials.all(), l.listings.refusedSince(now.Add(-refusedAgain))...), now,
		l.setup.SweepAge)
	if len(due) == 0 {
		return Swept{}, nil
	}
	swept := Swept{Remaining: len(due)}
	if most > 0 && len(due) > most {
		due = due[:most]
	}
	var refusal error
	batch, published := map[string]directory.KeyListing{}, l.setup.Now()
	err = l.users.listAll(ctx, due, func(p person, listing directory.KeyListing, err error) error {
		switch {
		case errors.Is(err, directory.ErrNoSuchUser):
			swept.Remaining--
			l.decide(p, true, l.setup.Now()) // the next refresh knows the name
			return nil
		case errors.Is(err, directory.ErrUserRefused):
			swept.Remaining--
			swept.Refused++
			refusal = err
			l.listings.refuse(p, err, l.setup.Now())
			if swept.Users == 0 && swept.Refused >= refusedAtOnce {
				return err
			}
			return nil
		case err != nil:
			return err
		}
		swept.Remaining--
		batch[p.ID] = listing
		swept.Users++
		swept.Keys += len(listing.Keys)
		if len(batch) < sweepBatch {
			return nil
		}
		err = l.learn(batch)
		clear(batch)
		if err == nil && l.setup.Now().Sub(published) > sweepPublish {
			err = l.PublishKeys()
			published = l.setup.Now()
		}
		return err
	})
	if len(batch) > 0 {
		err = errors.Join(err, l.learn(batch))
	}
	if err == nil && swept.Users == 0 && swept.Refused > 0 && !l.users.answersAbout(ctx,
		slices.Concat(a.people, a.others), l.listings.refusedSince(time.Time{})) {
		err = refusal // the permission is missing for everybody
	}
	if errors.Is(err, directory.ErrUserRefused) {
		l.listings.forgive()
	}
	if swept.Remaining == 0 {
		l.keysDB.checkedAll()
	}
	return swept, errors.Join(err, l.PublishKeys())
}

// due returns the people who are due, except those named; those who wait longest
// come first. A listing is repeated once it has the age given, and earlier as long
// as that costs no more than sweepCalls an hour.
func (a admission) due(checked map[string]time.Time, except []string, now time.Time, age time.Duration) []person {
	if a.keysCome {
		return nil
	}
	people := slices.Concat(a.people, a.others)
	age = min(age, max(time.Hour, time.Duration(len(people))*time.Hour/sweepCalls))
	skip := make(map[string]bool, len(except))
	for _, id := range except {
		skip[id] = true
	}
	var due []person
	for _, p := range people {
		at, ok := checked[p.ID]
		if !skip[p.ID] && (!ok || at.After(now) || now.Sub(at) >= age) {
			due = append(due, p)
		}
	}
	slices.SortStableFunc(due, func(a, b person) int { return checked[a.ID].Compare(checked[b.ID]) })
	return due
}
