package main

import (
	"fmt"
	"math"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/schedule"
)

// A tooStale says that cached keys of some people become too old to open
// anything although all is well, because the sweep does not come round in time.
type tooStale struct {
	sweep    schedule.Sweep
	maxStale time.Duration
	rate     float64 // source.rate as it is
}

// staleKeys returns what is wrong with keys.max_stale for so many people, or
// nil: where nobody is known yet, where keys come with a snapshot, and where
// cached keys open nothing or never grow too old.
func staleKeys(c config.Config, people int) *tooStale {
	k := c.Keys
	if c.Source.Kind != config.KindIAM || k.Online == "require" || k.MaxStale == 0 || people == 0 {
		return nil
	}
	f := tooStale{maxStale: k.MaxStale, rate: c.Source.Rate, sweep: schedule.Sweep{
		People: people, Calls: 1, Rate: c.Source.Rate * awsapi.RefreshShare, Age: sweepAge(k),
		Lag: sweepEvery + cache.CheckedLag(k.MaxStale),
	}}
	if k.TagPrefix != "" && !c.Source.Bulk {
		f.sweep.Calls = 3 // the keys, the tags, and whose they are
	}
	if f.sweep.Oldest() <= k.MaxStale {
		return nil
	}
	return &f
}

func (f tooStale) Error() string {
	return fmt.Sprintf("keys.max_stale = %q cannot be kept: the keys of %d users, %d calls each, take %s at the %.3g "+
		"calls a second that source.rate = %g leaves to the sweep; "+
		"with a listing repeated after %s, cached keys become up to %s old",
		short(f.maxStale), f.sweep.People, f.sweep.Calls, short(f.sweep.Takes()), f.sweep.Rate, f.rate, short(f.sweep.Age),
		short(f.sweep.Oldest()))
}

// remedy names values that fit.
func (f tooStale) remedy() string {
	// Three times what a sweep takes leaves it its half, and the lag of an eighth.
	stale := max(3*(f.sweep.Takes()+sweepEvery), 2*time.Minute)
	if room := f.maxStale - f.sweep.Age - f.sweep.Lag; room > 0 {
		rate := float64(f.sweep.People*f.sweep.Calls) / room.Seconds() / awsapi.RefreshShare
		return fmt.Sprintf("set keys.max_stale to %q, or source.rate to %.1f", short(stale), math.Ceil(rate*10)/10)
	}
	return fmt.Sprintf("set keys.max_stale to %q", short(stale))
}

// short is d in whole seconds as a person writes it: 2h, not 2h0m0s.
func short(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return d.String()
}

// peopleWithKeys is how many people keys.db has, or 0.
func peopleWithKeys(dir string) int {
	t, _, err := cache.ReadKeys(dir)
	if err != nil {
		return 0
	}
	return len(t.Users)
}
