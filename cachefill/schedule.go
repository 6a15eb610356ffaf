package main

import (
	"math/rand/v2"
	"time"
)

// retryFirst is how long after a first failure the next try comes; it doubles
// with each further one up to the usual time.
const retryFirst = 15 * time.Second

// next is the time to the next refresh. It is never the same on two hosts, so
// that a fleet that was started together does not ask together.
func next(every time.Duration, failures int) time.Duration {
	if failures > 0 {
		every = min(every, retryFirst<<min(failures-1, 10))
	}
	return time.Duration(float64(every) * (0.9 + 0.2*rand.Float64()))
}
