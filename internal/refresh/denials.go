package refresh

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// denials are the users who lost a right since the last answer, as the directory
// said at a login. Their keys open nothing from the cache until a younger answer
// says otherwise.
type denials struct {
	setup *Setup

	mu      sync.Mutex
	when    map[string]time.Time // user id → when the directory said so
	changed bool                 // nss.db gives groups to a user who is denied, or none to one who no longer is
}

// load takes up what was saved before a restart. The times are not kept: now
// is before any answer of this process.
func (d *denials) load(now time.Time) error {
	var ids []string
	if err := d.setup.State.Load(savedDenied, &ids); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.when = make(map[string]time.Time, len(ids))
	for _, id := range ids {
		d.when[id] = now
	}
	return nil
}

// add denies a user, and reports whether the user was not denied before.
func (d *denials) add(userID string, at time.Time) (added bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.when == nil {
		d.when = map[string]time.Time{}
	}
	_, known := d.when[userID]
	d.when[userID] = at
	d.changed = d.changed || !known
	return !known
}

// lift ends the denial of a user by an answer about this user from the time at,
// and reports whether there was an older one.
func (d *denials) lift(userID string, at time.Time) (lifted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	when, known := d.when[userID]
	if !known || !at.After(when) {
		return false
	}
	delete(d.when, userID)
	d.changed = true
	return true
}

// liftBefore ends every denial that is older than an answer from the time at.
func (d *denials) liftBefore(at time.Time) (lifted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, when := range d.when {
		if at.After(when) {
			delete(d.when, id)
			lifted = true
		}
	}
	return lifted
}

// takeChanged reports, once, whether nss.db gives rights that it should not, or
// lacks some, because users were denied or are no longer denied.
func (d *denials) takeChanged() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed := d.changed
	d.changed = false
	return changed
}

// since are the ids of the users who were denied at or after the time of an
// answer, ascending.
func (d *denials) since(at time.Time) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []string
	for id, when := range d.when {
		if !at.After(when) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// all are the ids of the users who are denied, ascending.
func (d *denials) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.when))
}

func (d *denials) has(userID string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, denied := d.when[userID]
	return denied
}

// save writes down who is denied, so that a restart lets nobody in.
func (d *denials) save() error {
	return d.setup.State.Save(map[string]any{savedDenied: append([]string{}, d.all()...)})
}
