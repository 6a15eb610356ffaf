package control

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/time/rate"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/keys"
)

// aKey is a key that only seed decides.
func aKey(seed string) keys.Key {
	sum := sha256.Sum256([]byte(seed))
	pub, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(sum[:]).Public())
	if err != nil {
		panic(err)
	}
	return keys.Key{ID: "tag:ssh-key", Type: pub.Type(), Blob: pub.Marshal()}
}

// A directory is what IAM would say, how long it takes, and who asked when.
type directory struct {
	mu     sync.Mutex
	keys   map[string][]keys.Key // by name
	listed map[string][]keys.Key // as of the last lookup
	takes  time.Duration
	tokens *rate.Limiter // calls that IAM is asked; nil: no bound
	down   error
	gone   map[string]bool // login names that the last answer lets in no more
	asked  []string
}

func newDirectory(people int) *directory {
	d := &directory{keys: map[string][]keys.Key{}, listed: map[string][]keys.Key{}, takes: 100 * time.Millisecond}
	for i := range people {
		d.keys[person(i)] = []keys.Key{aKey(person(i))}
		d.listed[person(i)] = d.keys[person(i)]
	}
	return d
}

func person(i int) string { return fmt.Sprintf("person%02d", i) }

func answer(name string, ks []keys.Key) Answer {
	return Answer{User: cache.UserKeys{Name: name, UID: 2001000001, Login: true, Checked: time.Now(), Keys: ks}}
}

func (d *directory) lookup(ctx context.Context, name string) (Answer, error) {
	d.mu.Lock()
	d.asked = append(d.asked, name)
	takes, tokens := d.takes, d.tokens
	d.mu.Unlock()
	for tokens != nil && NobodyWaits(ctx) && !d.spare() {
		time.Sleep(10 * time.Millisecond)
	}
	if tokens != nil {
		if err := tokens.WaitN(ctx, 2); err != nil {
			return Answer{}, err
		}
	}
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down != nil {
		return Answer{}, d.down
	}
	d.listed[name] = d.keys[name]
	return answer(name, d.keys[name]), nil
}

// spare is what package iam says of its limiter.
func (d *directory) spare() bool {
	return d.tokens == nil || d.tokens.Tokens() > float64(d.tokens.Burst())/2
}

func (d *directory) list(name string) (Answer, Standing) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone[name] {
		return Answer{}, Nobody
	}
	ks, ok := d.listed[name]
	if !ok {
		return Answer{}, Unlisted
	}
	return answer(name, ks), Listed
}

func (d *directory) upload(name string, k keys.Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys[name] = append(slices.Clone(d.keys[name]), k)
}

func (d *directory) lookups(name string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, asked := range d.asked {
		if name == "" || asked == name {
			n++
		}
	}
	return n
}

// ask asks as authkeys does in "require": for two seconds. It reports whether
// the key is let in.
func ask(t *testing.T, s *Server, name string, k keys.Key) (opens bool, a Answer, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	a, err = s.lookups.keys(ctx, Question{Name: name, Key: k.SHA256()})
	return err == nil && has(a, k.SHA256()), a, err
}

// bubble runs a test in which time passes only when everybody waits, with a
// server that asks d.
func bubble(t *testing.T, d *directory, test func(t *testing.T, s *Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(Options{Lookup: d.lookup, Listed: d.list, Spare: d.spare})
		t.Cleanup(func() { ended(s) })
		test(t, s)
	})
}

// ended ends a server and waits for what is under way.
func ended(s *Server) {
	s.end()
	time.Sleep(time.Minute)
}

// flood asks with key(i) for the names of all people in turn, ten a second,
// until the returned function is called or the test ends.
func flood(t *testing.T, s *Server, people int, key func(i int) keys.Key) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			asking.Go(func() { _, _, _ = ask(t, s, person(i%people), key(i)) })
			time.Sleep(100 * time.Millisecond)
		}
	})
	stop = func() { cancel(); asking.Wait() }
	t.Cleanup(stop)
	return stop
}

func TestAPersonWhoUploadsAKeyAfterTryingItIsLetInAtOnce(t *testing.T) {
	d := newDirectory(1)
	bubble(t, d, func(t *testing.T, s *Server) {
		fresh := aKey("fresh")
		if opens, a, err := ask(t, s, person(0), fresh); opens || a.Limited || err != nil {
			t.Errorf("before the upload: %v, %+v, %v", opens, a, err)
		}
		d.upload(person(0), fresh)
		time.Sleep(4 * time.Second)
		if opens, _, err := ask(t, s, person(0), fresh); !opens {
			t.Errorf("after the upload the key opens nothing: %v", err)
		}
	})
}

func TestUnknownKeysAtOneNameCostFewLookups(t *testing.T) {
	d := newDirectory(2)
	bubble(t, d, func(t *testing.T, s *Server) {
		flood(t, s, 1, func(i int) keys.Key { return aKey(fmt.Sprint("stranger", i)) })
		time.Sleep(5 * time.Minute)
		if got, most := d.lookups(""), strangerTries+int(5*time.Minute/strangerEvery); got > most || got < most-2 {
			t.Errorf("%d lookups in five minutes of unknown keys, want up to %d", got, most)
		}
		if got := s.Counts(); got.Limited < 2500 || got.Older != 0 || got.Busy != 0 {
			t.Errorf("counts %+v, want nearly all of 3000 limited and nothing else", got)
		}
		time.Sleep(strangerEvery / 2)
		opens, a, err := ask(t, s, person(0), aKey("one more"))
		if opens || err != nil || !a.Limited || !reflect.DeepEqual(a.User.Keys, []keys.Key{aKey(person(0))}) {
			t.Errorf("beyond the budget: %v, %+v, %v; want the listing, marked as limited", opens, a, err)
		}
		if opens, a, err := ask(t, s, person(0), aKey(person(0))); !opens || a.Limited || err != nil {
			t.Errorf("the person's own key: %v, %+v, %v; want a fresh answer", opens, a, err)
		}
		fresh := aKey("fresh")
		d.upload(person(0), fresh)
		begin := time.Now()
		for opens = false; !opens && time.Since(begin) < time.Minute; time.Sleep(time.Second) {
			opens, _, _ = ask(t, s, person(0), fresh)
		}
		if took := time.Since(begin); took > strangerEvery+5*time.Second {
			t.Errorf("a key uploaded in the middle of it opened the login after %v, want %v", took, strangerEvery)
		}
		if opens, a, err := ask(t, s, person(1), aKey("another name")); opens || a.Limited || err != nil {
			t.Errorf("an unknown key at another name: %v, %+v, %v; want a fresh answer", opens, a, err)
		}
	})
}

func TestUnknownKeysAtManyNamesKeepNobodyOut(t *testing.T) {
	const people = 60
	d := newDirectory(people)
	bubble(t, d, func(t *testing.T, s *Server) {
		flood(t, s, people, func(i int) keys.Key { return aKey(fmt.Sprint("stranger", i)) })
		time.Sleep(time.Minute)
		fresh := aKey("fresh")
		d.upload(person(7), fresh)
		opensAfter := time.Duration(0)
		for begin := time.Now(); time.Since(begin) < 5*time.Minute; time.Sleep(1700 * time.Millisecond) {
			who := person(int(time.Since(begin)/time.Second) % people)
			if opens, a, err := ask(t, s, who, aKey(who)); !opens || a.Limited || time.Since(a.User.Checked) > 4*time.Second {
				t.Fatalf("%s with the right key: %v, %+v, %v", who, opens, a, err)
			}
			if opensAfter == 0 {
				if opens, _, _ := ask(t, s, person(7), fresh); opens {
					opensAfter = time.Since(begin)
				}
			}
		}
		if opensAfter == 0 || opensAfter > people*4*time.Second {
			t.Errorf("a key uploaded in the middle of it opened the login after %v, want four seconds a name at most",
				opensAfter)
		}
		// Of the people's own logins one in 1.7 s, and one in four seconds of the strangers.
		if got, most := d.lookups(""), 300*10/17+360/4+strangerBurst+2; got > most {
			t.Errorf("%d lookups, want %d at most", got, most)
		}
	})
}

func TestAFloodOfKnownPublicKeysKeepsNobodyOut(t *testing.T) {
	const attacked, all = 60, 90
	d := newDirectory(all)
	d.tokens = rate.NewLimiter(5, 20)
	bubble(t, d, func(t *testing.T, s *Server) {
		flood(t, s, attacked, func(i int) keys.Key { return aKey(person(i % attacked)) })
		time.Sleep(30 * time.Second)
		before := d.lookups("")
		for begin := time.Now(); time.Since(begin) < 4*time.Minute; time.Sleep(1900 * time.Millisecond) {
			who := person(int(time.Since(begin)/time.Second) % all)
			asked := time.Now()
			opens, a, err := ask(t, s, who, aKey(who))
			if !opens || time.Since(asked) > 2*time.Second {
				t.Fatalf("%s with the right key after %v: %v, %v", who, time.Since(asked), opens, err)
			}
			if a, ok := s.lookups.enough(who); !ok || !a.User.Login {
				t.Fatalf("%s in the account phase: %+v, %v", who, a, ok)
			}
			if who >= person(attacked) && time.Since(a.User.Checked) > 3*time.Second {
				t.Fatalf("%s, at whose name nobody tries anything, got an answer of %v ago", who, time.Since(a.User.Checked))
			}
		}
		if got, most := d.lookups("")-before, 4*60*5/2+10; got > most {
			t.Errorf("%d lookups in four minutes, want %d at most", got, most)
		}
		// A key that is taken away counts when its name had its turn, a minute later at most.
		d.mu.Lock()
		d.keys[person(3)] = nil
		d.mu.Unlock()
		time.Sleep(time.Minute + 3*time.Second)
		if opens, _, _ := ask(t, s, person(3), aKey(person(3))); opens {
			t.Error("a key that was taken away a minute ago still opens the login")
		}
		// What a refresh or a sweep learns counts at once.
		who := s.withOlderAnswer(t)
		d.mu.Lock()
		d.listed[who], d.keys[who] = nil, nil
		d.mu.Unlock()
		if opens, _, _ := ask(t, s, who, aKey(who)); opens {
			t.Error("a key that the listing lacks opens a login because an older answer has it")
		}
		if s.Counts().Older == 0 {
			t.Error("no older answer was counted")
		}
	})
}

// withOlderAnswer returns a name whose last answer is given only while there is no room for lookups.
func (s *Server) withOlderAnswer(t *testing.T) string {
	t.Helper()
	s.lookups.mu.Lock()
	defer s.lookups.mu.Unlock()
	for name, n := range s.lookups.names {
		if n.good != nil && n.good == n.last && time.Now().After(n.last.until) && (n.under == nil || n.under.asked.IsZero()) {
			return name
		}
	}
	t.Fatal("there is no such name")
	return ""
}

func TestAnOlderAnswerIsNotGivenInQuiet(t *testing.T) {
	d := newDirectory(1)
	bubble(t, d, func(t *testing.T, s *Server) {
		if opens, _, err := ask(t, s, person(0), aKey(person(0))); !opens {
			t.Fatal(err)
		}
		time.Sleep(3500 * time.Millisecond)
		d.mu.Lock()
		d.keys[person(0)] = nil
		d.mu.Unlock()
		if opens, _, err := ask(t, s, person(0), aKey(person(0))); opens || err != nil {
			t.Errorf("a key that was taken away opens the login: %v, %v", opens, err)
		}
	})
}

func TestANameThatWasNeverListedIsLookedUpWhateverTheKey(t *testing.T) {
	d := newDirectory(3)
	for i := range 3 {
		delete(d.listed, person(i))
	}
	bubble(t, d, func(t *testing.T, s *Server) {
		s.lookups.strangers.rate.SetBurst(0)
		for i := range 3 {
			if opens, a, err := ask(t, s, person(i), aKey(person(i))); !opens || a.Limited {
				t.Errorf("%s: %v, %+v, %v", person(i), opens, a, err)
			}
		}
		if got := d.lookups(""); got != 3 {
			t.Errorf("%d lookups, want one each", got)
		}
	})
}

func TestAQuestionWithoutAKeyIsAnsweredAsBefore(t *testing.T) {
	d := newDirectory(1)
	bubble(t, d, func(t *testing.T, s *Server) {
		for i := range 20 {
			a, err := s.lookups.keys(t.Context(), Question{Name: person(0)})
			if err != nil || a.Limited || len(a.User.Keys) != 1 {
				t.Errorf("%+v, %v", a, err)
			}
			time.Sleep(3100 * time.Millisecond)
			if got := d.lookups(""); got != i+1 {
				t.Fatalf("%d lookups for %d questions", got, i+1)
			}
		}
	})
}

func TestStrangersAreToldOfAFailure(t *testing.T) {
	d := newDirectory(1)
	d.down = errors.New("IAM is down")
	bubble(t, d, func(t *testing.T, s *Server) {
		if _, _, err := ask(t, s, person(0), aKey("stranger")); !errors.Is(err, d.down) {
			t.Errorf("got %v, want why nobody knows", err)
		}
	})
}

func TestTheStrangersRateIsTheOneOfTheMoment(t *testing.T) {
	d := newDirectory(60)
	synctest.Test(t, func(t *testing.T) {
		perSecond := 0.5
		s := NewServer(Options{Lookup: d.lookup, Listed: d.list, Strangers: func() float64 { return perSecond }})
		t.Cleanup(func() { ended(s) })
		count := func() int {
			before := d.lookups("")
			stop := flood(t, s, 60, func(i int) keys.Key { return aKey(fmt.Sprint("stranger", i)) })
			time.Sleep(100 * time.Second)
			stop()
			return d.lookups("") - before
		}
		if got := count(); got < 48 || got > 50+strangerBurst+1 {
			t.Errorf("%d lookups in 100 s, want one in two seconds", got)
		}
		perSecond = 0.1
		if got := count(); got < 9 || got > 12 {
			t.Errorf("%d lookups in 100 s, want one in ten seconds", got)
		}
	})
}

func TestWhatTheServerCallsMayCallTheServer(t *testing.T) {
	d := newDirectory(1)
	var s *Server
	busy := func() { s.Counts(); s.Outdate() }
	s = NewServer(Options{
		Lookup:   d.lookup,
		Listed:   func(name string) (Answer, Standing) { busy(); return d.list(name) },
		Spare:    func() bool { busy(); return true },
		Patience: func() time.Duration { busy(); return time.Minute },
		Strangers: func() float64 {
			if s != nil {
				busy()
			}
			return 1
		},
	})
	t.Cleanup(s.end)
	for name, key := range map[string]keys.Key{
		"the person's own key": aKey(person(0)), "an unknown key": aKey("unknown"),
	} {
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			_, _, _ = ask(t, s, person(0), key)
		}()
		select {
		case <-answered:
		case <-time.After(time.Minute):
			t.Fatalf("%s: no answer: a lock is held while the server calls", name)
		}
	}
}
