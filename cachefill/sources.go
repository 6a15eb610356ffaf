package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/internal/snapshot"
)

// openers has, for each source.kind, what makes the sources of a configuration.
// They ask nobody yet. A further directory is a package of its own and a line
// here.
var openers = map[string]func(openOptions) (sources, error){
	config.KindIAM:            openIAM,
	config.KindIdentityCenter: openIdentityCenter,
	config.KindS3:             openSnapshot,
	config.KindFile:           openSnapshot,
}

// keyRemedies has, for each source.kind, what a user without a key is to do. The
// words are the source's; a snapshot is of IAM.
var keyRemedies = map[string]string{
	config.KindIAM: iam.KeyRemedy, config.KindS3: iam.KeyRemedy, config.KindFile: iam.KeyRemedy,
}

type openOptions struct {
	config config.Config
	held   directory.Origin // of the answer taken up last
	log    *slog.Logger
}

// sources are what a configuration's refresher asks.
type sources struct {
	directory directory.Source
	users     directory.UserSource // about one user, at a login and by the sweep
	// instanceTag asks the machine, or EC2, for a tag of the machine itself.
	instanceTag func(ctx context.Context, key string) (string, error)
	// form is that of the names in such a tag.
	form  directory.Form
	stats func() directory.Stats
	// cost is what a refresh takes of a rate that many hosts share; nil if there is
	// no such rate.
	cost func() identitycenter.Cost
	// alsoDenied says what else AWS refuses, after a read that one refusal ended; nil
	// where it is not known how to ask.
	alsoDenied func(ctx context.Context, err error, logins bool) []error
	// what names what the directory is read from, for people.
	what string
	// whole says that the directory is read whole, with everybody's keys, so
	// that users are asked about at logins only.
	whole bool
	// snapshot tells of the snapshot in use; nil if none is read.
	snapshot func() snapshot.Status
}

// openSources makes the sources of a configuration. Nobody is asked yet.
func openSources(c config.Config, held directory.Origin, log *slog.Logger) (sources, error) {
	if err := checkKeys(c); err != nil {
		return sources{}, err
	}
	open, ok := openers[c.Source.Kind]
	if !ok {
		return sources{}, wrongConfig{fmt.Errorf("source.kind %.40q is not known", c.Source.Kind)}
	}
	return open(openOptions{c, held, log})
}

func openIAM(o openOptions) (sources, error) {
	c := o.config
	s := iam.NewSource(iam.Options{
		Options: callerOf(c), PathPrefix: c.Source.PathPrefix, Bulk: c.Source.Bulk, BulkTags: c.Publish.URL != "",
	})
	return sources{
		directory: s, users: s, instanceTag: s.InstanceTag, stats: s.Stats, what: "users, groups and members",
		form: directory.IAMForm,
	}, nil
}

func openIdentityCenter(o openOptions) (sources, error) {
	c := o.config
	s := identitycenter.NewSource(identitycenter.Options{Options: callerOf(c), Store: c.Source.IdentityStore,
		NameFrom: c.Accounts.NameFrom})
	return sources{
		directory: s, users: s, instanceTag: s.InstanceTag, stats: s.Stats, what: "people, groups and memberships",
		whole: true, form: directory.StoreForm, cost: s.Cost,
		alsoDenied: s.AlsoDenied,
	}, nil
}

// callerOf is how a configuration's source talks with AWS.
func callerOf(c config.Config) awsapi.Options {
	return awsapi.Options{
		Region: c.Source.Region, Endpoint: c.Source.Endpoint,
		AssumeRole: c.Source.AssumeRole, ExternalID: c.Source.ExternalID, Rate: c.Source.Rate,
	}
}

// openSnapshot makes the sources of a host that reads a snapshot: about one
// user it asks the directory that the snapshot was read from.
func openSnapshot(o openOptions) (sources, error) {
	c := o.config
	trusted, err := snapshot.ParsePublicKeys(c.Source.TrustedKeys)
	if err != nil {
		return sources{}, err
	}
	if c.Source.Kind == config.KindS3 {
		o.config.Source.Endpoint = "" // it is S3's
	}
	s, err := openIAM(o)
	if err != nil {
		return sources{}, err
	}
	read := snapshot.NewSource(snapshot.SourceOptions{
		Address: c.Source.URL,
		Open: func(ctx context.Context) (snapshot.Store, error) {
			return snapshot.OpenStore(ctx, c.Source.URL, awsOf(c.Source.Region, c.Source.Endpoint))
		},
		Trusted: trusted, Account: accountOf(c.Source.AssumeRole), Held: o.held, Prefix: c.Source.PathPrefix,
		Now: time.Now, Log: o.log,
	})
	ofStore := o
	s.users = &usersBySnapshot{iam: s.users, read: read, open: func(store directory.Store) (sources, error) {
		ofStore.config.Source.IdentityStore, ofStore.config.Source.Region = store.ID, store.Region
		ofStore.config.Accounts.NameFrom = store.NameFrom // the publisher's; "" if it does not say
		return openIdentityCenter(ofStore)
	}, stats: s.stats}
	s.stats = s.users.(*usersBySnapshot).Stats
	s.directory, s.snapshot, s.what, s.whole = read, read.Status, "the snapshot "+c.Source.URL, true
	s.form = directory.StoreForm // the snapshot may be of either directory
	return s, nil
}

// snapshotStatus is nil if no snapshot is read, or none was read yet.
func (s sources) snapshotStatus() *snapshot.Status {
	if s.snapshot == nil {
		return nil
	}
	if status := s.snapshot(); status.Generation > 0 {
		return &status
	}
	return nil
}

// wrongConfig is a fault of the configuration that package config cannot see.
type wrongConfig struct{ error }

func (e wrongConfig) Unwrap() error { return e.error }

// checkKeys reads the public keys of a configuration, which package config
// takes for text.
func checkKeys(c config.Config) error {
	for name, lines := range map[string][]string{"source.trusted_keys": c.Source.TrustedKeys,
		"publish.trusted_keys": c.Publish.TrustedKeys} {
		if len(lines) == 0 {
			continue
		}
		if _, err := snapshot.ParsePublicKeys(lines); err != nil {
			return wrongConfig{fmt.Errorf("%s: %w", name, err)}
		}
	}
	return nil
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
