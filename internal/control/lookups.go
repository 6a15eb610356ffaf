package control

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// ErrBusy is returned where a lookup did not come to its turn in time.
var ErrBusy = errors.New("too many lookups are waiting")

// errSlow is for those who ask when a lookup has already taken longer than
// anybody waits at the door.
var errSlow = errors.New("no answer yet, and others have waited long enough; the question goes on for those who ask later")

// maxRemembered bounds the answers kept for reuse. A host has far fewer login
// names than this; a peer that invents some must not fill the memory.
const maxRemembered = 8192

// lookups asks for each name once at a time, however many want to know, and
// hands the answer to those who come within the reuse window too.
type lookups struct {
	ask      func(context.Context, string) (Answer, error)
	reuse    time.Duration        // of answers
	retry    time.Duration        // of failures
	timeout  time.Duration        // of one lookup, waiting for its turn included
	patience func() time.Duration // from a lookup's begin, for all its askers; nil or 0: no end but their own
	turn     chan struct{}        // one place for each lookup under way
	rate     *rate.Limiter
	mu       sync.Mutex
	asked    map[string]*lookup
}

// A lookup is one question to IAM. Its answer is set when done is closed.
type lookup struct {
	done   chan struct{}
	began  time.Time
	answer Answer
	err    error
	until  time.Time // the answer is reused up to here; set with it, under lookups.mu
}

// keys returns the answer for name, at the latest when ctx ends. The lookup
// itself goes on then, for those who ask next.
func (l *lookups) keys(ctx context.Context, name string) (Answer, error) {
	it := l.join(name)
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

// join returns the lookup for name that is under way or fresh, or starts one.
func (l *lookups) join(name string) *lookup {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if it := l.asked[name]; it != nil && (it.until.IsZero() || now.Before(it.until)) {
		return it
	}
	if len(l.asked) >= maxRemembered {
		l.drop(now)
	}
	if len(l.asked) >= maxRemembered {
		busy := &lookup{done: make(chan struct{}), err: ErrBusy}
		close(busy.done)
		return busy
	}
	it := &lookup{done: make(chan struct{}), began: now}
	l.asked[name] = it
	go l.run(it, name)
	return it
}

// drop forgets what is past its reuse, and if that is not enough everything
// that has been answered.
func (l *lookups) drop(now time.Time) {
	for _, limit := range []time.Time{now, now.Add(24 * time.Hour)} {
		for name, it := range l.asked {
			if !it.until.IsZero() && it.until.Before(limit) {
				delete(l.asked, name)
			}
		}
		if len(l.asked) < maxRemembered/2 {
			return
		}
	}
}

// run asks. It is detached from who wanted to know first: the others must not
// lose their answer when that one hangs up.
func (l *lookups) run(it *lookup, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), l.timeout)
	defer cancel()
	answer, err := l.take(ctx, name)
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
	close(it.done)
}

func (l *lookups) take(ctx context.Context, name string) (Answer, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return Answer{}, ErrBusy
	}
	if err := l.rate.Wait(ctx); err != nil {
		return Answer{}, ErrBusy
	}
	return l.ask(ctx, name)
}

// forget has the next question about name asked anew, whatever is under way.
func (l *lookups) forget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.asked, name)
}

func (l *lookups) forgetAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.asked)
}
