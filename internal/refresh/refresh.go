// Package refresh owns one refresh: ask the directory, compute what to serve,
// keep it, publish it; the slow sweep over people's keys; and the question
// about one person's keys while sshd waits. It knows neither AWS nor the
// configuration file nor sockets: it is given sources and a policy.
//
// A Refresher owns who is served, from the answer of the directory to nss.db.
// Logins owns what opens a login, from the listings of keys to keys.db.
package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/internal/state"
)

// A Setup says which source a refresher asks and what it does with the answers. It
// does not change once the refresher is in use.
type Setup struct {
	Source directory.Source
	Users  directory.UserSource // asked at logins and by the sweep; nil: nobody can be asked about one user
	// InstanceTag returns the value of a tag of the machine itself. It is asked
	// only if LoginTag or SudoTag is set.
	InstanceTag func(ctx context.Context, key string) (string, error)
	Form        directory.Form // of names of groups in these tags
	KeyRemedy   string         // what a user who has no key is to do, in the source's own words

	State    *state.Store
	Dir      string // the cache folder
	Machine  string // identifies the machine, so that a copy of its disk is recognized; "": not known
	Policy   accounts.Policy
	LoginTag string // keys of the instance's tags that hold further groups; "": none
	SudoTag  string
	Keys     keys.Policy
	Login    cache.LoginPolicy
	Host     func() (accounts.Host, error)
	// Grants returns what local files grant to login names; nil: nobody looks.
	Grants func(loginNames []string) ([]accounts.Grant, error)
	// HomeOwners returns the uids that own those folders that are there, as
	// homes.Looker does, which mounts nothing and does not hang; nil: nobody looks.
	HomeOwners func(folders []string) map[string]uint32
	KeysGID    int           // who may read keys.db; -1: root alone
	SweepAge   time.Duration // the age at which the sweep repeats a listing of keys
	Changed    func()        // called after nss.db may have changed; must not wait; may be nil
	Now        func() time.Time
	Log        *slog.Logger

	WholeAccount bool // for a publisher: ask for all users and groups, and for everybody's keys
	ServeNobody  bool // keep what is known, and write no cache files
}

// A Refresher serves one host. Its methods may be called at the same time.
type Refresher struct {
	Setup
	Logins   *Logins
	denials  *denials // shared with Logins
	listings *listings

	asking sync.Mutex // held by a refresh

	publishing sync.Mutex // held while an answer is computed and published; guards:
	stopped    bool
	written    string // stamp of nss.db as it was last published

	mu     sync.Mutex // guards what follows, and is never held for long
	answer answer
	// refused is why the last answer is not believed. That of a source that
	// repeats itself stays so, until another comes or somebody confirms it.
	refused refusedAnswer
	failed  error // why the last refresh failed; nil: it did not
}

type refusedAnswer struct {
	origin directory.Origin
	err    error
}

// New returns a refresher that knows nothing yet.
func New(s Setup) *Refresher {
	r := &Refresher{Setup: s}
	r.denials, r.listings = &denials{setup: &r.Setup}, &listings{setup: &r.Setup}
	r.Logins = newLogins(&r.Setup, r.denials, r.listings)
	return r
}

// ErrStopped is returned by what would publish after Stop.
var ErrStopped = errors.New("another configuration was loaded meanwhile")

// Stop waits until nothing is being published, and makes r publish nothing more, so
// that another Refresher can take over its state and its folder.
func (r *Refresher) Stop() {
	r.publishing.Lock()
	r.stopped = true
	r.publishing.Unlock()
	r.Logins.retire()
}

// Options are what a person may ask of one refresh.
type Options struct {
	DryRun         bool // compute and report, change nothing
	AcceptRemovals bool // confirm by hand whatever this answer removes
	AcceptGroups   bool // believe groups that were created again
}

// Refresh asks the directory, and publishes what follows from the answer. An
// error has changed nothing that is served, unless it says that the folder or
// keys.db could not be written: then nss.db may be new, and the next refresh
// goes on from there.
func (r *Refresher) Refresh(ctx context.Context, o Options) (outcome Outcome, err error) {
	r.asking.Lock()
	defer r.asking.Unlock()
	defer func() {
		r.mu.Lock()
		r.failed = err
		r.mu.Unlock()
		if err == nil {
			outcome.Findings = slices.Concat(outcome.Findings, r.listings.findings())
		}
	}()
	r.mu.Lock()
	last, refused := r.answer, r.refused
	r.mu.Unlock()
	a, got, err := r.ask(ctx, last.origin, refused.origin, o)
	if err != nil {
		return Outcome{}, err
	}
	if got.Unchanged && got.Origin == refused.origin && got.Origin != last.origin {
		return Outcome{}, refused.err
	}
	r.publishing.Lock()
	defer r.publishing.Unlock()
	if !a.directory.Whole && len(last.directory.Others) > 0 && a.directory.Account == last.directory.Account {
		// Users who were named only by an earlier answer still claim their ids.
		a.directory = a.directory.WithOthers(last.directory.Others, false)
	}
	if got.Unchanged {
		if !last.known || last.origin != got.Origin {
			return Outcome{}, fmt.Errorf("%q reports no change since generation %d, which this host does not hold",
				got.Origin.Address,
				got.Origin.Generation)
		}
		a.at, a.directory, a.pins, a.keysCome = last.at, last.directory, last.pins, last.keysCome
	}
	if o == (Options{}) && got.Listings == nil {
		if repeats, err := r.repeats(last, a); err != nil {
			return Outcome{}, err
		} else if repeats {
			return r.repeat(a.at)
		}
	}
	// An answer that is repeated confirms nothing.
	before, err := LastOrigin(r.State)
	if err != nil {
		return Outcome{}, err
	}
	outcome, err = r.apply(a, got, o, a.origin != directory.Origin{} && a.origin == before)
	if !o.DryRun {
		refused = refusedAnswer{}
		if errors.Is(err, accounts.ErrEmptyAnswer) {
			refused = refusedAnswer{a.origin, err}
		}
		r.mu.Lock()
		r.refused = refused
		r.mu.Unlock()
	}
	return outcome, err
}

// ask asks the directory, and returns the new answer, which is not computed yet.
func (s *Setup) ask(ctx context.Context, known, refused directory.Origin, o Options) (a answer, got directory.Answer,
	err error) {
	started := s.Now()
	tags, err := s.readTags(ctx)
	if err != nil {
		return a, got, err
	}
	q := s.query(s.Policy.WithTags(tags.Login, tags.Sudo))
	q.Known = known
	if o == (Options{}) {
		q.Refused = refused
	}
	if got, err = s.Source.Directory(ctx, q); err != nil {
		return a, got, err
	}
	a = answer{at: got.AsOf, tags: tags, directory: got.Directory, pins: got.Pins, origin: got.Origin,
		keysCome: got.Listings != nil}
	if a.at.IsZero() {
		a.at = started
	}
	return a, got, nil
}

// Rebuild computes again from the last answer: the host's own files changed, or
// time went by without another answer.
func (r *Refresher) Rebuild() (Outcome, error) {
	r.publishing.Lock()
	defer r.publishing.Unlock()
	last := r.last()
	if !last.known {
		return Outcome{}, nil
	}
	return r.apply(last, directory.Answer{}, Options{}, true)
}

// PublishChanges publishes what was learned since the last refresh: nss.db if
// somebody was denied a right, or if it is not the file that was published, and
// keys.db if more is known than it holds.
func (r *Refresher) PublishChanges() error {
	r.publishing.Lock()
	defer r.publishing.Unlock()
	last := r.last()
	if last.known && (r.denials.takeChanged() || !r.ServeNobody && stampOf(r.Dir, cache.NSSFile) != r.written) {
		_, err := r.apply(last, directory.Answer{}, Options{}, true)
		return err
	}
	return r.Logins.PublishKeys()
}

func (r *Refresher) last() answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answer
}

// setCurrent makes a the answer in hand.
func (r *Refresher) setCurrent(a answer) {
	r.mu.Lock()
	r.answer = a
	r.mu.Unlock()
	r.Logins.admit(a.admission(r.WholeAccount))
}
