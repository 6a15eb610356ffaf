package powerloss

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
)

// A Kind is what an Event did.
type Kind int

// The kinds of events.
const (
	Made         Kind = iota // a file, empty, with Mode; it has no name yet
	Named                    // Name stands for File, or for nothing (0)
	Written                  // Data in File, from At on
	Resized                  // File to the length At
	ModeSet                  // Mode of File
	Synced                   // File, all that was done to it so far
	FolderSynced             // all names so far
	Promised                 // see Disk.Promise
)

// An Event is one thing that happened to a Disk.
type Event struct {
	Kind Kind
	File uint64 // from 1; 0: none
	Name string
	At   int
	Data []byte
	Mode fs.FileMode
}

// A Trace is what happened to a Disk, in order.
type Trace []Event

// Without returns the trace as it were had the events that drop names not
// taken place: a sync that was left out, say.
func (t Trace) Without(drop func(Event) bool) Trace {
	return slices.DeleteFunc(slices.Clone(t), drop)
}

// NameOf returns the first name that a file had.
func (t Trace) NameOf(file uint64) string {
	for _, e := range t {
		if e.Kind == Named && e.File == file {
			return e.Name
		}
	}
	return ""
}

// A Crash is what may be found after power was lost.
type Crash struct {
	After    int // events that took place
	Promises int // of them
	How      string
	Files    map[string]Content
}

// A Content is a file after a Crash.
type Content struct {
	Data []byte
	Mode fs.FileMode
}

// sector is what a disk writes whole or not at all, bytes.
const sector = 512

// Crashes calls check with states that the disk may be in when power is lost
// after each of the events: what was synced is there, and of what was not any
// part may be. A name stands for what it stood for when the folder was synced
// or for anything since, each name by itself; of a file's writes since its
// last sync any sector may have arrived. Always among them are: nothing, all,
// all names without the files' data, and the data without the names; further
// ones are drawn with the seed, draws of them an event. The first error ends it.
func (t Trace) Crashes(seed uint64, draws int, check func(Crash) error) error {
	s := newStorage()
	random := rand.New(rand.NewPCG(seed, 0))
	promises := 0
	for i := 0; ; i++ {
		variants := []struct {
			how         string
			names, data chance
		}{
			{"nothing unsynced arrived", never, never},
			{"all arrived", always, always},
			{"the names arrived without the data", always, never},
			{"the data arrived without the names", never, always},
		}
		for n := range draws {
			names, data := chance(random.Float64), chance(random.Float64)
			switch n % 3 { // often the whole of one kind is lost
			case 1:
				data = never
			case 2:
				names = always
			}
			variants = append(variants, struct {
				how         string
				names, data chance
			}{fmt.Sprintf("draw %d of seed %d", n, seed), names, data})
		}
		for _, v := range variants {
			if err := check(Crash{After: i, Promises: promises, How: v.how, Files: s.lost(v.names, v.data)}); err != nil {
				return fmt.Errorf("power lost after event %d of %d, %s: %w", i, len(t), v.how, err)
			}
		}
		if i == len(t) {
			return nil
		}
		if t[i].Kind == Promised {
			promises++
		}
		s.apply(t[i])
	}
}

// A chance says of one thing after the other whether it arrived: below a half.
type chance func() float64

func never() float64  { return 1 }
func always() float64 { return 0 }

func (c chance) arrived() bool { return c() < 0.5 }

// storage is what is safe on a disk, and what is not yet.
type storage struct {
	names   map[string]uint64   // safe
	renamed map[string][]uint64 // since
	files   map[uint64]*stored
}

type stored struct {
	safe    Content
	pending []Event
}

func newStorage() *storage {
	return &storage{names: map[string]uint64{}, renamed: map[string][]uint64{}, files: map[uint64]*stored{}}
}

func (s *storage) apply(e Event) {
	switch e.Kind {
	case Made:
		s.files[e.File] = &stored{safe: Content{Mode: e.Mode}}
	case Named:
		s.renamed[e.Name] = append(s.renamed[e.Name], e.File)
	case Written, Resized, ModeSet:
		f := s.files[e.File]
		f.pending = append(f.pending, e)
	case Synced:
		f := s.files[e.File]
		f.safe, f.pending = f.after(always), nil
	case FolderSynced:
		for name, files := range s.renamed {
			s.names[name] = files[len(files)-1]
		}
		clear(s.renamed)
	}
}

// lost returns what is found when of what is not safe that much arrived.
func (s *storage) lost(names, data chance) map[string]Content {
	found := maps.Clone(s.names)
	for _, name := range slices.Sorted(maps.Keys(s.renamed)) {
		for _, file := range s.renamed[name] {
			if names.arrived() {
				found[name] = file
			}
		}
	}
	files := map[string]Content{}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if file := found[name]; file != 0 {
			files[name] = s.files[file].after(data)
		}
	}
	return files
}

// after returns the file with as much as arrived of what is not safe.
func (f *stored) after(arrives chance) Content {
	c := Content{Data: slices.Clone(f.safe.Data), Mode: f.safe.Mode}
	for _, e := range f.pending {
		switch e.Kind {
		case Written:
			for from := 0; from < len(e.Data); {
				to := min(len(e.Data), from+sector-(e.At+from)%sector)
				if arrives.arrived() {
					c.Data = written(c.Data, e.At+from, e.Data[from:to])
				}
				from = to
			}
		case Resized:
			if arrives.arrived() {
				c.Data = resized(c.Data, e.At)
			}
		case ModeSet:
			if arrives.arrived() {
				c.Mode = e.Mode
			}
		}
	}
	return c
}
