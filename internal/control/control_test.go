package control

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

func alice(tb testing.TB) Answer {
	tb.Helper()
	pub, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(make([]byte, 32)).Public())
	if err != nil {
		tb.Fatal(err)
	}
	k := keys.Key{ID: "APKAEXAMPLE", Type: pub.Type(), Blob: pub.Marshal()}
	ending := k
	ending.ID, ending.Expires = "APKAENDING", time.Unix(1_800_000_000, 0)
	return Answer{
		User: cache.UserKeys{
			Name: "alice", UID: 2001000001, Login: true, Checked: time.Unix(1_790_000_000, 0), Keys: []keys.Key{k, ending},
		},
		Shared: []string{"ec2-user"},
	}
}

// serve starts a server and returns a client of it.
func serve(tb testing.TB, o Options) (Client, *Server) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "sock")
	l, err := Listen(path, 0o600, -1)
	if err != nil {
		tb.Fatal(err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Peers == nil {
		o.Peers = []uint32{uint32(os.Getuid())}
	}
	s := NewServer(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Serve: %v", err)
		}
	})
	return Client{Path: path}, s
}

func within(tb testing.TB, d time.Duration) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	tb.Cleanup(cancel)
	return ctx
}

func TestAnAnswerArrivesAsItWasGiven(t *testing.T) {
	left := Answer{User: cache.UserKeys{Name: "left", Checked: time.Unix(1_790_000_000, 0)}}
	c, _ := serve(t, Options{Lookup: func(_ context.Context, name string) (Answer, error) {
		switch name {
		case "alice":
			return alice(t), nil
		case "left":
			return left, nil
		case "wrong":
			return alice(t), nil
		}
		return Answer{}, fmt.Errorf("IAM said no to %q", name)
	}})
	for _, want := range []Answer{alice(t), left} {
		got, err := c.Ask(within(t, time.Minute), Question{Name: want.User.Name})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("Keys = %+v, %v\nwant %+v", got, err, want)
		}
	}
	for name, want := range map[string]string{
		"bob":                      `it says "IAM said no to \"bob\""`,
		"wrong":                    "answered about another name",
		"":                         "not a login name",
		"../x":                     "not a login name",
		"a b":                      "not a login name",
		"ä":                        "not a login name",
		strings.Repeat("a", 10000): "unusable answer",
		strings.Repeat("a", 256):   "not a login name",
	} {
		a, err := c.Ask(within(t, time.Minute), Question{Name: name})
		if err == nil || !strings.Contains(err.Error(), want) ||
			!reflect.DeepEqual(a, Answer{}) {
			t.Errorf("Keys(%.20q) = %+v, %v; want %q", name, a, err, want)
		}
	}
}

func TestACommandLearnsThatTheDaemonIsNotConfigured(t *testing.T) {
	unmet.Root(t, "the daemon does what root asks and nobody else")
	c, _ := serve(t, Options{
		Refresh: func(context.Context, RefreshRequest) (any, error) {
			return nil, fmt.Errorf("%w: no login rule is set", ErrNotConfigured)
		},
		Explain: func(context.Context, string) (any, error) { return nil, errors.New("state.db cannot be read") },
	})
	if _, err := c.Refresh(within(t, time.Minute), RefreshRequest{}); !errors.Is(err, ErrNotConfigured) {
		t.Errorf("Refresh = %v, want ErrNotConfigured", err)
	}
	if _, err := c.Explain(within(t, time.Minute), "alice"); err == nil || errors.Is(err, ErrNotConfigured) {
		t.Errorf("Explain = %v, want another error", err)
	}
}

func TestASlowLookupCostsOneWaitAndIsThereForTheNext(t *testing.T) {
	release := make(chan struct{})
	var calls atomic.Int32
	c, _ := serve(t, Options{Patience: func() time.Duration { return 3 * time.Second },
		Lookup: func(context.Context, string) (Answer, error) {
			calls.Add(1)
			<-release
			return alice(t), nil
		}})
	if _, err := c.Ask(within(t, time.Minute), Question{Name: "alice"}); err == nil ||
		!strings.Contains(err.Error(), "no answer from the directory in time") {
		t.Errorf("the first asker got %v, want to be told that the answer is late", err)
	}
	begin := time.Now()
	if _, err := c.Ask(within(t, time.Minute), Question{Name: "alice"}); err == nil ||
		!strings.Contains(err.Error(), "no answer from the directory in time") ||
		time.Since(begin) > 2500*time.Millisecond {
		t.Errorf("the second asker got %v after %v, want the same at once", err, time.Since(begin))
	}
	close(release)
	got, err := c.Ask(within(t, time.Minute), Question{Name: "alice"})
	for err != nil && time.Since(begin) < 30*time.Second { // the answer may be under way for a moment
		got, err = c.Ask(within(t, time.Minute), Question{Name: "alice"})
	}
	if err != nil || !reflect.DeepEqual(got, alice(t)) || calls.Load() != 1 {
		t.Errorf("then: %+v, %v after %d lookups; want the answer of the one", got, err, calls.Load())
	}
}

func TestManyAskersMakeOneLookup(t *testing.T) {
	var calls atomic.Int32
	release := make(chan struct{})
	c, _ := serve(t, Options{Reuse: time.Hour, Lookup: func(_ context.Context, name string) (Answer, error) {
		calls.Add(1)
		<-release
		return alice(t), nil
	}})
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if _, err := c.Ask(within(t, time.Minute), Question{Name: "alice"}); err != nil {
				t.Error(err)
			}
		})
	}
	for calls.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	wait.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("%d lookups for 50 askers, want 1", n)
	}
	if _, err := c.Ask(within(t, time.Minute), Question{Name: "alice"}); err != nil || calls.Load() != 1 {
		t.Errorf("a later asker: %v, %d lookups; want the answer reused", err, calls.Load())
	}
}

func TestAnswersAndFailuresAreReusedNoLongerThanTold(t *testing.T) {
	var calls atomic.Int32
	fail := errors.New("down")
	for _, c := range []struct {
		name  string
		o     Options
		err   error
		after int32 // lookups after three questions
	}{
		{"no reuse", Options{Reuse: -1}, nil, 3},
		{"a failure is not reused where answers are not", Options{Reuse: -1, Retry: time.Hour}, fail, 3},
		{"a failure is reused", Options{Reuse: time.Hour, Retry: time.Hour}, fail, 1},
		{"a failure is forgotten before an answer would be", Options{Reuse: time.Hour, Retry: time.Nanosecond}, fail, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls.Store(0)
			c.o.Lookup = func(context.Context, string) (Answer, error) { calls.Add(1); return alice(t), c.err }
			client, _ := serve(t, c.o)
			for range 3 {
				if _, err := client.Ask(within(t, time.Minute), Question{Name: "alice"}); (err == nil) != (c.err == nil) {
					t.Fatal(err)
				}
			}
			if calls.Load() != c.after {
				t.Errorf("%d lookups, want %d", calls.Load(), c.after)
			}
		})
	}
}

func TestAnAskerWhoHangsUpCostsTheOthersNothing(t *testing.T) {
	release := make(chan struct{})
	started := make(chan struct{}, 1)
	c, _ := serve(t, Options{Lookup: func(ctx context.Context, _ string) (Answer, error) {
		started <- struct{}{}
		select {
		case <-release:
			return alice(t), nil
		case <-ctx.Done():
			return Answer{}, ctx.Err()
		}
	}})
	impatient, hangUp := context.WithCancel(context.Background())
	first := make(chan error)
	go func() { _, err := c.Ask(impatient, Question{Name: "alice"}); first <- err }()
	<-started
	second := make(chan error)
	go func() { _, err := c.Ask(within(t, time.Minute), Question{Name: "alice"}); second <- err }()
	hangUp()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("who hung up got %v", err)
	}
	close(release)
	if err := <-second; err != nil {
		t.Errorf("who waited got %v", err)
	}
}

func TestLookupsAreBoundedInNumberAndTime(t *testing.T) {
	var under, most atomic.Int32
	c, _ := serve(t, Options{Concurrent: 3, LookupTimeout: 300 * time.Millisecond, QueueTimeout: 500 * time.Millisecond,
		Lookup: func(ctx context.Context, _ string) (Answer, error) {
			n := under.Add(1)
			defer under.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
			}
			<-ctx.Done()
			return Answer{}, ctx.Err()
		}})
	var wait sync.WaitGroup
	var busy atomic.Int32
	for i := range 20 {
		wait.Go(func() {
			_, err := c.Ask(within(t, time.Minute), Question{Name: fmt.Sprint("user", i)})
			if err == nil {
				t.Error("a lookup that never ends was answered")
			} else if strings.Contains(err.Error(), ErrBusy.Error()) {
				busy.Add(1)
			}
		})
	}
	wait.Wait()
	if most.Load() != 3 || busy.Load() == 0 {
		t.Errorf("%d at a time, want 3; %d did not come to their turn", most.Load(), busy.Load())
	}
}

func TestTheRateOfLookupsIsBounded(t *testing.T) {
	var calls atomic.Int32
	c, _ := serve(t, Options{Rate: 0.001, Burst: 2, LookupTimeout: time.Second,
		Lookup: func(_ context.Context, name string) (Answer, error) {
			calls.Add(1)
			return Answer{User: cache.UserKeys{Name: name, Checked: time.Unix(1, 0)}}, nil
		}})
	failed := 0
	for i := range 5 {
		if _, err := c.Ask(within(t, time.Minute), Question{Name: fmt.Sprint("user", i)}); err != nil {
			failed++
		}
	}
	if calls.Load() != 2 || failed != 3 {
		t.Errorf("%d lookups, %d refused; want 2 and 3", calls.Load(), failed)
	}
}

func TestInventedNamesDoNotFillTheMemory(t *testing.T) {
	l := NewServer(Options{
		Lookup: func(_ context.Context, n string) (Answer, error) { return Answer{User: cache.UserKeys{Name: n}}, nil },
		Reuse:  time.Hour, Rate: 1e9, Burst: 1e9,
	}).lookups
	for i := range 3 * maxNames {
		if _, err := l.keys(context.Background(), Question{Name: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		if len(l.names) > maxNames {
			t.Fatalf("%d names are remembered", len(l.names))
		}
	}
}

func TestStatusAndRefresh(t *testing.T) {
	c, _ := serve(t, Options{
		Status: func(context.Context) (any, error) { return map[string]int{"users": 7}, nil },
		Refresh: func(ctx context.Context, r RefreshRequest) (any, error) {
			if deadline, ok := ctx.Deadline(); ok {
				t.Errorf("a refresh must end by %v, however large the store is", deadline)
			}
			if r.Confirm {
				return nil, errors.New("nothing to confirm")
			}
			return r, nil
		},
	})
	if got, err := c.Status(within(t, time.Minute)); err != nil || strings.TrimSpace(string(got)) != `{"users":7}` {
		t.Errorf("Status = %s, %v", got, err)
	}
	if os.Getuid() != 0 {
		if _, err := c.Refresh(within(t, time.Minute), RefreshRequest{}); err == nil ||
			!strings.Contains(err.Error(), "only root") {
			t.Errorf("Refresh as uid %d: %v", os.Getuid(), err)
		}
		return
	}
	got, err := c.Refresh(within(t, time.Minute), RefreshRequest{DryRun: true, AcceptGroups: true})
	var back RefreshRequest
	if err != nil || json.Unmarshal(got, &back) != nil || back != (RefreshRequest{DryRun: true, AcceptGroups: true}) {
		t.Errorf("Refresh = %s, %v", got, err)
	}
	if _, err := c.Refresh(within(t, time.Minute), RefreshRequest{Confirm: true}); err == nil ||
		!strings.Contains(err.Error(), "nothing to confirm") {
		t.Errorf("Refresh = %v", err)
	}
}

func TestExplainIsAnsweredToRootWhereThereIsAnAnswer(t *testing.T) {
	unmet.Root(t, "only root may ask")
	c, _ := serve(t, Options{Explain: func(_ context.Context, name string) (any, error) { return "about " + name, nil }})
	if got, err := c.Explain(within(t, time.Minute), "a&b"); err != nil ||
		strings.TrimSpace(string(got)) != `"about a\u0026b"` {
		t.Errorf("Explain = %s, %v", got, err)
	}
	quiet, _ := serve(t, Options{})
	for name, ask := range map[string]func(context.Context) (json.RawMessage, error){
		"explain": func(ctx context.Context) (json.RawMessage, error) { return quiet.Explain(ctx, "alice") },
		"status":  quiet.Status,
		"refresh": func(ctx context.Context) (json.RawMessage, error) { return quiet.Refresh(ctx, RefreshRequest{}) },
	} {
		if got, err := ask(within(t, time.Minute)); err == nil || !strings.Contains(err.Error(), "this daemon ") {
			t.Errorf("%s of a server without: %s, %v", name, got, err)
		}
	}
}

func TestTheSocketOfADeadDaemonIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	for range 2 {
		l, err := Listen(path, 0o660, os.Getgid())
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("%v, %v", info, err)
		}
		_ = l.Close()
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Listen(path, 0o660, -1); err == nil {
		_ = l.Close()
		t.Error("a file that is no socket was replaced")
	}
}

func TestTheClientOutwaitsNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	l, err := Listen(path, 0o600, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, end := context.WithCancel(within(t, time.Minute))
	defer end()
	answered := make(chan struct{})
	go func() { // a daemon that hangs: the caller's time ends while it holds the connection
		conn, err := l.Accept()
		if err != nil {
			return
		}
		end()
		select {
		case <-answered:
		case <-time.After(time.Minute): // a client that waits on gets another error
		}
		_ = conn.Close()
	}()
	_, err = Client{Path: path}.Ask(ctx, Question{Name: "alice"})
	close(answered)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the caller's time", err)
	}
}

func TestHandlersOutliveTheHeaderTimeout(t *testing.T) {
	unmet.Long(t, "the time-out for headers is waited for")
	c, _ := serve(t, Options{Status: func(ctx context.Context) (any, error) {
		select {
		case <-time.After(2500 * time.Millisecond):
			return "slow", nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}})
	if got, err := c.Status(within(t, time.Minute)); err != nil || !strings.Contains(string(got), "slow") {
		t.Errorf("Status = %s, %v", got, err)
	}
}

// FuzzAnswer: what a socket sends is refused, or is an answer about the name
// that was asked for, with keys that can be written.
func FuzzAnswer(f *testing.F) {
	good, err := alice(f).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1,"name":"alice"}`))
	f.Add([]byte(`{"version":1,"name":"alice","limited":true}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := decodeAnswer(body, "alice")
		if err != nil {
			if !reflect.DeepEqual(a, Answer{}) {
				t.Fatalf("%v with %+v", err, a)
			}
			return
		}
		if a.User.Name != "alice" || a.User.Login != (a.User.UID >= cache.MinID) || len(a.User.Keys) > keys.MaxKeys {
			t.Fatalf("%+v", a)
		}
		again, err := a.encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeAnswer(again, "alice"); err != nil || !reflect.DeepEqual(back, a) {
			t.Fatalf("%+v, %v\nwant %+v", back, err, a)
		}
	})
}
