package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/admission"
	"github.com/nss-iam/nss-iam/internal/authlog"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/homes"
	"github.com/nss-iam/nss-iam/internal/keys"
)

// maxPersons is how many members of a shared account are asked about where
// sshd did not say which key is offered.
const maxPersons = 32

// A verdict is what is decided about a question.
type verdict struct {
	policy cache.LoginPolicy
	offers []offer
	people []principal // in principals mode, in place of offers
	final  bool        // the other helper has no say either
	err    error
}

// An offer is a key to print.
type offer struct {
	key    keys.Key
	form   keys.Form
	source string // "the directory" or "cache of 3m0s ago"
}

// String is the log line: who may come in with what.
func (o offer) String(name string, now time.Time) string {
	s := fmt.Sprintf("user %q: key %s %s %s", name, o.key.ID, o.key.Type, o.key.SHA256())
	if o.form.Person != "" {
		s += " of " + o.form.Person
	}
	s += " offered, from " + o.source
	if !o.key.Expires.IsZero() && o.key.Expires.Sub(now) <= keys.WarnBefore {
		s += "; it ends at " + o.key.Expires.UTC().Format(time.RFC3339)
	}
	return s
}

// decide finds the keys that open q.name.
func (h helper) decide(q question) verdict {
	found, err := cache.LookupKeys(h.cacheDir, q.name)
	absent := errors.Is(err, fs.ErrNotExist)
	if absent {
		found = cache.KeysAnswer{Policy: admission.Unpublished}
	} else if err != nil {
		return verdict{final: true, err: fmt.Errorf("user %q: %w, %s; \"iam-cachefill refresh\" writes the file again",
			q.name, err, q.nothing())}
	}
	v := verdict{policy: found.Policy}
	uid, local, err := h.localAccount(q, found.Policy)
	if err != nil {
		v.err = fmt.Errorf("user %q: %w, %s", q.name, err, q.nothing())
		return v
	}
	switch {
	case !local && q.certified != nil && !slices.Contains(q.certified, q.name): // another's certificate
	case !local:
		h.own(&v, q, found.User)
		if absent && v.err != nil {
			v.err = fmt.Errorf("%w; there is no %s/%s", v.err, h.cacheDir, cache.KeysFile)
		}
	case found.Shared == nil:
		if found.User != nil && found.User.Login {
			h.log.Send(authlog.Notice, fmt.Sprintf("user %q: a local account has this name, what its namesake in the "+
				"directory has does not open it", q.name))
		}
	case uid == 0 && !found.Shared.AllowRoot, q.name == "root" && !found.Shared.AllowRoot:
		h.log.Send(authlog.Warning, fmt.Sprintf("shared account %q: it is root, which the configuration does not allow, %s",
			q.name, q.nothing()))
	default:
		h.shared(&v, q, found.Members)
	}
	return v
}

// localAccount reports whether sshd asks about an account that is not ours, and
// its uid. A uid outside our range is never ours; one within it is a local
// account's if the passwd file says so.
func (h helper) localAccount(q question, p cache.LoginPolicy) (uid uint32, local bool, err error) {
	if q.hasUID && !p.Range.Contains(q.uid) {
		return q.uid, true, nil
	}
	uid, local, err = admission.LocalUID(h.passwd, q.name)
	if q.hasUID {
		// Without that file it is the daemon's and the cache's to say who has the uid.
		return q.uid, err == nil && local && uid == q.uid, nil
	}
	return uid, local, err
}

// own finds whether a user of the directory may use the login of that name, and the keys for it. cached is nil where
// keys.db does not know the name.
func (h helper) own(v *verdict, q question, cached *cache.UserKeys) {
	// The last good answer does not let the person in: keys.db says so, or has no
	// record of a person whose uid is ours. The other helper must not either.
	out := cached != nil && !cached.Login || cached == nil && q.hasUID
	if out {
		cached = nil
	}
	u, source, err := h.current(v.policy, q.asks(q.name), cached, func(a control.Answer) cache.UserKeys {
		if a.Limited && !slices.ContainsFunc(a.User.Keys, q.offersKey) {
			// Nobody asked whether the person may still come in.
			v.final = v.policy.Online == "require"
			h.log.Send(authlog.Notice, fmt.Sprintf("user %q: unknown key %s refused for rate: the directory is asked about "+
				"few keys that no listing has; "+
				"a key that was uploaded just now opens the login in some minutes", q.name, q.asks(q.name).Key))
		}
		return a.User
	})
	switch {
	case err != nil:
		v.err = fmt.Errorf("user %q: %w, %s", q.name, err, q.nothing())
		v.final = v.policy.Online == "require"
	case u == nil && out:
		v.final = true
		h.log.Send(authlog.Notice, fmt.Sprintf("user %q: the last good answer lets nobody of this name in, %s", q.name,
			q.nothing()))
	case u == nil: // an unknown user
	case !u.Login:
		v.final = true
		h.log.Send(authlog.Notice, fmt.Sprintf("user %q: may not log in, says %s, %s", q.name, source, q.nothing()))
	case q.hasUID && u.UID != q.uid:
		v.final = true
		h.log.Send(authlog.Warning, fmt.Sprintf("user %q: sshd resolved uid %d, the directory's user of this name has %d, %s",
			q.name, q.uid, u.UID, q.nothing()))
	case !q.hasUID && cached != nil && u.UID != cached.UID:
		v.final = true
		h.log.Send(authlog.Warning, fmt.Sprintf("user %q: the directory's user of this name has uid %d now and had %d, %s",
			q.name, u.UID, cached.UID, q.nothing()))
	default:
		if owner, home, foreign := h.foreignHome(q.name, u.UID); foreign {
			v.final = true
			h.log.Send(authlog.Warning, fmt.Sprintf("user %q: the home %q belongs to %s, not to uid %d, %s; the "+
				"next refresh serves another home", q.name, home, homes.Name(owner), u.UID, q.nothing()))
			return
		}
		v.add(q, *u, "", source, h.now())
	}
}

// foreignHome looks at the home that a user is served with: what lies in a
// folder of another uid's would run as this user.
func (h helper) foreignHome(name string, uid uint32) (owner uint32, home string, foreign bool) {
	u, ok, err := cache.LookupUser(h.cacheDir, name)
	if err != nil || !ok {
		return 0, "", false // then there is no such account to log in to
	}
	owner, foreign = homes.Foreign(u.Home, uid)
	return owner, u.Home, foreign
}

// shared finds the people who may enter a local account, or their keys. With the
// offered key or the certificate's principals known, only those people are asked about.
func (h helper) shared(v *verdict, q question, members []cache.UserKeys) {
	switch {
	case q.certified != nil:
		members = slices.DeleteFunc(slices.Clone(members),
			func(m cache.UserKeys) bool { return !slices.Contains(q.certified, m.Name) })
	case q.hasKey() && !q.principals:
		members = slices.DeleteFunc(slices.Clone(members), func(m cache.UserKeys) bool {
			return !slices.ContainsFunc(m.Keys, q.offersKey)
		})
	}
	if len(members) > maxPersons && v.policy.Online != "off" {
		v.err = fmt.Errorf("shared account %q: %d people are too many to ask about; pass %%k in sshd_config's %s", q.name,
			len(members), q.command())
		return
	}
	type result struct {
		user   *cache.UserKeys
		source string
		out    bool // the person may not enter the account any more
		err    error
	}
	results := make([]result, len(members))
	var wait sync.WaitGroup
	for i := range members {
		wait.Go(func() {
			r := &results[i]
			r.user, r.source, r.err = h.current(v.policy, q.asks(members[i].Name), &members[i],
				func(a control.Answer) cache.UserKeys {
					if !slices.Contains(a.Shared, q.name) {
						h.log.Send(authlog.Notice, fmt.Sprintf("shared account %q: %q may not enter it any more", q.name,
							members[i].Name))
						r.out = true
					}
					return a.User
				})
		})
	}
	wait.Wait()
	for i, r := range results {
		if r.err != nil {
			v.err = fmt.Errorf("shared account %q: ask about %q: %w", q.name, members[i].Name, r.err)
			v.final = v.policy.Online == "require"
		} else if !r.out {
			v.add(q, *r.user, members[i].Name, r.source, h.now())
		}
	}
	if len(v.offers)+len(v.people) > 0 && v.err != nil { // others get in; this one's fault is told all the same
		h.log.Send(authlog.Err, v.err.Error())
		v.err = nil
	}
}

// add takes somebody in: in principals mode by name, else u's keys that are in
// time and may be the client's. person is "" for the person's own login.
func (v *verdict) add(q question, u cache.UserKeys, person, source string, now time.Time) {
	if q.principals {
		v.people = append(v.people, principal{name: u.Name, person: person, source: source})
		return
	}
	for _, k := range u.Keys {
		if k.Expired(now) || !q.offersKey(k) {
			continue
		}
		// OpenSSH has %U from 7.8 and expiry-time from 7.7 on.
		form := keys.Form{Options: v.policy.Options, Expiry: q.hasUID, Person: person}
		v.offers = append(v.offers, offer{key: k, form: form, source: source})
	}
}

// current returns what opens the name in question now, and where that came
// from. It returns nil for a name that neither the daemon nor the cache knows.
func (h helper) current(p cache.LoginPolicy, q control.Question, cached *cache.UserKeys,
	pick func(control.Answer) cache.UserKeys) (*cache.UserKeys, string, error) {
	rule := admission.Rule{Policy: p, Now: h.now, Warn: func(err error) {
		h.log.Send(authlog.Warning, fmt.Sprintf("user %q: %v, falling back to the cache", q.Name, err))
	}}
	a, err := rule.Answer(func(ctx context.Context) (cache.UserKeys, error) {
		answer, err := control.Client{Path: h.socket}.Ask(ctx, q)
		if err != nil {
			return cache.UserKeys{}, err
		}
		return pick(answer), nil
	}, cached)
	return a.User, a.Source, err
}
