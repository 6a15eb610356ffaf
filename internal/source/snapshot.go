package source

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/snapshot"
	"github.com/nss-iam/nss-iam/internal/state"
)

// Snapshot is a refresh.Source that reads a signed snapshot in place of IAM.
// It answers for all users at once; who asks about one, at a login, needs IAM
// itself (refresh.Refresher.Online).
type Snapshot struct {
	o SnapshotOptions

	mu     sync.Mutex // guards what follows
	store  snapshot.Store
	tag    snapshot.Tag   // of the version read last
	read   refresh.Origin // what that version is; zero where it was refused
	bad    error          // why it was refused, or nil
	held   refresh.Origin // the youngest accepted
	status SnapshotStatus
	told   uint64 // the generation whose expiry was logged
}

// SnapshotOptions are where a snapshot is and what it must be.
type SnapshotOptions struct {
	Address string
	Open    func(ctx context.Context) (snapshot.Store, error)
	Trusted []snapshot.PublicKey
	Account string         // "": that of Held, or of the first snapshot accepted
	Held    refresh.Origin // what was taken up before a restart; of another address it does not count
	Prefix  string         // of users' paths, for login.all_users
	Tags    *IAM           // where the instance's own tags come from
	Now     func() time.Time
	Log     *slog.Logger
}

// A SnapshotStatus tells of the snapshot in use. It survives JSON.
type SnapshotStatus struct {
	Address    string
	Account    string
	Generation uint64
	SignedBy   string // the fingerprint of the trusted key
	Written    time.Time
	AsOf       time.Time // when IAM was asked
	Expires    time.Time
}

// NewSnapshot returns a source that asks nobody before its first question.
func NewSnapshot(o SnapshotOptions) *Snapshot {
	if o.Held.Address != o.Address {
		o.Held = refresh.Origin{}
	}
	return &Snapshot{o: o, held: o.Held}
}

// Status tells of the snapshot accepted last; it is zero before the first.
func (s *Snapshot) Status() SnapshotStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Directory is refresh.Source's. A snapshot that is refused is an error of
// package snapshot and is read once, not at every poll.
func (s *Snapshot) Directory(ctx context.Context, want refresh.Wanted) (refresh.Said, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store == nil {
		store, err := s.o.Open(ctx)
		if err != nil {
			return refresh.Said{}, err
		}
		s.store = store
	}
	known := snapshot.Tag("")
	if s.bad != nil || s.read != (refresh.Origin{}) && (s.read == want.Known || s.read == want.Refused) {
		known = s.tag
	}
	got, tag, err := snapshot.Fetch(ctx, s.store, known, snapshot.Trust{
		Keys: s.o.Trusted, Account: s.account(), Now: s.o.Now(),
		Generation: s.held.Generation, Digest: s.held.Digest,
	})
	switch {
	case errors.Is(err, snapshot.ErrNotModified) && s.bad != nil:
		return refresh.Said{}, s.bad
	case errors.Is(err, snapshot.ErrNotModified):
		s.expiry()
		return refresh.Said{Origin: s.read, Unchanged: true}, nil
	case err != nil && tag != known && !errors.Is(err, snapshot.ErrFuture): // time alone may mend that one
		s.tag, s.read, s.bad = tag, refresh.Origin{}, err
		return refresh.Said{}, err
	case err != nil:
		return refresh.Said{}, err
	}
	m := got.Manifest
	s.read = refresh.Origin{Address: s.o.Address, Account: m.Account, Generation: m.Generation, Digest: m.Digest()}
	if s.held.Digest == "" && s.held.Generation == m.Generation {
		s.read = s.held // the same answer, taken up by a release that kept no digest
	}
	s.tag, s.bad, s.held = tag, nil, s.read
	s.status = SnapshotStatus{s.o.Address, m.Account, m.Generation, got.SignedBy, m.Written, m.AsOf, m.Expires}
	s.expiry()
	said := saidOf(got.Content, want, s.o.Prefix)
	said.Origin = s.read
	return said, nil
}

// account is what a snapshot must be of: the first one accepted decides where
// nothing else does.
func (s *Snapshot) account() string {
	if s.o.Account != "" {
		return s.o.Account
	}
	return s.held.Account
}

// expiry logs, once for each snapshot, that it has expired.
func (s *Snapshot) expiry() {
	current := snapshot.Snapshot{Manifest: snapshot.Manifest{Expires: s.status.Expires}}
	if err := current.CheckExpiry(s.o.Now()); err != nil && s.told != s.status.Generation {
		s.told = s.status.Generation
		s.o.Log.Error("serving an expired snapshot", "snapshot", s.o.Address, "generation", s.status.Generation, "error", err)
	}
}

// saidOf takes from a snapshot what is wanted.
func saidOf(c snapshot.Content, want refresh.Wanted, prefix string) refresh.Said {
	said := refresh.Said{
		Directory: want.Of(c.Directory, prefix), AsOf: c.AsOf, Pins: c.Pins,
		Listings: make(map[string]state.Listing),
	}
	for _, u := range said.Directory.Users {
		if read, ok := c.Keys[u.ID]; ok {
			said.Listings[u.ID] = state.Listing{Checked: read.Checked, Keys: read.Keys}
		}
	}
	for _, f := range c.Former {
		said.Former = append(said.Former, refresh.Former(f))
	}
	return said
}

// ContentOf makes of what a publisher read what a snapshot carries.
func ContentOf(said refresh.Said) snapshot.Content {
	c := snapshot.Content{
		Directory: said.Directory, AsOf: said.AsOf, Pins: said.Pins,
		Keys: make(map[string]snapshot.Keys, len(said.Listings)),
	}
	for _, u := range said.Directory.Users {
		if l, ok := said.Listings[u.ID]; ok && !l.Checked.IsZero() {
			c.Keys[u.ID] = snapshot.Keys{Checked: l.Checked, Keys: l.Keys}
		}
	}
	for _, f := range said.Former {
		c.Former = append(c.Former, snapshot.Former(f))
	}
	return c
}

// errOneByOne is what a snapshot answers to questions about one user.
var errOneByOne = errors.New("a snapshot is not asked about one user")

// UserID is refresh.Source's, and always an error.
func (s *Snapshot) UserID(context.Context, string) (string, error) { return "", errOneByOne }

// Keys is refresh.Source's, and always an error: keys come with the directory.
func (s *Snapshot) Keys(context.Context, string, func(string) (string, bool)) ([]directory.Key, time.Time, error) {
	return nil, time.Time{}, errOneByOne
}

// Groups is refresh.Source's, and always an error.
func (s *Snapshot) Groups(context.Context, string) ([]string, error) { return nil, errOneByOne }

// Tags is refresh.Source's, and always an error.
func (s *Snapshot) Tags(context.Context, string) (map[string]string, error) { return nil, errOneByOne }

// InstanceTag is refresh.Source's. The instance is asked, or EC2, never IAM.
func (s *Snapshot) InstanceTag(ctx context.Context, key string) (string, error) {
	return s.o.Tags.InstanceTag(ctx, key)
}
