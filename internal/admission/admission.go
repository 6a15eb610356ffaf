// Package admission owns which answer about a person counts at a login: the
// daemon's fresh one, or the cached one as far as keys.online and
// keys.max_stale allow. The key helper and the account helper both decide by
// it, so that no two ways in differ. It reads no file, knows nothing of AWS or
// of the configuration, and logs nothing itself.
package admission

import (
	"context"
	"fmt"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
)

// Unpublished stands in for the policy while there is no keys.db yet: the
// daemon may know already, and nobody else does.
var Unpublished = cache.LoginPolicy{
	Online: "require", Timeout: 2 * time.Second, Range: accounts.Range{Low: cache.MinID, High: cache.MaxID},
}

// A Rule says which answer counts.
type Rule struct {
	Policy cache.LoginPolicy
	Now    func() time.Time
	// Warn is told why the daemon's answer is missing where the cache takes its place.
	Warn func(error)
}

// An Answer is what counts about one login name.
type Answer struct {
	User   *cache.UserKeys // nil: neither the daemon nor the cache knows the name
	Source string          // "the directory" or "cache of 3m0s ago"; "" where User is nil
}

// Answer returns what ask says, within the policy's time, or by policy what is
// cached, if that is young enough. ask questions the daemon. cached is nil
// where keys.db does not know the name. An error says that nobody knows.
func (r Rule) Answer(ask func(context.Context) (cache.UserKeys, error), cached *cache.UserKeys) (Answer, error) {
	if r.Policy.Online != "off" {
		ctx, cancel := context.WithTimeout(context.Background(), r.Policy.Timeout)
		defer cancel()
		u, err := ask(ctx)
		if err == nil {
			return Answer{&u, "the directory"}, nil
		}
		if r.Policy.Online == "require" {
			return Answer{}, err
		}
		r.Warn(err)
	}
	if cached == nil {
		return Answer{}, nil
	}
	now := r.Now()
	if err := r.Policy.Usable(cached.Checked, now); err != nil {
		return Answer{}, err
	}
	age := now.Sub(cached.Checked).Truncate(time.Second)
	return Answer{cached, fmt.Sprintf("cache of %s ago", max(age, 0))}, nil
}
