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
	// strangerWaits is how long a name that was refused for rate waits for its
	// turn, whether or not somebody asks again.
	strangerWaits = 5 * time.Minute
)

// strangers are the questions with a key that the person's listing does not
// have: a key that was uploaded a moment ago, or one of anybody at all.
type strangers struct {
	perSecond func() float64 // lookups for all of them
	rate      *rate.Limiter
	turn      chan struct{}
	waiting   []waiting // names to be looked up when the rate allows, first come, first served
	serving   bool      // somebody takes from waiting
}

// A waiting name is one about which a stranger asked in vain.
type waiting struct {
	name  string
	asked time.Time
}

// toStranger answers a question with an unknown key: by a lookup if strangers
// may start one now, else by what the listing says, marked as limited. The name
// then waits for a lookup of its own, so that a key that was uploaded just now
// becomes known whoever else tries keys of their own meanwhile.
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
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.strangers.rate.SetLimit(rate.Limit(l.strangers.perSecond()))
	n := l.remember(name, now)
	switch {
	case n == nil:
		l.counts.Limited++
		return nil
	case n.last != nil && now.Before(n.last.until):
		return n.last
	case n.under != nil && !n.under.asked.IsZero():
		return n.under
	case n.under != nil || !n.tries.AllowN(now, 1):
		l.counts.Limited++
		return nil
	case len(l.strangers.waiting) > 0 || len(l.strangers.turn) == cap(l.strangers.turn) || !l.strangers.rate.AllowN(now, 1):
		l.counts.Limited++
		l.queue(name, now)
		return nil
	}
	l.start(n, name, l.strangers.turn)
	return n.under
}

// queue has name looked up when the rate allows. The caller holds l.mu.
func (l *lookups) queue(name string, now time.Time) {
	for i, w := range l.strangers.waiting {
		if w.name == name {
			l.strangers.waiting[i].asked = now
			return
		}
	}
	l.strangers.waiting = append(l.strangers.waiting, waiting{name, now})
	if !l.strangers.serving {
		l.strangers.serving = true
		go l.serveWaiting()
	}
}

// serveWaiting looks up the names that wait, one after the other and as the
// strangers' rate allows, until none is left.
func (l *lookups) serveWaiting() {
	for {
		if l.strangers.rate.Wait(l.life) != nil {
			return // the server has ended
		}
		it := l.startWaiting()
		if it == nil {
			return
		}
		<-it.done
	}
}

// startWaiting starts the lookup of the first who still waits. It returns nil
// where nobody does.
func (l *lookups) startWaiting() *lookup {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for len(l.strangers.waiting) > 0 {
		w := l.strangers.waiting[0]
		l.strangers.waiting = l.strangers.waiting[1:]
		n := l.names[w.name]
		if n == nil || n.under != nil || now.Sub(w.asked) > strangerWaits || n.good != nil && n.good.asked.After(w.asked) {
			continue
		}
		l.start(n, w.name, l.strangers.turn)
		return n.under
	}
	l.strangers.serving = false
	return nil
}
