package control

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// What strangers may ask about one name: a person who tries a key before it is
// uploaded, and some times after that, is answered at once.
const (
	strangerTries = 5
	strangerEvery = 30 * time.Second
)

const (
	// strangerBurst is how many lookups strangers start at once after a pause.
	strangerBurst = 5
	// strangerTurns is how many of them are under way at a time.
	strangerTurns = 2
)

// strangers are the questions with a key that the person's listing does not
// have: a key that was uploaded a moment ago, or one of anybody at all.
type strangers struct {
	perSecond func() float64 // lookups for all of them
	rate      *rate.Limiter
	turn      chan struct{}
	line      line // names that were refused for rate
}

// toStranger answers a question with an unknown key: by a lookup if strangers
// may start one now, else by what the listing says, marked as limited. The name
// then waits for a lookup of its own, so that a key that was uploaded just now
// becomes known although others try keys of their own meanwhile.
func (l *lookups) toStranger(ctx context.Context, name string, listed Answer) (Answer, error) {
	it := l.joinStranger(name)
	if it == nil {
		listed.Limited = true
		return listed, nil
	}
	return l.await(ctx, it)
}

// joinStranger returns a lookup for name that is fresh, under way or started, or
// nil where strangers have spent what is theirs.
func (l *lookups) joinStranger(name string) *lookup {
	perSecond := rate.Limit(l.strangers.perSecond())
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.strangers.rate.SetLimit(perSecond)
	n := l.stateOf(name, now)
	switch {
	case n == nil:
		l.counts.Limited++
		return nil
	case n.fresh(now) != nil:
		return n.last
	case n.under != nil && !n.under.asked.IsZero():
		return n.under
	case n.under != nil || !n.tries.AllowN(now, 1):
		l.counts.Limited++
		return nil
	case l.strangers.line.serving || len(l.strangers.turn) == cap(l.strangers.turn) || !l.strangers.rate.AllowN(now, 1):
		l.counts.Limited++
		l.wait(&l.strangers.line, name, now)
		return nil
	}
	n.under = l.start(n, name, l.strangers.turn)
	return n.under
}
