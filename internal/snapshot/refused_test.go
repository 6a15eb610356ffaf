package snapshot_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/klauspost/compress/zstd"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/snapshot"
)

// direct are the options of a client that waits for nothing.
func (f *fleet) direct() iam.Options {
	return iam.Options{
		Options: awsapi.Options{
			Region:           "eu-west-1",
			Endpoint:         f.e.URL,
			MetadataEndpoint: f.e.URL,
			Rate:             1e6,
			Burst:            1e6,
			Attempts:         2,
			Backoff:          time.Millisecond,
			AttemptTimeout:   30 * time.Second,
			CallTimeout:      time.Minute,
		},
	}
}

// replace puts another file in the place of the snapshot, in one step.
func (f *fleet) replace(data []byte) {
	f.t.Helper()
	f.does(os.WriteFile(f.path+".tmp", data, 0o644), os.Rename(f.path+".tmp", f.path))
}

// crafted is a file that the trusted key signed, with a manifest as wanted.
func (f *fleet) crafted(body []byte, change func(*snapshot.Manifest)) []byte {
	f.t.Helper()
	sum := sha256.Sum256(body)
	m := snapshot.Manifest{
		Version: snapshot.Version, Account: "111122223333", Generation: 1 << 40, Written: f.now.UTC(),
		Expires: f.now.Add(time.Hour).UTC(), AsOf: f.now.UTC(),
		Decoded: 1000, Size: len(body), SHA256: hex.EncodeToString(sum[:]),
	}
	change(&m)
	payload, err := json.Marshal(m)
	f.does(err)
	envelopes, err := dsse.NewEnvelopeSigner(f.signer)
	f.does(err)
	envelope, err := envelopes.SignPayload(f.t.Context(), "application/vnd.nss-iam.snapshot.manifest+json", payload)
	f.does(err)
	header, err := json.Marshal(envelope)
	f.does(err)
	return append(append(header, '\n'), body...)
}

func (f *fleet) signed(c directory.Answer, generation uint64, written time.Time, signer *snapshot.Signer) []byte {
	f.t.Helper()
	data, err := snapshot.Sign(c, generation, written, written.Add(time.Hour), signer)
	f.does(err)
	return data
}

// refused polls for what must be refused, twice, and then for what is sound.
func (h *host) refused(name string, want error, says string, put, repair func()) {
	h.f.t.Helper()
	t := h.f.t
	before, generation := servedIn(t, h.Dir), h.src.Status().Generation
	put()
	for range 2 {
		_, err := h.tryPoll(t.Context())
		switch {
		case err == nil:
			t.Errorf("%s was accepted", name)
		case want != nil && !errors.Is(err, want), !strings.Contains(err.Error(), says):
			t.Errorf("%s: got %q, want %v and %q", name, err, want, says)
		case strings.ContainsAny(err.Error(), "\n\r"):
			t.Errorf("%s: more than one line: %q", name, err)
		}
		if got := servedIn(t, h.Dir); got != before || h.src.Status().Generation != generation {
			t.Errorf("%s: the last good state was not kept", name)
		}
	}
	repair()
	if _, err := h.tryPoll(t.Context()); err != nil {
		t.Errorf("after %s: %v", name, err)
	}
}

func TestEachBadSnapshotIsRefusedAndTheLastGoodStateKept(t *testing.T) {
	f := newFleet(t)
	f.publish()
	good, err := os.ReadFile(f.path)
	f.does(err)
	h := f.host(usual())
	h.poll()
	generation := h.src.Status().Generation
	content, foreign := f.content(), f.content()
	foreign.Directory.Account = "999999999999"
	flipped := append([]byte(nil), good...)
	flipped[len(flipped)-10] ^= 1
	zeros, err := zstd.NewWriter(nil)
	f.does(err)
	bomb := zeros.EncodeAll(make([]byte, 256<<20), nil)
	for name, test := range map[string]struct {
		data []byte
		want error
	}{
		"an empty file":             {nil, snapshot.ErrTruncated},
		"a truncated one":           {good[:len(good)-20], snapshot.ErrTruncated},
		"one cut in the first line": {good[:100], snapshot.ErrTruncated},
		"a bit-flipped one":         {flipped, snapshot.ErrDamaged},
		"one signed by another key": {f.signed(content, generation+1, f.now, newSigner(t)), snapshot.ErrUntrusted},
		"one older than the held":   {f.signed(content, generation-1, f.now, f.signer), snapshot.ErrOlder},
		"one from the future":       {f.signed(content, generation+1, f.now.Add(time.Hour), f.signer), snapshot.ErrFuture},
		"one for another account":   {f.signed(foreign, generation+1, f.now, f.signer), snapshot.ErrAccount},
		"a zip bomb":                {f.crafted(bomb, func(*snapshot.Manifest) {}), snapshot.ErrTooLarge},
		"one of an unknown version": {f.crafted([]byte("x"), func(m *snapshot.Manifest) { m.Version = 2 }),
			snapshot.ErrVersion},
		"garbage": {[]byte("<html>hello</html>\n"), snapshot.ErrDamaged},
	} {
		h.refused(name, test.want, "open \"file://", func() { f.replace(test.data) }, func() { f.replace(good) })
	}
	h.refused("no file", snapshot.ErrAbsent, "read \"file://", func() { f.does(os.Remove(f.path)) },
		func() { f.replace(good) })
}

func TestEachBadAnswerOfS3IsRefusedAndTheLastGoodStateKept(t *testing.T) {
	f := newFleet(t)
	backend := s3mem.New()
	f.does(backend.CreateBucket("bucket"))
	s3 := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	var answer atomic.Pointer[http.HandlerFunc]
	var full, empty atomic.Int64 // answers with a body and without
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a := answer.Load(); a != nil {
			(*a)(w, r)
			return
		}
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		s3.ServeHTTP(seen, r)
		switch {
		case r.Method == http.MethodGet && seen.status == http.StatusOK:
			full.Add(1)
		case r.Method == http.MethodGet && seen.status == http.StatusNotModified:
			empty.Add(1)
		}
	}))
	t.Cleanup(server.Close)
	store := func() *snapshot.S3Store {
		return snapshot.NewS3Store(patientConfiguration(server.URL), "bucket", "fleet/snapshot")
	}
	f.writer.Store = store()
	f.publish()
	full.Store(0)
	f.e.ResetCalls()
	h := f.hostIn(t.TempDir(), usual(), func(o *snapshot.SourceOptions) {
		o.Address = "s3://bucket/fleet/snapshot"
		o.Open = func(context.Context) (snapshot.Store, error) { return store(), nil }
	})
	for range 5 {
		h.poll()
	}
	if full.Load() != 1 || empty.Load() != 4 {
		t.Errorf("five polls read the snapshot %d times and were told %d times that it is the same, want 1 and 4",
			full.Load(), empty.Load())
	}
	plain := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = fmt.Fprint(w, body)
		}
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"403":                {plain(403, "<Error><Code>AccessDenied</Code></Error>"), "s3 answers 403"},
		"404":                {plain(404, "<Error><Code>NoSuchKey</Code></Error>"), "no snapshot yet"},
		"404 of the bucket":  {plain(404, "<Error><Code>NoSuchBucket</Code></Error>"), "s3 answers 404"},
		"500":                {plain(500, "<Error><Code>InternalError</Code></Error>"), "s3 answers 500"},
		"garbage with a 500": {plain(500, "\x00\xff<<<\n\n"), "s3 answers 500"},
		"garbage with a 200": {plain(200, "<html>\nwelcome to the hotel's network</html>"), "damaged or forged"},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = fmt.Fprint(w, "half")
		}, "s3"},
	} {
		h.refused(name, nil, test.says, func() { answer.Store(&test.answer) }, func() { answer.Store(nil) })
	}

	slow := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	answer.Store(&slow)
	before := servedIn(t, h.Dir)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := h.tryPoll(ctx); err == nil || !strings.Contains(err.Error(), "did not answer in time") ||
		servedIn(t, h.Dir) != before {
		t.Errorf("slow: got %v", err)
	}
	answer.Store(nil)
	h.poll()
	if calls := f.e.Calls(); len(calls) > 0 {
		t.Errorf("a host that reads a snapshot asked IAM: %v", calls)
	}
}

// A statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// What docs/security.md warns of: the key is all that tells one directory's snapshots from
// another's. A new host takes another account's, and every host another directory's.
func TestASnapshotOfAnotherDirectoryUnderTheSameKeyIsTaken(t *testing.T) {
	f := newFleet(t)
	f.publish()
	known := f.host(usual())
	known.poll()
	account, store := f.content(), f.content()
	account.Directory.Account = "999999999999"
	store.Directory.Store = directory.Store{ID: "d-1234567890", Region: "us-east-1"}
	generation := known.src.Status().Generation + 1

	f.replace(f.signed(account, generation, f.now, f.signer))
	if _, err := known.tryPoll(t.Context()); !errors.Is(err, snapshot.ErrAccount) {
		t.Errorf("another account's, on a host that knows its own: got %v, want %v", err, snapshot.ErrAccount)
	}
	if _, err := f.host(usual()).tryPoll(t.Context()); err != nil {
		t.Errorf("another account's, on a new host: %v", err)
	}
	f.replace(f.signed(store, generation, f.now, f.signer))
	if _, err := known.tryPoll(t.Context()); err != nil {
		t.Errorf("another directory's of the account: %v", err)
	}
	f.replace(f.signed(store, generation+1, f.now, newSigner(t)))
	if _, err := known.tryPoll(t.Context()); !errors.Is(err, snapshot.ErrUntrusted) {
		t.Errorf("the same, where each has a key of its own: got %v, want %v", err, snapshot.ErrUntrusted)
	}
}
