package refresh

import (
	"errors"
	"fmt"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// ErrNotListed is the error of Listed about a person whose keys were never
// listed, and about everybody before the directory has answered.
var ErrNotListed = errors.New("no keys were listed yet")

// Listed returns what Ask would if nothing has changed since anybody was asked:
// the person's keys as they were last listed, and the shared accounts. Nobody is
// asked now. The error is directory.ErrNoSuchUser for a name that the last
// answer lets nobody in with, and otherwise ErrNotListed.
func (l *Logins) Listed(name string) (u cache.UserKeys, shared []string, err error) {
	a := l.last()
	if !a.known {
		return u, nil, ErrNotListed
	}
	p, ok := a.person(name)
	if !ok {
		return u, nil, fmt.Errorf("%q: %w", name, directory.ErrNoSuchUser)
	}
	listing, ok, err := l.setup.State.Listing(p.ID)
	if err != nil || !ok {
		return u, nil, errors.Join(ErrNotListed, err)
	}
	if l.denials.has(p.ID) || !p.opens() {
		return cache.UserKeys{Name: name, Checked: listing.Checked}, nil, nil
	}
	u, _ = selectKeys(l.setup.Keys, p, listing, a.at, l.setup.Now())
	return u, p.Shared, nil
}
