package awsapi

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

func TestTheRateIsHalvedByThrottlingAndWonBackSlowly(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		name  string
		steps func(l *limiter)
		want  float64
		burst float64
	}{
		{"nothing happens", func(l *limiter) { l.fill(begin.Add(time.Hour)) }, 8, 20},
		{"one throttle halves, and takes the burst", func(l *limiter) { l.throttled(begin) }, 4, 1},
		{"several at once are one", func(l *limiter) {
			for i := range 5 {
				l.throttled(begin.Add(time.Duration(i) * 100 * time.Millisecond))
			}
		}, 4, 1},
		{"a second one later halves again", func(l *limiter) { l.throttled(begin); l.throttled(begin.Add(2 * time.Second)) },
			2, 1},
		{"there is a floor", func(l *limiter) {
			for i := range 100 {
				l.throttled(begin.Add(time.Duration(i) * 2 * time.Second))
			}
		}, 0.5, 1},
		{"five seconds win a tenth back", func(l *limiter) { l.throttled(begin); l.fill(begin.Add(5 * time.Second)) }, 4.8,
			1},
		{"twenty-five seconds win all back", func(l *limiter) { l.throttled(begin); l.fill(begin.Add(25 * time.Second)) }, 8,
			20},
		{"it never passes the base", func(l *limiter) { l.throttled(begin); l.fill(begin.Add(time.Hour)) }, 8, 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLimiter(8, 20)
			test.steps(l)
			if got := l.inForce(); got < test.want-1e-9 || got > test.want+1e-9 {
				t.Errorf("rate %v, want %v", got, test.want)
			}
			for _, b := range []bucket{l.logins, l.others} {
				if b.size != test.burst || b.tokens > b.size {
					t.Errorf("%v calls at once of %v, want %v", b.tokens, b.size, test.burst)
				}
			}
		})
	}
}

// In a bubble time passes only when everybody waits, so these times are exact.

// calls makes calls in n goroutines until the context ends, and returns how many were made.
func calls(ctx context.Context, l *limiter, n int) *atomic.Int64 {
	done := new(atomic.Int64)
	for range n {
		go func() {
			for l.wait(ctx) == nil {
				done.Add(1)
			}
		}()
	}
	return done
}

// refreshOf makes n calls one after the other and returns how long they took.
func refreshOf(t *testing.T, l *limiter, n int) time.Duration {
	t.Helper()
	begin := time.Now()
	for range n {
		if err := l.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return time.Since(begin)
}

func TestLoginsWithoutEndDoNotMakeARefreshTwiceAsLong(t *testing.T) {
	for _, n := range []int{5, 16, 20, 21, 40, 200} {
		t.Run(fmt.Sprint(n, " calls"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				quiet := refreshOf(t, newLimiter(5, 20), n)
				l := newLimiter(5, 20)
				ctx, cancel := context.WithCancel(t.Context())
				logins := calls(directory.Urgent(ctx), l, 16)
				time.Sleep(time.Minute)
				before := logins.Load()
				if before < 5*60 {
					t.Errorf("logins made %d calls in a minute, want the whole rate while nobody else asks", before)
				}
				busy := refreshOf(t, l, n)
				if busy > time.Duration(float64(quiet)/RefreshShare)+time.Millisecond {
					t.Errorf("the refresh took %v among logins without end, and %v in quiet", busy, quiet)
				}
				if got, least := logins.Load()-before, int64(busy.Seconds()*2)-1; got < least {
					t.Errorf("logins made %d calls in the %v of the refresh, want at least %d", got, busy, least)
				}
				cancel()
				synctest.Wait()
			})
		})
	}
}

func TestASweepGoesAfterARefreshAndIsNotStarvedByLogins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(5, 20)
		ctx, cancel := context.WithCancel(t.Context())
		sweep := calls(directory.Background(ctx), l, 4)
		time.Sleep(time.Minute)
		if got := sweep.Load(); got < 5*60-1 {
			t.Errorf("a sweep made %d calls in a minute of quiet, want what the rate allows", got)
		}
		if took := refreshOf(t, l, 15); took > 10*time.Millisecond {
			t.Errorf("a refresh of 15 calls took %v in the middle of a sweep, want no wait", took)
		}
		if took := refreshOf(t, l, 20); took > 4200*time.Millisecond {
			t.Errorf("the next 20 calls took %v, want the whole rate", took)
		}
		calls(directory.Urgent(ctx), l, 16)
		time.Sleep(time.Minute)
		before := sweep.Load()
		time.Sleep(time.Minute)
		if got := sweep.Load() - before; got < 179 {
			t.Errorf("a sweep made %d calls in a minute of logins without end, want 3 a second", got)
		}
		cancel()
		synctest.Wait()
	})
}

func TestARefreshWithoutEndLeavesASweepSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(5, 20)
		ctx, cancel := context.WithCancel(t.Context())
		calls(ctx, l, 4)
		sweep := calls(directory.Background(ctx), l, 4)
		time.Sleep(10 * time.Minute)
		if got := sweep.Load(); got < 20 {
			t.Errorf("a sweep made %d calls in ten minutes of refreshes", got)
		}
		cancel()
		synctest.Wait()
	})
}

func TestLoginsFindTheirBurstWhateverElseAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(5, 20)
		ctx, cancel := context.WithCancel(t.Context())
		calls(ctx, l, 4)
		calls(directory.Background(ctx), l, 4)
		time.Sleep(time.Minute)
		begin := time.Now()
		for i := range 25 {
			if err := l.wait(directory.Urgent(t.Context())); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); i < 20 && took > 10*time.Millisecond {
				t.Errorf("call %d of a login waited %v", i, took)
			}
		}
		if took := time.Since(begin); took > 2510*time.Millisecond {
			t.Errorf("25 calls took %v, want those beyond the burst at 2 a second", took)
		}
		cancel()
		synctest.Wait()
	})
}

func TestRenewalsLeaveHalfOfTheBurstToPeopleAtTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(5, 20)
		if !l.spare() {
			t.Error("there is nothing to spare at the start")
		}
		ctx, cancel := context.WithCancel(t.Context())
		renewals := calls(directory.Renewal(ctx), l, 4)
		time.Sleep(time.Minute)
		if got := renewals.Load(); got < 5*60-1 || l.spare() {
			t.Errorf("%d calls in a quiet minute, and something to spare: %v; want the whole rate and nothing", got, l.spare())
		}
		begin := time.Now()
		for range 10 {
			if err := l.wait(directory.Urgent(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took > 10*time.Millisecond {
			t.Errorf("ten calls for people at the door took %v among renewals, want no wait", took)
		}
		cancel()
		synctest.Wait()
		time.Sleep(time.Minute)
		if !l.spare() {
			t.Error("there is nothing to spare after a quiet minute")
		}
	})
}

func TestNoMoreCallsGoOutThanTheRateAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(5, 20)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		all := []*atomic.Int64{calls(directory.Urgent(ctx), l, 8), calls(directory.Renewal(ctx), l, 2), calls(ctx, l, 8),
			calls(directory.Background(ctx), l, 8)}
		<-ctx.Done()
		synctest.Wait()
		total := int64(0)
		for _, n := range all {
			total += n.Load()
		}
		if most := int64(5*600 + 2*20); total > most || total < 5*600 {
			t.Errorf("%d calls in ten minutes, want 3000 to %d", total, most)
		}
	})
}

func TestACallWhoseTimeEndsBeforeItsTurnIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, mark := range []func(context.Context) context.Context{directory.Urgent, directory.Renewal,
			directory.Background, func(c context.Context) context.Context { return c }} {
			l := newLimiter(1, 1)
			if err := l.wait(mark(t.Context())); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(mark(t.Context()), 500*time.Millisecond)
			begin := time.Now()
			if err := l.wait(ctx); err == nil || ctx.Err() != nil || time.Since(begin) > 0 {
				t.Errorf("got %v after %v", err, time.Since(begin))
			}
			cancel()
		}
	})
}
