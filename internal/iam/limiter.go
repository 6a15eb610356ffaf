package iam

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A limiter keeps the calls of this process to a rate that bends to what AWS
// allows: halved when AWS throttles, and won back step by step.
//
// A halving also takes the burst away, until the rate is whole again: the
// account's other readers need what is left.
type limiter struct {
	base  float64
	burst int

	mu      sync.Mutex
	bucket  *rate.Limiter
	now     float64   // the rate in force
	changed time.Time // when it was last halved or raised
}

const (
	// halving is the time in which several throttled calls are one event:
	// calls that were under way together fail together.
	halving = time.Second
	// recovery is the time between two raises, each by a tenth of the base
	// rate: from half to whole in 25 s.
	recovery = 5 * time.Second
	// floor is the smallest share of the base rate.
	floor = 1.0 / 16
)

func newLimiter(base float64, burst int) *limiter {
	return &limiter{base: base, burst: burst, now: base, bucket: rate.NewLimiter(rate.Limit(base), burst)}
}

// wait returns when the next call may go out, or with the context's error.
func (l *limiter) wait(ctx context.Context) error {
	l.recover(time.Now())
	return l.bucket.Wait(ctx)
}

// throttled halves the rate.
func (l *limiter) throttled(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now < l.base && at.Sub(l.changed) < halving {
		return
	}
	l.now = max(l.now/2, l.base*floor)
	l.changed = at
	l.bucket.SetLimitAt(at, rate.Limit(l.now))
	l.bucket.SetBurstAt(at, 1)
}

// recover raises the rate by as many steps as the time since the last change holds.
func (l *limiter) recover(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now >= l.base {
		return
	}
	steps := int(at.Sub(l.changed) / recovery)
	if steps <= 0 {
		return
	}
	l.changed = l.changed.Add(time.Duration(steps) * recovery)
	l.now = min(l.base, l.now+float64(steps)*l.base/10)
	l.bucket.SetLimitAt(at, rate.Limit(l.now))
	if l.now >= l.base {
		l.bucket.SetBurstAt(at, l.burst)
	}
}

// inForce is the rate now.
func (l *limiter) inForce() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}
