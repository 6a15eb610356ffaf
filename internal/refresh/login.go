package refresh

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// Ask asks the source about one login name while somebody waits at the door:
// the keys, and whether the groups still let the person in. The answer is
// authoritative, is remembered, and reaches keys.db with its next publication.
// A name that nobody has is an answer without keys.
func (r *Refresher) Ask(ctx context.Context, name string) (cache.UserKeys, []string, error) {
	a := r.last()
	if !a.known {
		return cache.UserKeys{}, nil, errors.New("no directory was read yet")
	}
	if r.Users == nil {
		return cache.UserKeys{}, nil, errors.New("the directory cannot be asked about one user")
	}
	started := r.Now()
	nobody := cache.UserKeys{Name: name, Checked: started}
	i := slices.IndexFunc(a.allowed, func(p person) bool { return p.Name == name })
	if i < 0 {
		return nobody, nil, nil
	}
	p := a.allowed[i]
	had := p
	// Side by side: somebody waits, nearly everybody is a member still, and where
	// the rate is short questions are answered one after the other, not all half.
	var l directory.KeyListing
	var listing error
	var both sync.WaitGroup
	both.Go(func() { l, listing = r.list(ctx, had, a.policy.AllUsers, true) })
	err := r.membership(ctx, a.policy, &p)
	both.Wait()
	if err != nil {
		return cache.UserKeys{}, nil, err
	}
	lost := had.Login != p.Login || len(had.Shared) != len(p.Shared)
	if p.Login || len(p.Shared) > 0 {
		err = listing
	}
	switch {
	case errors.Is(err, directory.ErrNoSuchUser):
		return nobody, nil, r.deny(had)
	case err != nil:
		return cache.UserKeys{}, nil, err
	case lost:
		err = r.deny(had)
	default:
		err = r.allow(had, started)
	}
	if err != nil {
		return cache.UserKeys{}, nil, err
	}
	if !p.Login && len(p.Shared) == 0 {
		return nobody, nil, nil
	}
	if err := r.learn(map[string]directory.KeyListing{p.ID: l}); err != nil {
		return cache.UserKeys{}, nil, err
	}
	u, _ := r.userKeys(p, l, a.at)
	return u, p.Shared, nil
}

// membership asks for a person's groups, and takes from p what they no longer
// give: the own login, shared accounts.
func (r *Refresher) membership(ctx context.Context, policy accounts.Policy, p *person) error {
	if policy.AllUsers && p.Login && len(p.Shared) == 0 {
		return nil // whatever the groups are; the listing tells whether the user is there
	}
	names, err := r.Users.Groups(ctx, directory.User{ID: p.ID, Name: p.IAMName})
	if errors.Is(err, directory.ErrNoSuchUser) {
		p.Login, p.UID, p.Shared = false, 0, nil
		return nil
	}
	if err != nil {
		return err
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
	return nil
}

// list asks for one person's keys. Somebody else may have the person's name by
// now: that is directory.ErrNoSuchUser.
func (r *Refresher) list(ctx context.Context, p person, allUsers, login bool) (directory.KeyListing, error) {
	before, _, err := r.State.Listing(p.ID)
	if err != nil {
		return directory.KeyListing{}, err
	}
	q := directory.KeyQuery{Body: r.State.Body, Own: map[string]bool{}, AllUsers: allUsers}
	for _, k := range before.Keys {
		q.Own[k.ID] = true
	}
	// Tags that came with the directory are young enough for everybody but
	// somebody who waits at a login.
	if login || p.tags == nil {
		q.TagPrefix = r.Keys.TagPrefix
	}
	started := r.Now()
	l, err := r.Users.Keys(ctx, directory.User{ID: p.ID, Name: p.IAMName}, q)
	if err != nil {
		return l, err
	}
	if l.Checked.IsZero() {
		l.Checked = started
	}
	slices.SortFunc(l.Keys, func(a, b directory.Key) int { return cmp.Compare(a.ID, b.ID) })
	return l, nil
}

// learn remembers listings, and that keys.db is behind if they say anything new.
func (r *Refresher) learn(listings map[string]directory.KeyListing) error {
	news := false
	for id, l := range listings {
		before, ok, err := r.State.Listing(id)
		if err != nil {
			return err
		}
		// Times that were ahead of a clock that was set back must not stay.
		news = news || !ok || !slices.Equal(before.Keys, l.Keys) || !maps.Equal(before.Tags, l.Tags) || before.Checked.After(l.Checked)
	}
	if err := r.State.SaveListings(listings); err != nil {
		return err
	}
	if _, err := r.lastChecked(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, l := range listings {
		r.checked[id] = l.Checked
	}
	r.stale = r.stale || news
	if news {
		r.news++
	}
	if r.aged.IsZero() {
		r.aged = r.Now()
	}
	return nil
}

// News grows with whatever is learnt of anybody's keys but that they were
// looked at.
func (r *Refresher) News() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.news
}

// deny has a person's keys open nothing from the cache until a refresh that
// began later says otherwise: the source said that the person lost a right.
func (r *Refresher) deny(p person) error {
	r.mu.Lock()
	if r.denied == nil {
		r.denied = map[string]time.Time{}
	}
	_, known := r.denied[p.ID]
	r.denied[p.ID] = r.Now()
	r.stale, r.rights = true, r.rights || !known
	r.mu.Unlock()
	if known {
		return nil
	}
	r.Log.Info("a user lost the right to log in since the last refresh", "user", p.Name, "iam_user", p.IAMName)
	return r.saveDenied()
}

// allow takes back what deny did before started.
func (r *Refresher) allow(p person, started time.Time) error {
	r.mu.Lock()
	when, known := r.denied[p.ID]
	if known = known && started.After(when); known {
		delete(r.denied, p.ID)
		r.stale, r.rights = true, true
	}
	r.mu.Unlock()
	if !known {
		return nil
	}
	return r.saveDenied()
}

// deniedSince returns the UserIds of those whom the source denied at or after
// the time of an answer, ascending.
func (r *Refresher) deniedSince(at time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for id, when := range r.denied {
		if !at.After(when) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// saveDenied remembers who is denied, so that a restart lets nobody in.
func (r *Refresher) saveDenied() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.State.Save(map[string]any{savedDenied: append([]string{}, slices.Sorted(maps.Keys(r.denied))...)})
}
