package accounts

import (
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// play runs a history from its beginning. It returns the event that broke a
// promise, or -1; len(events) stands for the settling at the end.
func play(w *world, events []event) (at int, broken string) {
	for i, e := range events {
		if broken := w.step(e); broken != "" {
			return i, broken
		}
	}
	if broken := w.settle(); broken != "" {
		return len(events), broken
	}
	return -1, ""
}

// shorten takes events out of a history as long as it still breaks a promise.
func shorten(start func() *world, events []event) []event {
	breaks := func(events []event) (int, bool) {
		at, _ := play(start(), events)
		return at, at >= 0
	}
	if at, broken := breaks(events); broken {
		events = events[:min(at+1, len(events))]
	}
	for size := max(len(events)/2, 1); ; size = max(size/2, 1) {
		before := len(events)
		for i := 0; i+size <= len(events); {
			fewer := slices.Concat(events[:i], events[i+size:])
			if at, broken := breaks(fewer); broken {
				events = fewer[:min(at+1, len(fewer))]
			} else {
				i += size
			}
		}
		if size == 1 && len(events) == before {
			return events
		}
	}
}

// tell plays a history again and writes down what happens.
func tell(start func() *world, events []event) string {
	w := start()
	w.explain = true
	_, broken := play(w, events)
	return strings.Join(w.text, "\n") + "\n" + broken
}

// The fleet of issue "who is who": a million events, or a tenth of that under
// the race detector, where it is the code's parallel use that is looked at.
func TestAFleetKeepsItsPromisesWhateverHappens(t *testing.T) {
	// The garbage is much, the living little: collecting it seldom saves a fifth.
	defer debug.SetGCPercent(debug.SetGCPercent(1000))
	const length = 1000
	histories := 1000
	switch {
	case testing.Short():
		histories = 8
		t.Logf("%d histories of 1000 by -short", histories)
	case raceDetector:
		histories = 40
		t.Logf("%d histories of 1000: the million events of all take most of a minute", histories)
	}
	var next atomic.Int64
	var refreshes, blocked, refusals, former atomic.Int64
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for {
				seed := uint64(next.Add(1)) - 1
				if seed >= uint64(histories) || t.Failed() {
					return
				}
				start := func() *world { return newWorld(seed) }
				events := randomEvents(seed, length)
				w := start()
				if _, broken := play(w, events); broken != "" {
					short := shorten(start, events)
					t.Errorf("seed %d: %s\nthe shortest history found, %d of %d events:\n%s", seed, broken, len(short), length,
						tell(start, short))
				}
				refreshes.Add(int64(w.refreshes))
				blocked.Add(int64(w.blocked))
				refusals.Add(int64(w.refusals))
				former.Add(int64(w.former))
			}
		})
	}
	workers.Wait()
	t.Logf("%d events, %d refreshes, %d refused, %d times a memory kept a principal waiting, %d rows of former users",
		histories*length, refreshes.Load(), refusals.Load(), blocked.Load(), former.Load())
	for what, n := range map[string]int64{"refreshes": refreshes.Load(), "memories in the way": blocked.Load(),
		"refusals": refusals.Load(), "former users": former.Load()} {
		if n < int64(histories) {
			t.Errorf("only %d %s in %d histories: the rules were hardly exercised", n, what, histories)
		}
	}
}

// A simulator that finds nothing is worth something only if it would find
// something. Each fault here is one that a predecessor has.
func TestTheSimulatorFindsFaultsAndTellsThemShort(t *testing.T) {
	for _, fault := range []struct {
		name, want string
		build      func(Input) (Result, error)
	}{
		{"a live row that depends on what the host served before", "(a)", func(in Input) (Result, error) {
			r, err := Build(in)
			for i := range r.Tables.Users {
				if u := &r.Tables.Users[i]; !u.Former && slices.ContainsFunc(in.History.Entries,
					func(p Entry) bool { return p.ID == u.ID && p.UnixName != u.Name }) {
					u.Home = "/home/old"
				}
			}
			return r, err
		}},
		{"a number made of the name", "(b)", func(in Input) (Result, error) {
			in.Directory.Users = slices.Clone(in.Directory.Users)
			pins := map[string]uint32{}
			for _, u := range in.Directory.Users {
				pins[u.ID] = UserUID(u.Name, in.Policy.Range)
			}
			in.Policy.Pins = pins
			return Build(in)
		}},
		{"a number that the next principal can have when its holder is deleted", "(d)", func(in Input) (Result, error) {
			in.History.Entries = slices.DeleteFunc(slices.Clone(in.History.Entries), Entry.Former)
			return Build(in)
		}},
		{"two with one number", "not sound", func(in Input) (Result, error) {
			r, err := Build(in)
			if n := len(r.Tables.Users); n > 1 {
				r.Tables.Users[1].UID = r.Tables.Users[0].UID
			}
			return r, err
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			for seed := range uint64(50) {
				start := func() *world {
					w := newWorld(seed)
					w.build = fault.build
					return w
				}
				events := randomEvents(seed, 300)
				at, broken := play(start(), events)
				if at < 0 || !strings.Contains(broken, fault.want) {
					continue
				}
				short := shorten(start, events)
				if len(short) > 12 {
					t.Errorf("%d events are left of the history, want at most 12:\n%s", len(short), tell(start, short))
				}
				t.Logf("%d events:\n%s", len(short), tell(start, short))
				return
			}
			t.Errorf("no breach of %s found in 50 histories", fault.want)
		})
	}
}
