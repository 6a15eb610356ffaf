package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// configurationOf returns an SDK configuration for a server of a test: all
// retries, no waiting between them.
func configurationOf(server *httptest.Server) aws.Config {
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(server.URL), HTTPClient: server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDTEST", "secret", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
			})
		},
	}
}

// fakeS3 serves a bucket named "bucket"; wrap may be nil.
func fakeS3(t *testing.T, wrap func(http.Handler) http.Handler) *httptest.Server {
	t.Helper()
	backend := s3mem.New()
	if err := backend.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	handler := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// stores are the kinds of store, each empty, for tests of what they share.
func stores(t *testing.T) map[string]func() Store {
	server := fakeS3(t, nil)
	path := filepath.Join(t.TempDir(), "snapshot")
	return map[string]func() Store{
		"s3":   func() Store { return NewS3Store(configurationOf(server), "bucket", "fleet/snapshot") },
		"file": func() Store { return NewFileStore(path) },
	}
}

func TestAStoreReadsAndWritesConditionally(t *testing.T) {
	ctx := context.Background()
	for kind, open := range stores(t) {
		t.Run(kind, func(t *testing.T) {
			store := open()
			if _, _, err := store.Read(ctx, ""); !errors.Is(err, ErrAbsent) {
				t.Fatalf("read nothing: got %v", err)
			}
			if _, err := store.Write(ctx, []byte("x"), `"5d41402abc4b2a76b9719d911017c592"`); !errors.Is(err, ErrConflict) {
				t.Fatalf("replace a version that is gone: got %v", err)
			}
			first, err := store.Write(ctx, []byte("first"), "")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := store.Write(ctx, []byte("again"), ""); !errors.Is(err, ErrConflict) {
				t.Fatalf("create what is there: got %v", err)
			}
			data, tag, err := store.Read(ctx, "")
			if err != nil || string(data) != "first" || tag != first {
				t.Fatalf("got %q, %q, %v; want tag %q", data, tag, err, first)
			}
			if data, tag, err := store.Read(ctx, first); !errors.Is(err, ErrNotModified) || data != nil || tag != first {
				t.Fatalf("read what is known: got %q, %q, %v", data, tag, err)
			}
			second, err := store.Write(ctx, []byte("other"), first)
			if err != nil || second == first {
				t.Fatalf("replace: got %q, %v", second, err)
			}
			if _, err := store.Write(ctx, []byte("late"), first); !errors.Is(err, ErrConflict) {
				t.Fatalf("replace an old version: got %v", err)
			}
			if data, tag, err := store.Read(ctx, first); err != nil || string(data) != "other" || tag != second {
				t.Fatalf("read what changed: got %q, %q, %v", data, tag, err)
			}
		})
	}
}

func TestOnlyOneOfManyWritersWins(t *testing.T) {
	for kind, open := range stores(t) {
		t.Run(kind, func(t *testing.T) {
			const writers = 8
			results := make([]error, writers)
			var group sync.WaitGroup
			for i := range writers {
				group.Go(func() { _, results[i] = open().Write(context.Background(), fmt.Appendf(nil, "writer %d", i), "") })
			}
			group.Wait()
			won := -1
			for i, err := range results {
				switch {
				case err == nil && won < 0:
					won = i
				case !errors.Is(err, ErrConflict):
					t.Errorf("writer %d: got %v", i, err)
				}
			}
			if data, _, err := open().Read(context.Background(), ""); err != nil || string(data) != fmt.Sprintf("writer %d",
				won) {
				t.Errorf("writer %d won, there is %q, %v", won, data, err)
			}
		})
	}
}

func TestWhatS3AnswersIsToldInOneLine(t *testing.T) {
	xml := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s.\nmore</Message></Error>", code, code)
		}
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   error // nil: any
		says   string
	}{
		"403": {xml(403, "AccessDenied"), nil,
			`s3 answers 403 "AccessDenied" to s3:GetObject; grant it by the policy statement`},
		"403 of a clock":         {xml(403, "RequestTimeTooSkewed"), nil, `403 "RequestTimeTooSkewed"`},
		"404 without the bucket": {xml(404, "NoSuchBucket"), nil, `404 "NoSuchBucket"; see the bucket's name`},
		"500":                    {xml(500, "InternalError"), nil, `500 "InternalError" after retries`},
		"503":                    {xml(503, "SlowDown"), nil, `503 "SlowDown" after retries`},
		"500 with garbage": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = w.Write([]byte("\x00\xff<<<"))
		}, nil, "s3 answers 500"},
		"a code with a bell": {xml(418, "\a\nBell"), nil, "s3"},
		"another region":     {xml(301, "PermanentRedirect"), nil, "another region"},
		"a closed connection": {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, nil,
			"cannot talk to s3"},
		"an answer cut short": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("x"))
		}, nil, "s3"},
		"more than is allowed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "68719476736")
			w.WriteHeader(200)
		}, ErrTooLarge, "68719476736 bytes"},
		"slow to begin": {func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, context.DeadlineExceeded,
			"did not answer in time"},
		"slow in the middle": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, context.DeadlineExceeded, "did not answer in time"},
	} {
		t.Run(name, func(t *testing.T) {
			server := fakeS3(t, func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					// A server notices that the client went only once it has the body.
					_, _ = io.Copy(io.Discard, r.Body)
					test.answer(w, r)
				})
			})
			store := NewS3Store(configurationOf(server), "bucket", "key")
			deadline := time.Minute
			if errors.Is(test.want, context.DeadlineExceeded) {
				deadline = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(context.Background(), deadline)
			defer cancel()
			_, _, err := store.Read(ctx, "")
			if err == nil || !strings.HasPrefix(err.Error(), `read "s3://bucket/key": `) ||
				!strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want %q", err, test.says)
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\n\a") {
				t.Errorf("not one line: %q", err)
			}
			if strings.HasPrefix(name, "more") || strings.HasPrefix(name, "an answer") || strings.HasPrefix(name, "slow in") {
				return // bodies, which a write does not get
			}
			ctx, cancel = context.WithTimeout(context.Background(), deadline)
			defer cancel()
			if _, err := store.Write(ctx, []byte("x"), ""); err == nil || errors.Is(err, ErrConflict) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("write: got %v", err)
			}
		})
	}
}

func TestGarbageInTheBucketIsRefusedOnce(t *testing.T) {
	signer := newSignerFor(t)
	for kind, open := range stores(t) {
		store := open()
		if _, err := store.Write(context.Background(), []byte("<html>\n"), ""); err != nil {
			t.Fatal(err)
		}
		_, tag, err := Fetch(context.Background(), store, "", trusting(signer))
		if !errors.Is(err, ErrDamaged) || !strings.HasPrefix(err.Error(), fmt.Sprintf("open %q: ", store)) {
			t.Errorf("%s: got %v", kind, err)
		}
		if _, _, err := Fetch(context.Background(), store, tag, trusting(signer)); !errors.Is(err, ErrNotModified) {
			t.Errorf("%s: the same garbage again: got %v", kind, err)
		}
	}
}

func TestAFileStoreKeepsItsHandsOffWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	store := NewFileStore(dir)
	if _, _, err := store.Read(context.Background(), ""); err == nil ||
		!strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("read a folder: %v", err)
	}
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, MaxSize+1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := NewFileStore(big).Read(context.Background(), ""); !errors.Is(err, ErrTooLarge) {
		t.Errorf("read a huge file: %v", err)
	}
	missing := NewFileStore(filepath.Join(dir, "no", "folder"))
	if _, err := missing.Write(context.Background(), []byte("x"), ""); err == nil {
		t.Error("wrote into a folder that is not there")
	}
	if _, err := NewFileStore(big).Write(context.Background(), []byte("x"), "other"); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestReadAllStopsAtTheLimit(t *testing.T) {
	endless := endlessReader{}
	if data, err := readAll(endless, -1); !errors.Is(err, ErrTooLarge) || data != nil {
		t.Errorf("got %d bytes, %v", len(data), err)
	}
	for _, claimed := range []int64{-1, 0, 3, 1 << 40} {
		if data, err := readAll(bytes.NewReader([]byte("12345")), claimed); err != nil || string(data) != "12345" {
			t.Errorf("claimed %d: got %q, %v", claimed, data, err)
		}
	}
}

type endlessReader struct{}

func (endlessReader) Read(b []byte) (int, error) { return len(b), nil }

func TestAddressesOfSnapshots(t *testing.T) {
	for address, want := range map[string]string{
		"s3://bucket/key":      "s3 bucket key",
		"s3://bucket/a/b.snap": "s3 bucket a/b.snap",
		"file:///var/x":        "file  /var/x",
		"s3://bucket":          "", "s3://bucket/": "", "s3:///key": "", "file://host/x": "", "file:x": "",
		"https://bucket/key": "", "": "", "s3://u@bucket/key": "", "s3://bucket/key?x=1": "", "s3://b\x00/k": "",
	} {
		kind, bucket, path, err := ParseURL(address)
		got := strings.TrimSuffix(kind+" "+bucket+" "+path, "  ")
		if err != nil && want == "" {
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", address, got, err, want)
		}
	}
}
