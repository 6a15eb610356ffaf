package main

import (
	"math/rand/v2"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/schedule"
)

// A habit is how one kind of client asks IAM.
type habit struct {
	calls    int           // in one walk, one after the other
	each     time.Duration // what a call takes
	attempts int           // of one call before the walk is given up
	pause    func(attempt int, u float64) time.Duration
	rate     float64 // own limit, calls a second; 0: none
	burst    float64
	next     func(now time.Duration, failures int, u float64) time.Duration // when the next walk begins
}

// daemon is iam-cachefill's habit: the limits of package iam, the schedule of
// package schedule.
func daemon(calls int, refresh time.Duration) habit {
	return habit{
		calls: calls, each: callTime, attempts: 6, rate: iam.DefaultRate, burst: iam.DefaultBurst,
		pause: func(attempt int, u float64) time.Duration { // the SDK's, at most 3 s
			return min(time.Duration(u*float64(int64(1)<<attempt)*float64(time.Second)), 3*time.Second)
		},
		next: func(now time.Duration, failures int, u float64) time.Duration {
			return now + schedule.Next(refresh, failures, u)
		},
	}
}

// classic is the habit of the scripts: cron at :00, :10 …, one AWS CLI call
// after the other, one for every user, five attempts each.
func classic(users int) habit {
	const every = 10 * time.Minute
	return habit{
		calls: users, each: cliTime, attempts: 5,
		pause: func(attempt int, u float64) time.Duration {
			return time.Duration(u * float64(int64(1)<<(attempt-1)) * float64(time.Second))
		},
		next: func(now time.Duration, _ int, _ float64) time.Duration { return now - now%every + every },
	}
}

type client struct {
	left, attempt, failures int
	began                   time.Duration
	again                   bool // pushed while at work
	turn                    int32

	rate, tokens   float64
	filled, halved time.Duration
}

type walks struct {
	finished func(client int, began, ended time.Duration)
	whole    int
	failed   int
}

// run lets n clients walk through IAM for the world's day. pushes are moments
// at which every client is told to refresh, or nil.
func (w *walks) run(world World, b *bucket, n int, h habit, pushes []time.Duration) {
	r := rand.New(rand.NewPCG(world.Seed, 'r'))
	clients := make([]client, n)
	var q queue
	for i := range clients {
		clients[i].rate, clients[i].tokens = h.rate, h.burst
		// Somewhere in its interval; the scripts are all there at once.
		first := h.next(0, 0, 0)
		if h.rate > 0 {
			first = time.Duration(r.Float64() * float64(first))
		}
		q.push(event{first, int32(i), 0})
	}
	for i, at := range pushes {
		q.push(event{at, int32(i % n), pushed})
	}
	for q.len() > 0 {
		e := q.pop()
		if e.at >= world.Day {
			break
		}
		c := &clients[e.client]
		switch {
		case e.turn == pushed && c.left > 0:
			c.again = true
			continue
		case e.turn == pushed:
			c.turn++
		case e.turn != c.turn:
			continue
		}
		if next := w.step(c, int(e.client), e.at, b, h, r); next >= 0 {
			q.push(event{next, e.client, c.turn})
		}
	}
	b.flow(world.Day)
}

// step does one thing and returns when the next is due.
func (w *walks) step(c *client, i int, now time.Duration, b *bucket, h habit, r *rand.Rand) time.Duration {
	if c.left == 0 {
		c.left, c.began, c.attempt = h.calls, now, 0
	}
	if h.rate > 0 {
		if wait := c.limit(now, h); wait > 0 {
			return now + wait
		}
	}
	if b.take(now) {
		c.attempt = 0
		c.left--
		if c.left > 0 {
			return now + h.each
		}
		ended := now + h.each
		c.failures = 0
		w.whole++
		w.finished(i, c.began, ended)
		if c.again {
			c.again = false
			return ended
		}
		return h.next(ended, 0, r.Float64())
	}
	if h.rate > 0 && (c.rate == h.rate || now-c.halved >= awsapi.Halving) {
		c.rate, c.halved, c.tokens = max(c.rate/2, h.rate*awsapi.Floor), now, min(c.tokens, 1)
	}
	c.attempt++
	if c.attempt < h.attempts {
		return now + h.each + h.pause(c.attempt, r.Float64())
	}
	c.left = 0
	c.failures++
	w.failed++
	return h.next(now+h.each, c.failures, r.Float64())
}

// limit takes a token of the client's own bucket or returns how long to wait
// for one. The rate recovers as that of package iam does.
func (c *client) limit(now time.Duration, h habit) time.Duration {
	if c.rate < h.rate {
		steps := (now - c.halved) / awsapi.Recovery
		c.halved += steps * awsapi.Recovery
		c.rate = min(h.rate, c.rate+float64(steps)*h.rate*awsapi.RecoveryStep)
	}
	room := 1.0
	if c.rate >= h.rate {
		room = h.burst
	}
	c.tokens = min(room, c.tokens+(now-c.filled).Seconds()*c.rate)
	c.filled = now
	if c.tokens < 1 {
		return max(time.Duration((1-c.tokens)/c.rate*float64(time.Second)), time.Millisecond)
	}
	c.tokens--
	return 0
}

// An event is a client's turn. One whose turn is not the client's any more
// was overtaken by a push.
type event struct {
	at     time.Duration
	client int32
	turn   int32
}

const pushed = -1

// A queue is a binary heap of events, the earliest first, lower clients first
// among equals, so that a seed gives the same day on every machine.
type queue struct{ events []event }

func (q *queue) len() int { return len(q.events) }

func (e event) before(o event) bool {
	return e.at < o.at || e.at == o.at && (e.client < o.client || e.client == o.client && e.turn < o.turn)
}

func (q *queue) push(e event) {
	q.events = append(q.events, e)
	i := len(q.events) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !q.events[i].before(q.events[parent]) {
			return
		}
		q.events[i], q.events[parent] = q.events[parent], q.events[i]
		i = parent
	}
}

func (q *queue) pop() event {
	first := q.events[0]
	last := len(q.events) - 1
	q.events[0] = q.events[last]
	q.events = q.events[:last]
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			return first
		}
		if child+1 < last && q.events[child+1].before(q.events[child]) {
			child++
		}
		if !q.events[child].before(q.events[i]) {
			return first
		}
		q.events[i], q.events[child] = q.events[child], q.events[i]
		i = child
	}
}
