package refresh

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
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
func (r *Refresher) Sweep(ctx context.Context, most int) (Swept, error) {
	due, err := r.due()
	if err != nil || len(due) == 0 {
		return Swept{}, err
	}
	swept := Swept{Left: len(due)}
	if most > 0 && len(due) > most {
		due = due[:most]
	}
	batch, published := map[string]directory.KeyListing{}, r.Now()
	err = r.listAll(ctx, due, func(p person, l directory.KeyListing, err error) error {
		if err != nil && !errors.Is(err, directory.ErrNoSuchUser) {
			return err
		}
		swept.Left--
		if err != nil {
			return r.deny(p) // the next refresh knows the name
		}
		batch[p.ID] = l
		swept.Users++
		swept.Keys += len(l.Keys)
		if len(batch) < sweepBatch {
			return nil
		}
		err = r.learn(batch)
		clear(batch)
		if err == nil && r.Now().Sub(published) > sweepPublish {
			err = r.PublishKeys()
			published = r.Now()
		}
		return err
	})
	if len(batch) > 0 {
		err = errors.Join(err, r.learn(batch))
	}
	return swept, errors.Join(err, r.PublishKeys())
}

// due returns the people whose turn it is, the longest waiting first.
func (r *Refresher) due() ([]person, error) {
	checked, err := r.lastChecked()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	a, denied := r.answer, maps.Clone(r.denied)
	r.mu.Unlock()
	if a.keysCome || r.Users == nil {
		return nil, nil
	}
	people := a.allowed
	if r.Everybody {
		people = a.everybody()
	}
	now := r.Now()
	var due []person
	for _, p := range people {
		at, ok := checked[p.ID]
		if _, out := denied[p.ID]; !out && (!ok || at.After(now) || now.Sub(at) >= r.SweepAge) {
			due = append(due, p)
		}
	}
	slices.SortStableFunc(due, func(a, b person) int { return checked[a.ID].Compare(checked[b.ID]) })
	return due, nil
}

// listAll lists the people's keys, some at a time, and hands each answer or
// error to keep, one at a time. The first error that keep returns ends it.
func (r *Refresher) listAll(ctx context.Context, people []person, keep func(person, directory.KeyListing, error) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan person)
	go func() {
		defer close(next)
		for _, p := range people {
			select {
			case next <- p:
			case <-ctx.Done():
				return
			}
		}
	}()
	var workers sync.WaitGroup
	var keeping sync.Mutex
	for range sweepWorkers {
		workers.Go(func() {
			for p := range next {
				l, err := r.list(ctx, p, false, false)
				keeping.Lock()
				err = keep(p, l, err)
				keeping.Unlock()
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}
