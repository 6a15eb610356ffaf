package awsapi

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// A limiter keeps the calls of this process to a rate that bends to what AWS
// allows: halved when AWS throttles, and won back step by step. A halving also
// takes the bursts away until the rate is whole again: the account's other
// readers need what is left.
//
// Logins have one part of the rate, refreshes and sweeps the other, each with a
// bucket of its own. What overflows one bucket runs into the other, so that
// either side has the whole rate while the other is idle, and neither ever takes
// what the other has saved. People at the door, however many, cannot make a
// refresh twice as long.
type limiter struct {
	base  float64
	burst float64
	front [directory.Lanes]chan struct{} // held by the call of a lane that is the next to go

	mu      sync.Mutex
	now     float64              // the rate in force
	changed time.Time            // when it was last halved or raised
	queued  [directory.Lanes]int // calls that wait in a lane, the one at its front included
	filled  time.Time            // when the buckets were last filled
	logins  bucket
	others  bucket // refreshes and sweeps
}

// A bucket holds the calls that may go out at once.
type bucket struct{ tokens, size float64 }

// add fills the bucket and returns what does not fit.
func (b *bucket) add(n float64) (over float64) {
	b.tokens += n
	over = max(b.tokens-b.size, 0)
	b.tokens -= over
	return over
}

func (b *bucket) resize(size float64) {
	b.size = size
	b.tokens = min(b.tokens, size)
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
)

// RefreshShare is the share of the rate that refreshes and sweeps have for
// themselves, however many people log in. More than half, so that a refresh
// among logins takes less than twice its time.
const RefreshShare = 0.6

const (
	// sweepLeaves is the share of its bucket that a sweep leaves to a refresh
	// that may begin at any moment, and renewalLeaves what renewals leave to people.
	sweepLeaves   = 0.9
	renewalLeaves = 0.5
	// leavesFor is how long one call does so.
	leavesFor = 10 * time.Second
	// shortestPause keeps rounding from making a wait of none.
	shortestPause = time.Millisecond
	// rounding is what a bucket may lack of a whole call.
	rounding = 1e-6
)

// errLate is returned for a call whose time ends before its turn.
var errLate = errors.New("the wait for the rate would outlast the time allowed")

func newLimiter(base float64, burst int) *limiter {
	size := float64(burst)
	l := &limiter{
		base: base, burst: size, now: base, filled: time.Now(),
		logins: bucket{size, size}, others: bucket{size, size},
	}
	for i := range l.front {
		l.front[i] = make(chan struct{}, 1)
	}
	return l
}

// wait returns when the next call may go out, or with an error: the context's,
// or at once errLate if the context would end before.
func (l *limiter) wait(ctx context.Context) error {
	lane := directory.LaneOf(ctx)
	if err := l.enter(ctx, lane); err != nil {
		return err
	}
	defer l.leave(lane)
	select {
	case l.front[lane] <- struct{}{}:
		defer func() { <-l.front[lane] }()
	case <-ctx.Done():
		return ctx.Err()
	}
	deadline, bounded := ctx.Deadline()
	for began := time.Now(); ; {
		now := time.Now()
		pause := l.take(lane, now, now.Sub(began))
		if pause == 0 {
			return nil
		}
		if bounded && now.Add(pause).After(deadline) {
			return errLate
		}
		timer := time.NewTimer(max(pause, shortestPause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// enter counts a call into its lane, unless its time ends before those ahead of
// it can have gone.
func (l *limiter) enter(ctx context.Context, lane directory.Lane) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.fill(now)
	ahead := float64(l.queued[lane]) - l.bucket(lane).tokens
	if deadline, ok := ctx.Deadline(); ok && now.Add(seconds(ahead/l.now)).After(deadline) {
		return errLate
	}
	l.queued[lane]++
	return nil
}

func (l *limiter) leave(lane directory.Lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queued[lane]--
}

func (l *limiter) bucket(lane directory.Lane) *bucket {
	if lane == directory.LoginLane || lane == directory.RenewalLane {
		return &l.logins
	}
	return &l.others
}

// leavesOf is the share of its bucket that a call of this lane leaves to others.
func leavesOf(lane directory.Lane) float64 {
	switch lane {
	case directory.RenewalLane:
		return renewalLeaves
	case directory.SweepLane:
		return sweepLeaves
	}
	return 0
}

// take takes a call out of the lane's bucket and returns 0, or says after which
// time to ask again. waited is how long the call has been at the front.
func (l *limiter) take(lane directory.Lane, now time.Time, waited time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fill(now)
	own, other, share := &l.others, &l.logins, RefreshShare
	if l.bucket(lane) == &l.logins {
		own, other, share = &l.logins, &l.others, 1-RefreshShare
	}
	need, leaves := 1.0, leavesOf(lane) > 0 && waited < leavesFor
	if leaves {
		need = min(1+leavesOf(lane)*own.size, own.size)
	}
	lacks := need - own.tokens
	if lacks <= rounding {
		own.tokens--
		return 0
	}
	// The whole rate runs into this bucket while the other is full.
	pause := lacks / l.now
	if room := other.size - other.tokens; room > rounding {
		pause = min(lacks/(l.now*share), room/(l.now*(1-share)))
	}
	if leaves {
		pause = min(pause, (leavesFor - waited).Seconds())
	}
	return max(seconds(pause), 1)
}

// fill runs what the rate gave since the last time into the buckets.
func (l *limiter) fill(now time.Time) {
	l.recover(now)
	since := now.Sub(l.filled).Seconds()
	if since <= 0 {
		return
	}
	l.filled = now
	gain := since * l.now
	over := l.logins.add(gain * (1 - RefreshShare))
	l.logins.add(l.others.add(gain*RefreshShare + over))
}

// throttled halves the rate.
func (l *limiter) throttled(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fill(at)
	if l.now < l.base && at.Sub(l.changed) < Halving {
		return
	}
	l.now = max(l.now/2, l.base*Floor)
	l.changed = at
	l.logins.resize(1)
	l.others.resize(1)
}

// recover raises the rate by as many steps as the time since the last change
// holds. The caller holds l.mu.
func (l *limiter) recover(at time.Time) {
	if l.now >= l.base {
		return
	}
	steps := int(at.Sub(l.changed) / Recovery)
	if steps <= 0 {
		return
	}
	l.changed = l.changed.Add(time.Duration(steps) * Recovery)
	l.now = min(l.base, l.now+float64(steps)*l.base*RecoveryStep)
	if l.now >= l.base {
		l.logins.resize(l.burst)
		l.others.resize(l.burst)
	}
}

// spare reports whether a login finds calls that renewals would leave alone.
func (l *limiter) spare() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fill(time.Now())
	return l.logins.tokens >= min(1+renewalLeaves*l.logins.size, l.logins.size)
}

// inForce is the rate now.
func (l *limiter) inForce() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
