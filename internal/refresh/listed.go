package refresh

import "github.com/nss-iam/nss-iam/internal/cache"

// Listed returns what Ask would if nothing has changed since anybody was asked:
// the person's keys as they were last listed, and the shared accounts. Nobody is
// asked now. It reports false for a name that is nobody's, and for a person
// whose keys were never listed.
func (r *Refresher) Listed(name string) (u cache.UserKeys, shared []string, ok bool) {
	a := r.last()
	p, ok := a.person(name)
	if !a.known || !ok {
		return cache.UserKeys{}, nil, false
	}
	l, ok, err := r.State.Listing(p.ID)
	if err != nil || !ok {
		return cache.UserKeys{}, nil, false
	}
	r.mu.Lock()
	_, denied := r.denied[p.ID]
	r.mu.Unlock()
	if denied || !p.Login && len(p.Shared) == 0 {
		return cache.UserKeys{Name: name, Checked: l.Checked}, nil, true
	}
	u, _ = r.userKeys(p, l, a.at)
	return u, p.Shared, true
}
