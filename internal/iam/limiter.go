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
//
// Urgent calls, for which a person waits, go before the others: these reserve
// nothing ahead, and leave a part of the burst.
type limiter struct {
	base  float64
	burst int
	front chan struct{} // held by the one of the others that may go next

	mu      sync.Mutex
	bucket  *rate.Limiter
	now     float64   // the rate in force
	changed time.Time // when it was last halved or raised
}

// How the rate bends; the fleet simulator goes by the same.
const (
	// Halving is the time in which several throttled calls are one event:
	// calls that were under way together fail together.
	Halving = time.Second
	// Recovery is the time between two raises, each by RecoveryStep of the base
	// rate: from half to whole in 25 s.
	Recovery = 5 * time.Second
	// RecoveryStep is the share of the base rate that a raise wins back.
	RecoveryStep = 0.1
	// Floor is the smallest share of the base rate.
	Floor = 1.0 / 16
	// kept is what the burst is divided by for the part left to urgent calls.
	kept = 4
	// patience is how long a call that is not urgent lets urgent ones go first:
	// logins without end must not keep a refresh from being done.
	patience = time.Second
)

type urgentKey struct{}

// Urgent marks calls for which a person waits: they go before others.
func Urgent(ctx context.Context) context.Context {
	return context.WithValue(ctx, urgentKey{}, true)
}

func newLimiter(base float64, burst int) *limiter {
	return &limiter{base: base, burst: burst, front: make(chan struct{}, 1), now: base, bucket: rate.NewLimiter(rate.Limit(base), burst)}
}

// wait returns when the next call may go out, or with the context's error.
func (l *limiter) wait(ctx context.Context) error {
	l.recover(time.Now())
	if ctx.Value(urgentKey{}) != nil {
		return l.bucket.Wait(ctx)
	}
	select {
	case l.front <- struct{}{}:
		defer func() { <-l.front }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for last := time.Now().Add(patience); ; {
		now := time.Now()
		pause := l.untilSpare(now)
		if pause <= 0 && l.bucket.AllowN(now, 1) {
			return nil
		}
		if deadline, ok := ctx.Deadline(); ok && now.Add(pause).After(deadline) || !now.Before(last) {
			return l.bucket.Wait(ctx) // which refuses at once what would outlast the deadline
		}
		timer := time.NewTimer(min(max(pause, time.Millisecond), last.Sub(now)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// untilSpare is the time until the bucket holds a call beside those that are
// kept for urgent ones, if none of these comes meanwhile.
func (l *limiter) untilSpare(now time.Time) time.Duration {
	spare := l.bucket.TokensAt(now) - 1 - float64(l.bucket.Burst()/kept)
	if spare >= 0 {
		return 0
	}
	return time.Duration(-spare / float64(l.bucket.Limit()) * float64(time.Second))
}

// throttled halves the rate.
func (l *limiter) throttled(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now < l.base && at.Sub(l.changed) < Halving {
		return
	}
	l.now = max(l.now/2, l.base*Floor)
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
	steps := int(at.Sub(l.changed) / Recovery)
	if steps <= 0 {
		return
	}
	l.changed = l.changed.Add(time.Duration(steps) * Recovery)
	l.now = min(l.base, l.now+float64(steps)*l.base*RecoveryStep)
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
