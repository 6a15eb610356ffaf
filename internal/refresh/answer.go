package refresh

import (
	"errors"
	"fmt"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// An answer is what the last good refresh computed, and from what.
type answer struct {
	known     bool
	at        time.Time // when the directory was asked; zero after a restart
	computed  time.Time
	policy    accounts.Policy
	tags      tagGroups
	directory directory.Directory
	pins      map[string]uint32 // the source's
	origin    directory.Origin
	keysCome  bool              // the source hands over all keys it knows: there is nothing to sweep
	homes     map[string]uint32 // folders that are not given to anybody as a home, and the uids that own them
	result    accounts.Result   // what the answer gives; users who are denied since have less
	outcome   Outcome           // for the same answer, should it come again
	unchanged unchanged         // how long the same answer need not be computed again
}

// Names under which the state is kept. Version 0.1.0 chose them, so they keep its words.
const (
	savedDirectory = "directory"
	savedHistory   = "past"
	savedEmpty     = "empty-answers"
	savedTags      = "groups-tags"
	savedPins      = "pins"
	savedOrigin    = "origin"
	savedFormer    = "leavers"
	savedDenied    = "denied"
	savedMachine   = "machine"
)

// earlier is what a host keeps of earlier answers: the history, and how many answers without
// anybody came in a row.
type earlier struct {
	history accounts.History
	empty   emptyAnswers
}

// earlier loads what this host keeps of earlier answers. If another machine wrote
// it, as after a boot from a golden image, its counts of absences are dropped: the
// answers that it counted may be old.
func (s *Setup) earlier() (e earlier, err error) {
	machine := ""
	if err := errors.Join(s.State.Load(savedHistory, &e.history), s.State.Load(savedEmpty, &e.empty),
		s.State.Load(savedMachine, &machine)); err != nil {
		return e, err
	}
	if machine != "" && s.Machine != "" && machine != s.Machine {
		e.empty = emptyAnswers{}
		for i := range e.history.Entries {
			e.history.Entries[i].Missed = 0
		}
	}
	return e, nil
}

// emptyAnswers counts answers without anybody, in a row.
type emptyAnswers struct {
	Count  int
	Origin directory.Origin // of the last one
}

// before is how many empty answers came before this one. An answer that comes again
// is not counted twice, and a rebuild, which has no new answer, counts nothing.
func (e emptyAnswers) before(o directory.Origin, rebuild bool) int {
	if !rebuild && o != (directory.Origin{}) && o == e.Origin {
		return max(e.Count-1, 0)
	}
	return e.Count
}

type tagGroups struct{ Login, Sudo []string }

// Restore loads the state of the last refresh before a restart, so that logins
// are answered before the directory is asked. An empty state is no error.
func (r *Refresher) Restore() error {
	r.publishing.Lock()
	defer r.publishing.Unlock()
	a := answer{known: true, computed: r.Now()}
	earlier, err := r.earlier()
	if err := errors.Join(
		err, r.State.Load(savedDirectory, &a.directory), r.State.Load(savedTags, &a.tags),
		r.State.Load(savedPins, &a.pins), r.State.Load(savedOrigin, &a.origin), r.denials.load(r.Now()),
	); err != nil {
		return err
	}
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
	a.keysCome = a.origin != directory.Origin{} || a.directory.Keyless()
	a.policy, _ = r.Policy.WithTags(a.tags.Login, a.tags.Sudo).WithPins(a.pins)
	a.result, err = accounts.Build(accounts.Input{Directory: a.directory, Policy: a.policy, Host: host,
		History: earlier.history, Now: r.Now(), Rebuild: true})
	if err != nil {
		return err
	}
	r.setCurrent(a)
	return nil
}

// apply computes what a is to serve, keeps it and publishes it. The caller
// holds r.publishing.
func (r *Refresher) apply(a answer, got directory.Answer, o Options, rebuild bool) (Outcome, error) {
	if r.stopped {
		return Outcome{}, ErrStopped
	}
	host, err := r.Host()
	if err != nil {
		return Outcome{}, err
	}
	earlier, err := r.earlier()
	if err != nil {
		return Outcome{}, err
	}
	denied := r.denials.since(a.at)
	served, err := r.build(&a, accounts.Input{
		Directory: a.directory, Host: host, History: earlier.history, Now: r.Now(), Denied: denied,
		EmptyAnswers:   earlier.empty.before(a.origin, rebuild),
		AcceptRemovals: o.AcceptRemovals, AcceptGroups: o.AcceptGroups, Rebuild: rebuild,
	}, got.Former, o.DryRun)
	if err != nil {
		return Outcome{}, err
	}
	outcome := r.outcome(a.at, earlier.history, served)
	outcome.Whole = a.directory.Whole
	values, err := r.saved(a, rebuild)
	if err != nil || o.DryRun {
		return outcome, err
	}
	// The state is saved before it is served: a crash in between must not make the
	// host forget a former user. An absence counts again only with another answer.
	if err := r.State.Save(values); err != nil {
		return Outcome{}, fmt.Errorf("remember the directory: %w, keeping the previous cache", err)
	}
	if !r.ServeNobody {
		outcome.Published, err = cache.PublishNSS(r.Dir, served.Tables, r.Now())
		if (outcome.Published || err != nil) && r.Changed != nil {
			r.Changed()
		}
		if err != nil {
			return Outcome{}, err
		}
		r.written = stampOf(r.Dir, cache.NSSFile)
	}
	a.known, a.computed, a.unchanged = true, r.Now(), unchanged{}
	if len(denied) == 0 { // what is served without somebody's rights is right only while the denial holds
		if a.unchanged, err = r.unchangedAfter(a, outcome, earlier.history, host); err != nil {
			return outcome, err
		}
	}
	a.outcome = outcome
	a.outcome.Published, a.outcome.Changes, a.outcome.NewFormer = false, accounts.Changes{}, nil
	r.setCurrent(a)
	return outcome, r.Logins.follow(got.Listings, a.users(r.WholeAccount))
}

// saved is what is kept of an answer.
func (r *Refresher) saved(a answer, rebuild bool) (map[string]any, error) {
	values := map[string]any{
		savedDirectory: a.directory, savedHistory: a.result.History, savedTags: a.tags, savedPins: a.pins,
		savedEmpty: emptyAnswers{a.result.EmptyAnswers, a.origin},
	}
	if a.origin != (directory.Origin{}) { // otherwise the saved one stays, in case its source is asked again
		values[savedOrigin] = a.origin
	}
	if r.Machine != "" {
		values[savedMachine] = r.Machine
	}
	if !r.WholeAccount || rebuild {
		return values, nil
	}
	var before directory.Directory
	if last := r.last(); last.known {
		before = last.directory
	} else if err := r.State.Load(savedDirectory, &before); err != nil {
		return nil, err
	}
	var former formerUsers
	if err := r.State.Load(savedFormer, &former); err != nil {
		return nil, err
	}
	values[savedFormer] = former.after(before, a.directory, a.policy, a.at)
	return values, nil
}

// unchangedFor is the longest time for which an answer that comes again is not
// computed again. After that time nss.db is read whole, which finds damage.
const unchangedFor = time.Hour

// inputs is the fingerprint of everything that an answer's result follows from,
// and of nss.db as it is.
func (s *Setup) inputs(a answer, host accounts.Host) (fingerprint, error) {
	file := ""
	if !s.ServeNobody {
		file = stampOf(s.Dir, cache.NSSFile)
	}
	return fingerprintOf(a.directory, a.tags, a.pins, a.origin, a.homes, host, file)
}

// unchangedAfter returns how long the same answer need not be computed again. The zero
// value, if it changed the files or the history, or if time alone will change something
// at the next refresh.
func (s *Setup) unchangedAfter(a answer, o Outcome, history accounts.History, host accounts.Host) (u unchanged,
	err error) {
	before, err := fingerprintOf(history)
	after, err2 := fingerprintOf(a.result.History)
	if err = errors.Join(err, err2); err != nil || o.Published || s.WholeAccount || before != after {
		return unchanged{}, err
	}
	u.from, u.until = a.computed, a.computed.Add(unchangedFor)
	for _, entry := range a.result.History.Entries {
		if entry.Missed > 0 && a.origin == (directory.Origin{}) {
			return unchanged{}, nil // the next answer confirms a removal, even if it is the same
		}
		if entry.Former() {
			u.earlier(entry.FormerSince.Add(s.Policy.KeepNames))
		}
	}
	for _, user := range a.result.Tables.Users {
		if !user.Expires.IsZero() && user.Expires.After(a.computed) {
			u.earlier(user.Expires)
		}
	}
	u.inputs, err = s.inputs(a, host)
	return u, err
}

// repeats reports whether a is the same answer as last, with all other inputs of
// the result unchanged.
func (r *Refresher) repeats(last, a answer) (bool, error) {
	host, err := r.Host()
	if err != nil || last.unchanged.inputs == (fingerprint{}) || len(r.denials.all()) > 0 {
		return false, err
	}
	a.homes = r.foreignHomes(last.result.Homes)
	inputs, err := r.inputs(a, host)
	return last.unchanged.holds(inputs, r.Now()), err
}

// repeat notes that the answer in hand came again at the time at. The caller holds
// r.publishing.
func (r *Refresher) repeat(at time.Time) (Outcome, error) {
	if r.stopped {
		return Outcome{}, ErrStopped
	}
	r.mu.Lock()
	r.answer.at, r.answer.outcome.At, r.refused = at, at, refusedAnswer{}
	outcome := r.answer.outcome
	r.mu.Unlock()
	r.Logins.confirm(at)
	return outcome, r.Logins.follow(nil, nil)
}
