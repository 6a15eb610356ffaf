package refresh

import (
	"context"
	"errors"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// Ask asks the directory about one login name while somebody waits for the
// login: for the keys, and whether the groups still let the person in. The
// answer is authoritative, is kept, and reaches keys.db with its next
// publication. A name that nobody has is an answer without keys.
func (l *Logins) Ask(ctx context.Context, name string) (cache.UserKeys, []string, error) {
	a := l.last()
	if !a.known {
		return cache.UserKeys{}, nil, errors.New("no directory was read yet")
	}
	if l.setup.Users == nil {
		return cache.UserKeys{}, nil, errors.New("the directory cannot be asked about one user")
	}
	started := l.setup.Now()
	nobody := cache.UserKeys{Name: name, Checked: started}
	had, ok := a.person(name)
	if !ok {
		return nobody, nil, nil
	}
	p, listing, err := l.users.ask(ctx, a.policy, had)
	if errors.Is(err, directory.ErrNoSuchUser) {
		p, err = person{}, nil
	}
	if err != nil && l.denials.has(had.ID) {
		return nobody, nil, nil // keys.db may not say so yet, on a full disk for one
	}
	if err != nil {
		return cache.UserKeys{}, nil, err
	}
	l.decide(had, lost(had, p), started)
	if !p.opens() {
		return nobody, nil, nil
	}
	if err := l.learn(map[string]directory.KeyListing{p.ID: listing}); err != nil {
		l.setup.Log.Error("a user's keys cannot be written to keys.db; this login is not affected",
			"user", name,
			"error", err)
	}
	u, _ := selectKeys(l.setup.Keys, p, listing, a.at, l.setup.Now())
	return u, p.Shared, nil
}

// lost reports whether a person had a right to log in that is gone.
func lost(had, has person) bool { return had.Login != has.Login || len(had.Shared) != len(has.Shared) }

// decide keeps what the directory said of a person. If the person lost a right, the
// person's keys open nothing from the cache until a younger answer gives it back. If
// not, an older denial is lifted. If the state cannot be written, this still holds
// until the next restart.
func (l *Logins) decide(had person, lost bool, asked time.Time) {
	changed := false
	if lost {
		if changed = l.denials.add(had.ID, l.setup.Now()); changed {
			l.setup.Log.Info("a user lost the right to log in since the last refresh", "user", had.Name, "directory_name",
				had.DirectoryName)
		}
	} else {
		changed = l.denials.lift(had.ID, asked)
	}
	if !changed {
		return
	}
	l.keysDB.changed()
	if err := l.denials.save(); err != nil {
		l.setup.Log.Error("cannot save who lost the right to log in; after a restart the next refresh decides", "user",
			had.Name, "error", err)
	}
}
