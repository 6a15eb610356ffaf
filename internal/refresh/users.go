package refresh

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// users asks the directory about one user: at a login, where somebody waits, and
// in the sweep.
type users struct{ setup *Setup }

// ask asks for a person's groups and keys at the same time: somebody waits, and nearly
// everybody is still a member. If calls are scarce, one person's questions are
// answered before the next person's begin. An error about the keys is ignored if the
// person may no longer enter anything.
func (u *users) ask(ctx context.Context, policy accounts.Policy, had person) (p person, listing directory.KeyListing,
	err error) {
	var listingErr error
	var both sync.WaitGroup
	both.Go(func() { listing, listingErr = u.list(ctx, had, policy.AllUsers, true) })
	p, err = u.membership(ctx, policy, had)
	both.Wait()
	if err == nil && p.opens() {
		err = listingErr
	}
	return p, listing, err
}

// membership asks for a person's groups, and returns the person without the login
// and the shared accounts that these groups no longer give.
func (u *users) membership(ctx context.Context, policy accounts.Policy, p person) (person, error) {
	if policy.AllUsers && p.Login && len(p.Shared) == 0 {
		return p, nil // whatever the groups are; the listing tells whether the user is there
	}
	among := slices.Clone(policy.Login)
	for _, account := range p.Shared {
		among = append(among, policy.Shared[account]...)
	}
	names, err := u.setup.Users.Groups(ctx, directory.User{ID: p.ID, Name: p.DirectoryName}, among)
	if errors.Is(err, directory.ErrNoSuchUser) {
		p.Login, p.UID, p.Shared = false, 0, nil
		return p, nil
	}
	if err != nil {
		return p, err
	}
	in := func(groups []string) bool {
		return slices.ContainsFunc(groups, func(g string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return directory.SameName(n, g) })
		})
	}
	if p.Login && !policy.AllUsers && !in(policy.Login) {
		p.Login, p.UID = false, 0
	}
	p.Shared = slices.DeleteFunc(slices.Clone(p.Shared), func(account string) bool { return !in(policy.Shared[account]) })
	return p, nil
}

// list asks for one person's keys. If somebody else has the person's name now, the
// error is directory.ErrNoSuchUser.
func (u *users) list(ctx context.Context, p person, allUsers, login bool) (directory.KeyListing, error) {
	before, _, err := u.setup.State.Listing(p.ID)
	if err != nil {
		return directory.KeyListing{}, err
	}
	q := directory.KeyQuery{Body: u.setup.State.Body, Own: map[string]bool{}, AllUsers: allUsers}
	for _, k := range before.Keys {
		q.Own[k.ID] = true
	}
	// Tags that came with the directory's answer are young enough, except at a login.
	if login || p.tags == nil {
		q.TagPrefix = u.setup.Keys.TagPrefix
	}
	started := u.setup.Now()
	listing, err := u.setup.Users.Keys(ctx, directory.User{ID: p.ID, Name: p.DirectoryName}, q)
	if err != nil {
		return listing, err
	}
	if listing.Checked.IsZero() {
		listing.Checked = started
	}
	slices.SortFunc(listing.Keys, func(a, b directory.Key) int { return cmp.Compare(a.ID, b.ID) })
	return listing, nil
}

// answersAbout reports whether the directory answers about the first of the
// people who is not among those refused.
func (u *users) answersAbout(ctx context.Context, people []person, refused []string) bool {
	for _, p := range people {
		if !slices.Contains(refused, p.ID) {
			_, err := u.list(ctx, p, false, false)
			return !errors.Is(err, directory.ErrUserRefused)
		}
	}
	return false
}

// listAll lists the people's keys, some at a time, and hands each answer or
// error to keep, one at a time. The first error that keep returns ends it.
func (u *users) listAll(ctx context.Context, people []person, keep func(person, directory.KeyListing,
	error) error) error {
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
				listing, err := u.list(ctx, p, false, false)
				keeping.Lock()
				err = keep(p, listing, err)
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
