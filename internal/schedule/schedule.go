// Package schedule says when to ask again. Its functions are pure: the caller
// brings the chance, a number u of [0, 1), so that the daemon, its tests and
// the fleet simulator mean the same by a schedule.
package schedule

import "time"

// firstRetry is the wait after a first failure, before jitter, unless the
// interval itself is shorter.
const firstRetry = 10 * time.Second

// slowest is how many intervals the wait after many failures grows to.
const slowest = 4

// Next returns how long to wait for the next refresh, after the given number
// of failures in a row.
func Next(interval time.Duration, failures int, u float64) time.Duration {
	if failures <= 0 {
		return Jittered(interval, u)
	}
	return Backoff(min(firstRetry, interval), slowest*interval, failures, u)
}

// quickRetries is how often a host that serves nobody yet asks again within
// seconds: about a minute.
const quickRetries = 60

// Unreached returns how long a host that serves nobody yet waits after the given
// number of failures in a row to come as far as the directory: at boot the
// network may come later. It costs the directory nothing.
func Unreached(failures int) time.Duration {
	switch {
	case failures <= 1:
		return 500 * time.Millisecond
	case failures <= quickRetries:
		return time.Second
	}
	return firstRetry
}

// Jittered returns two thirds to the whole of interval: hosts that started
// together drift apart, and the interval remains a promise of how old an
// answer can be. 45s gives 30 to 45 seconds.
func Jittered(interval time.Duration, u float64) time.Duration {
	return interval - time.Duration(clamp(u)*float64(interval)/3)
}

// Averaging returns the interval whose waits, by Jittered, are this long on
// average.
func Averaging(wait time.Duration) time.Duration { return wait + wait/5 }

// Backoff returns the wait after the given number of failures in a row, one or
// more: first, then twice as long each time up to longest, of which between
// half and all is taken.
func Backoff(first, longest time.Duration, failures int, u float64) time.Duration {
	wait := min(first, longest)
	for range failures - 1 {
		if wait >= longest/2 {
			wait = longest
			break
		}
		wait *= 2
	}
	return wait - time.Duration(clamp(u)*float64(wait)/2)
}

func clamp(u float64) float64 {
	if !(u >= 0) { // NaN too
		return 0
	}
	return min(u, 1)
}
