package schedule

import "time"

// A Sweep is what it takes to keep the key listings of many people young.
type Sweep struct {
	People int
	Calls  int           // for one person
	Rate   float64       // calls a second that the sweep has for itself
	Age    time.Duration // at which a listing is repeated
	Lag    time.Duration // until one that was repeated is published
}

// Takes is how long it takes to list everybody once.
func (s Sweep) Takes() time.Duration {
	return time.Duration(float64(s.People*s.Calls) / s.Rate * float64(time.Second))
}

// Oldest is how old a published listing becomes at most.
func (s Sweep) Oldest() time.Duration { return s.Age + s.Takes() + s.Lag }
