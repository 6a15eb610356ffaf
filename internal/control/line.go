package control

import (
	"time"

	"golang.org/x/time/rate"
)

// lineWaits is how long a name waits in a line, whether or not somebody asks
// about it again.
const lineWaits = 5 * time.Minute

// A line holds names to look up when there is room: one at a time, in the order
// in which they came. Nobody waits for these lookups.
type line struct {
	names   []inLine
	serving bool          // serve is running
	pace    *rate.Limiter // of lookups; nil: as fast as they are answered
	turn    chan struct{} // one place
}

// inLine is a name in a line.
type inLine struct {
	name  string
	asked time.Time // when somebody asked about it last
}

func newLine(pace *rate.Limiter) line { return line{pace: pace, turn: make(chan struct{}, 1)} }

// wait puts name at the end of a line, unless it is in it. The caller holds l.mu.
func (l *lookups) wait(in *line, name string, now time.Time) {
	for i := range in.names {
		if in.names[i].name == name {
			in.names[i].asked = now
			return
		}
	}
	in.names = append(in.names, inLine{name, now})
	if !in.serving {
		in.serving = true
		go l.serve(in)
	}
}

// serve looks up the names of a line until none is left.
func (l *lookups) serve(in *line) {
	for l.life.Err() == nil {
		if in.pace != nil && in.pace.Wait(l.life) != nil {
			return
		}
		it := l.next(in)
		if it == nil {
			return
		}
		<-it.done
	}
}

// next starts the lookup of the first name in a line that still needs one. It
// returns nil if none does.
func (l *lookups) next(in *line) *lookup {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for len(in.names) > 0 {
		w := in.names[0]
		in.names = in.names[1:]
		n := l.names[w.name]
		if n == nil || n.under != nil || now.Sub(w.asked) > lineWaits || n.good != nil && n.good.asked.After(w.asked) {
			continue
		}
		in.turn <- struct{}{} // never blocks: serve waits for each lookup to end
		it := &lookup{done: make(chan struct{}), began: now, asked: now, waiting: true}
		go l.run(it, n, w.name, in.turn)
		return it
	}
	in.serving = false
	return nil
}
