package control

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/keys"
)

// ErrBusy is returned where a lookup got no turn in time.
var ErrBusy = errors.New("too many lookups are waiting")

// errSlow is returned to a login when the lookup it waits for has taken longer
// than Options.Patience.
var errSlow = errors.New("no answer from the directory in time for this login; " +
	"the lookup continues in the background, and the next login uses its answer")

// maxNames bounds the names that lookups keep state of. A host has far fewer
// login names than this; a peer that invents some must not fill the memory.
const maxNames = 8192

// lookups asks the directory about each name once at a time, however many want
// to know. It also gives the answer to those who ask within the reuse window.
//
// sshd asks before the client has signed anything. So anybody who reaches sshd
// can have it ask about any name, with any key, also with the owner's public keys.
//
// A key that is not in the person's listing is a stranger's. Strangers start few
// lookups, and never keep others waiting.
//
// A name with a good answer of the last minute is looked up again only while
// there is room. Otherwise the asker gets that answer, and the name waits in line
// for its renewal. So names without an answer go first.
type lookups struct {
	ask      func(context.Context, string) (Answer, error)
	listed   func(string) (Answer, Standing)
	spare    func() bool
	reuse    time.Duration        // of answers
	older    time.Duration        // of answers while there is no room for lookups
	retry    time.Duration        // of failures
	timeout  time.Duration        // of one lookup
	queueing time.Duration        // how long a lookup waits for its turn
	patience func() time.Duration // how long after a lookup's begin its askers wait; nil or 0: as long as each has time
	turn     chan struct{}        // one place for each lookup under way
	rate     *rate.Limiter
	life     context.Context // ends with the server

	strangers strangers

	mu       sync.Mutex // guards names and what they hold, renewals, strangers.waiting, counts
	names    map[string]*nameState
	renewals line
	counts   Counts
}

// nameState is what lookups keep of one login name.
type nameState struct {
	under *lookup       // the one under way, for which somebody may wait
	last  *lookup       // the last that ended
	good  *lookup       // the last that ended with an answer
	tries *rate.Limiter // what strangers may ask about this name
}

// A lookup is one question to the directory. Its answer is set when done is closed.
type lookup struct {
	done    chan struct{}
	began   time.Time // when somebody wanted to know
	asked   time.Time // when it got its turn; zero: not yet
	waiting bool      // it comes from a line: nobody waits for it
	answer  Answer
	err     error
	until   time.Time // the answer is reused up to here; set with it, under lookups.mu
	dated   bool      // outdated since it began: only those who wait already get its answer; under lookups.mu
}

type waitedForKey struct{}

// NobodyWaits reports whether no login waits for the lookup with this context, so
// that other calls may go first.
func NobodyWaits(ctx context.Context) bool { return ctx.Value(waitedForKey{}) != nil }

// keys answers q, at the latest when ctx ends. The lookup itself goes on after
// that, for those who ask next.
func (l *lookups) keys(ctx context.Context, q Question) (Answer, error) {
	listed, standing := l.listed(q.Name)
	switch {
	case standing == Nobody:
		return nobody(q.Name), nil
	case standing == Listed && q.Key != "" && !has(listed, q.Key):
		return l.toStranger(ctx, q.Name, listed)
	}
	it, older := l.join(q.Name)
	switch {
	case it != nil:
		return l.await(ctx, it)
	case older != nil:
		return l.renewed(q.Name, older), nil
	}
	return Answer{}, ErrBusy
}

// nobody is the answer about a name that opens nothing.
func nobody(name string) Answer { return Answer{User: cache.UserKeys{Name: name}} }

// renewed returns what is known of a name now, if more was learned since an older
// answer, and else that answer.
func (l *lookups) renewed(name string, older *lookup) Answer {
	switch listed, standing := l.listed(name); standing {
	case Listed:
		return listed
	case Nobody:
		return nobody(name)
	}
	return older.answer
}

// enough returns an answer for name that is good without a lookup.
func (l *lookups) enough(name string) (Answer, bool) {
	if _, standing := l.listed(name); standing == Nobody {
		return nobody(name), true
	}
	room := l.spare()
	l.mu.Lock()
	now := time.Now()
	n := l.names[name]
	fresh := n.fresh(now)
	older := fresh == nil && l.olderWillDo(n, now, room)
	l.mu.Unlock()
	switch {
	case fresh != nil && fresh.err == nil:
		return fresh.answer, true
	case older:
		return l.renewed(name, n.good), true
	}
	return Answer{}, false
}

// fresh returns the lookup that ended just now, if one did.
func (n *nameState) fresh(now time.Time) *lookup {
	if n == nil || n.last == nil || !now.Before(n.last.until) {
		return nil
	}
	return n.last
}

// congested is how many times as old an answer may be while lookups for names
// without one have taken all turns.
const congested = 5

// olderWillDo reports whether the last good answer about a name is young enough to
// be given because there is no room for a lookup. It counts the answers given so.
// The caller holds l.mu.
func (l *lookups) olderWillDo(n *nameState, now time.Time, room bool) bool {
	limit := time.Duration(0)
	switch {
	case len(l.turn) == cap(l.turn):
		limit = congested * l.older
	case !room:
		limit = l.older
	}
	if n == nil || n.good == nil || now.Sub(n.good.asked) >= limit {
		return false
	}
	l.counts.Older++
	return true
}

// outdate ends the reuse of every answer, because a refresh has learned more.
// A lookup under way answers only those who wait for it already.
func (l *lookups) outdate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.names {
		if n.last != nil {
			n.last.until = time.Time{}
		}
		if n.under != nil {
			n.under.dated, n.under = true, nil
		}
	}
}

func (l *lookups) counted() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

func (l *lookups) await(ctx context.Context, it *lookup) (Answer, error) {
	var late <-chan time.Time
	if l.patience != nil {
		if d := l.patience(); d > 0 {
			timer := time.NewTimer(time.Until(it.began.Add(d)))
			defer timer.Stop()
			late = timer.C
		}
	}
	select {
	case <-it.done:
		return it.answer, it.err
	default:
	}
	select {
	case <-it.done:
		return it.answer, it.err
	case <-late:
		return Answer{}, errSlow
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

func has(a Answer, fingerprint string) bool {
	return slices.ContainsFunc(a.User.Keys, func(k keys.Key) bool { return k.MatchesFingerprint(fingerprint) })
}

// join returns a lookup for name: a fresh one, the one under way, or one that it
// starts. If there is no room for a lookup, it returns an older one whose answer
// will do. If there is no room for another name, it returns neither.
func (l *lookups) join(name string) (it, older *lookup) {
	room := l.spare()
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	n := l.stateOf(name, now)
	if n == nil {
		return nil, nil
	}
	if fresh := n.fresh(now); fresh != nil {
		return fresh, nil
	}
	if l.olderWillDo(n, now, room) {
		if n.under == nil {
			l.wait(&l.renewals, name, now)
		}
		return nil, n.good
	}
	if n.under == nil {
		n.under = l.start(n, name, l.turn)
	}
	return n.under, nil
}

// stateOf returns the state of name, or nil if there is no room for another name.
// The caller holds l.mu.
func (l *lookups) stateOf(name string, now time.Time) *nameState {
	if n := l.names[name]; n != nil {
		return n
	}
	if len(l.names) >= maxNames {
		l.drop(now)
	}
	if len(l.names) >= maxNames {
		return nil
	}
	n := &nameState{tries: rate.NewLimiter(rate.Every(strangerEvery), strangerTries)}
	l.names[name] = n
	return n
}

// drop forgets names whose answers are past their reuse. If more than half of
// maxNames are left, it forgets all names without a lookup under way.
func (l *lookups) drop(now time.Time) {
	for _, limit := range []time.Time{now, now.Add(24 * time.Hour)} {
		for name, n := range l.names {
			if n.under == nil && (n.last == nil || n.last.until.Before(limit)) {
				delete(l.names, name)
			}
		}
		if len(l.names) < maxNames/2 {
			return
		}
	}
}

// start begins a lookup, at once if one of turns is free. The caller holds l.mu.
func (l *lookups) start(n *nameState, name string, turns chan struct{}) *lookup {
	it := &lookup{done: make(chan struct{}), began: time.Now()}
	select {
	case turns <- struct{}{}:
		it.asked = it.began
	default:
	}
	go l.run(it, n, name, turns)
	return it
}

// run asks the directory. No asker's context ends it: the others must not lose
// their answer when the first one hangs up.
func (l *lookups) run(it *lookup, n *nameState, name string, turns chan struct{}) {
	answer, err := l.take(it, name, turns)
	if err == nil && answer.User.Name != name {
		err = errors.New("lookup answered about another name")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	it.answer, it.err = answer, err
	it.until = time.Now().Add(l.reuse)
	if err != nil {
		it.answer, it.until = Answer{}, time.Now().Add(min(l.reuse, l.retry))
	}
	if errors.Is(err, ErrBusy) {
		l.counts.Busy++
	}
	defer close(it.done)
	if it.dated {
		return
	}
	if n.last = it; n.under == it {
		n.under = nil
	}
	if err == nil {
		n.good = it
	}
}

func (l *lookups) take(it *lookup, name string, turns chan struct{}) (Answer, error) {
	if !l.waitForTurn(it, turns) {
		return Answer{}, ErrBusy
	}
	defer func() { <-turns }()
	ctx := context.Background()
	if it.waiting {
		ctx = context.WithValue(ctx, waitedForKey{}, true)
	}
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	if err := l.rate.Wait(ctx); err != nil {
		return Answer{}, ErrBusy
	}
	return l.ask(ctx, name)
}

// waitForTurn waits until the lookup has a turn, which it may have from the start.
// It reports false if it got none in time.
func (l *lookups) waitForTurn(it *lookup, turns chan struct{}) bool {
	l.mu.Lock()
	begun := !it.asked.IsZero()
	l.mu.Unlock()
	if begun {
		return true
	}
	queue, cancel := context.WithTimeout(l.life, l.queueing)
	defer cancel()
	select {
	case turns <- struct{}{}:
	case <-queue.Done():
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	it.asked = time.Now()
	return true
}
