package refresh

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// Admit asks the source whether the person of a login name may come in now,
// whatever opens the door: the groups, and that the name still stands for the
// same person. No keys are listed. A name that may not come in is an answer
// with Login false.
func (r *Refresher) Admit(ctx context.Context, name string) (cache.UserKeys, error) {
	a, nobody := r.last(), cache.UserKeys{Name: name, Checked: r.Now()}
	if !a.known {
		return cache.UserKeys{}, errors.New("no directory was read yet")
	}
	p, ok := a.person(name)
	if !ok {
		return nobody, nil
	}
	if r.Users == nil {
		return cache.UserKeys{}, errors.New("the directory cannot be asked about one user")
	}
	had := p
	var unknown error
	var both sync.WaitGroup
	both.Go(func() {
		unknown = r.Users.Exists(ctx, directory.User{ID: had.ID, Name: had.IAMName}, a.policy.AllUsers)
	})
	err := r.membership(ctx, a.policy, &p)
	both.Wait()
	if errors.Is(unknown, directory.ErrNoSuchUser) {
		p.Login, p.Shared = false, nil
		err, unknown = nil, nil
	}
	if err = errors.Join(err, unknown); err != nil {
		return cache.UserKeys{}, err
	}
	if p.Login == had.Login && len(p.Shared) == len(had.Shared) {
		err = r.allow(had, nobody.Checked)
	} else {
		err = r.deny(had)
	}
	if err != nil { // the answer is known all the same
		r.Log.Error("who may log in cannot be remembered", "user", name, "error", err)
	}
	if !p.Login {
		return nobody, nil
	}
	return cache.UserKeys{Name: name, UID: p.UID, Login: true, Checked: nobody.Checked}, nil
}

// Recent returns what Admit would, from the last good answer and from what was
// learned at logins since, if that answer is no older than age. Nobody is asked.
func (r *Refresher) Recent(name string, age time.Duration) (cache.UserKeys, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, u := r.answer, cache.UserKeys{Name: name, Checked: r.answer.at}
	if old := r.Now().Sub(a.at); !a.known || a.at.IsZero() || old > age || old < 0 {
		return cache.UserKeys{}, false
	}
	p, ok := a.person(name)
	if _, denied := r.denied[p.ID]; ok && p.Login && !denied {
		u.UID, u.Login = p.UID, true
	}
	return u, true
}

// person returns who has the login name of their own.
func (a answer) person(name string) (person, bool) {
	i := slices.IndexFunc(a.allowed, func(p person) bool { return p.Name == name })
	if i < 0 {
		return person{}, false
	}
	return a.allowed[i], true
}
