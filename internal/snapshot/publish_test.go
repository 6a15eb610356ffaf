package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

func publisherOf(store Store, signer *Signer, now *time.Time) *Publisher {
	return &Publisher{Store: store, Signer: signer, Now: func() time.Time { return *now }}
}

func TestPublishWritesOnlyWhatIsNews(t *testing.T) {
	ctx := context.Background()
	for kind, open := range stores(t) {
		t.Run(kind, func(t *testing.T) {
			signer, now := newSignerFor(t), start
			p := publisherOf(open(), signer, &now)
			c := sample(20, 3)
			publish := func(p *Publisher, want Result) {
				t.Helper()
				got, err := p.Publish(ctx, c)
				got.Bytes = 0
				if err != nil || got != want {
					t.Fatalf("got %+v, %v; want %+v", got, err, want)
				}
			}
			first := uint64(start.Unix())
			publish(p, Result{Published: true, Generation: first})
			publish(p, Result{Generation: first})
			now, c.AsOf = now.Add(time.Minute), c.AsOf.Add(time.Minute)
			publish(p, Result{Generation: first})
			publish(publisherOf(open(), signer, &now), Result{Generation: first}) // a restart, or another host

			c.Directory.Users[0].Name = "renamed"
			publish(p, Result{Published: true, Generation: first + 60})
			publish(p, Result{Generation: first + 60})
			c.Directory.Users[0].Name = "renamed within the second"
			publish(p, Result{Published: true, Generation: first + 61})

			now, c.AsOf = now.Add(Renewal), c.AsOf.Add(Renewal)
			renewed := uint64(now.Unix())
			publish(p, Result{Published: true, Generation: renewed})
			publish(p, Result{Generation: renewed})

			trust := trusting(signer)
			trust.Now, trust.Generation = now, renewed
			s, _, err := Fetch(ctx, open(), "", trust)
			if err != nil || s.Content.Directory.Users[0].Name != "renamed within the second" ||
				!s.Manifest.Expires.Equal(now.Add(Lifetime)) {
				t.Errorf("got %+v, %v", s, err)
			}
		})
	}
}

func TestTheLaterReadingFromIAMWins(t *testing.T) {
	signer, now := newSignerFor(t), start
	store := stores(t)["s3"]()
	late, early := sample(5, 2), sample(5, 2)
	early.AsOf = late.AsOf.Add(-time.Minute)
	early.Directory.Users[0].Name = "outdated"
	a, err := publisherOf(store, signer, &now).Publish(context.Background(), late)
	if err != nil || !a.Published {
		t.Fatal(a, err)
	}
	b, err := publisherOf(store, signer, &now).Publish(context.Background(), early)
	if err != nil || b.Published || b.Generation != a.Generation {
		t.Errorf("a slow publisher's old answer: got %+v, %v", b, err)
	}
}

func TestWhatNoHostShouldUseIsReplaced(t *testing.T) {
	signer, stranger, c := newSignerFor(t), newSignerFor(t), sample(5, 2)
	foreign, other := sample(5, 2), sample(5, 2)
	foreign.Directory.Account = "999999999999"
	other.Directory.Users[0].Name = "other"
	now := uint64(start.Unix())
	good, held := signed(t, c, now+7, signer), signed(t, c, now+9, signer)
	heldMark := markOf(t, held, signer)
	future, err := Sign(c, now+7, start.Add(time.Hour), start.Add(2*time.Hour), signer)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(good, []byte{'\n'})
	for name, test := range map[string]struct {
		there      []byte
		highest    Mark
		why        error
		generation uint64 // 0: refused
	}{
		"an empty object":                      {nil, Mark{}, ErrTruncated, now},
		"garbage":                              {[]byte("hello\n"), Mark{}, ErrDamaged, now},
		"garbage after a clock that was ahead": {[]byte("hello\n"), heldMark, ErrDamaged, now + 10},
		"one cut short":                        {good[:len(good)-3], Mark{}, ErrTruncated, now + 8},
		"one cut short below what was there":   {good[:len(good)-3], heldMark, ErrOlder, now + 10},
		"one from the future":                  {future, Mark{}, ErrFuture, now + 8},
		"a stranger's":                         {signed(t, c, now+50, stranger), Mark{}, ErrUntrusted, now},
		"a stranger's where we published": {signed(t, c, now+50, stranger), heldMark, ErrUntrusted,
			now + 10},
		"one too large":                                 {make([]byte, MaxSize+1), heldMark, ErrTooLarge, now + 10},
		"an old one put back":                           {good, heldMark, ErrOlder, now + 10},
		"an old one put back long after":                {signed(t, c, 7, signer), Mark{Generation: 9}, ErrOlder, now},
		"another one of the generation":                 {signed(t, other, now+9, signer), heldMark, ErrTwice, now + 10},
		"another account's where nothing was published": {signed(t, foreign, 7, signer), Mark{}, ErrAccount, 0},
		"another account's where we published": {signed(t, foreign, now+20, signer), heldMark, ErrAccount,
			now + 21},
		"a later version's": {crafted(t, signer, body, func(m *Manifest) { m.Version = 2 }),
			Mark{}, ErrVersion, 0},
		"a later version's, by a publisher who went on": {crafted(t, signer, body, func(m *Manifest) { m.Version = 2 }),
			heldMark, ErrVersion, 0},
		"the one held, with the content it has":            {held, heldMark, nil, now + 9},
		"the one held, where only its number was known":    {held, Mark{Generation: now + 9}, nil, now + 9},
		"one that another publisher wrote in the meantime": {signed(t, other, now+12, signer), heldMark, nil, now + 13},
	} {
		t.Run(name, func(t *testing.T) {
			clock := start
			store := stores(t)["file"]()
			tag, err := store.Write(context.Background(), test.there, "")
			if err != nil {
				t.Fatal(err)
			}
			p := publisherOf(store, signer, &clock)
			p.Highest = test.highest
			result, err := p.Publish(context.Background(), c)
			if test.generation == 0 {
				if !errors.Is(err, test.why) || !strings.Contains(err.Error(), "remove it if it is not wanted") {
					t.Errorf("got %+v, %v; want %v", result, err, test.why)
				}
				if _, _, err := store.Read(context.Background(), tag); !errors.Is(err, ErrNotModified) {
					t.Errorf("it was overwritten: %v", err)
				}
				return
			}
			if err != nil || result.Generation != test.generation || !errors.Is(result.Replaced, test.why) {
				t.Fatalf("got %+v, %v; want generation %d because of %v", result, err, test.generation, test.why)
			}
			if result.Published != (test.generation != now+9) {
				t.Errorf("published: %v", result.Published)
			}
			trust := trusting(signer)
			trust.Generation = test.highest.Generation
			if _, _, err := Fetch(context.Background(), store, "", trust); err != nil {
				t.Error(err)
			}
			if again, err := p.Publish(context.Background(), c); err != nil || again.Published || again.Replaced != nil {
				t.Errorf("the second time: %+v, %v", again, err)
			}
		})
	}
}

// Two publishers of different directories at one address would have hosts go back and forth
// between two sets of people.
func TestASnapshotOfAnotherDirectoryIsLeftAloneUnlessThisPublisherSawIt(t *testing.T) {
	signer, other := newSignerFor(t), newSignerFor(t)
	iam, center, second := sample(5, 2), sample(5, 0), sample(5, 0)
	center.Directory.Store = directory.Store{ID: "d-9067aaaaaa", Region: "eu-central-1"}
	second.Directory.Store = directory.Store{ID: "d-9067bbbbbb", Region: "eu-central-1"}
	moved := center
	moved.Directory.Store.Region = "us-east-1"
	renamed := center
	renamed.Directory.Store.NameFrom = "email"
	now := uint64(start.Unix())
	for _, c := range []struct {
		name           string
		there, content directory.Answer
		by             *Signer
		highest        uint64
		refused        string
	}{
		{"Identity Center over IAM", iam, center, signer, 0,
			`it has the people of IAM in account 123456789012, and this publisher reads the identity store d-9067aaaaaa`},
		{"IAM over Identity Center", center, iam, signer, 0, "it has the people of the identity store d-9067aaaaaa"},
		{"one store over another", center, second, signer, 0, "d-9067aaaaaa"},
		{"over what a colleague of another directory wrote since", iam, center, signer, now + 6, "stop the other publisher"},
		{"over what a publisher with another trusted key wrote", iam, center, other, 0, "choose another publish.url"},
		{"a publisher that moves, over its own", iam, center, signer, now + 7, ""},
		{"a publisher that moves back", center, iam, signer, now + 7, ""},
		{"the same store", center, center, signer, 0, ""},
		{"the same store, which moved to another region", center, moved, signer, 0, ""},
		{"the same store, whose names are made from another attribute", center, renamed, signer, 0, ""},
		{"IAM over IAM", iam, iam, signer, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := start.Add(time.Second)
			store := stores(t)["s3"]()
			tag, err := store.Write(t.Context(), signed(t, c.there, now+7, c.by), "")
			if err != nil {
				t.Fatal(err)
			}
			p := publisherOf(store, signer, &clock)
			p.Trusted = []PublicKey{other.PublicKey("")}
			p.Highest = Mark{Generation: c.highest}
			c.content.AsOf = start.Add(-time.Minute) // a directory that is new here is not an old answer
			for range 2 {                            // a second look is no way around it
				result, err := p.Publish(t.Context(), c.content)
				if c.refused == "" {
					if err != nil || result.Replaced != nil {
						t.Fatalf("got %+v, %v", result, err)
					}
					continue
				}
				if !errors.Is(err, ErrDirectory) || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("got %+v, %v; want an error with %q", result, err, c.refused)
				}
				if _, _, err := store.Read(t.Context(), tag); !errors.Is(err, ErrNotModified) {
					t.Errorf("it was overwritten: %v", err)
				}
			}
			if c.refused == "" && c.there.Directory.Store != c.content.Directory.Store {
				trust := trusting(signer)
				got, _, err := Fetch(t.Context(), store, "", trust)
				if err != nil || got.Manifest.Store != c.content.Directory.Store {
					t.Errorf("it was not replaced: %+v, %v", got, err)
				}
			}
		})
	}
}

func markOf(t *testing.T, data []byte, signer *Signer) Mark {
	t.Helper()
	m, _, _, err := verify(data, trusting(signer))
	if err != nil {
		t.Fatal(err)
	}
	return m.mark()
}

// A stranger's object is said to be one, and nobody is advised to trust it.
func TestNoMessageProposesToTrustAStranger(t *testing.T) {
	signer, stranger := newSignerFor(t), newSignerFor(t)
	_, err := Open(signed(t, sample(5, 2), 7, stranger), trusting(signer))
	if !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), stranger.PublicKey("").Fingerprint()) {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), "trusted_keys") || strings.Contains(err.Error(), "add it") {
		t.Errorf("it proposes to trust the key: %v", err)
	}
}

func TestAWriteThatFailsForgetsNothingOfWhatWasFound(t *testing.T) {
	signer, clock := newSignerFor(t), start
	store := &failingStore{Store: stores(t)["file"](), fail: errors.New("no way there")}
	if _, err := store.Store.Write(context.Background(), signed(t, sample(5, 2), 7, newSignerFor(t)), ""); err != nil {
		t.Fatal(err)
	}
	p := publisherOf(store, signer, &clock)
	if _, err := p.Publish(context.Background(), sample(5, 2)); !errors.Is(err, store.fail) {
		t.Fatal(err)
	}
	store.fail = nil
	if r, err := p.Publish(context.Background(), sample(5, 2)); err != nil || !r.Published ||
		!errors.Is(r.Replaced, ErrUntrusted) {
		t.Errorf("got %+v, %v", r, err)
	}
}

type failingStore struct {
	Store
	fail error // of the next writes
}

func (s *failingStore) Write(ctx context.Context, data []byte, previous Tag) (Tag, error) {
	if s.fail != nil {
		return "", s.fail
	}
	return s.Store.Write(ctx, data, previous)
}

func TestTheHighestGenerationIsKept(t *testing.T) {
	signer, clock := newSignerFor(t), start
	store, c := stores(t)["file"](), sample(5, 2)
	var kept []Mark
	var full error
	p := publisherOf(store, signer, &clock)
	p.Note = func(m Mark) error { kept = append(kept, m); return full }
	publish := func(wantKept int) Result {
		t.Helper()
		r, err := p.Publish(context.Background(), c)
		if !errors.Is(err, full) || len(kept) != wantKept {
			t.Fatalf("got %+v, %v, kept %v", r, err, kept)
		}
		return r
	}
	if r := publish(1); kept[0].Generation != r.Generation {
		t.Errorf("got %v after %+v", kept, r)
	}
	publish(1)
	full = errors.New("disk full")
	c.Directory.Users[0].Name = "renamed"
	publish(2)
	full = nil
	publish(3) // nothing to write, and the mark is kept now
	if kept[1] != kept[2] || kept[1].Generation <= kept[0].Generation {
		t.Errorf("kept %v", kept)
	}
}

func TestARotatedKeyMayReplaceTheOldOnes(t *testing.T) {
	old, young, now := newSignerFor(t), newSignerFor(t), start
	store, c := stores(t)["s3"](), sample(5, 2)
	if _, err := publisherOf(store, old, &now).Publish(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	p := publisherOf(store, young, &now)
	p.Trusted = []PublicKey{old.PublicKey("old"), young.PublicKey("new"), young.PublicKey("new again")}
	c.Directory.Users[1].Name = "renamed"
	if r, err := p.Publish(context.Background(), c); err != nil || !r.Published {
		t.Fatal(r, err)
	}
	both := trusting(young)
	both.Keys = append(both.Keys, old.PublicKey(""))
	for name, trust := range map[string]Trust{"both keys": both, "the new key": trusting(young)} {
		if s, _, err := Fetch(context.Background(), store, "", trust); err != nil ||
			s.SignedBy != young.PublicKey("").Fingerprint() {
			t.Errorf("with %s: %v", name, err)
		}
	}
	if _, _, err := Fetch(context.Background(), store, "", trusting(old)); !errors.Is(err, ErrUntrusted) {
		t.Errorf("with the old key only: %v", err)
	}
}

func TestALostObjectComesBackAboveWhatHostsHold(t *testing.T) {
	signer, now := newSignerFor(t), start
	first, err := publisherOf(stores(t)["file"](), signer, &now).Publish(context.Background(), sample(5, 2))
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	again, err := publisherOf(stores(t)["file"](), signer, &now).Publish(context.Background(), sample(5, 2))
	if err != nil || again.Generation <= first.Generation {
		t.Errorf("got %+v after %+v, %v", again, first, err)
	}
}

// Publishers that know nothing of each other: every generation is written once
// and the last reading from IAM is what stays.
func TestManyPublishersShareAStore(t *testing.T) {
	for kind, open := range stores(t) {
		t.Run(kind, func(t *testing.T) {
			const publishers, rounds = 4, 5
			signer := newSignerFor(t)
			var clock, written atomic.Int64
			generations := sync.Map{}
			var group sync.WaitGroup
			for n := range publishers {
				group.Go(func() {
					p := &Publisher{Store: open(), Signer: signer, Now: func() time.Time { return start }}
					for range rounds {
						c := sample(3, 2)
						at := clock.Add(1)
						c.AsOf = start.Add(time.Duration(at) * time.Second)
						c.Directory.Users[0].Name = fmt.Sprintf("reading-%d", at)
						result, err := p.Publish(context.Background(), c)
						if err != nil {
							t.Errorf("publisher %d: %v", n, err)
							continue
						}
						if !result.Published {
							continue
						}
						written.Add(1)
						if earlier, twice := generations.LoadOrStore(result.Generation, n); twice {
							t.Errorf("generation %d was written by %v and by %d", result.Generation, earlier, n)
						}
					}
				})
			}
			group.Wait()
			s, _, err := Fetch(context.Background(), open(), "", trusting(signer))
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("reading-%d", publishers*rounds); s.Content.Directory.Users[0].Name != want {
				t.Errorf("got %s, want %s", s.Content.Directory.Users[0].Name, want)
			}
			if got, want := s.Manifest.Generation, uint64(start.Unix()+written.Load()-1); got != want {
				t.Errorf("got generation %d after %d writes, want %d", got, written.Load(), want)
			}
		})
	}
}

func TestAPublisherGivesUpAndComesBack(t *testing.T) {
	var refuse, down atomic.Bool
	server := fakeS3(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case down.Load():
				w.WriteHeader(http.StatusServiceUnavailable)
			case refuse.Load() && r.Method == http.MethodPut:
				w.WriteHeader(http.StatusPreconditionFailed)
			default:
				next.ServeHTTP(w, r)
			}
		})
	})
	now := start
	p := publisherOf(NewS3Store(configurationOf(server), "bucket", "key"), newSignerFor(t), &now)
	refuse.Store(true)
	if _, err := p.Publish(context.Background(), sample(3, 2)); err == nil ||
		!strings.Contains(err.Error(), "lost 8 races") {
		t.Errorf("losing for ever: %v", err)
	}
	refuse.Store(false)
	down.Store(true)
	if _, err := p.Publish(context.Background(), sample(3, 2)); err == nil ||
		!strings.Contains(err.Error(), "s3 answers 503") {
		t.Errorf("s3 down: %v", err)
	}
	down.Store(false)
	if r, err := p.Publish(context.Background(), sample(3, 2)); err != nil || !r.Published {
		t.Errorf("s3 back: %+v, %v", r, err)
	}
}
