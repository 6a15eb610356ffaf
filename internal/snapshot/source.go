package snapshot

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// A Source is a directory.Source that reads a signed snapshot. It answers for
// all users at once; a question about one user goes to the directory itself.
type Source struct {
	o SourceOptions

	mu     sync.Mutex // guards what follows
	store  Store
	tag    Tag              // of the version read last
	read   directory.Origin // what that version is; zero where it was refused
	bad    error            // why it was refused, or nil
	held   directory.Origin // the youngest accepted
	status Status
	told   uint64 // the generation whose expiry was logged
}

// SourceOptions are where a snapshot is and what it must be.
type SourceOptions struct {
	Address string
	Open    func(ctx context.Context) (Store, error)
	Trusted []PublicKey
	Account string           // "": that of Held, or of the first snapshot accepted
	Held    directory.Origin // what was taken up before a restart; of another address it does not count
	Prefix  string           // of users' paths, for login.all_users
	Now     func() time.Time
	Log     *slog.Logger
}

// A Status tells of the snapshot in use. It survives JSON.
type Status struct {
	Address    string
	Account    string
	Store      string `json:",omitempty"` // the id of the Identity Store that was read
	Generation uint64
	SignedBy   string // the fingerprint of the trusted key
	Written    time.Time
	AsOf       time.Time // when the directory was asked
	Expires    time.Time
}

// NewSource returns a source that asks nobody before its first question.
func NewSource(o SourceOptions) *Source {
	if o.Held.Address != o.Address {
		o.Held = directory.Origin{}
	}
	return &Source{o: o, held: o.Held}
}

// Status tells of the snapshot accepted last; it is zero before the first.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// Store is the Identity Store that the snapshot accepted last was read from, also
// before a restart; zero for IAM.
func (s *Source) Store() directory.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held.Store
}

// Directory implements directory.Source. A snapshot that is refused is an error
// of this package. It is read once, not at every poll.
func (s *Source) Directory(ctx context.Context, q directory.Query) (directory.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store == nil {
		store, err := s.o.Open(ctx)
		if err != nil {
			return directory.Answer{}, err
		}
		s.store = store
	}
	known := Tag("")
	if s.bad != nil || s.read != (directory.Origin{}) && (s.read == q.Known || s.read == q.Refused) {
		known = s.tag
	}
	got, tag, err := Fetch(ctx, s.store, known, Trust{
		Keys: s.o.Trusted, Account: s.account(), Now: s.o.Now(),
		Generation: s.held.Generation, Digest: s.held.Digest,
	})
	switch {
	case errors.Is(err, ErrNotModified) && s.bad != nil:
		return directory.Answer{}, s.bad
	case errors.Is(err, ErrNotModified):
		s.expiry()
		return directory.Answer{Origin: s.read, Unchanged: true}, nil
	case err != nil && tag != known && !errors.Is(err, ErrFuture): // time alone may cure that one
		s.tag, s.read, s.bad = tag, directory.Origin{}, err
		return directory.Answer{}, err
	case err != nil:
		return directory.Answer{}, err
	}
	m := got.Manifest
	s.read = directory.Origin{Address: s.o.Address, Account: m.Account, Store: m.Store, Generation: m.Generation,
		Digest: m.Digest()}
	if s.held.Digest == "" && s.held.Generation == m.Generation {
		s.read = s.held // the same answer, taken up by a release that kept no digest
	}
	s.tag, s.bad, s.held = tag, nil, s.read
	s.status = Status{s.o.Address, m.Account, m.Store.ID, m.Generation, got.SignedBy, m.Written, m.AsOf, m.Expires}
	s.expiry()
	answer := answerTo(q, got.Content, s.o.Prefix)
	answer.Origin = s.read
	return answer, nil
}

// account is what a snapshot must be of: the first one accepted decides where
// nothing else does.
func (s *Source) account() string {
	if s.o.Account != "" {
		return s.o.Account
	}
	return s.held.Account
}

// expiry logs, once for each snapshot, that it has expired.
func (s *Source) expiry() {
	current := Snapshot{Manifest: Manifest{Expires: s.status.Expires}}
	if err := current.CheckExpiry(s.o.Now()); err != nil && s.told != s.status.Generation {
		s.told = s.status.Generation
		s.o.Log.Error("serving an expired snapshot", "snapshot", s.o.Address, "generation", s.status.Generation, "error", err)
	}
}

// answerTo takes from a snapshot what a query asks for.
func answerTo(q directory.Query, content directory.Answer, pathPrefix string) directory.Answer {
	a := directory.Answer{
		Directory: q.Of(content.Directory, pathPrefix), AsOf: content.AsOf, Pins: content.Pins, Former: content.Former,
		Listings: make(map[string]directory.KeyListing),
	}
	for _, u := range a.Directory.Users {
		if l, ok := content.Listings[u.ID]; ok {
			a.Listings[u.ID] = l
		}
	}
	return a
}
