package refresh

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// Admit asks the source whether the person of a login name may come in now,
// whatever opens the door: the groups, and that the name still stands for the
// same person. No keys are listed. A name that may not come in is an answer
// with Login false.
func (l *Logins) Admit(ctx context.Context, name string) (cache.UserKeys, error) {
	a, nobody := l.last(), cache.UserKeys{Name: name, Checked: l.setup.Now()}
	if !a.known {
		return cache.UserKeys{}, errors.New("no directory was read yet")
	}
	had, ok := a.person(name)
	if !ok {
		return nobody, nil
	}
	if l.setup.Users == nil {
		return cache.UserKeys{}, errors.New("the directory cannot be asked about one user")
	}
	p, err := l.users.admit(ctx, a.policy, had)
	if err != nil && l.denials.has(had.ID) {
		return nobody, nil
	}
	if err != nil {
		return cache.UserKeys{}, err
	}
	l.decide(had, lost(had, p), nobody.Checked)
	if !p.Login {
		return nobody, nil
	}
	return cache.UserKeys{Name: name, UID: p.UID, Login: true, Checked: nobody.Checked}, nil
}

// Recent returns what Admit would, from the last good answer and from what was
// learned at logins since, if that answer is no older than age. Nobody is asked.
func (l *Logins) Recent(name string, age time.Duration) (cache.UserKeys, bool) {
	a := l.last()
	u := cache.UserKeys{Name: name, Checked: a.at}
	if old := l.setup.Now().Sub(a.at); !a.known || a.at.IsZero() || old > age || old < 0 {
		return cache.UserKeys{}, false
	}
	if p, ok := a.person(name); ok && p.Login && !l.denials.has(p.ID) {
		u.UID, u.Login = p.UID, true
	}
	return u, true
}

// person returns the person whose keys are in keys.db under a name.
func (a admission) person(name string) (person, bool) {
	i := slices.IndexFunc(a.people, func(p person) bool { return p.Name == name })
	if i < 0 {
		return person{}, false
	}
	return a.people[i], true
}

// admit asks for a person's groups and whether the name is still the person's,
// side by side, and returns the person without what is lost.
func (u *users) admit(ctx context.Context, policy accounts.Policy, had person) (p person, err error) {
	var there error
	var both sync.WaitGroup
	both.Go(func() {
		there = u.setup.Users.Exists(ctx, directory.User{ID: had.ID, Name: had.DirectoryName}, policy.AllUsers)
	})
	p, err = u.membership(ctx, policy, had)
	both.Wait()
	if errors.Is(there, directory.ErrNoSuchUser) {
		return person{}, nil
	}
	return p, errors.Join(err, there)
}
