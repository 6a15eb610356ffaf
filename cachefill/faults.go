package main

import (
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// faults are what failed last, by job, so that the log says each cause once.
type faults struct {
	mu   sync.Mutex
	last map[string]noted
}

type noted struct {
	fault string
	at    time.Time
}

// note takes how a job ended, nil for well, and reports whether that is news:
// another cause than the last time, or the first good end after a failure. With
// a quiet time, a failure is remembered for as long after it came last, and good
// ends in between are no news: of many questions some may fail.
func (f *faults) note(job string, err error, quiet time.Duration) (news bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last == nil {
		f.last = map[string]noted{}
	}
	before, now := f.last[job], time.Now()
	next := noted{directory.FaultOf(err), now}
	if quiet > 0 {
		if err == nil {
			return false
		}
		if now.Sub(before.at) > quiet {
			before = noted{}
		}
	}
	f.last[job] = next
	return before.fault != next.fault
}
