// Package refresh owns one refresh: ask the source, compute what to serve,
// remember it, publish it; the slow sweep over people's keys; and the question
// about one person's keys while sshd waits. It knows neither AWS nor the
// configuration file nor sockets: it is given a Source and a policy.
package refresh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/internal/state"
)

// ErrNoSuchUser is what a Source returns for a user that does not exist.
var ErrNoSuchUser = errors.New("no such user")

// A Source says what IAM says. Each answer is complete or an error.
type Source interface {
	// Directory reads the groups asked for with their members, or all users.
	Directory(ctx context.Context, want Wanted) (directory.Directory, error)
	// UserID returns the id that a user's name stands for now, or ErrNoSuchUser.
	UserID(ctx context.Context, userName string) (string, error)
	// Keys lists a user's keys. The body of a key id never changes: known is
	// asked before it is fetched.
	Keys(ctx context.Context, userName string, known func(keyID string) (body string, ok bool)) ([]directory.Key, error)
	// Groups returns the names of a user's groups, or ErrNoSuchUser.
	Groups(ctx context.Context, userName string) ([]string, error)
	// Tags returns a user's tags, or ErrNoSuchUser.
	Tags(ctx context.Context, userName string) (map[string]string, error)
	// InstanceTag returns the value of a tag of the machine itself.
	InstanceTag(ctx context.Context, key string) (string, error)
}

// Wanted is what a refresh asks a Source for.
type Wanted struct {
	Groups   []string // names; each must exist
	Publish  []string // patterns of further groups
	AllUsers bool
	Tags     bool // the users' tags too
}

// A Refresher serves one host. Its fields are set before its first use; its
// methods may be called at the same time.
type Refresher struct {
	Source   Source
	State    *state.Store
	Dir      string // the cache folder
	Policy   accounts.Policy
	LoginTag string // keys of the instance's tags that hold further groups; "": none
	SudoTag  string
	Keys     keys.Policy
	Login    cache.LoginPolicy
	Host     func() (accounts.Host, error)
	KeysGID  int           // who may read keys.db; -1: root alone
	SweepAge time.Duration // how old a listing of keys becomes before the sweep repeats it
	Now      func() time.Time
	Log      *slog.Logger

	one     sync.Mutex // held by whoever computes or publishes
	written string     // keysStamp of keys.db as written last; guarded by one

	mu      sync.Mutex // guards what follows
	answer  answer
	denied  map[string]time.Time // UserId → when a login's question found the user out of the groups
	stale   bool                 // keys.db does not hold all that is known
	noticed map[string]bool      // findings that were logged
}

// An answer is what the last good refresh computed, and from what.
type answer struct {
	known     bool
	at        time.Time // when the source was asked; zero after a restart
	policy    accounts.Policy
	directory directory.Directory
	result    accounts.Result
}

// Options are what a person may ask of one refresh.
type Options struct {
	DryRun         bool // compute and tell, change nothing
	AcceptRemovals bool // confirm by hand whatever this answer removes
}

// Names under which the state is kept.
const (
	savedDirectory = "directory"
	savedPast      = "past"
	savedTags      = "groups-tags"
)

type tagGroups struct{ Login, Sudo []string }

// Restore takes up what the last refresh before a restart had, so that logins
// can be answered before IAM is. Having nothing to take up is no error.
func (r *Refresher) Restore() error {
	r.one.Lock()
	defer r.one.Unlock()
	var d directory.Directory
	var past accounts.Past
	var tags tagGroups
	if err := errors.Join(r.State.Load(savedDirectory, &d), r.State.Load(savedPast, &past), r.State.Load(savedTags, &tags)); err != nil {
		return err
	}
	if len(d.Users) == 0 {
		return nil
	}
	host, err := r.Host()
	if err != nil {
		return err
	}
	policy := r.Policy.WithTags(tags.Login, tags.Sudo)
	result, err := accounts.Build(accounts.Input{Directory: d, Policy: policy, Host: host, Past: past, Now: r.Now(), Rebuild: true})
	if err != nil {
		return err
	}
	r.keep(answer{known: true, policy: policy, directory: d, result: result})
	return nil
}

// Refresh asks the source, and publishes what follows from the answer. An
// error has changed nothing that is served.
func (r *Refresher) Refresh(ctx context.Context, o Options) (Outcome, error) {
	r.one.Lock()
	defer r.one.Unlock()
	started := r.Now()
	tags, err := r.readTags(ctx)
	if err != nil {
		return Outcome{}, err
	}
	policy := r.Policy.WithTags(tags.Login, tags.Sudo)
	d, err := r.Source.Directory(ctx, r.wanted(policy))
	if err != nil {
		return Outcome{}, err
	}
	return r.apply(started, policy, tags, d, o, false)
}

// Rebuild computes anew from the last answer, because the host's own files changed.
func (r *Refresher) Rebuild() (Outcome, error) {
	r.one.Lock()
	defer r.one.Unlock()
	last := r.last()
	if !last.known {
		return Outcome{}, nil
	}
	var tags tagGroups
	if err := r.State.Load(savedTags, &tags); err != nil {
		return Outcome{}, err
	}
	return r.apply(last.at, last.policy, tags, last.directory, Options{}, true)
}

func (r *Refresher) apply(at time.Time, policy accounts.Policy, tags tagGroups, d directory.Directory, o Options, rebuild bool) (Outcome, error) {
	host, err := r.Host()
	if err != nil {
		return Outcome{}, err
	}
	var past accounts.Past
	if err := r.State.Load(savedPast, &past); err != nil {
		return Outcome{}, err
	}
	result, err := accounts.Build(accounts.Input{
		Directory: d, Policy: policy, Host: host, Past: past, Now: r.Now(),
		AcceptRemovals: o.AcceptRemovals, Rebuild: rebuild,
	})
	if err != nil {
		return Outcome{}, err
	}
	outcome := r.outcome(at, past, result)
	if o.DryRun {
		return outcome, nil
	}
	// Remembered before it is served: a former user must not be forgotten by a
	// crash in between, and counting an absence twice needs two absences.
	if err := r.State.Save(map[string]any{savedDirectory: d, savedPast: result.Past, savedTags: tags}); err != nil {
		return Outcome{}, fmt.Errorf("remember the directory: %w, keeping the previous cache", err)
	}
	if outcome.Published, err = cache.PublishNSS(r.Dir, result.Tables, r.Now()); err != nil {
		return Outcome{}, err
	}
	before := r.last()
	r.keep(answer{known: true, at: at, policy: policy, directory: d, result: result})
	if err := r.forget(before, result); err != nil {
		return outcome, err
	}
	return outcome, r.publishKeys()
}

// forget drops the key listings of those who are gone, so that somebody who
// comes back starts without old keys.
func (r *Refresher) forget(before answer, now accounts.Result) error {
	here := map[string]bool{}
	for _, u := range now.Tables.Users {
		here[u.ID] = true
	}
	for _, ids := range now.Shared {
		for _, id := range ids {
			here[id] = true
		}
	}
	checked, err := r.State.Checked()
	if err != nil {
		return err
	}
	var gone []string
	for id := range checked {
		if !here[id] {
			gone = append(gone, id)
		}
	}
	return r.State.Forget(gone)
}

// wanted is what the policy needs to know of IAM.
func (r *Refresher) wanted(p accounts.Policy) Wanted {
	w := Wanted{Publish: p.Publish, AllUsers: p.AllUsers, Tags: p.ExpiresTag != "" || r.Keys.TagPrefix != ""}
	add := func(names ...string) { w.Groups = append(w.Groups, names...) }
	add(p.Login...)
	add(p.Sudo...)
	for name := range p.MapGroups {
		add(name)
	}
	for _, names := range p.Shared {
		add(names...)
	}
	slices.SortFunc(w.Groups, func(a, b string) int { return cmp.Compare(strings.ToLower(a), strings.ToLower(b)) })
	w.Groups = slices.CompactFunc(w.Groups, strings.EqualFold)
	return w
}

// readTags reads the groups that the instance's tags name. A tag that is
// configured and missing is an error: it must neither admit nor remove anybody.
func (r *Refresher) readTags(ctx context.Context) (tagGroups, error) {
	var groups tagGroups
	for _, tag := range []struct {
		key  string
		into *[]string
	}{{r.LoginTag, &groups.Login}, {r.SudoTag, &groups.Sudo}} {
		if tag.key == "" {
			continue
		}
		value, err := r.Source.InstanceTag(ctx, tag.key)
		if err != nil {
			return tagGroups{}, err
		}
		if *tag.into, err = accounts.ParseGroupsTag(value); err != nil {
			return tagGroups{}, fmt.Errorf("instance tag %q: %w", tag.key, err)
		}
	}
	return groups, nil
}

func (r *Refresher) last() answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answer
}

// keep makes a the answer in hand. Whoever it admits is no longer denied: it
// is younger than any login's question. Only who may enter what can make
// keys.db outdated here, and after a restart nobody knows what it holds.
func (r *Refresher) keep(a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale = r.stale || !r.answer.known || !reflect.DeepEqual(r.answer.people(), a.people())
	r.answer = a
	for id, when := range r.denied {
		if a.at.After(when) {
			delete(r.denied, id)
			r.stale = true
		}
	}
}
