// Package source adapts what can be asked (packages iam and snapshot) to what
// the refresher asks (refresh.Source). It owns the translation, the patience
// with a metadata service that is not up yet, and which version of a snapshot
// was read last; it decides nothing about anybody.
package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/refresh"
)

// IAM is a refresh.Source that asks IAM. It opens its client at the first
// question, and tries again at the next where that failed: at boot the network
// may come after the refresher.
type IAM struct {
	// Tagged adds the users' tags to directories read in bulk, which have them
	// anyway, whether they were asked for or not.
	Tagged bool

	options iam.Options
	prefix  string
	bulk    bool

	mu     sync.Mutex // guards client
	client *iam.Client
}

// NewIAM returns a source for users whose path begins with prefix ("" for all),
// read by GetAccountAuthorizationDetails if bulk is set.
func NewIAM(o iam.Options, prefix string, bulk bool) *IAM {
	return &IAM{options: o, prefix: prefix, bulk: bulk}
}

func (s *IAM) open(ctx context.Context) (*iam.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	c, err := iam.Open(ctx, s.options)
	if err != nil {
		return nil, err
	}
	s.client = c
	return c, nil
}

// Stats are the calls since the first question.
func (s *IAM) Stats() iam.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return iam.Stats{}
	}
	return s.client.Stats()
}

// Directory is refresh.Source's.
func (s *IAM) Directory(ctx context.Context, want refresh.Wanted) (refresh.Said, error) {
	c, err := s.open(ctx)
	if err != nil {
		return refresh.Said{}, err
	}
	d, err := c.Directory(ctx, iam.Query{
		Groups: want.Groups, Publish: want.Publish, AllUsers: want.AllUsers,
		PathPrefix: s.prefix, Bulk: s.bulk, Tags: want.Tags || s.Tagged && s.bulk,
	})
	return refresh.Said{Directory: d}, err
}

// UserID is refresh.Source's.
func (s *IAM) UserID(ctx context.Context, userName string) (string, error) {
	c, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	id, err := c.UserID(ctx, userName)
	return id, known(err)
}

// Keys is refresh.Source's.
func (s *IAM) Keys(ctx context.Context, userName string, body func(string) (string, bool)) ([]directory.Key, time.Time, error) {
	c, err := s.open(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	keys, err := c.Keys(ctx, userName, body)
	return keys, time.Time{}, known(err)
}

// Groups is refresh.Source's.
func (s *IAM) Groups(ctx context.Context, userName string) ([]string, error) {
	c, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := c.GroupsOf(ctx, userName)
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.Name
	}
	slices.Sort(names)
	return names, known(err)
}

// Tags is refresh.Source's.
func (s *IAM) Tags(ctx context.Context, userName string) (map[string]string, error) {
	c, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	tags, err := c.Tags(ctx, userName)
	return tags, known(err)
}

// InstanceTag is refresh.Source's.
func (s *IAM) InstanceTag(ctx context.Context, key string) (string, error) {
	c, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	return c.InstanceTag(ctx, key)
}

// known turns package iam's word for a missing user into the refresher's.
func known(err error) error {
	if errors.Is(err, iam.ErrNoSuchUser) {
		return fmt.Errorf("%w: %w", refresh.ErrNoSuchUser, err)
	}
	return err
}
