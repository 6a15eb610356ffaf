package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/refresh"
)

// An iamSource is IAM as the refresher wants it.
type iamSource struct {
	*iam.Client
	prefix string
	bulk   bool
}

func openIAM(ctx context.Context, c config.Source) (*iamSource, error) {
	client, err := iam.Open(ctx, iam.Options{
		Region: c.Region, Endpoint: c.Endpoint, AssumeRole: c.AssumeRole, ExternalID: c.ExternalID, Rate: c.Rate,
	})
	if err != nil {
		return nil, err
	}
	return &iamSource{client, c.PathPrefix, c.Bulk}, nil
}

func (s *iamSource) Directory(ctx context.Context, want refresh.Wanted) (refresh.Said, error) {
	d, err := s.Client.Directory(ctx, iam.Query{
		Groups: want.Groups, Publish: want.Publish, AllUsers: want.AllUsers,
		PathPrefix: s.prefix, Bulk: s.bulk, Tags: want.Tags,
	})
	return refresh.Said{Directory: d}, err
}

func (s *iamSource) UserID(ctx context.Context, userName string) (string, error) {
	id, err := s.Client.UserID(ctx, userName)
	return id, known(err)
}

func (s *iamSource) Keys(ctx context.Context, userName string, body func(string) (string, bool)) ([]directory.Key, time.Time, error) {
	asked := time.Now()
	keys, err := s.Client.Keys(ctx, userName, body)
	return keys, asked, known(err)
}

func (s *iamSource) Groups(ctx context.Context, userName string) ([]string, error) {
	groups, err := s.Client.GroupsOf(ctx, userName)
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.Name
	}
	slices.Sort(names)
	return names, known(err)
}

func (s *iamSource) Tags(ctx context.Context, userName string) (map[string]string, error) {
	tags, err := s.Client.Tags(ctx, userName)
	return tags, known(err)
}

// known turns package iam's word for a missing user into the refresher's.
func known(err error) error {
	if errors.Is(err, iam.ErrNoSuchUser) {
		return fmt.Errorf("%w: %w", refresh.ErrNoSuchUser, err)
	}
	return err
}
