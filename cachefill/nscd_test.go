package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

// fakeNscd closes each connection after its request, and returns how many came.
func fakeNscd(t *testing.T, socket string) (requests chan struct{}) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	requests = make(chan struct{}, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := conn.Read(make([]byte, 64)); err == nil {
				requests <- struct{}{}
			}
			_ = conn.Close()
		}
	}()
	return requests
}

func TestNscdForgetsWhatARefreshChanged(t *testing.T) {
	x := newTerminal(t)
	asked := fakeNscd(t, nscdSocket)
	c := x.host("host", fmt.Sprintf("[source]\nendpoint = %q\nrate = 100\n%s", x.e.URL, logins))
	x.run(exitOK, "--config", c, "refresh", "--dry-run")
	if n := len(asked); n != 0 {
		t.Errorf("a dry run asked nscd %d times", n)
	}
	x.run(exitOK, "--config", c, "refresh")
	if n := len(asked); n != 4 { // users and groups, and once more when nobody reads the old file
		t.Errorf("a change asked nscd %d times, want 4", n)
	}
	x.run(exitOK, "--config", c, "refresh")
	if n := len(asked); n != 4 {
		t.Errorf("a refresh without a change asked nscd %d times", n-4)
	}
}

func TestADaemonTellsNscdOfEachChange(t *testing.T) {
	unmet.Root(t, "the daemon does what root asks and nobody else")
	x := newTerminal(t)
	c := x.config("host", fmt.Sprintf("[source]\nendpoint = %q\nrate = 100\n%s", x.e.URL, logins))
	x.run(exitOK, "--config", c, "refresh") // so that the daemon's first refresh changes nothing
	asked := fakeNscd(t, nscdSocket)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, c, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	wait := func(what string, n int) {
		t.Helper()
		for range n {
			select {
			case <-asked:
			case err := <-ended:
				t.Fatalf("the daemon ended: %v", err)
			case <-time.After(time.Minute):
				t.Fatalf("%s: nscd was not asked", what)
			}
		}
	}
	wait("at the start, whatever was published before", 4)
	before := configPath
	configPath = c
	t.Cleanup(func() { configPath = before })
	if err := x.e.AddMember("developers", "bob"); err != nil {
		t.Fatal(err)
	}
	x.run(exitOK, "refresh")
	wait("after a change", 4)
}
