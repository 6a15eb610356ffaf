package snapshot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"
)

// An answered is an error of the SDK with a status and a code.
type answered struct {
	status int
	code   string
}

func (a answered) Error() string                 { return "operation error, request id 0123\nmore" }
func (a answered) HTTPStatusCode() int           { return a.status }
func (a answered) ErrorCode() string             { return a.code }
func (a answered) ErrorMessage() string          { return "a message of S3" }
func (a answered) ErrorFault() smithy.ErrorFault { return smithy.FaultUnknown }

type timedOut struct{ yes bool }

func (t timedOut) Error() string   { return "i/o timed out" }
func (t timedOut) Timeout() bool   { return t.yes }
func (t timedOut) Temporary() bool { return false }

var _ net.Error = timedOut{}

func TestEveryFaultOfS3HasItsRemedy(t *testing.T) {
	store := &S3Store{bucket: "bucket", key: "key"}
	for _, c := range []struct {
		name string
		err  error
		says string
		is   error
	}{
		{"canceled", fmt.Errorf("x: %w", context.Canceled), "context canceled", context.Canceled},
		{"no time left", fmt.Errorf("x: %w", context.DeadlineExceeded), "did not answer in time", context.DeadlineExceeded},
		{"a network's time-out", fmt.Errorf("x: %w", timedOut{true}), "did not answer in time", context.DeadlineExceeded},
		{"another fault of the network", fmt.Errorf("x: %w", timedOut{false}), "cannot talk to s3: i/o timed out", nil},
		{"403", answered{403, "AccessDenied"},
			`grant it by the policy statement {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/key"}`,
			nil},
		{"404", answered{404, "NoSuchBucket"}, "see the bucket's name in the url", nil},
		{"301", answered{301, ""}, "301 without a reason; the bucket is in another region", nil},
		{"307", answered{307, "TemporaryRedirect"}, "the bucket is in another region", nil},
		{"400 for another region", answered{400, "AuthorizationHeaderMalformed"}, "the bucket is in another region", nil},
		{"400 for something else", answered{400, "InvalidRequest"}, `only s3 answers 400 "InvalidRequest"`, nil},
		{"a region's code with another status", answered{402, "AuthorizationHeaderMalformed"},
			`only s3 answers 402 "AuthorizationHeaderMalformed"`, nil},
		{"429", answered{429, "SlowDown"}, "it is s3's fault and will be tried again", nil},
		{"500", answered{500, "InternalError"}, "it is s3's fault and will be tried again", nil},
		{"499", answered{499, ""}, "only s3 answers 499 without a reason", nil},
		{"300", answered{300, ""}, "only s3 answers 300 without a reason", nil},
		{"299", answered{299, ""}, "cannot talk to s3: operation error, request id 0123 more", nil},
		{"several layers", fmt.Errorf("one: %w", fmt.Errorf("two: %w", errors.New("no route to host"))),
			"cannot talk to s3: no route to host", nil},
	} {
		got := store.explain(c.err, "s3:GetObject")
		if !strings.Contains(got.Error(), strings.TrimPrefix(c.says, "only ")) || c.is != nil && !errors.Is(got, c.is) {
			t.Errorf("%s: %v, want %q and %v", c.name, got, c.says, c.is)
		}
		if alone, ok := strings.CutPrefix(c.says, "only "); ok && got.Error() != alone {
			t.Errorf("%s: %v, want nothing but %q", c.name, got, alone)
		}
	}
	both := store.explain(answered{403, "AccessDenied"}, "s3:PutObject", "s3:GetObject")
	if !strings.Contains(both.Error(), `to s3:PutObject or s3:GetObject; grant it`) ||
		!strings.Contains(both.Error(), `"Action":["s3:PutObject","s3:GetObject"]`) {
		t.Errorf("two actions: %v", both)
	}
}

// A write that S3 refuses because of somebody else's is tried again by the
// publisher; every other refusal is an error for a person.
func TestAWriteThatLostIsAConflictAndEveryOtherIsNot(t *testing.T) {
	var now answered
	server := fakeS3(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(now.status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", now.code)
		})
	})
	store := NewS3Store(configurationOf(server), "bucket", "key")
	for _, c := range []struct {
		answered
		conflict bool
	}{
		{answered{412, "PreconditionFailed"}, true},
		{answered{409, "ConditionalRequestConflict"}, true},
		{answered{404, "NoSuchKey"}, true},
		{answered{404, "NoSuchBucket"}, false},
		{answered{403, "AccessDenied"}, false},
		{answered{411, "MissingContentLength"}, false},
	} {
		now = c.answered
		if _, err := store.Write(context.Background(), []byte("x"), `"tag"`); err == nil ||
			errors.Is(err, ErrConflict) != c.conflict {
			t.Errorf("%d %s: %v, want a conflict: %v", c.status, c.code, err, c.conflict)
		}
	}
	// Only the key's own absence is no snapshot yet: a bucket's is a mistake.
	for code, absent := range map[string]bool{"NoSuchKey": true, "NoSuchBucket": false, "": false} {
		now = answered{404, code}
		if _, _, err := store.Read(context.Background(), ""); errors.Is(err, ErrAbsent) != absent {
			t.Errorf("read with 404 %s: %v, want absent: %v", code, err, absent)
		}
	}
	now = answered{304, ""}
	if _, _, err := store.Read(context.Background(), ""); err == nil || errors.Is(err, ErrNotModified) {
		t.Errorf("not modified where nothing was known: %v", err)
	}
}

func TestOpenStoreAsksForAConfigurationOnlyForS3(t *testing.T) {
	ctx := context.Background()
	none := func(context.Context) (aws.Config, error) { t.Error("asked for"); return aws.Config{}, nil }
	if s, err := OpenStore(ctx, "file:///var/x", none); err != nil || s.String() != "file:///var/x" {
		t.Errorf("a file: %v, %v", s, err)
	}
	if s, err := OpenStore(ctx, "ftp://x/y", none); err == nil {
		t.Errorf("another scheme: %v", s)
	}
	given := func(context.Context) (aws.Config, error) { return aws.Config{Region: "eu-central-1"}, nil }
	if s, err := OpenStore(ctx, "s3://bucket/key", given); err != nil || s.String() != "s3://bucket/key" {
		t.Errorf("s3: %v, %v", s, err)
	}
	broken := errors.New("no region")
	failing := func(context.Context) (aws.Config, error) { return aws.Config{}, broken }
	if s, err := OpenStore(ctx, "s3://bucket/key", failing); !errors.Is(err, broken) || s != nil {
		t.Errorf("without a configuration: %v, %v", s, err)
	}
}
