package control

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// What strangers may ask about one name. It lets a person try a new key a few
// times, before and after it is uploaded, and be answered at once.
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
// have: a key that was uploaded a moment ago, or a key of anybody.
type strangers struct {
	perSecond func() float64 // lookups for all of them
	rate      *rate.Limiter
	turn      chan struct{}
	line      line // names that were refused for rate
}

// toStranger answers a question with an unknown key: by a lookup if strangers
// may start one now, and else by the listing, marked as limited. A name that was
// refused because all strangers' lookups are used up waits in line. So a key that
// was just uploaded becomes known although others keep trying keys of their own.
func (l *lookups) toStranger(ctx context.Context, name string, listed Answer) (Answer, error) {
	it := l.joinStranger(name)
	if it == nil {
		listed.Limited = true
		return listed, nil
	}
	return l.await(ctx, it)
}

// joinStranger returns a lookup for name: a fresh one, one under way, or one that
// it starts. It returns nil if strangers may start none now.
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
