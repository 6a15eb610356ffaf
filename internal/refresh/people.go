package refresh

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/internal/state"
)

// A person is somebody whose keys open something on this host.
type person struct {
	ID      string // UserId
	IAMName string
	Name    string // the login name; for those who only enter shared accounts, their mark
	UID     uint32 // 0 without Login
	Login   bool
	Shared  []string  // local accounts, ascending
	End     time.Time // when the account ends; zero: never
	tags    map[string]string
}

// people returns everybody whose keys open something, ascending by UserId.
func (a answer) people() []person {
	byID := map[string]*person{}
	names := map[string]bool{}
	served := map[string]accounts.User{}
	for _, u := range a.result.Tables.Users {
		served[u.ID] = u
		names[u.Name] = true
	}
	for _, id := range a.result.Admitted {
		if u, ok := served[id]; ok {
			byID[id] = &person{ID: id, Name: u.Name, UID: u.UID, Login: true, End: u.Expires}
		}
	}
	for _, account := range slices.Sorted(maps.Keys(a.result.Shared)) {
		for _, id := range a.result.Shared[account] {
			if byID[id] == nil {
				byID[id] = &person{ID: id}
			}
			byID[id].Shared = append(byID[id].Shared, account)
		}
	}
	all := make([]person, 0, len(byID))
	for _, u := range a.directory.Users {
		p := byID[u.ID]
		if p == nil {
			continue
		}
		p.IAMName, p.tags = u.Name, u.Tags
		if !p.Login {
			if p.Name = mark(u, names); p.Name == "" {
				continue
			}
			names[p.Name] = true
		}
		all = append(all, *p)
	}
	return all
}

// mark names somebody who has no login of the own: the IAM name where it can
// be mistaken for nobody else's, else the UserId, and should somebody be named
// after that as well, the UserId with an addition. "" is returned only where
// many were.
func mark(u directory.User, taken map[string]bool) string {
	m := u.ID
	if !strings.HasPrefix(u.Name, "AIDA") {
		m = u.Name
	}
	if taken[m] || !cache.ValidName(m) {
		m = u.ID
	}
	for taken[m] || !cache.ValidName(m) {
		if m += "_"; len(m) > cache.MaxNameLen {
			return ""
		}
	}
	return m
}

// userKeys makes of a listing what keys.db holds of a person. The directory
// that the person's tags may have come with was asked for at the time given.
func (r *Refresher) userKeys(p person, l state.Listing, asked time.Time) (cache.UserKeys, keys.Selection) {
	u := cache.UserKeys{Name: p.Name, UID: p.UID, Login: p.Login, Checked: l.Checked}
	tags := l.Tags
	if p.tags != nil && (tags == nil || asked.After(l.Checked)) {
		tags = p.tags
	}
	selection := r.Keys.Select(keys.Source{Keys: l.Keys, Tags: tags, End: p.End}, r.Now())
	u.Keys = selection.Keys
	return u, selection
}

// PublishKeys writes keys.db if what is known differs from what it holds.
func (r *Refresher) PublishKeys() error {
	r.State.Publish.Lock()
	defer r.State.Publish.Unlock()
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
	selection      keys.Selection
}

// selectAtOnce is for how many people keys are selected in one go.
const selectAtOnce = 128

// selectKeys selects the keys of all of a.allowed, in their order, on all
// processors: to read two keys of 5,000 users each takes one of them 100 ms.
func (r *Refresher) selectKeys(a answer, denied map[string]time.Time) ([]selected, error) {
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
			listings, err := r.State.Some(ids)
			if err != nil {
				return err
			}
			for i, p := range people {
				s := &all[from+i]
				var l state.Listing
				if l, s.listed = listings[p.ID]; !s.listed {
					continue // never listed: nothing is known, so nothing opens
				}
				s.user, s.selection = r.userKeys(p, l, a.at)
				if _, s.denied = denied[p.ID]; s.denied {
					s.user.UID, s.user.Login, s.user.Keys = 0, false, nil
					s.selection = keys.Selection{}
				}
			}
			return nil
		})
	}
	return all, group.Wait()
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

// notice logs something about which a person may want to do something, once.
func (r *Refresher) notice(what, message string, args ...any) {
	r.mu.Lock()
	known := r.noticed[what]
	if r.noticed == nil {
		r.noticed = map[string]bool{}
	}
	r.noticed[what] = true
	r.mu.Unlock()
	if !known {
		r.Log.Warn(message, args...)
	}
}
