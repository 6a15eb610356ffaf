package iam

import (
	"testing"
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
