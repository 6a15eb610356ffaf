package refresh

import (
	"context"
	"fmt"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/state"
)

// query is what to ask the directory for a policy.
func (s *Setup) query(p accounts.Policy) directory.Query {
	q := p.Query()
	if s.WholeAccount {
		q.AllUsers, q.Publish = true, []string{"*"}
	}
	return q
}

// readTags reads the groups that the instance's tags name. A tag that is
// configured and missing is an error: it must neither admit nor remove anybody.
func (s *Setup) readTags(ctx context.Context) (tagGroups, error) {
	var groups tagGroups
	for _, tag := range []struct {
		key  string
		into *[]string
	}{{s.LoginTag, &groups.Login}, {s.SudoTag, &groups.Sudo}} {
		if tag.key == "" {
			continue
		}
		value, err := s.InstanceTag(ctx, tag.key)
		if err != nil {
			return tagGroups{}, err
		}
		if *tag.into, err = accounts.ParseGroupsTag(value, s.Form); err != nil {
			return tagGroups{}, fmt.Errorf("instance tag %q: %w", tag.key, err)
		}
	}
	return groups, nil
}

// LastOrigin returns the origin of the last answer that was taken up from a
// source that repeats itself: no older one of its address may follow.
func LastOrigin(s *state.Store) (o directory.Origin, err error) {
	err = s.Load(savedOrigin, &o)
	return o, err
}
