package iam

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheRateIsHalvedByThrottlingAndWonBackSlowly(t *testing.T) {
	begin := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		name  string
		steps func(l *limiter)
		want  float64
		burst int
	}{
		{"nothing happens", func(l *limiter) { l.recover(begin.Add(time.Hour)) }, 8, 20},
		{"one throttle halves, and takes the burst", func(l *limiter) { l.throttled(begin) }, 4, 1},
		{"several at once are one", func(l *limiter) {
			for i := range 5 {
				l.throttled(begin.Add(time.Duration(i) * 100 * time.Millisecond))
			}
		}, 4, 1},
		{"a second one later halves again", func(l *limiter) { l.throttled(begin); l.throttled(begin.Add(2 * time.Second)) }, 2, 1},
		{"there is a floor", func(l *limiter) {
			for i := range 100 {
				l.throttled(begin.Add(time.Duration(i) * 2 * time.Second))
			}
		}, 0.5, 1},
		{"five seconds win a tenth back", func(l *limiter) { l.throttled(begin); l.recover(begin.Add(5 * time.Second)) }, 4.8, 1},
		{"twenty-five seconds win all back", func(l *limiter) { l.throttled(begin); l.recover(begin.Add(25 * time.Second)) }, 8, 20},
		{"it never passes the base", func(l *limiter) { l.throttled(begin); l.recover(begin.Add(time.Hour)) }, 8, 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLimiter(8, 20)
			test.steps(l)
			if got := l.inForce(); got < test.want-1e-9 || got > test.want+1e-9 || float64(l.bucket.Limit()) != got {
				t.Errorf("rate %v (bucket %v), want %v", got, l.bucket.Limit(), test.want)
			}
			if got := l.bucket.Burst(); got != test.burst {
				t.Errorf("burst %d, want %d", got, test.burst)
			}
		})
	}
}

// In a bubble time passes only when everybody waits, so these times are exact.
func TestLoginsGoBeforeOtherCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(5, 20)
		begin := time.Now()
		for range 15 {
			if err := l.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took > 10*time.Millisecond {
			t.Errorf("three quarters of the burst took a refresh %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		sweeps := make(chan time.Duration, 100)
		for range 4 {
			go func() {
				for l.wait(ctx) == nil {
					sweeps <- time.Since(begin)
				}
			}()
		}
		synctest.Wait()
		for range 5 {
			if err := l.wait(Urgent(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took > 10*time.Millisecond {
			t.Errorf("five calls for logins had to wait %v behind a sweep", took)
		}
		if err := l.wait(Urgent(t.Context())); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 210*time.Millisecond {
			t.Errorf("the sixth waited %v, want a fifth of a second", took)
		}
		time.Sleep(10 * time.Second)
		if n := len(sweeps); n < 40 {
			t.Errorf("with no login a sweep made %d calls in 10 s, want what the rate allows", n)
		}
		cancel()
		synctest.Wait()
	})
}

func TestLoginsWithoutEndDoNotKeepARefreshFromBeingDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(5, 20)
		ctx, cancel := context.WithCancel(t.Context())
		for range 8 {
			go func() {
				for l.wait(Urgent(ctx)) == nil {
				}
			}()
		}
		done := 0
		go func() {
			for l.wait(ctx) == nil {
				done++
			}
		}()
		time.Sleep(time.Minute)
		cancel()
		synctest.Wait()
		if done < 15 {
			t.Errorf("a refresh made %d calls in a minute of logins", done)
		}
	})
}

func TestACallWhoseTimeEndsBeforeItsTurnIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1, 1)
		for _, mark := range []func(context.Context) context.Context{Urgent, func(c context.Context) context.Context { return c }} {
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
