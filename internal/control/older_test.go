package control

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nss-iam/nss-iam/internal/keys"
)

// pressed gives person 0 an answer, and has all turns taken when it is older
// than answers are reused.
func pressed(t *testing.T, d *directory, test func(t *testing.T, s *Server)) {
	t.Helper()
	bubble(t, d, func(t *testing.T, s *Server) {
		if opens, _, err := ask(t, s, person(0), aKey(person(0))); !opens {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		d.mu.Lock()
		d.takes = 9 * time.Second
		d.mu.Unlock()
		for i := 1; i <= 4; i++ {
			go func() { _, _, _ = ask(t, s, person(i), aKey(person(i))) }()
		}
		synctest.Wait()
		test(t, s)
	})
}

func TestAnOlderAnswerNeverSaysMoreThanTheListing(t *testing.T) {
	for _, c := range []struct {
		name   string
		listed func(d *directory)
		keys   int
	}{
		{"the listing has the key", func(*directory) {}, 1},
		{"the listing has no keys any more", func(d *directory) { d.listed[person(0)] = nil }, 0},
		{"nothing is listed", func(d *directory) { delete(d.listed, person(0)) }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDirectory(5)
			pressed(t, d, func(t *testing.T, s *Server) {
				d.mu.Lock()
				c.listed(d)
				d.mu.Unlock()
				if a, ok := s.lookups.enough(person(0)); !ok || len(a.User.Keys) != c.keys {
					t.Errorf("in the account phase: %d keys, %v; want %d", len(a.User.Keys), ok, c.keys)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if a, err := s.lookups.keys(ctx, Question{Name: person(0)}); err != nil || len(a.User.Keys) != c.keys {
					t.Errorf("without a key: %d keys, %v; want %d", len(a.User.Keys), err, c.keys)
				}
				if got := s.Counts(); got.Older != 2 || got.Limited != 0 || got.Busy != 0 {
					t.Errorf("counts %+v, want two older answers", got)
				}
			})
		})
	}
}

func TestAnAnswerGrowsTooOldToTheMoment(t *testing.T) {
	d := newDirectory(5)
	bubble(t, d, func(t *testing.T, s *Server) {
		room := true
		s.lookups.spare = func() bool { return room }
		begin := time.Now()
		if opens, _, err := ask(t, s, person(0), aKey(person(0))); !opens {
			t.Fatal(err)
		}
		fresh := func(want bool, when string) {
			t.Helper()
			if _, ok := s.lookups.enough(person(0)); ok != want {
				t.Errorf("%s: good enough %v, want %v", when, ok, want)
			}
		}
		ended := time.Now()
		fresh(true, "at once")
		time.Sleep(3*time.Second - 1 - time.Since(ended))
		fresh(true, "a moment before three seconds")
		time.Sleep(time.Nanosecond)
		fresh(false, "after three seconds, with turns free")
		room = false
		fresh(true, "after three seconds, without room")
		time.Sleep(time.Minute - 1 - time.Since(begin))
		fresh(true, "a moment before a minute, without room")
		time.Sleep(time.Nanosecond)
		fresh(false, "after a minute, without room")
		time.Sleep(5*time.Minute - time.Second - time.Since(begin))
		d.mu.Lock()
		d.takes = 9 * time.Second
		d.mu.Unlock()
		for i := 1; i <= 4; i++ {
			go func() { _, _, _ = ask(t, s, person(i), aKey(person(i))) }()
		}
		synctest.Wait()
		time.Sleep(time.Second - 1)
		fresh(true, "a moment before five minutes, with all turns taken")
		time.Sleep(time.Nanosecond)
		fresh(false, "after five minutes")
	})
}

func TestPatienceOfNothingIsNoEnd(t *testing.T) {
	d := newDirectory(1)
	d.takes = time.Second
	for _, c := range []struct {
		name     string
		patience time.Duration
		err      error
	}{{"none", 0, nil}, {"less than a lookup takes", time.Second - 1, errSlow}, {"more", time.Second + 1, nil}} {
		synctest.Test(t, func(t *testing.T) {
			s := NewServer(Options{Lookup: d.lookup, Listed: d.list, Patience: func() time.Duration { return c.patience }})
			t.Cleanup(func() { ended(s) })
			if opens, _, err := ask(t, s, person(0), aKey(person(0))); !errors.Is(err, c.err) || opens != (c.err == nil) {
				t.Errorf("%s: %v, %v; want %v", c.name, opens, err, c.err)
			}
		})
	}
}

func TestAStrangersNameWaitsForFiveMinutesAndNoLonger(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *Server, d *directory)
		looked bool
	}{
		{"asked about just now", func(*Server, *directory) {}, true},
		{"asked about five minutes ago",
			func(s *Server, _ *directory) { s.lookups.strangers.line.names[0].asked = time.Now().Add(-lineWaits) }, true},
		{"asked about before that", func(s *Server, _ *directory) {
			s.lookups.strangers.line.names[0].asked = time.Now().Add(-lineWaits - 1)
		}, false},
		{"answered meanwhile", func(s *Server, _ *directory) {
			s.lookups.names[person(0)].good = &lookup{asked: time.Now().Add(1)}
		}, false},
		{"answered before it was asked about", func(s *Server, _ *directory) {
			s.lookups.names[person(0)].good = &lookup{asked: time.Now().Add(-1)}
		}, true},
		{"under way already", func(s *Server, _ *directory) { s.lookups.names[person(0)].under = &lookup{} }, false},
		{"forgotten", func(s *Server, _ *directory) { delete(s.lookups.names, person(0)) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDirectory(1)
			bubble(t, d, func(t *testing.T, s *Server) {
				l := s.lookups
				l.mu.Lock()
				l.stateOf(person(0), time.Now())
				l.strangers.line.names, l.strangers.line.serving = []inLine{{person(0), time.Now()}}, true
				c.change(s, d)
				l.mu.Unlock()
				it := l.next(&l.strangers.line)
				if (it != nil) != c.looked {
					t.Errorf("a lookup was started: %v, want %v", it != nil, c.looked)
				}
				if l.strangers.line.serving != c.looked || len(l.strangers.line.names) != 0 {
					t.Errorf("serving %v with %d waiting", l.strangers.line.serving, len(l.strangers.line.names))
				}
				if n := l.names[person(0)]; n != nil && !c.looked {
					n.under = nil
				}
			})
		})
	}
}

func TestWhatIsForgottenForRoomIsWhatHasEnded(t *testing.T) {
	now := time.Now()
	s := NewServer(Options{})
	defer s.end()
	l := s.lookups
	ended := func(until time.Time) *nameState { return &nameState{last: &lookup{until: until}} }
	fill := func() {
		clear(l.names)
		l.names["under way"] = &nameState{under: &lookup{}, last: &lookup{until: now.Add(-time.Hour)}}
		l.names["past"] = ended(now.Add(-1))
		l.names["now"] = ended(now)
		l.names["fresh"] = ended(now.Add(time.Second))
		l.names["never answered"] = &nameState{}
	}
	fill()
	l.drop(now)
	for name, kept := range map[string]bool{"under way": true, "past": false, "now": true, "fresh": true,
		"never answered": false} {
		if (l.names[name] != nil) != kept {
			t.Errorf("with room: %s is kept: %v, want %v", name, l.names[name] != nil, kept)
		}
	}
	fill()
	for i := range maxNames/2 + 10 {
		l.names[person(i)] = ended(now.Add(time.Hour))
	}
	l.drop(now)
	if len(l.names) != 1 || l.names["under way"] == nil {
		t.Errorf("without room %d names are kept, want the one under way", len(l.names))
	}
}

func TestAStrangerIsWhoseKeyTheListingLacks(t *testing.T) {
	d := newDirectory(2)
	bubble(t, d, func(t *testing.T, s *Server) {
		both := answer(person(0), []keys.Key{aKey("one"), aKey("two")})
		for key, want := range map[string]bool{"one": true, "two": true, "three": false} {
			if got := has(both, aKey(key).SHA256()); got != want {
				t.Errorf("%s is among them: %v, want %v", key, got, want)
			}
		}
		if has(Answer{}, aKey("one").SHA256()) {
			t.Error("nobody has a key")
		}
	})
}

func TestNamesAreForgottenOnlyForWantOfRoom(t *testing.T) {
	now := time.Now()
	s := NewServer(Options{})
	defer s.end()
	l := s.lookups
	spent := l.stateOf("spent", now) // with a budget that a stranger has used up
	if l.stateOf("another", now); l.stateOf("spent", now) != spent {
		t.Error("a name was forgotten though there is room")
	}
	clear(l.names)
	for i := range maxNames - 1 {
		l.names[person(i)] = &nameState{under: &lookup{}}
	}
	if l.stateOf("the last", now) == nil || len(l.names) != maxNames {
		t.Errorf("there is no room for %d names", maxNames)
	}
	l.names["the last"].under = &lookup{}
	if l.stateOf("one more", now) != nil {
		t.Errorf("there is room for more than %d names", maxNames)
	}
	l.names["the last"] = &nameState{}
	if l.stateOf("one more", now) == nil || l.names["the last"] != nil {
		t.Error("a name about which nobody asks is not forgotten for another")
	}
}

func TestALookupThatNeverCameToItsTurnIsCounted(t *testing.T) {
	d := newDirectory(6)
	d.takes = time.Hour
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(Options{Lookup: d.lookup, Listed: d.list, LookupTimeout: 2 * time.Minute})
		t.Cleanup(func() { ended(s); time.Sleep(time.Hour) })
		for i := range 6 { // of which four have a turn, for longer than the others wait
			go func() { _, _, _ = ask(t, s, person(i), aKey(person(i))) }()
		}
		time.Sleep(time.Minute - 1)
		if got := s.Counts(); got.Busy != 0 {
			t.Errorf("within the minute: %+v", got)
		}
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		if got := s.Counts(); got.Busy != 2 || d.lookups("") != 4 {
			t.Errorf("after it: %+v and %d lookups, want two that were too late and four", got, d.lookups(""))
		}
	})
}

func TestEveryRefusalForRateIsCountedOnce(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(l *lookups)
		limited int64
		waits   int // names in the queue of strangers
	}{
		{"within the rate", func(*lookups) {}, 0, 0},
		{"no room for the name", func(l *lookups) {
			for i := range maxNames {
				l.names[person(i+1)] = &nameState{under: &lookup{}}
			}
		}, 1, 0},
		{"the name's own tries are spent", func(l *lookups) {
			l.stateOf(person(0), time.Now()).tries.AllowN(time.Now(),
				strangerTries)
		}, 1, 0},
		{"a lookup of the name waits for its turn", func(l *lookups) { l.stateOf(person(0), time.Now()).under = &lookup{} },
			1, 0},
		{"the rate of all is spent", func(l *lookups) { l.strangers.rate.AllowN(time.Now(), strangerBurst) }, 1, 1},
		{"all turns are taken", func(l *lookups) {
			for range strangerTurns {
				l.strangers.turn <- struct{}{}
			}
			l.strangers.rate.AllowN(time.Now(), strangerBurst) // or the line is served at once
		}, 1, 1},
		{"others wait", func(l *lookups) {
			l.strangers.line.names, l.strangers.line.serving = []inLine{{"other", time.Now()}}, true
		}, 1, 2},
		{"it waits already", func(l *lookups) {
			l.strangers.line.names, l.strangers.line.serving = []inLine{{person(0), time.Now().Add(-time.Minute)}}, true
		}, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDirectory(1)
			synctest.Test(t, func(t *testing.T) {
				s := NewServer(Options{Lookup: d.lookup, Listed: d.list})
				t.Cleanup(func() { ended(s) })
				l := s.lookups
				l.mu.Lock()
				c.prepare(l)
				l.mu.Unlock()
				it := l.joinStranger(person(0))
				if (it == nil) != (c.limited > 0) || s.Counts() != (Counts{Limited: c.limited}) {
					t.Errorf("looked up: %v, counts %+v; want %d limited", it != nil, s.Counts(), c.limited)
				}
				l.mu.Lock()
				waits := l.strangers.line.names
				l.mu.Unlock()
				if len(waits) != c.waits || c.waits > 0 && waits[len(waits)-1] != (inLine{person(0), time.Now()}) {
					t.Errorf("waiting are %v, want %d", waits, c.waits)
				}
			})
		})
	}
}

func TestTheCountsAreThoseOfBothKindsOfQuestions(t *testing.T) {
	s := NewServer(Options{})
	defer s.end()
	s.lookups.counts, s.admissions.counts = Counts{Limited: 1, Older: 2, Busy: 4}, Counts{Older: 8, Busy: 16}
	if got, want := s.Counts(), (Counts{Limited: 1, Older: 10, Busy: 20}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAnOlderAnswerIsRenewedWithoutAnotherQuestion(t *testing.T) {
	d := newDirectory(5)
	pressed(t, d, func(t *testing.T, s *Server) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if a, err := s.lookups.keys(ctx, Question{Name: person(0)}); err != nil || len(a.User.Keys) != 1 ||
			time.Since(begin) != 0 {
			t.Fatalf("got %+v, %v after %v; want the older answer at once", a, err, time.Since(begin))
		}
		time.Sleep(30 * time.Second)
		if got := d.lookups(person(0)); got != 2 {
			t.Errorf("%d lookups, want the first and one that renews", got)
		}
	})
}

// Somebody who reconnects without a pause must not come in after the refresh
// that knows, by what was said before it.
func TestNoAnswerIsUsedAgainAboutANameThatIsNobodysByNow(t *testing.T) {
	for name, wait := range map[string]time.Duration{"at once": 0, "while all turns are taken": 4 * time.Second} {
		t.Run(name, func(t *testing.T) {
			d := newDirectory(5)
			test := func(t *testing.T, s *Server) {
				d.mu.Lock()
				d.gone = map[string]bool{person(0): true}
				d.mu.Unlock()
				before := d.lookups(person(0))
				if opens, a, err := ask(t, s, person(0), aKey(person(0))); opens || a.User.Login || err != nil {
					t.Errorf("the key opens: %v, login %v, %v", opens, a.User.Login, err)
				}
				if a, ok := s.lookups.enough(person(0)); !ok || a.User.Login {
					t.Errorf("the account phase is told: login %v, %v; want a no", a.User.Login, ok)
				}
				if got := d.lookups(person(0)); got != before {
					t.Errorf("%d lookups about a name that is nobody's", got-before)
				}
			}
			if wait > 0 {
				pressed(t, d, test)
				return
			}
			bubble(t, d, func(t *testing.T, s *Server) {
				if opens, _, err := ask(t, s, person(0), aKey(person(0))); !opens {
					t.Fatal(err)
				}
				test(t, s)
			})
		})
	}
}
