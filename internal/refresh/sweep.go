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

// Swept tells what a sweep did.
type Swept struct {
	Users int // whose keys were listed
	Keys  int // that were found
	Left  int // users whose turn it still is
}

// Sweep lists the keys of those who were never listed, and of those whose last
// listing is older than SweepAge, the oldest first and at most most users (0:
// all). What it learns is remembered and published as it goes. It ends at the
// first error that is not about one user alone.
func (l *Logins) Sweep(ctx context.Context, most int) (Swept, error) {
	checked, err := l.listings.lastChecked()
	if err != nil || l.setup.Users == nil {
		return Swept{}, err
	}
	due := l.last().due(checked, l.denials.all(), l.setup.Now(), l.setup.SweepAge)
	if len(due) == 0 {
		return Swept{}, nil
	}
	swept := Swept{Left: len(due)}
	if most > 0 && len(due) > most {
		due = due[:most]
	}
	batch, published := map[string]directory.KeyListing{}, l.setup.Now()
	err = l.users.listAll(ctx, due, func(p person, listing directory.KeyListing, err error) error {
		if err != nil && !errors.Is(err, directory.ErrNoSuchUser) {
			return err
		}
		swept.Left--
		if err != nil {
			l.decide(p, true, l.setup.Now()) // the next refresh knows the name
			return nil
		}
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
	return swept, errors.Join(err, l.PublishKeys())
}

// due returns the people whose turn it is, the longest waiting first.
func (a admission) due(checked map[string]time.Time, denied []string, now time.Time, age time.Duration) []person {
	if a.keysCome {
		return nil
	}
	var due []person
	for _, p := range slices.Concat(a.people, a.others) {
		at, ok := checked[p.ID]
		if _, out := slices.BinarySearch(denied, p.ID); !out && (!ok || at.After(now) || now.Sub(at) >= age) {
			due = append(due, p)
		}
	}
	slices.SortStableFunc(due, func(a, b person) int { return checked[a.ID].Compare(checked[b.ID]) })
	return due
}
