package refresh

import (
	"github.com/nss-iam/nss-iam/internal/cache"
)

// Listed returns what Ask would if nothing has changed since anybody was asked:
// the person's keys as they were last listed, and the shared accounts. Nobody is
// asked now. It reports false for a name that is nobody's, and for a person
// whose keys were never listed.
func (l *Logins) Listed(name string) (u cache.UserKeys, shared []string, ok bool) {
	a := l.last()
	p, ok := a.person(name)
	if !a.known || !ok {
		return cache.UserKeys{}, nil, false
	}
	listing, ok, err := l.setup.State.Listing(p.ID)
	if err != nil || !ok {
		return cache.UserKeys{}, nil, false
	}
	if l.denials.has(p.ID) || !p.opens() {
		return cache.UserKeys{Name: name, Checked: listing.Checked}, nil, true
	}
	u, _ = selectKeys(l.setup.Keys, p, listing, a.at, l.setup.Now())
	return u, p.Shared, true
}

// LetsNobodyIn reports whether the last answer of the directory lets nobody of
// this login name in.
func (l *Logins) LetsNobodyIn(name string) bool {
	a := l.last()
	_, ok := a.person(name)
	return a.known && !ok
}
