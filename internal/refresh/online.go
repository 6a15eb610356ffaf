package refresh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/state"
)

// errOtherUser is returned where IAM has another user under a name than the
// one that is served under it.
var errOtherUser = errors.New("the name belongs to another IAM user now")

// Ask asks the source about one login name while somebody waits at the door:
// the keys, and whether the groups still let the person in. The answer is
// authoritative, is remembered, and reaches keys.db with its next publication.
// A name that nobody has is an answer without keys.
func (r *Refresher) Ask(ctx context.Context, name string) (cache.UserKeys, []string, error) {
	a := r.last()
	if !a.known {
		return cache.UserKeys{}, nil, errors.New("no directory was read yet")
	}
	everybody := a.people()
	i := slices.IndexFunc(everybody, func(p person) bool { return p.Name == name })
	if i < 0 {
		return cache.UserKeys{Name: name, Checked: r.Now()}, nil, nil
	}
	p := everybody[i]
	member, err := r.membership(ctx, a.policy, &p)
	if err != nil {
		return cache.UserKeys{}, nil, err
	}
	if !member {
		r.deny(p)
		return cache.UserKeys{Name: name, Checked: r.Now()}, nil, nil
	}
	l, err := r.list(ctx, r.online(), p)
	if errors.Is(err, errOtherUser) {
		r.deny(p)
		return cache.UserKeys{Name: name, Checked: r.Now()}, nil, nil
	}
	if err != nil {
		return cache.UserKeys{}, nil, err
	}
	if err := r.learn(map[string]state.Listing{p.ID: l}); err != nil {
		return cache.UserKeys{}, nil, err
	}
	u, _ := r.userKeys(p, l, false)
	return u, p.Shared, nil
}

// online is who is asked while somebody waits.
func (r *Refresher) online() Source {
	if r.Online != nil {
		return r.Online
	}
	return r.Source
}

// membership asks for a person's groups, and takes from p what they no longer
// give: the own login, shared accounts. It reports whether anything is left.
func (r *Refresher) membership(ctx context.Context, policy accounts.Policy, p *person) (bool, error) {
	names, err := r.online().Groups(ctx, p.IAMName)
	if errors.Is(err, ErrNoSuchUser) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	in := func(groups []string) bool {
		return slices.ContainsFunc(groups, func(g string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, g) })
		})
	}
	if p.Login && !policy.AllUsers && !in(policy.Login) {
		p.Login, p.UID = false, 0
	}
	p.Shared = slices.DeleteFunc(slices.Clone(p.Shared), func(account string) bool { return !in(policy.Shared[account]) })
	return p.Login || len(p.Shared) > 0, nil
}

// list asks for one person's keys. A user whom IAM no longer knows has none. A
// key never seen may be that of somebody else, created anew under the name, so
// the name's id is asked for then.
func (r *Refresher) list(ctx context.Context, source Source, p person) (state.Listing, error) {
	l := state.Listing{Checked: r.Now()}
	unknown := false
	keys, checked, err := source.Keys(ctx, p.IAMName, func(id string) (string, bool) {
		body, ok := r.State.Body(id)
		unknown = unknown || !ok
		return body, ok
	})
	if errors.Is(err, ErrNoSuchUser) {
		return l, nil
	}
	if err != nil {
		return l, err
	}
	l.Checked = checked
	if unknown || r.Keys.TagPrefix != "" {
		switch id, err := source.UserID(ctx, p.IAMName); {
		case errors.Is(err, ErrNoSuchUser):
			return l, nil
		case err != nil:
			return l, err
		case id != p.ID:
			return l, fmt.Errorf("user %q: %w", p.IAMName, errOtherUser)
		}
	}
	slices.SortFunc(keys, func(a, b directory.Key) int { return cmp.Compare(a.ID, b.ID) })
	l.Keys = keys
	if r.Keys.TagPrefix != "" {
		tags, err := source.Tags(ctx, p.IAMName)
		if err != nil && !errors.Is(err, ErrNoSuchUser) {
			return l, err
		}
		l.Tags = map[string]string{}
		for name, value := range tags {
			if strings.HasPrefix(strings.ToLower(name), strings.ToLower(r.Keys.TagPrefix)) {
				l.Tags[name] = value
			}
		}
	}
	return l, nil
}

// learn remembers listings, and that keys.db is behind if they say anything new.
func (r *Refresher) learn(listings map[string]state.Listing) error {
	if err := r.State.SaveListings(listings); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale = true
	for id := range listings {
		delete(r.denied, id)
	}
	return nil
}

// deny keeps somebody out until a refresh that began later says otherwise.
func (r *Refresher) deny(p person) {
	r.mu.Lock()
	if r.denied == nil {
		r.denied = map[string]time.Time{}
	}
	r.denied[p.ID] = r.Now()
	r.stale = true
	r.mu.Unlock()
	r.Log.Info("a user lost the right to log in since the last refresh", "user", p.Name, "iam_user", p.IAMName)
}

// Denied returns the login names that a login's question found out of the groups.
func (r *Refresher) Denied() []string {
	r.mu.Lock()
	denied := maps.Clone(r.denied)
	r.mu.Unlock()
	var names []string
	for _, p := range r.last().people() {
		if _, out := denied[p.ID]; out {
			names = append(names, p.Name)
		}
	}
	return names
}
