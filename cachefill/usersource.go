package main

import (
	"context"
	"maps"
	"sync"

	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/snapshot"
)

// usersBySnapshot asks about one user where the snapshot in use came from: IAM,
// or the Identity Store that its manifest names. A host that reads a snapshot
// need not know which.
type usersBySnapshot struct {
	iam   directory.UserSource
	read  *snapshot.Source
	open  func(directory.Store) (sources, error)
	stats func() directory.Stats // of IAM

	mu    sync.Mutex // guards:
	store directory.Store
	of    sources // of store
}

// now is the source that is asked about one user.
func (u *usersBySnapshot) now() (directory.UserSource, error) {
	store := u.read.Store()
	if store == (directory.Store{}) {
		return u.iam, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.store != store {
		s, err := u.open(store)
		if err != nil {
			return nil, err
		}
		u.store, u.of = store, s
	}
	return u.of.users, nil
}

// Keys implements directory.UserSource.
func (u *usersBySnapshot) Keys(ctx context.Context, user directory.User, q directory.KeyQuery) (directory.KeyListing,
	error) {
	s, err := u.now()
	if err != nil {
		return directory.KeyListing{}, err
	}
	return s.Keys(ctx, user, q)
}

// Exists implements directory.UserSource.
func (u *usersBySnapshot) Exists(ctx context.Context, user directory.User, allUsers bool) error {
	s, err := u.now()
	if err != nil {
		return err
	}
	return s.Exists(ctx, user, allUsers)
}

// Groups implements directory.UserSource.
func (u *usersBySnapshot) Groups(ctx context.Context, user directory.User, among []string) ([]string, error) {
	s, err := u.now()
	if err != nil {
		return nil, err
	}
	return s.Groups(ctx, user, among)
}

// Stats are the calls to both.
func (u *usersBySnapshot) Stats() directory.Stats {
	all := u.stats()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.store == (directory.Store{}) {
		return all
	}
	of := u.of.stats()
	of.Calls, of.Throttles = sumCalls(all.Calls, of.Calls), sumCalls(all.Throttles, of.Throttles)
	return of
}

func sumCalls(a, b map[string]int64) map[string]int64 {
	total := maps.Clone(a)
	if total == nil {
		total = map[string]int64{}
	}
	for name, n := range b {
		total[name] += n
	}
	return total
}
