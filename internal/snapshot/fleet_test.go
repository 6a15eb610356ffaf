package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/snapshot"
	"github.com/nss-iam/nss-iam/internal/state"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

var company = emulator.Company{
	Groups: []emulator.Group{{Name: "developers"}, {Name: "admins"}, {Name: "team-red"}, {Name: "empty"}},
	Users: []emulator.User{
		{Name: "alice", Groups: []string{"developers", "admins", "team-red"}, Keys: []emulator.Key{
			{ID: "APKAALICE00000000001", Body: emulator.RSALine(1, "alice")},
			{ID: "APKAALICE00000000002", Body: emulator.RSALine(2, "alice"), Status: "Inactive"},
		}},
		{Name: "bob", Groups: []string{"developers"},
			Keys: []emulator.Key{{ID: "APKABOB0000000000001", Body: emulator.RSALine(3, "bob")}}},
		{Name: "carol", Path: "/staff/", Groups: []string{"developers", "team-red"}},
		{Name: "dave", Path: "/staff/", Tags: map[string]string{"team": "red"}},
		{Name: "erin@example.com", Groups: []string{"team-red"}},
	},
}

// A fleet is an account, one publisher, and a place for its snapshot.
type fleet struct {
	t         *testing.T
	e         *emulator.Emulator
	now       time.Time
	path      string
	signer    *snapshot.Signer
	publisher *refresh.Refresher
	writer    *snapshot.Publisher
	log       bytes.Buffer
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": emulator.AccessKey, "AWS_SECRET_ACCESS_KEY": emulator.SecretKey, "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_CA_BUNDLE": "",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "",
		"HTTP_PROXY": "", "HTTPS_PROXY": "", "http_proxy": "", "https_proxy": "",
	} {
		t.Setenv(name, value)
	}
	e, err := emulator.Start(emulator.Options{Company: company})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	f := &fleet{t: t, e: e, now: time.Now().Truncate(time.Second), path: filepath.Join(t.TempDir(), "snapshot"),
		signer: newSigner(t)}
	f.publisher = f.refresher(t.TempDir(), config.Default())
	f.asks(f.publisher, f.iam())
	f.publisher.WholeAccount, f.publisher.ServeNobody = true, true
	f.writer = f.newWriter(f.signer)
	return f
}

func newSigner(t *testing.T) *snapshot.Signer {
	t.Helper()
	signer, _, err := snapshot.NewKey("test")
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (f *fleet) newWriter(signer *snapshot.Signer) *snapshot.Publisher {
	return &snapshot.Publisher{Store: snapshot.NewFileStore(f.path), Signer: signer, Now: f.clock}
}

func (f *fleet) clock() time.Time { return f.now }

func (f *fleet) iam() *iam.Source {
	return iam.NewSource(iam.Options{
		Options: awsapi.Options{
			Region:           "eu-west-1",
			Endpoint:         f.e.URL,
			MetadataEndpoint: f.e.URL,
			Rate:             1e6,
			Burst:            1e6,
			Attempts:         2,
			Backoff:          time.Millisecond,
			AttemptTimeout:   30 * time.Second,
			CallTimeout:      time.Minute,
		}, Bulk: true, BulkTags: true,
	})
}

// asks makes a refresher ask IAM for everything.
func (f *fleet) asks(r *refresh.Refresher, s *iam.Source) {
	r.Source, r.Users, r.InstanceTag = s, s, s.InstanceTag
}

// refresher makes one in dir, with nobody to ask.
func (f *fleet) refresher(dir string, c config.Config) *refresh.Refresher {
	f.t.Helper()
	s, err := state.Open(dir)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = s.Close() })
	low := accounts.Range{Low: c.IDs.Low, High: c.IDs.High}
	return refresh.New(refresh.Setup{
		State: s, Dir: dir, Policy: accounts.Policy{
			Range: low, Pins: c.IDs.Pin, AllUsers: c.Login.AllUsers, Login: c.Login.Groups, Sudo: c.Sudo.Groups,
			Publish: c.Accounts.PublishGroups, Shell: c.Accounts.Shell, NoLogin: "/usr/sbin/nologin", Home: c.Accounts.Home,
			Confirm: c.Removal.Confirm, MaxFraction: 0.5, KeepNames: c.Removal.KeepNames,
		},
		Keys:  keys.Policy{MinRSABits: 2048, Allowed: c.Keys.Types},
		Login: cache.LoginPolicy{Online: "off", Timeout: time.Second, MaxStale: 24 * time.Hour, Range: low},
		Host:  func() (accounts.Host, error) { return accounts.Host{}, nil }, KeysGID: -1,
		SweepAge: time.Hour, Now: f.clock, Log: slog.New(slog.NewTextHandler(&f.log, nil)),
	})
}

func usual() config.Config {
	c := config.Default()
	c.Login.Groups, c.Sudo.Groups, c.Accounts.PublishGroups = []string{"developers"}, []string{"admins"},
		[]string{"team-*"}
	return c
}

// A host reads the fleet's snapshot.
type host struct {
	*refresh.Refresher
	f   *fleet
	c   config.Config
	src *snapshot.Source
}

func (f *fleet) host(c config.Config) *host {
	f.t.Helper()
	return f.hostIn(f.t.TempDir(), c, func(o *snapshot.SourceOptions) {})
}

func (f *fleet) hostIn(dir string, c config.Config, change func(*snapshot.SourceOptions)) *host {
	f.t.Helper()
	h := &host{Refresher: f.refresher(dir, c), f: f, c: c}
	held, err := refresh.LastOrigin(h.State)
	if err != nil {
		f.t.Fatal(err)
	}
	o := snapshot.SourceOptions{
		Address: "file://" + f.path,
		Open:    func(context.Context) (snapshot.Store, error) { return snapshot.NewFileStore(f.path), nil },
		Trusted: []snapshot.PublicKey{f.signer.PublicKey("")}, Held: held, Prefix: c.Source.PathPrefix,
		Now: f.clock, Log: h.Log,
	}
	change(&o)
	h.src = snapshot.NewSource(o)
	h.Source = h.src
	return h
}

// restart is the same host with a new process.
func (h *host) restart(change func(*snapshot.SourceOptions)) *host {
	h.f.t.Helper()
	if err := h.State.Close(); err != nil {
		h.f.t.Fatal(err)
	}
	again := h.f.hostIn(h.Dir, h.c, change)
	if err := again.Restore(); err != nil {
		h.f.t.Fatal(err)
	}
	return again
}

// publish reads IAM a minute later, and writes what is to be written.
func (f *fleet) publish() snapshot.Result {
	f.t.Helper()
	f.now = f.now.Add(time.Minute)
	if _, err := f.publisher.Refresh(f.t.Context(), refresh.Options{}); err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.publisher.Logins.Sweep(f.t.Context(), 0); err != nil {
		f.t.Fatal(err)
	}
	return f.write(f.writer)
}

func (f *fleet) write(writer *snapshot.Publisher) snapshot.Result {
	f.t.Helper()
	all, repeat, err := f.publisher.All()
	if err != nil {
		f.t.Fatal(err)
	}
	writer.Renewal = 0
	if repeat {
		writer.Renewal = time.Nanosecond
	}
	result, err := writer.Publish(f.t.Context(), all)
	if err != nil {
		f.t.Fatal(err)
	}
	return result
}

// content is what a publication now would hold.
func (f *fleet) content() directory.Answer {
	f.t.Helper()
	all, _, err := f.publisher.All()
	if err != nil {
		f.t.Fatal(err)
	}
	return all
}

// poll is a refresh of a host 45 seconds later, which must succeed.
func (h *host) poll() refresh.Outcome {
	h.f.t.Helper()
	o, err := h.tryPoll(h.f.t.Context())
	if err != nil {
		h.f.t.Fatal(err)
	}
	return o
}

func (h *host) tryPoll(ctx context.Context) (refresh.Outcome, error) {
	h.f.now = h.f.now.Add(45 * time.Second)
	return h.Refresh(ctx, refresh.Options{})
}

// served is what the folder serves: the tables' digest, and the keys by name.
type served struct {
	digest [32]byte
	keys   string
}

func servedIn(t *testing.T, dir string) served {
	t.Helper()
	m, err := cache.ReadMeta(dir)
	if err != nil {
		t.Fatal(err)
	}
	tables, _, err := cache.ReadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, u := range tables.Users {
		for _, k := range u.Keys {
			all = append(all, u.Name+" "+k.ID)
		}
	}
	slices.Sort(all)
	return served{m.Digest, strings.Join(all, ", ")}
}

// users are the names of the served, former ones in brackets.
func (h *host) users() string {
	h.f.t.Helper()
	tables, _, err := cache.ReadNSS(h.Dir)
	if err != nil {
		h.f.t.Fatal(err)
	}
	names := map[string]bool{}
	for _, u := range tables.Users {
		if u.Former {
			u.Name = "(" + u.Name + ")"
		}
		names[u.Name] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), " ")
}

func (f *fleet) does(errs ...error) {
	f.t.Helper()
	if err := errors.Join(errs...); err != nil {
		f.t.Fatal(err)
	}
}

// patientConfiguration is an SDK configuration without waits between retries.
func patientConfiguration(url string) aws.Config {
	return aws.Config{
		Region: "eu-west-1", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider("AKIDTEST", "secret",
			""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		},
	}
}
