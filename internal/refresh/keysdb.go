package refresh

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/keys"
)

// PublishKeys writes keys.db if what is known differs from what it holds, and
// nss.db where somebody was denied since: rights in it end as well.
func (r *Refresher) PublishKeys() error {
	r.State.Publish.Lock()
	defer r.State.Publish.Unlock()
	r.mu.Lock()
	a, rights := r.answer, r.rights
	r.rights = false
	r.mu.Unlock()
	if rights && a.known {
		_, err := r.apply(a, directory.Answer{}, Options{}, true)
		return err
	}
	return r.publishKeys()
}

// publishKeys does what PublishKeys does. The caller holds State.Publish.
func (r *Refresher) publishKeys() error {
	if r.retired {
		return ErrRetired
	}
	r.mu.Lock()
	a, denied := r.answer, maps.Clone(r.denied)
	stale := r.stale || r.agedEnough()
	if stale && a.known {
		r.stale, r.aged = false, time.Time{}
	}
	r.mu.Unlock()
	// A file that is not the one written last was damaged or put there by somebody.
	if !a.known || r.Mute || !stale && r.stamp(cache.KeysFile) == r.written {
		return nil
	}
	all, err := r.selectKeys(a, denied)
	if err == nil {
		err = r.writeKeys(a, all)
	}
	if err != nil {
		r.mu.Lock()
		r.stale = true
		r.mu.Unlock()
		return err
	}
	r.written = r.stamp(cache.KeysFile)
	r.chosen = make(map[string]chosen, len(all))
	for i, s := range all {
		if s.chosen.name != "" {
			r.chosen[a.allowed[i].ID] = s.chosen
		}
	}
	return nil
}

// stamp tells the file that has a name in the cache folder now from any other.
func (r *Refresher) stamp(name string) string {
	info, err := os.Lstat(filepath.Join(r.Dir, name))
	if err != nil {
		return ""
	}
	s := info.Sys().(*syscall.Stat_t)
	return fmt.Sprint(s.Dev, s.Ino, s.Size, s.Mode, s.Uid, s.Gid, s.Ctim.Nano())
}

// agedPublish is how long answers that say nothing new wait for others.
const agedPublish = 15 * time.Second

// agedEnough reports whether package cache would write keys.db anew for the
// sake of its times alone. The caller holds State.Publish and r.mu.
func (r *Refresher) agedEnough() bool {
	now := r.Now()
	return !r.aged.IsZero() && now.Sub(r.aged) >= agedPublish &&
		(now.Sub(r.writtenAt) >= cache.CheckedLag(r.Login.MaxStale) || now.Before(r.writtenAt))
}

// A selected is what keys.db is to hold of one person.
type selected struct {
	listed, denied bool
	user           cache.UserKeys
	selection      keys.Selection // left out where it is the one of before
	chosen         chosen
}

// chosen says from what a person's keys in keys.db were selected, so that they
// are taken from there while nothing of it changes: to parse two keys of 5,000
// users each takes as long as all else that a publication does.
type chosen struct {
	name        string            // the record's; names move from one user to another
	listing     [sha256.Size]byte // as it is saved; the body of a key id never changes
	end         time.Time         // the account's
	checked     time.Time
	from, until time.Time // when time itself changed nothing; until zero: for ever
	keys        int
}

// holds reports whether what was chosen is still right for p.
func (c chosen) holds(p person, listing [sha256.Size]byte, now time.Time) bool {
	return c.name == p.Name && c.listing == listing && c.end.Equal(p.End) && p.tags == nil &&
		!now.Before(c.from) && (c.until.IsZero() || now.Before(c.until))
}

// selectAtOnce is for how many people keys are selected in one go.
const selectAtOnce = 128

// selectKeys selects the keys of all of a.allowed, in their order, on all
// processors. The caller holds State.Publish.
func (r *Refresher) selectKeys(a answer, denied map[string]time.Time) ([]selected, error) {
	served := map[string][]keys.Key{}
	if len(r.chosen) > 0 && r.stamp(cache.KeysFile) == r.written {
		if t, _, err := cache.ReadKeys(r.Dir); err == nil { // else all are selected anew
			for _, u := range t.Users {
				served[u.Name] = u.Keys
			}
		}
	}
	all := make([]selected, len(a.allowed))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for from := 0; from < len(all); from += selectAtOnce {
		group.Go(func() error {
			people := a.allowed[from:min(from+selectAtOnce, len(all))]
			ids := make([]string, len(people))
			for i, p := range people {
				ids[i] = p.ID
			}
			return r.State.Each(ids, func(i int, saved []byte, read func() (directory.KeyListing, error)) (err error) {
				if saved == nil {
					return nil // never listed: nothing is known, so nothing opens
				}
				_, out := denied[ids[i]]
				all[from+i], err = r.selectFor(people[i], a.at, out, served, saved, read)
				return err
			})
		})
	}
	return all, group.Wait()
}

func (r *Refresher) selectFor(p person, asked time.Time, denied bool, served map[string][]keys.Key, saved []byte, read func() (directory.KeyListing, error)) (selected, error) {
	s := selected{listed: true, denied: denied, user: cache.UserKeys{Name: p.Name, UID: p.UID, Login: p.Login}}
	now, sum := r.Now(), sha256.Sum256(saved)
	before, known := r.chosen[p.ID]
	if old, ok := served[p.Name]; known && ok && !denied && before.holds(p, sum, now) && len(old) == before.keys {
		s.chosen, s.user.Keys, s.user.Checked = before, old, before.checked
		return s, nil
	}
	l, err := read()
	if err != nil {
		return s, err
	}
	s.user, s.selection = r.userKeys(p, l, asked)
	if denied {
		s.user.UID, s.user.Login, s.user.Keys = 0, false, nil
		s.selection = keys.Selection{}
		return s, nil
	}
	s.chosen = chosen{name: p.Name, listing: sum, end: p.End, from: now, checked: l.Checked, keys: len(s.user.Keys)}
	for _, k := range s.user.Keys {
		if k.Expires.IsZero() {
			continue
		}
		next := k.Expires
		if warn := next.Add(-keys.WarnBefore); now.Before(warn) {
			next = warn
		}
		if s.chosen.until.IsZero() || next.Before(s.chosen.until) {
			s.chosen.until = next
		}
	}
	return s, nil
}

func (r *Refresher) writeKeys(a answer, all []selected) error {
	t := cache.KeyTables{Policy: r.Login, Users: make([]cache.UserKeys, 0, len(all))}
	shared := map[string][]string{}
	for i, p := range a.allowed {
		s := all[i]
		if !s.listed {
			continue
		}
		t.Users = append(t.Users, s.user)
		for _, k := range s.selection.Expiring {
			r.notice("key-expiring "+k.ID, "a key ends soon", "user", p.Name, "key", k.ID, "fingerprint", k.SHA256(), "ends", k.Expires)
		}
		for _, refused := range s.selection.Refused {
			r.notice("key-refused "+refused.ID+" "+refused.Err.Error(), "a key opens nothing", "user", p.Name, "key", refused.ID, "reason", refused.Err)
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
	changed, err := cache.PublishKeys(r.Dir, t, r.KeysGID, r.Now())
	if changed || err == nil && r.writtenAt.IsZero() {
		r.writtenAt = r.Now()
	}
	return err
}
