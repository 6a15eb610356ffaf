package snapshot_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/snapshot"
)

func TestAHostServesBySnapshotWhatItWouldServeByIAM(t *testing.T) {
	for name, change := range map[string]func(*config.Config){
		"groups":                  func(*config.Config) {},
		"all users":               func(c *config.Config) { c.Login.AllUsers = true },
		"all users of a path":     func(c *config.Config) { c.Login.AllUsers, c.Source.PathPrefix = true, "/staff/" },
		"a login group of nobody": func(c *config.Config) { c.Login.Groups = []string{"empty", "team-red"} },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			c := usual()
			change(&c)
			f.publish()
			f.e.ResetCalls()
			h := f.host(c)
			h.poll()
			if swept, err := h.Logins.Sweep(t.Context(), 0); err != nil || swept != (refresh.Swept{}) {
				t.Errorf("a host without IAM swept %+v, %v", swept, err)
			}
			if calls := f.e.Calls(); len(calls) > 0 {
				t.Errorf("a host that reads a snapshot asked IAM: %v", calls)
			}

			direct := f.refresher(t.TempDir(), c)
			o := f.direct()
			o.PathPrefix = c.Source.PathPrefix
			f.asks(direct, iam.NewSource(o))
			if _, err := direct.Refresh(t.Context(), refresh.Options{}); err != nil {
				t.Fatal(err)
			}
			if _, err := direct.Logins.Sweep(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			if got, want := servedIn(t, h.Dir), servedIn(t, direct.Dir); got != want || len(want.keys) == 0 && name == "groups" {
				t.Errorf("got  %x %s\nwant %x %s", got.digest, got.keys, want.digest, want.keys)
			}
		})
	}
}

func TestAPublisherThatServesNobodyWritesNoCache(t *testing.T) {
	f := newFleet(t)
	f.publish()
	for _, name := range []string{cache.NSSFile, cache.KeysFile} {
		if _, err := os.Lstat(f.publisher.Dir + "/" + name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: got %v, want none", name, err)
		}
	}
}

func TestAnUnchangedSnapshotIsNotReadAgain(t *testing.T) {
	f := newFleet(t)
	f.publish()
	h := f.host(usual())
	if o := h.poll(); !o.Published {
		t.Error("the first poll published nothing")
	}
	before := servedIn(t, h.Dir)
	for range 20 {
		if o := h.poll(); o.Published || !o.Changes.Empty() || o.Admitted != 3 {
			t.Fatalf("got %+v, want nothing new and three admitted", o)
		}
	}
	if after := servedIn(t, h.Dir); after != before {
		t.Error("what is served changed")
	}
	f.does(f.e.AddMember("developers", "dave"))
	f.publish()
	if o := h.poll(); !o.Published || len(o.Changes.Added) != 1 {
		t.Errorf("got %+v, want dave added", o)
	}
}

func TestAnAbsenceIsConfirmedByGenerationsAndNotByPolls(t *testing.T) {
	f := newFleet(t)
	f.publish()
	h := f.host(usual())
	h.poll()
	f.does(f.e.DeleteUser("bob"))
	if r := f.publish(); !r.Published {
		t.Fatal("a removal was not published")
	}
	for range 10 {
		h.poll()
	}
	if got := h.users(); got != "alice bob carol" {
		t.Errorf("polls of one snapshot: got %s, want bob leaving and not gone", got)
	}
	h = h.restart(func(*snapshot.SourceOptions) {})
	h.poll()
	if got := h.users(); got != "alice bob carol" {
		t.Errorf("a restart: got %s, want bob leaving and not gone", got)
	}
	if r := f.publish(); !r.Published {
		t.Fatal("the removal's confirmation was not published")
	}
	h.poll()
	if got := h.users(); got != "(bob) alice carol" {
		t.Errorf("confirmed: got %s, want bob gone", got)
	}
	if r := f.publish(); r.Published {
		t.Error("what is confirmed was published again")
	}
	young := f.host(usual())
	young.poll()
	if got := young.users(); got != "(bob) alice carol" {
		t.Errorf("a host that never saw bob: got %s", got)
	}
}

func TestPinsComeWithTheSnapshot(t *testing.T) {
	f := newFleet(t)
	f.publish()
	users := f.content().Directory.Users
	alice := users[slices.IndexFunc(users, func(u directory.User) bool { return u.Name == "alice" })]
	f.publisher.Policy.Pins = map[string]uint32{alice.ID: 2001000007}
	f.publish()
	uid := func(h *host) uint32 {
		tables, _, err := cache.ReadNSS(h.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range tables.Users {
			if u.Name == alice.Name && !u.Former {
				return u.UID
			}
		}
		t.Fatalf("%s is not served", alice.Name)
		return 0
	}
	h := f.host(usual())
	h.poll()
	if got := uid(h); got != 2001000007 {
		t.Errorf("got uid %d", got)
	}
	h = h.restart(func(*snapshot.SourceOptions) {})
	if _, err := h.Rebuild(); err != nil || uid(h) != 2001000007 {
		t.Errorf("after a restart, before a poll: got uid %d, %v", uid(h), err)
	}
	c := usual()
	c.IDs.Pin = map[string]uint32{alice.ID: 2001000008}
	own := f.host(c)
	o := own.poll()
	if got := uid(own); got != 2001000008 {
		t.Errorf("with an own pin: got uid %d", got)
	}
	if accounts.Count(o.Findings)[accounts.PinRefused] != 1 {
		t.Errorf("got findings %v, want one about both pins", o.Findings)
	}
}

func TestARestartAcceptsNoOlderGeneration(t *testing.T) {
	f := newFleet(t)
	f.publish()
	old, err := os.ReadFile(f.path)
	f.does(err, f.e.AddMember("developers", "dave"))
	f.publish()
	h := f.host(usual())
	h.poll()
	before := servedIn(t, h.Dir)
	f.replace(old)
	h = h.restart(func(*snapshot.SourceOptions) {})
	if _, err := h.tryPoll(t.Context()); !errors.Is(err, snapshot.ErrOlder) {
		t.Errorf("got %v, want %v", err, snapshot.ErrOlder)
	}
	if servedIn(t, h.Dir) != before {
		t.Error("what is served changed")
	}
}

func TestAnOldSnapshotThatIsPutBackDoesNotStopTheFleet(t *testing.T) {
	f := newFleet(t)
	f.publish()
	old, err := os.ReadFile(f.path)
	f.does(err, f.e.AddMember("developers", "dave"))
	f.publish()
	h := f.host(usual())
	h.poll()
	f.replace(old)
	if _, err := h.tryPoll(t.Context()); !errors.Is(err, snapshot.ErrOlder) {
		t.Errorf("got %v, want %v", err, snapshot.ErrOlder)
	}
	if r := f.publish(); !r.Published || !errors.Is(r.Replaced, snapshot.ErrOlder) {
		t.Errorf("got %+v, want the old one replaced with an error", r)
	}
	f.does(f.e.RemoveMember("developers", "alice"))
	if _, err := h.tryPoll(t.Context()); err != nil {
		t.Errorf("the next poll: %v", err)
	}
	if got := h.users(); got != "alice bob carol dave" {
		t.Errorf("got %s", got)
	}
}

func TestOneGenerationHasOneContent(t *testing.T) {
	f := newFleet(t)
	f.publish()
	h := f.host(usual())
	h.poll()
	before := servedIn(t, h.Dir)
	generation := h.src.Status().Generation
	other := f.content()
	other.AsOf = f.now
	data, err := snapshot.Sign(other, generation, f.now, f.now.Add(48*time.Hour), f.signer)
	f.does(err)
	f.replace(data)
	for _, name := range []string{"a running host", "a restarted host"} {
		if _, err := h.tryPoll(t.Context()); !errors.Is(err, snapshot.ErrTwice) ||
			!strings.Contains(err.Error(), "who has the signing key") {
			t.Errorf("%s: got %v, want %v", name, err, snapshot.ErrTwice)
		}
		if servedIn(t, h.Dir) != before {
			t.Errorf("%s: what is served changed", name)
		}
		h = h.restart(func(*snapshot.SourceOptions) {})
	}
	if r := f.publish(); !errors.Is(r.Replaced, snapshot.ErrTwice) || r.Generation <= generation {
		t.Errorf("the publisher: got %+v", r)
	}
	h.poll()
}

// A host that comes from a release which kept no digest takes its generation
// for the one that it has.
func TestAHostWithoutADigestGoesOn(t *testing.T) {
	f := newFleet(t)
	f.publish()
	h := f.host(usual())
	h.poll()
	h = h.restart(func(o *snapshot.SourceOptions) { o.Held.Digest = "" })
	h.poll()
	f.publish()
	f.does(f.e.AddMember("developers", "dave"))
	f.publish()
	h.poll()
	if got := h.users(); got != "alice bob carol dave" {
		t.Errorf("got %s", got)
	}
}

func TestKeysAreRotatedWithoutAGap(t *testing.T) {
	f := newFleet(t)
	f.publish()
	young := newSigner(t)
	h := f.host(usual())
	h.poll()
	trust := func(signers ...*snapshot.Signer) func(*snapshot.SourceOptions) {
		return func(o *snapshot.SourceOptions) {
			o.Trusted = nil
			for _, s := range signers {
				o.Trusted = append(o.Trusted, s.PublicKey(""))
			}
		}
	}
	h = h.restart(trust(f.signer, young))
	h.poll()

	f.writer = f.newWriter(young)
	f.does(f.e.AddMember("developers", "dave"))
	f.now = f.now.Add(time.Minute)
	if _, err := f.publisher.Refresh(t.Context(), refresh.Options{}); err != nil {
		t.Fatal(err)
	}
	f.writer.Trusted = []snapshot.PublicKey{f.signer.PublicKey("")}
	if r := f.write(f.writer); !r.Published || r.Replaced != nil {
		t.Errorf("got %+v, want the old key's snapshot replaced without an error", r)
	}
	h.poll()
	if got, want := h.src.Status().SignedBy, young.PublicKey("").Fingerprint(); got != want ||
		h.users() != "alice bob carol dave" {
		t.Errorf("got %s signed by %s, want %s", h.users(), got, want)
	}
	h = h.restart(trust(young))
	h.poll()
	h = h.restart(trust(f.signer))
	if _, err := h.tryPoll(t.Context()); !errors.Is(err, snapshot.ErrUntrusted) {
		t.Errorf("a host with the old key only: got %v", err)
	}
}

func TestAnExpiredSnapshotGoesOnServingAndIsSaidOnce(t *testing.T) {
	f := newFleet(t)
	f.publish()
	h := f.host(usual())
	h.poll()
	before := servedIn(t, h.Dir)
	f.now = f.now.Add(snapshot.Lifetime + time.Hour)
	for range 3 {
		h.poll()
	}
	if got := servedIn(t, h.Dir); got != before {
		t.Error("what is served changed")
	}
	if n := strings.Count(f.log.String(), "serving an expired snapshot"); n != 1 {
		t.Errorf("it was said %d times, want once:\n%s", n, f.log.String())
	}
	if !h.src.Status().Expires.Before(f.now) {
		t.Errorf("status says it expires %v", h.src.Status().Expires)
	}
	young := f.host(usual())
	young.poll()
	if got := young.users(); got != "alice bob carol" {
		t.Errorf("a new host: got %s", got)
	}
}

func TestALoginsAnswerIsNotUndoneByAnOlderSnapshot(t *testing.T) {
	f := newFleet(t)
	f.publish()
	h := f.host(usual())
	h.Users = f.iam()
	h.poll()
	f.does(f.e.RemoveMember("developers", "bob"))
	if u, _, err := h.Logins.Ask(t.Context(), "bob"); err != nil || u.Login || len(u.Keys) > 0 {
		t.Fatalf("got %+v, %v; want nothing opened", u, err)
	}
	f.does(h.PublishChanges())
	h.poll()
	h.poll()
	if got := servedIn(t, h.Dir).keys; strings.Contains(got, "bob") {
		t.Errorf("an older snapshot let bob in again: %s", got)
	}
	h = h.restart(func(*snapshot.SourceOptions) {})
	h.poll()
	if got := servedIn(t, h.Dir).keys; strings.Contains(got, "bob") {
		t.Errorf("an older snapshot, read again after a restart, let bob in again: %s", got)
	}
	f.does(f.e.AddMember("developers", "bob"), f.e.AddMember("developers", "dave"))
	f.publish()
	h.poll()
	if got := servedIn(t, h.Dir).keys; !strings.Contains(got, "bob APKABOB0000000000001") {
		t.Errorf("a later snapshot did not let bob in: %s", got)
	}
}

func TestAPublisherPublishesRemovalsAndHostsGuardIdentity(t *testing.T) {
	f := newFleet(t)
	f.publish()
	h := f.host(usual())
	h.poll()
	f.does(f.e.DeleteUser("alice"), f.e.DeleteUser("bob"))
	f.publish()
	if got := f.content(); len(got.Directory.Users) != 3 || len(got.Former) != 2 {
		t.Errorf("got %d users and %d former ones, want 3 and 2", len(got.Directory.Users), len(got.Former))
	}
	if o := h.poll(); len(o.Pending) != 2 || len(o.NewFormer) > 0 || o.Admitted != 1 {
		t.Errorf("got %+v, want two without rights and nobody former yet", o)
	}
}

func TestAPublisherBelievesAnEmptyAccountWhenItIsConfirmed(t *testing.T) {
	f := newFleet(t)
	f.publish()
	before, err := os.ReadFile(f.path)
	f.does(err)
	for _, name := range []string{"alice", "bob", "carol", "dave", "erin@example.com"} {
		f.does(f.e.DeleteUser(name))
	}
	f.now = f.now.Add(time.Minute)
	if _, err := f.publisher.Refresh(t.Context(), refresh.Options{}); !errors.Is(err, accounts.ErrEmptyAnswer) {
		t.Fatalf("got %v, want %v", err, accounts.ErrEmptyAnswer)
	}
	f.write(f.writer)
	if after, err := os.ReadFile(f.path); err != nil || string(after) != string(before) {
		t.Errorf("the snapshot changed, %v", err)
	}
	f.publish()
	if got := f.content(); len(got.Directory.Users) != 0 || len(got.Former) != 5 {
		t.Errorf("got %d users and %d former ones, want 0 and 5", len(got.Directory.Users), len(got.Former))
	}
}

// A wholeReads counts how often a store was read whole.
type wholeReads struct {
	snapshot.Store
	n int
}

func (w *wholeReads) Read(ctx context.Context, known snapshot.Tag) ([]byte, snapshot.Tag, error) {
	data, tag, err := w.Store.Read(ctx, known)
	if err == nil {
		w.n++
	}
	return data, tag, err
}

func TestASnapshotThatAHostDoesNotBelieveIsReadOnce(t *testing.T) {
	f := newFleet(t)
	f.publish()
	var store wholeReads
	h := f.hostIn(t.TempDir(), usual(), func(o *snapshot.SourceOptions) {
		open := o.Open
		o.Open = func(ctx context.Context) (s snapshot.Store, err error) {
			store.Store, err = open(ctx)
			return &store, err
		}
	})
	h.poll()
	f.does(f.e.RemoveMember("developers", "alice"), f.e.RemoveMember("developers", "bob"),
		f.e.RemoveMember("developers", "carol"))
	f.publish()
	for n := range 5 {
		if _, err := h.tryPoll(t.Context()); !errors.Is(err, accounts.ErrEmptyAnswer) {
			t.Fatalf("poll %d: got %v, want a refusal", n, err)
		}
	}
	if store.n != 2 {
		t.Errorf("two snapshots were read whole %d times", store.n)
	}
	if _, err := h.Refresh(t.Context(), refresh.Options{AcceptRemovals: true}); err != nil {
		t.Fatal(err)
	}
	if got := h.users(); got != "(alice) (bob) (carol)" {
		t.Errorf("confirmed by hand: served are %s, want all three former", got)
	}
	h.poll()
}
