package iam_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/tests/emulator"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// slowByItem passes requests on, and takes a time that depends on how many items
// they ask for. It returns what they asked for.
func slowByItem(t *testing.T, e *emulator.Emulator, takes func(items int) time.Duration) (endpoint string,
	asked func() []int) {
	t.Helper()
	target, err := url.Parse(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	var mu sync.Mutex
	var items []int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, _ := url.ParseQuery(string(body))
		n, _ := strconv.Atoi(form.Get("MaxItems"))
		mu.Lock()
		items = append(items, n)
		mu.Unlock()
		select {
		case <-time.After(takes(n)):
			proxy.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []int {
		mu.Lock()
		defer mu.Unlock()
		defer func() { items = nil }()
		return items
	}
}

// An IAM that is slow is asked for less at a time, and remembered to be slow.
func TestPagesBecomeSmallerUntilTheyComeInTime(t *testing.T) {
	unmet.Long(t, "pages that come too late are waited for")
	isolate(t)
	e := start(t, emulator.Options{Company: emulator.Generate(emulator.Size{Users: 600})})
	o := quick(e)
	var asked func() []int
	// 250 items are there at once, 500 never.
	o.Endpoint, asked = slowByItem(t, e, func(items int) time.Duration { return time.Duration(items/500) * time.Hour })
	o.PageTimeout = 2 * time.Second
	c := open(t, o)
	for _, walk := range []struct {
		name  string
		first int
	}{{"the first walk", 1000}, {"the second walk begins as the first ended", 250}} {
		if d := read(t.Context(), t, c, directory.Query{AllUsers: true}); len(d.Users) != 600 {
			t.Errorf("%s: %d users, want 600", walk.name, len(d.Users))
		}
		got := asked()
		if len(got) == 0 || got[0] != walk.first || got[len(got)-1] != 250 {
			t.Errorf("%s asked for pages of %d, want %d first and 250 at last", walk.name, got, walk.first)
		}
	}
	if read(t.Context(), t, c, directory.Query{Groups: []string{"everyone"}}); asked()[0] != 500 {
		t.Error("after a walk in time the pages do not become larger again")
	}
}

// A refresh has time; somebody at a login has not.
func TestALoginWaitsShorterThanARefresh(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company})
	o := quick(e)
	o.Endpoint, _ = slowByItem(t, e, func(int) time.Duration { return time.Second })
	o.AttemptTimeout, o.CallTimeout, o.PageTimeout = 300*time.Millisecond, 700*time.Millisecond, time.Minute
	c := open(t, o)
	if _, err := c.GroupsOf(t.Context(), "alice"); err != nil {
		t.Errorf("nobody waits: %v", err)
	}
	_, err := c.GroupsOf(directory.Urgent(t.Context()), "alice")
	if !errors.Is(err, awsapi.ErrTimeout) {
		t.Errorf("somebody waits: got %v, want %v", err, awsapi.ErrTimeout)
	}
	wantText(t, err, "the connection is there, and the answer took too long")
}
