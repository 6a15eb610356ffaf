package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/snapshot"
	"github.com/nss-iam/nss-iam/internal/source"
	"github.com/nss-iam/nss-iam/internal/state"
)

// asked is whom a configuration's refresher asks.
type asked struct {
	iam      *source.IAM
	snapshot *source.Snapshot // nil with source.kind "iam"
}

// directory is the source of users and groups.
func (a asked) directory() refresh.Source {
	if a.snapshot != nil {
		return a.snapshot
	}
	return a.iam
}

// snapshotStatus is nil where none is read, or none was read yet.
func (a asked) snapshotStatus() *source.SnapshotStatus {
	if a.snapshot == nil {
		return nil
	}
	if s := a.snapshot.Status(); s.Generation > 0 {
		return &s
	}
	return nil
}

// wrongConfig is a fault of the configuration that package config cannot see.
type wrongConfig struct{ error }

func (e wrongConfig) Unwrap() error { return e.error }

// checkKeys reads the public keys of a configuration, which package config
// takes for text.
func checkKeys(c config.Config) error {
	for name, lines := range map[string][]string{"source.trusted_keys": c.Source.TrustedKeys, "publish.trusted_keys": c.Publish.TrustedKeys} {
		if len(lines) == 0 {
			continue
		}
		if _, err := snapshot.ParsePublicKeys(lines); err != nil {
			return wrongConfig{fmt.Errorf("%s: %w", name, err)}
		}
	}
	return nil
}

// whoToAsk makes the sources of a configuration. Nobody is asked yet.
func whoToAsk(c config.Config, s *state.Store, log *slog.Logger) (asked, error) {
	options := iam.Options{
		Region: c.Source.Region, Endpoint: c.Source.Endpoint,
		AssumeRole: c.Source.AssumeRole, ExternalID: c.Source.ExternalID, Rate: c.Source.Rate,
	}
	if c.Source.Kind == "s3" {
		options.Endpoint = "" // it is S3's
	}
	if err := checkKeys(c); err != nil {
		return asked{}, err
	}
	a := asked{iam: source.NewIAM(options, c.Source.PathPrefix, c.Source.Bulk)}
	a.iam.Tagged = c.Publish.URL != ""
	if c.Source.Kind == "iam" {
		return a, nil
	}
	trusted, err := snapshot.ParsePublicKeys(c.Source.TrustedKeys)
	if err != nil {
		return asked{}, err
	}
	held, err := refresh.LastOrigin(s)
	if err != nil {
		return asked{}, err
	}
	a.snapshot = source.NewSnapshot(source.SnapshotOptions{
		Address: c.Source.URL,
		Open: func(ctx context.Context) (snapshot.Store, error) {
			return snapshot.OpenStore(ctx, c.Source.URL, awsOf(c.Source.Region, c.Source.Endpoint))
		},
		Trusted: trusted, Account: accountOf(c.Source.AssumeRole), Held: held, Prefix: c.Source.PathPrefix,
		Tags: a.iam, Now: time.Now, Log: log,
	})
	return a, nil
}

// awsOf is how package snapshot finds its way to AWS.
func awsOf(region, endpoint string) func(context.Context) (aws.Config, error) {
	return func(ctx context.Context) (aws.Config, error) { return snapshot.Configuration(ctx, region, endpoint) }
}

// accountOf is the account of a role's ARN, whose form the configuration
// checked, or "".
func accountOf(role string) string {
	const before = 4 // arn:aws:iam::123456789012:role/name
	colons := 0
	for i := range len(role) {
		if role[i] == ':' {
			if colons++; colons == before && len(role) > i+12 {
				return role[i+1 : i+13]
			}
		}
	}
	return ""
}
