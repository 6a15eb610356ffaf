package refresh

import (
	"errors"
	"reflect"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// Logins is what opens a login: the listings of people's keys, the users who
// lost a right since the last answer, and keys.db, which follows from both. Each
// refresh tells it whose keys open something (admit); it answers, sweeps and
// publishes by that. Its methods may be called at the same time.
type Logins struct {
	setup    *Setup
	users    users
	denials  *denials
	listings *listings
	keysDB   keysDB

	mu        sync.Mutex // guards what follows
	admission admission
}

func newLogins(s *Setup, d *denials, k *listings) *Logins {
	return &Logins{
		setup: s, users: users{setup: s}, denials: d, listings: k, keysDB: keysDB{setup: s},
	}
}

// An admission is what an answer of the directory says about logins.
type admission struct {
	known    bool
	at       time.Time       // when the directory was asked; zero after a restart
	policy   accounts.Policy // with the groups of the instance's tags
	people   []person        // whose keys open something; not to be changed
	others   []person        // of a publisher: everybody else
	keysCome bool            // the source hands over all keys it knows: there is nothing to sweep
}

// admit has logins follow an answer. Users that it admits are no longer denied if it
// is younger than the denial. keys.db is outdated if other people may log in than
// before, and after a restart, when nothing is known of what it holds.
func (l *Logins) admit(a admission) {
	l.mu.Lock()
	before := l.admission
	l.admission = a
	l.mu.Unlock()
	if !before.known || !reflect.DeepEqual(before.people, a.people) {
		l.keysDB.changed()
	}
	l.confirm(a.at)
}

// confirm notes that the directory was asked at the time at, and gave the same
// answer.
func (l *Logins) confirm(at time.Time) {
	l.mu.Lock()
	l.admission.at = at
	l.mu.Unlock()
	if l.denials.liftBefore(at) {
		l.keysDB.changed()
	}
}

func (l *Logins) last() admission {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.admission
}

// Some returns at most n users whose keys open something, to try questions with. It
// leaves out those about which the directory refused to answer.
func (l *Logins) Some(n int) (users []directory.User) {
	for _, p := range l.last().people {
		if len(users) == n {
			break
		}
		if l.listings.refusalOf(p.ID) == "" {
			users = append(users, directory.User{ID: p.ID, Name: p.DirectoryName})
		}
	}
	return users
}

// learn keeps listings, and has keys.db follow.
func (l *Logins) learn(made map[string]directory.KeyListing) error {
	news, err := l.listings.save(made)
	if err != nil {
		return err
	}
	if news {
		l.keysDB.changed()
	}
	l.keysDB.checked()
	return nil
}

// follow publishes what follows from an answer. Listings that came with it are kept
// if they are of people whose keys open something, and newer than what is known. The
// listings of users who are not among userIDs are dropped; nil drops none.
func (l *Logins) follow(came map[string]directory.KeyListing, userIDs map[string]bool) error {
	checked, err := l.listings.lastChecked()
	if err != nil {
		return err
	}
	newer := map[string]directory.KeyListing{}
	if len(came) > 0 {
		for _, p := range l.last().people {
			if listing, ok := came[p.ID]; ok && listing.Checked.After(checked[p.ID]) {
				newer[p.ID] = listing
			}
		}
		err = l.learn(newer)
	}
	if userIDs != nil {
		err = errors.Join(err, l.listings.keep(userIDs))
	}
	if err = errors.Join(err, l.denials.save()); err != nil {
		return err
	}
	return l.PublishKeys()
}

// PublishKeys writes keys.db if what is known differs from what it holds.
func (l *Logins) PublishKeys() error {
	denied := map[string]bool{}
	for _, id := range l.denials.all() {
		denied[id] = true
	}
	return l.keysDB.publish(l.last(), denied)
}

// News counts changes of anybody's keys. A listing that is the same as before does
// not count.
func (l *Logins) News() int { return l.listings.learned() }

// retire has nothing more published, and returns when nothing is being published.
func (l *Logins) retire() { l.keysDB.retire() }
