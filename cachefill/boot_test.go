package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

// lateNetwork is an address where nothing listens until it comes up. The port is
// taken from the beginning: nobody else gets it meanwhile.
type lateNetwork struct {
	socket          *os.File
	address, target string
}

func newLateNetwork(t *testing.T, target string) *lateNetwork {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(fd), "late network")
	t.Cleanup(func() { _ = socket.Close() })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port)
	return &lateNetwork{socket, address, strings.TrimPrefix(target, "http://")}
}

func (n *lateNetwork) comeUp(t *testing.T) {
	t.Helper()
	if err := unix.Listen(int(n.socket.Fd()), 16); err != nil {
		t.Fatal(err)
	}
	l, err := net.FileListener(n.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", n.target)
			if err != nil {
				_ = from.Close()
				continue
			}
			go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
			go func() { _, _ = io.Copy(from, to); _ = from.Close() }()
		}
	}()
}

// A logBuffer is a log that is read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// At a first boot the network comes after the daemon. What systemd starts after
// nss-user-lookup.target is to find people.
func TestAFirstBootServesSoonAfterTheNetworkAndIsReadyThen(t *testing.T) {
	for _, late := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
		t.Run(fmt.Sprintf("the network comes %v late", late), func(t *testing.T) {
			if late > time.Second {
				unmet.Long(t, "the first second is tried")
			}
			bootWithLateNetwork(t, late)
		})
	}
}

// waits is what the log says once.
const waits = "waiting for the network"

func bootWithLateNetwork(t *testing.T, late time.Duration) {
	x := newTerminal(t)
	network := newLateNetwork(t, x.e.URL)
	c := x.config("host", fmt.Sprintf("[source]\nendpoint = %q\nrate = 100\n%s", "http://"+network.address, logins))
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(x.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	t.Setenv("NOTIFY_SOCKET", filepath.Join(x.dir, "notify"))
	ready := make(chan time.Time, 1)
	go func() {
		b := make([]byte, 1024)
		for {
			n, err := notify.Read(b)
			if err != nil {
				return
			}
			if strings.Contains(string(b[:n]), "READY=1") {
				ready <- time.Now()
				return
			}
		}
	}()
	var log logBuffer
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, c, slog.New(slog.NewTextHandler(&log, nil))) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	// The time counts from the first try: on a busy machine that may be seconds away.
	for began := time.Now(); !strings.Contains(log.String(), waits); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("a network that is not up yet is not said: %s", log.String())
		}
	}
	select {
	case <-ready:
		t.Fatalf("the daemon is ready without a network and without anybody: %s", log.String())
	case <-time.After(late):
	}
	network.comeUp(t)
	up := time.Now()
	select {
	case at := <-ready:
		after := at.Sub(up)
		t.Logf("ready %v after the network", after.Round(time.Millisecond))
		// 1.5 s on a machine that does nothing else; without it the daemon is ready when its patience ends.
		if after > min(5*time.Second, readyPatience-late-time.Second) {
			t.Errorf("ready only %v after the network", after)
		}
	case <-time.After(time.Minute):
		t.Fatalf("not ready: %s", log.String())
	}
	if s := readServed(x.cache("host")); s.NSS == nil {
		t.Errorf("ready, and %s", s.NSSError)
	}
	if text := log.String(); strings.Contains(text, "level=ERROR") || strings.Count(text, waits) != 1 {
		t.Errorf("a network that is not up yet is no error, and is said once: %s", text)
	}
}
