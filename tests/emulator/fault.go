package emulator

import (
	"fmt"
	"slices"
	"time"
)

// The kinds of Fault.
const (
	Throttle  = "throttle"   // 400 Throttling "Rate exceeded"
	Failure   = "failure"    // 500 ServiceFailure
	Stall     = "stall"      // no answer until the caller hangs up
	Slow      = "slow"       // the right answer, after Delay
	Reset     = "reset"      // the connection is cut without an answer
	NoMarker  = "no-marker"  // IsTruncated without a Marker
	OldMarker = "old-marker" // IsTruncated with the marker that the call came with
	Empty     = "empty"      // 200 with no body
	Bare      = "bare"       // 200 with a result that has no element in it
	None      = "none"       // 200 with a last page that has no item: nothing gives it away
	Garbage   = "garbage"    // 200 with a body that is no XML
	Cut       = "cut"        // 200 with the first half of the right body, and its length
	CutShort  = "cut-short"  // 200 with the first half of the right body, then the connection is cut
	Deny      = "deny"       // 403 AccessDenied
	Expire    = "expire"     // 403 ExpiredToken
	Vanish    = "vanish"     // 404 NoSuchEntity
	Other     = "other"      // DescribeUser: the answer is about another person
)

// Faults lists all kinds.
var Faults = []string{Throttle, Failure, Stall, Slow, Reset, NoMarker, OldMarker, Empty, Bare, None, Garbage, Cut,
	CutShort, Deny, Expire, Vanish, Other}

// A Fault spoils some calls. Of the calls with its Action, it spoils the one
// at position Call and the Times-1 that follow.
type Fault struct {
	Kind   string   `json:"kind"`
	Action string   `json:"action,omitempty"` // "GetGroup"; "imds" for the metadata service; all when empty
	Call   int      `json:"call,omitempty"`   // 1 is the first call after the fault was set; 0 is 1
	Times  int      `json:"times,omitempty"`  // 0 is once; negative is for ever
	Every  int      `json:"every,omitempty"`  // only every so manieth of them; 0 is each
	Share  float64  `json:"share,omitempty"`  // only this share of them, by the seed; 0 is each
	Delay  Duration `json:"delay,omitempty"`  // of Slow
}

type armedFault struct {
	Fault
	seen int
}

// SetFaults replaces all faults, and counts their positions from here.
func (e *Emulator) SetFaults(faults ...Fault) error {
	armed := make([]*armedFault, len(faults))
	for i, f := range faults {
		if !slices.Contains(Faults, f.Kind) {
			return fmt.Errorf("set fault %q: no such kind, there are %q", f.Kind, Faults)
		}
		armed[i] = &armedFault{Fault: f}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.faults = armed
	return nil
}

// spoil counts a call and returns the fault that hits it, if any. The caller holds e.mu.
func (e *Emulator) spoil(action string) *Fault {
	e.calls = append(e.calls, action)
	e.byAction[action]++
	var hit *Fault
	for _, f := range e.faults {
		if f.Action != "" && f.Action != action {
			continue
		}
		f.seen++
		n := f.seen - max(1, f.Call)
		switch {
		case n < 0, f.Times >= 0 && n >= max(1, f.Times):
		case f.Every > 1 && n%f.Every != 0:
		case f.Share > 0 && e.random.Float64() >= f.Share:
		case hit == nil:
			hit = &f.Fault
		}
	}
	return hit
}

// wait sleeps, but not past the end of the caller's patience or of the emulator.
func (e *Emulator) wait(done <-chan struct{}, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-done:
	case <-e.stopped:
	}
	return false
}
