package refresh

import (
	"crypto/sha256"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/keys"
)

// A keysDB writes keys.db, which says which keys open what.
type keysDB struct {
	setup *Setup

	publishing sync.Mutex // held while the file is written; guards:
	stopped    bool
	selections map[string]cachedSelection // user id → what the user's part of that file was made of
	writtenAt  time.Time                  // when the file was written, or first found to be in order
	written    string                     // stamp of the file as written last
	noticed    map[string]bool            // what was logged about keys

	mu    sync.Mutex // guards what follows, and is never held for long
	stale bool       // the file lacks something that is known
	aged  time.Time  // since when nothing but the times in the file is behind; zero: the times are right too
}

// changed notes that the file lacks something that is known now.
func (k *keysDB) changed() {
	k.mu.Lock()
	k.stale = true
	k.mu.Unlock()
}

// checked notes that keys were listed again and are the same.
func (k *keysDB) checked() {
	k.mu.Lock()
	if k.aged.IsZero() {
		k.aged = k.setup.Now()
	}
	k.mu.Unlock()
}

// checkedAll notes that all keys were listed again, so that the file need not wait
// for further answers.
func (k *keysDB) checkedAll() {
	k.mu.Lock()
	if !k.aged.IsZero() {
		k.aged = k.setup.Now().Add(-agedPublish)
	}
	k.mu.Unlock()
}

// retire waits for what is being published and has k publish nothing more.
func (k *keysDB) retire() {
	k.publishing.Lock()
	k.stopped = true
	k.publishing.Unlock()
}

// publish writes the file if it differs from what is known.
func (k *keysDB) publish(a admission, denied map[string]bool) error {
	k.publishing.Lock()
	defer k.publishing.Unlock()
	if k.stopped {
		return ErrStopped
	}
	due := k.takeDue(a.known)
	// A file that is not the one written last was damaged or put there by somebody.
	if !a.known || k.setup.ServeNobody || !due && stampOf(k.setup.Dir, cache.KeysFile) == k.written {
		return nil
	}
	all, err := k.selectAll(a, denied)
	if err == nil {
		err = k.write(a, all)
	}
	if err != nil {
		k.changed()
		return err
	}
	k.written = stampOf(k.setup.Dir, cache.KeysFile)
	k.selections = make(map[string]cachedSelection, len(all))
	for i, s := range all {
		if s.cached.inputs != (fingerprint{}) {
			k.selections[a.people[i].ID] = s.cached
		}
	}
	return nil
}

// agedPublish is how long an answer that is the same as before waits for others, so
// that their times are written together.
const agedPublish = 15 * time.Second

// takeDue reports whether the file is to be written: because something is new, or
// because its times are so old that package cache writes it for them alone. If taken
// is set, it counts as written from now on. The caller holds k.publishing.
func (k *keysDB) takeDue(taken bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.setup.Now()
	due := k.stale || !k.aged.IsZero() && now.Sub(k.aged) >= agedPublish &&
		(now.Sub(k.writtenAt) >= cache.CheckedLag(k.setup.Login.MaxStale) || now.Before(k.writtenAt))
	if due && taken {
		k.stale, k.aged = false, time.Time{}
	}
	return due
}

// A selection is what keys.db is to hold of one person.
type selection struct {
	listed, denied bool
	user           cache.UserKeys
	keys.Selection                 // left out where the one of before is used
	cached         cachedSelection // for the next time
}

// A cachedSelection says how long what keys.db has of a person's keys can be used
// again. To parse two keys of each of 5,000 users takes as long as the rest of a
// publication.
type cachedSelection struct {
	unchanged
	checked time.Time
	keys    int
}

// selectAtOnce is the number of people whose keys one goroutine selects at a time.
const selectAtOnce = 128

// selectAll selects the keys of all people, in their order, on all processors.
// The caller holds k.publishing.
func (k *keysDB) selectAll(a admission, denied map[string]bool) ([]selection, error) {
	served := map[string][]keys.Key{}
	if len(k.selections) > 0 && stampOf(k.setup.Dir, cache.KeysFile) == k.written {
		if t, _, err := cache.ReadKeys(k.setup.Dir); err == nil { // else all are selected again
			for _, u := range t.Users {
				served[u.Name] = u.Keys
			}
		}
	}
	all := make([]selection, len(a.people))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for from := 0; from < len(all); from += selectAtOnce {
		group.Go(func() error {
			people := a.people[from:min(from+selectAtOnce, len(all))]
			ids := make([]string, len(people))
			for i, p := range people {
				ids[i] = p.ID
			}
			return k.setup.State.Each(ids, func(i int, saved []byte, read func() (directory.KeyListing, error)) (err error) {
				if saved == nil {
					return nil // never listed: nothing is known, so nothing opens
				}
				if denied[ids[i]] {
					all[from+i], err = k.selectNone(people[i], read)
				} else {
					all[from+i], err = k.selectFor(people[i], a.at, served, saved, read)
				}
				return err
			})
		})
	}
	return all, group.Wait()
}

// selectNone selects no key, for a person who is denied.
func (k *keysDB) selectNone(p person, read func() (directory.KeyListing, error)) (selection, error) {
	l, err := read()
	return selection{listed: true, denied: true, user: cache.UserKeys{Name: p.Name, Checked: l.Checked}}, err
}

func (k *keysDB) selectFor(p person, asked time.Time, served map[string][]keys.Key, saved []byte,
	read func() (directory.KeyListing, error)) (selection, error) {
	s := selection{listed: true, user: cache.UserKeys{Name: p.Name, UID: p.UID, Login: p.Login}}
	now, sum := k.setup.Now(), sha256.Sum256(saved)
	inputs, err := fingerprintOf(p.Name, p.End, sum[:])
	if err != nil {
		return s, err
	}
	before, known := k.selections[p.ID]
	if old, ok := served[p.Name]; known && ok && before.holds(inputs, now) && len(old) == before.keys {
		s.cached, s.user.Keys, s.user.Checked = before, old, before.checked
		return s, nil
	}
	l, err := read()
	if err != nil {
		return s, err
	}
	s.user, s.Selection = selectKeys(k.setup.Keys, p, l, asked, now)
	s.cached = cachedSelection{checked: l.Checked, keys: len(s.user.Keys)}
	if p.tags != nil {
		return s, nil // which tags count depends on when they were read as well
	}
	s.cached.inputs, s.cached.from = inputs, now
	for _, key := range s.user.Keys {
		if key.Expires.IsZero() {
			continue
		}
		if warn := key.Expires.Add(-keys.WarnBefore); now.Before(warn) {
			s.cached.earlier(warn)
		}
		s.cached.earlier(key.Expires)
	}
	return s, nil
}

// write publishes what was selected. The caller holds k.publishing.
func (k *keysDB) write(a admission, all []selection) error {
	t := cache.KeyTables{Policy: k.setup.Login, Users: make([]cache.UserKeys, 0, len(all))}
	shared := map[string][]string{}
	for i, p := range a.people {
		s := all[i]
		if !s.listed {
			continue
		}
		t.Users = append(t.Users, s.user)
		for _, key := range s.Expiring {
			k.notice("key-expiring "+key.ID, "a key ends soon", "user", p.Name, "key", key.ID, "fingerprint", key.SHA256(),
				"ends", key.Expires)
		}
		for _, refused := range s.Refused {
			k.notice("key-refused "+refused.ID+" "+refused.Err.Error(), "a key is not accepted", "user", p.Name, "key",
				refused.ID, "reason", refused.Err)
		}
		if !s.denied {
			for _, account := range p.Shared {
				shared[account] = append(shared[account], p.Name)
			}
		}
	}
	for _, account := range slices.Sorted(maps.Keys(a.policy.Shared)) {
		slices.Sort(shared[account])
		t.Shared = append(t.Shared, cache.SharedAccount{
			Name: account, Members: shared[account], AllowRoot: account == "root" && a.policy.AllowRoot,
		})
	}
	changed, err := cache.PublishKeys(k.setup.Dir, t, k.setup.KeysGID, k.setup.Now())
	if changed || err == nil && k.writtenAt.IsZero() {
		k.writtenAt = k.setup.Now()
	}
	return err
}

// notice logs, once, something that somebody may want to act on.
// The caller holds k.publishing.
func (k *keysDB) notice(what, message string, args ...any) {
	if k.noticed == nil {
		k.noticed = map[string]bool{}
	}
	if !k.noticed[what] {
		k.noticed[what] = true
		k.setup.Log.Warn(message, args...)
	}
}
