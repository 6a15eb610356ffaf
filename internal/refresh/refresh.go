// Package refresh owns one refresh: ask the source, compute what to serve,
// remember it, publish it; the slow sweep over people's keys; and the question
// about one person's keys while sshd waits. It knows neither AWS nor the
// configuration file nor sockets: it is given a Source and a policy.
package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/internal/state"
)

// A Refresher serves one host. Its fields are set before its first use; its
// methods may be called at the same time.
type Refresher struct {
	Source directory.Source
	Users  directory.UserSource // asked at logins and by the sweep; nil: nobody can be asked about one user
	// InstanceTag returns the value of a tag of the machine itself. It is asked
	// only if LoginTag or SudoTag is set.
	InstanceTag func(ctx context.Context, key string) (string, error)
	State       *state.Store
	Dir         string // the cache folder
	Policy      accounts.Policy
	LoginTag    string // keys of the instance's tags that hold further groups; "": none
	SudoTag     string
	Keys        keys.Policy
	Login       cache.LoginPolicy
	Host        func() (accounts.Host, error)
	KeysGID     int           // who may read keys.db; -1: root alone
	SweepAge    time.Duration // how old a listing of keys becomes before the sweep repeats it
	Changed     func()        // called after nss.db may have become another; must not wait; may be nil
	Now         func() time.Time
	Log         *slog.Logger

	Everybody bool // for a publisher: ask for all users and groups, and for everybody's keys
	Mute      bool // serve nobody: remember, and write no cache files

	asking sync.Mutex // held by a refresh; guards:
	// refused is why an answer of a source that repeats itself is not believed:
	// it stays so, until another comes or somebody confirms it.
	refused struct {
		origin directory.Origin
		err    error
	}
	// State.Publish is held by whoever computes or publishes, and guards:
	retired   bool
	chosen    map[string]chosen // UserId → what keys.db as written last was made of
	writtenAt time.Time         // when keys.db was written by r last, or found to be in order first
	written   string            // stamp of keys.db as written last

	mu      sync.Mutex // guards what follows
	answer  answer
	denied  map[string]time.Time // UserId → when the source said that the user lost a right; see deny
	checked map[string]time.Time // UserId → when the keys were last listed; nil: not read from the state yet
	stale   bool                 // keys.db does not hold all that is known
	rights  bool                 // nss.db gives groups to somebody who is denied, or the other way round
	aged    time.Time            // since when only the times in keys.db are behind; zero: they are not
	news    int                  // see News
	noticed map[string]bool      // findings that were logged
}

// An answer is what the last good refresh computed, and from what.
type answer struct {
	known     bool
	at        time.Time // when IAM was asked; zero after a restart
	computed  time.Time
	policy    accounts.Policy
	tags      tagGroups
	directory directory.Directory
	pins      map[string]uint32 // the source's
	origin    directory.Origin
	keysCome  bool // the source hands over all keys it knows: there is nothing to sweep
	result    accounts.Result
	outcome   Outcome
	allowed   []person // people, computed once; not to be changed
	settled   settled
}

// ErrRetired is returned by what would publish after Retire.
var ErrRetired = errors.New("the configuration was read anew meanwhile")

// Retire waits for what is being published and has r publish nothing more, so
// that another Refresher can take over its state and its folder.
func (r *Refresher) Retire() {
	r.State.Publish.Lock()
	r.retired = true
	r.State.Publish.Unlock()
}

// Options are what a person may ask of one refresh.
type Options struct {
	DryRun         bool // compute and tell, change nothing
	AcceptRemovals bool // confirm by hand whatever this answer removes
	AcceptGroups   bool // believe groups that were created again
}

// Names under which the state is kept.
const (
	savedDirectory = "directory"
	savedHistory   = "past"
	savedEmpty     = "empty-answers"
	savedTags      = "groups-tags"
	savedPins      = "pins"
	savedOrigin    = "origin"
	savedLeavers   = "leavers"
	savedDenied    = "denied"
)

// emptyAnswers counts answers without anybody, in a row.
type emptyAnswers struct {
	Count  int
	Origin directory.Origin // of the last one
}

// before is how many came before an answer: the same one is not counted twice.
func (e emptyAnswers) before(o directory.Origin) int {
	if o != (directory.Origin{}) && o == e.Origin {
		return max(e.Count-1, 0)
	}
	return e.Count
}

type tagGroups struct{ Login, Sudo []string }

func (t tagGroups) equal(u tagGroups) bool {
	return slices.Equal(t.Login, u.Login) && slices.Equal(t.Sudo, u.Sudo)
}

// Restore takes up what the last refresh before a restart had, so that logins
// can be answered before IAM is. Having nothing to take up is no error.
func (r *Refresher) Restore() error {
	r.State.Publish.Lock()
	defer r.State.Publish.Unlock()
	var past accounts.History
	var denied []string
	a := answer{known: true, computed: r.Now()}
	if err := errors.Join(
		r.State.Load(savedDirectory, &a.directory), r.State.Load(savedHistory, &past), r.State.Load(savedTags, &a.tags),
		r.State.Load(savedPins, &a.pins), r.State.Load(savedOrigin, &a.origin), r.State.Load(savedDenied, &denied),
	); err != nil {
		return err
	}
	r.mu.Lock()
	r.denied = map[string]time.Time{}
	for _, id := range denied {
		r.denied[id] = r.Now() // before any answer of this process
	}
	r.mu.Unlock()
	if r.LoginTag == "" {
		a.tags.Login = nil
	}
	if r.SudoTag == "" {
		a.tags.Sudo = nil
	}
	if len(a.directory.Users) == 0 {
		return nil
	}
	host, err := r.Host()
	if err != nil {
		return err
	}
	a.keysCome = a.origin != directory.Origin{}
	a.policy, _ = r.Policy.WithTags(a.tags.Login, a.tags.Sudo).WithPins(a.pins)
	a.result, err = accounts.Build(accounts.Input{Directory: a.directory, Policy: a.policy, Host: host, History: past, Now: r.Now(), Rebuild: true})
	if err != nil {
		return err
	}
	r.keep(a)
	return nil
}

// Refresh asks the source, and publishes what follows from the answer. An
// error has changed nothing that is served, unless it says that the folder or
// keys.db could not be written: then nss.db may be new, and the next refresh
// goes on from there.
func (r *Refresher) Refresh(ctx context.Context, o Options) (Outcome, error) {
	r.asking.Lock()
	defer r.asking.Unlock()
	started := r.Now()
	tags, err := r.readTags(ctx)
	if err != nil {
		return Outcome{}, err
	}
	last := r.last()
	want := r.query(r.Policy.WithTags(tags.Login, tags.Sudo))
	want.Known = last.origin
	if o == (Options{}) {
		want.Refused = r.refused.origin
	}
	said, err := r.Source.Directory(ctx, want)
	if err != nil {
		return Outcome{}, err
	}
	r.State.Publish.Lock()
	defer r.State.Publish.Unlock()
	a := answer{at: said.AsOf, tags: tags, directory: said.Directory, pins: said.Pins, origin: said.Origin, keysCome: said.Listings != nil}
	if a.at.IsZero() {
		a.at = started
	}
	if said.Unchanged && said.Origin == want.Refused && said.Origin != want.Known {
		return Outcome{}, r.refused.err
	}
	if said.Unchanged {
		if !last.known || last.origin != said.Origin {
			return Outcome{}, fmt.Errorf("%q says that nothing changed, and generation %d is not in hand", said.Origin.Address, said.Origin.Generation)
		}
		a.at, a.directory, a.pins, a.keysCome = last.at, last.directory, last.pins, last.keysCome
	}
	if o == (Options{}) && said.Listings == nil {
		host, err := r.Host()
		if err != nil {
			return Outcome{}, err
		}
		if r.repeats(last, a, host) {
			return r.repeat(a.at)
		}
	}
	var before directory.Origin
	if err := r.State.Load(savedOrigin, &before); err != nil {
		return Outcome{}, err
	}
	// An answer that is repeated confirms nothing.
	again := a.origin != directory.Origin{} && a.origin == before
	outcome, err := r.apply(a, said, o, again)
	if !o.DryRun {
		r.refused.origin, r.refused.err = directory.Origin{}, nil
		if errors.Is(err, accounts.ErrEmptyAnswer) {
			r.refused.origin, r.refused.err = a.origin, err
		}
	}
	return outcome, err
}

// Rebuild computes anew from the last answer: the host's own files changed, or
// time went by without another answer.
func (r *Refresher) Rebuild() (Outcome, error) {
	r.State.Publish.Lock()
	defer r.State.Publish.Unlock()
	last := r.last()
	if !last.known {
		return Outcome{}, nil
	}
	return r.apply(last, directory.Answer{}, Options{}, true)
}

// apply computes what a is to serve, remembers it and publishes it. The caller
// holds State.Publish.
func (r *Refresher) apply(a answer, said directory.Answer, o Options, rebuild bool) (Outcome, error) {
	if r.retired {
		return Outcome{}, ErrRetired
	}
	host, err := r.Host()
	if err != nil {
		return Outcome{}, err
	}
	var past accounts.History
	if err := r.State.Load(savedHistory, &past); err != nil {
		return Outcome{}, err
	}
	var empty emptyAnswers
	if err := r.State.Load(savedEmpty, &empty); err != nil {
		return Outcome{}, err
	}
	var findings []accounts.Finding
	a.policy, findings = r.Policy.WithTags(a.tags.Login, a.tags.Sudo).WithPins(a.pins)
	in := accounts.Input{
		Directory: a.directory, Policy: a.policy, Host: host, History: adopt(past, said.Former, a), Now: r.Now(),
		EmptyAnswers: empty.before(a.origin), AcceptRemovals: o.AcceptRemovals, AcceptGroups: o.AcceptGroups, Rebuild: rebuild,
	}
	a.result, err = accounts.Build(in)
	if errors.Is(err, accounts.ErrEmptyAnswer) && !o.DryRun {
		err = errors.Join(err, r.State.Save(map[string]any{savedEmpty: emptyAnswers{empty.before(a.origin) + 1, a.origin}}))
	}
	if err != nil {
		return Outcome{}, err
	}
	// What is served; a.result stays what the answer gives, so that a person who
	// is denied is asked about again.
	served := a.result
	if in.Denied = r.deniedSince(a.at); len(in.Denied) > 0 {
		if served, err = accounts.Build(in); err != nil {
			return Outcome{}, err
		}
	}
	a.result.Findings = append(a.result.Findings, findings...)
	served.Findings = a.result.Findings
	outcome := r.outcome(a.at, past, served)
	if r.Mute {
		outcome.Changes = accounts.Changes{}
	}
	values := map[string]any{savedDirectory: a.directory, savedHistory: a.result.History, savedTags: a.tags, savedPins: a.pins,
		savedEmpty: emptyAnswers{a.result.EmptyAnswers, a.origin}}
	if a.origin != (directory.Origin{}) { // else what came before stays, should that source be asked again
		values[savedOrigin] = a.origin
	}
	if r.Everybody && !rebuild {
		if values[savedLeavers], err = r.leavers(a); err != nil {
			return Outcome{}, err
		}
	}
	if o.DryRun {
		return outcome, nil
	}
	// Remembered before it is served: a former user must not be forgotten by a
	// crash in between, and counting an absence twice needs two absences.
	if err := r.State.Save(values); err != nil {
		return Outcome{}, fmt.Errorf("remember the directory: %w, keeping the previous cache", err)
	}
	if !r.Mute {
		outcome.Published, err = cache.PublishNSS(r.Dir, served.Tables, r.Now())
		if (outcome.Published || err != nil) && r.Changed != nil {
			r.Changed()
		}
		if err != nil {
			return Outcome{}, err
		}
	}
	a.known, a.computed = true, r.Now()
	a.settled = r.settle(a, outcome, past, host)
	a.outcome = outcome
	a.outcome.Published, a.outcome.Changes = false, accounts.Changes{}
	a.outcome.Gone = nil
	r.keep(a)
	if err := errors.Join(r.saveDenied(), r.takeListings(r.last(), said.Listings), r.forget(a)); err != nil {
		return outcome, err
	}
	return outcome, r.publishKeys()
}

func (r *Refresher) leavers(a answer) (leavers, error) {
	before, err := r.before()
	var l leavers
	if err := errors.Join(err, r.State.Load(savedLeavers, &l)); err != nil {
		return l, err
	}
	return l.leave(before, a.directory, a.policy, a.at), nil
}

func (r *Refresher) last() answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answer
}

// keep makes a the answer in hand. Whoever it admits is no longer denied if it
// is younger than the denial. Only who may enter what can make keys.db outdated
// here, and after a restart nobody knows what it holds.
func (r *Refresher) keep(a answer) {
	a.allowed = a.people()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale = r.stale || !r.answer.known || !reflect.DeepEqual(r.answer.allowed, a.allowed)
	r.answer = a
	r.admit(a.at)
}

// admit takes back every denial that is older than an answer. The caller holds r.mu.
func (r *Refresher) admit(at time.Time) {
	for id, when := range r.denied {
		if at.After(when) {
			delete(r.denied, id)
			r.stale = true
		}
	}
}
