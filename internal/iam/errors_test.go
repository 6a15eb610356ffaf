package iam_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/tests/emulator"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// wantText checks an error's text: one line with all the words.
func wantText(t *testing.T, err error, words ...string) {
	t.Helper()
	text := fmt.Sprint(err)
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("error %q lacks %q", text, w)
		}
	}
	if strings.ContainsAny(text, "\n\r") {
		t.Errorf("error %q has several lines", text)
	}
}

func TestADeniedActionIsNamedWithThePolicyThatGrantsIt(t *testing.T) {
	isolate(t)
	for _, test := range []struct {
		action string
		query  func(context.Context, *iam.Client) error
		want   []string
	}{
		{"iam:GetGroup", func(ctx context.Context, c *iam.Client) error {
			_, err := c.Directory(ctx, directory.Query{Groups: []string{"developers"}})
			return err
		}, []string{`read group "developers": access denied`,
			"lacks iam:GetGroup on arn:aws:iam::111122223333:group/developers",
			`{"Effect":"Allow","Action":"iam:GetGroup","Resource":"arn:aws:iam::111122223333:group/developers"}`}},
		{"iam:ListUsers", func(ctx context.Context, c *iam.Client) error {
			_, err := c.Directory(ctx, directory.Query{AllUsers: true})
			return err
		}, []string{`list users: access denied`, `"Action":"iam:ListUsers","Resource":"*"`}},
		{"iam:ListGroups", func(ctx context.Context, c *iam.Client) error {
			_, err := c.Directory(ctx, directory.Query{Publish: []string{"*"}})
			return err
		}, []string{`list groups: access denied`, `"Action":"iam:ListGroups","Resource":"*"`}},
		{"iam:GetAccountAuthorizationDetails", func(ctx context.Context, c *iam.Client) error {
			_, err := c.Directory(ctx, directory.Query{AllUsers: true})
			return err
		}, []string{`"Action":"iam:GetAccountAuthorizationDetails","Resource":"*"`}},
		{"iam:ListSSHPublicKeys", func(ctx context.Context, c *iam.Client) error {
			_, err := c.Keys(ctx, "alice", nil)
			return err
		}, []string{`list SSH keys of "alice": access denied`,
			`"Action":"iam:ListSSHPublicKeys","Resource":"arn:aws:iam::111122223333:user/*"`}},
		{"iam:GetSSHPublicKey", func(ctx context.Context, c *iam.Client) error {
			_, err := c.Keys(ctx, "alice", nil)
			return err
		}, []string{`read SSH key APKAALICE000000000001 of "alice": access denied`,
			`"Resource":"arn:aws:iam::111122223333:user/*"`}},
		{"iam:ListGroupsForUser", func(ctx context.Context, c *iam.Client) error {
			_,
				err := c.GroupsOf(ctx, "alice")
			return err
		},
			[]string{`list groups of "alice": access denied`}},
		{"iam:ListUserTags", func(ctx context.Context, c *iam.Client) error { _, err := c.Tags(ctx, "alice"); return err },
			[]string{`list tags of "alice": access denied`}},
	} {
		t.Run(test.action, func(t *testing.T) {
			e := start(t, emulator.Options{Company: company})
			e.SetPolicy(emulator.AccessKey, emulator.AllowAllBut(test.action))
			o := quick(e)
			o.Bulk = test.action == "iam:GetAccountAuthorizationDetails"
			err := test.query(t.Context(), open(t, o))
			if !errors.Is(err, awsapi.ErrAccessDenied) {
				t.Fatalf("got %v, want ErrAccessDenied", err)
			}
			wantText(t, err, test.want...)
		})
	}
}

func TestEveryFailureIsItsOwnKindAndOneLine(t *testing.T) {
	isolate(t)
	ever := func(kind string) func(*testing.T, *emulator.Emulator, *iam.Options) {
		return func(t *testing.T, e *emulator.Emulator, o *iam.Options) {
			if kind == emulator.Stall {
				o.CallTimeout, o.PageTimeout = time.Second, 400*time.Millisecond
			}
			if err := e.SetFaults(emulator.Fault{Kind: kind, Times: -1}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		name  string
		spoil func(*testing.T, *emulator.Emulator, *iam.Options)
		kind  error
		text  []string
	}{
		{"throttled for ever", ever(emulator.Throttle), awsapi.ErrThrottled, []string{"throttled: Rate exceeded",
			"source.rate"}},
		{"a service failure", ever(emulator.Failure), awsapi.ErrService, []string{"service failure: ServiceFailure"}},
		{"a stalled endpoint", ever(emulator.Stall), awsapi.ErrTimeout,
			[]string{"no answer in time: the connection is there, and the answer took too long", "is slow", "smaller pages"}},
		{"an endpoint that hangs up", ever(emulator.Reset), awsapi.ErrUnreachable,
			[]string{"unreachable", "connect to http://127.0.0.1"}},
		{"garbage", ever(emulator.Garbage), awsapi.ErrIncomplete, []string{"incomplete answer"}},
		{"an empty body", ever(emulator.Empty), awsapi.ErrIncomplete, []string{"incomplete answer", "after 0 bytes"}},
		{"no end of the list", ever(emulator.NoMarker), awsapi.ErrIncomplete,
			[]string{"page 1 says that there is more, and has no marker"}},
		{"a list that turns round", ever(emulator.OldMarker), awsapi.ErrIncomplete,
			[]string{"a marker that an earlier page had"}},
		{"an access key that AWS does not know", func(t *testing.T, e *emulator.Emulator, o *iam.Options) {
			t.Setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
		}, awsapi.ErrBadCredentials, []string{"InvalidClientTokenId", "correct the access key"}},
		{"an expired token", ever(emulator.Expire), awsapi.ErrExpired, []string{"credentials expired", "clock"}},
		{"no credentials", func(t *testing.T, e *emulator.Emulator, o *iam.Options) {
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		}, awsapi.ErrNoCredentials, []string{"find AWS credentials: no credentials", "attach an instance profile"}},
		{"an instance without a profile", func(t *testing.T, e *emulator.Emulator, o *iam.Options) { onEC2(t) },
			awsapi.ErrNoCredentials, []string{"attach an instance profile"}},
		{"nobody listening", func(t *testing.T, e *emulator.Emulator, o *iam.Options) { e.Close() },
			awsapi.ErrUnreachable, []string{"connection refused", "check that this host can connect to"}},
		{"a host name that does not exist", func(t *testing.T, e *emulator.Emulator, o *iam.Options) {
			o.Endpoint = "http://iam.nowhere.invalid"
			o.CallTimeout = 3 * time.Second
		}, awsapi.ErrUnreachable, []string{`look up "iam.nowhere.invalid"`, "name servers"}},
		{"a role that must not be assumed", func(t *testing.T, e *emulator.Emulator, o *iam.Options) {
			o.AssumeRole, o.ExternalID = "arn:aws:iam::444455556666:role/other", "wrong"
		}, awsapi.ErrAccessDenied, []string{`assume role "arn:aws:iam::444455556666:role/other": access denied`,
			"external_id"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t, emulator.Options{Company: company,
				Roles: []emulator.Role{{ARN: "arn:aws:iam::444455556666:role/other", ExternalID: "right"}}})
			o := quick(e)
			o.Attempts = 3
			test.spoil(t, e, &o)
			c := open(t, o)
			_, err := c.Directory(t.Context(), directory.Query{Groups: []string{"developers"}})
			if !errors.Is(err, test.kind) {
				t.Fatalf("got %v, want %v", err, test.kind)
			}
			wantText(t, err, append(test.text, `read group "developers": `)...)
		})
	}
}

func TestACertificateOfNobodyIsATLSError(t *testing.T) {
	isolate(t)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	o := iam.Options{Options: awsapi.Options{Region: "eu-west-1", Endpoint: server.URL, Attempts: 2,
		Backoff: time.Millisecond}}
	_, err := open(t, o).Keys(t.Context(), "alice", nil)
	if !errors.Is(err, awsapi.ErrUnreachable) {
		t.Fatalf("got %v, want ErrUnreachable", err)
	}
	wantText(t, err, "TLS: ", "CA certificates")
}

func TestACertificateOfTheConfiguredBundleIsTrusted(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company})
	behind, err := url.Parse(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(behind))
	defer server.Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
		0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", bundle)
	keys, err := open(t,
		iam.Options{Options: awsapi.Options{Region: "eu-west-1", Endpoint: server.URL}}).Keys(t.Context(), "alice", nil)
	if err != nil || len(keys) != 2 {
		t.Errorf("got %d keys, %v, want 2", len(keys), err)
	}
}

func TestAnEndpointThatTakesConnectionsAndSaysNothingEndsInSeconds(t *testing.T) {
	isolate(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	o := iam.Options{Options: awsapi.Options{Region: "eu-west-1", Endpoint: "http://" + listener.Addr().String(),
		PageTimeout: 100 * time.Millisecond, CallTimeout: 400 * time.Millisecond}}
	_, err = open(t, o).Keys(t.Context(), "alice", nil)
	if !errors.Is(err, awsapi.ErrTimeout) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
}

// The SDK waits longer between two attempts than the call may take.
func TestACallWhoseTimeEndsBetweenAttemptsSaysWhatTheLastOneMet(t *testing.T) {
	unmet.Long(t, "the time of a call is waited for")
	isolate(t)
	for kind, want := range map[string]error{emulator.Throttle: awsapi.ErrThrottled, emulator.Failure: awsapi.ErrService} {
		e := start(t, emulator.Options{Company: company})
		if err := e.SetFaults(emulator.Fault{Kind: kind, Times: -1}); err != nil {
			t.Fatal(err)
		}
		o := quick(e)
		o.Backoff, o.CallTimeout = time.Hour, 2*time.Second
		if _, err := open(t, o).Directory(t.Context(), directory.Query{Groups: []string{"developers"}}); !errors.Is(err,
			want) {
			t.Errorf("%s: got %v, want %v", kind, err, want)
		}
	}
}

func TestTheCallersOwnDeadlineIsKept(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company})
	if err := e.SetFaults(emulator.Fault{Kind: emulator.Stall, Times: -1}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := open(t, quick(e)).Keys(ctx, "alice", nil)
	if !errors.Is(err, awsapi.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want ErrTimeout for the deadline", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := open(t, quick(e)).Keys(ctx, "alice", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the cancellation", err)
	}
}
