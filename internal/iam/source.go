package iam

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// A Source is IAM as a directory.Source and a directory.UserSource.
type Source struct {
	options   Options
	everybody everybody
	client    awsapi.Opened[*Client]
}

// KeyRemedy is what a user without a key is to do.
const KeyRemedy = "upload one: aws iam upload-ssh-public-key"

// NewSource returns a source that has asked nobody yet.
func NewSource(o Options) *Source { return &Source{options: o} }

func (s *Source) open(ctx context.Context) (*Client, error) {
	return s.client.Get(ctx, func(ctx context.Context) (*Client, error) { return Open(ctx, s.options) })
}

// Stats are the calls since the first question.
func (s *Source) Stats() directory.Stats { return s.client.Stats() }

// Directory implements directory.Source.
func (s *Source) Directory(ctx context.Context, q directory.Query) (directory.Answer, error) {
	c, err := s.open(ctx)
	if err != nil {
		return directory.Answer{}, err
	}
	d, err := c.Directory(ctx, q)
	if err == nil && !d.Whole {
		if all, ok := s.everybody.of(ctx, c, time.Now()); ok {
			d = d.WithOthers(all, true)
		}
	}
	return directory.Answer{Directory: d}, err
}

// Keys implements directory.UserSource. IAM lists keys by the user's name, and
// names move: a key that this user was not seen with before may be somebody
// else's, who has the name by now. Then the user behind the name is asked for.
func (s *Source) Keys(ctx context.Context, u directory.User, q directory.KeyQuery) (l directory.KeyListing, err error) {
	c, err := s.open(ctx)
	if err != nil {
		return l, err
	}
	verify := q.AllUsers && c.options.PathPrefix != "/"
	l.Keys, err = c.Keys(ctx, u.Name, func(id string) (string, bool) {
		verify = verify || !q.Own[id]
		return q.Body(id)
	})
	if err == nil && q.TagPrefix != "" {
		verify = true
		l.Tags, err = c.tagsWith(ctx, u.Name, q.TagPrefix)
	}
	if err == nil && verify {
		err = c.exists(ctx, u, q.AllUsers)
	}
	return l, aboutUser(err)
}

// aboutUser marks the error of a question about one user that IAM refused: it may be
// this user's matter alone.
func aboutUser(err error) error {
	if errors.Is(err, awsapi.ErrAccessDenied) || errors.Is(err, awsapi.ErrRefused) {
		return fmt.Errorf("%w: %w", directory.ErrUserRefused, err)
	}
	return err
}

// Exists implements directory.UserSource.
func (s *Source) Exists(ctx context.Context, u directory.User, allUsers bool) error {
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	return c.exists(ctx, u, allUsers)
}

func (c *Client) exists(ctx context.Context, u directory.User, allUsers bool) error {
	now, err := c.User(ctx, u.Name)
	switch {
	case err != nil:
		return err
	case now.ID != u.ID:
		return fmt.Errorf("user %q: %w: the name belongs to %s and no longer to %s", u.Name, directory.ErrNoSuchUser, now.ID,
			u.ID)
	case allUsers && !strings.HasPrefix(now.Path, c.options.PathPrefix):
		return fmt.Errorf("user %q: %w: its path is %q, outside of %q", u.Name, directory.ErrNoSuchUser, now.Path,
			c.options.PathPrefix)
	}
	return nil
}

// tagsWith reads those of a user's tags whose keys begin with prefix in any case.
func (c *Client) tagsWith(ctx context.Context, userName, prefix string) (map[string]string, error) {
	tags, err := c.Tags(ctx, userName)
	if err != nil {
		return nil, err
	}
	prefix = directory.FoldName(prefix)
	for key := range tags {
		if !strings.HasPrefix(directory.FoldName(key), prefix) {
			delete(tags, key)
		}
	}
	return tags, nil
}

// Groups implements directory.UserSource.
func (s *Source) Groups(ctx context.Context, u directory.User, _ []string) ([]string, error) {
	c, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := c.GroupsOf(ctx, u.Name)
	if err != nil {
		return nil, aboutUser(err)
	}
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.Name
	}
	return names, nil
}

// InstanceTag returns the value of a tag of the machine itself, as Client does.
func (s *Source) InstanceTag(ctx context.Context, key string) (string, error) {
	c, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	return c.InstanceTag(ctx, key)
}
