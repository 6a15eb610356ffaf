package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

// A peer of another uid: the test binary again, as somebody else.
func TestOnlyKnownPeersAreAnswered(t *testing.T) {
	if path := os.Getenv("CONTROL_TEST_SOCKET"); path != "" {
		_, err := rawExchange(path, "GET /v1/keys?name=alice HTTP/1.1\r\nHost: x\r\n\r\n")
		fmt.Println("peer says:", err)
		_, err = rawExchange(path, "POST /v1/refresh HTTP/1.1\r\nHost: x\r\n\r\n")
		fmt.Println("peer refreshes:", err)
		_, err = Client{Path: path}.Status(within(t, time.Minute))
		fmt.Println("peer believes root:", err == nil)
		return
	}
	unmet.Root(t, "only root can become somebody else")
	for _, c := range []struct {
		name        string
		peers       []uint32
		keys, fresh string
	}{
		{"a stranger", []uint32{54321}, "EOF", "EOF"},
		{"the helper's user", []uint32{12345}, "200 OK", "403 Forbidden"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var text lockedBuffer
			client, _ := serve(t, Options{
				Peers: c.peers, Log: slog.New(slog.NewTextHandler(&text, nil)),
				Lookup:  func(context.Context, string) (Answer, error) { return alice(t), nil },
				Status:  func(context.Context) (any, error) { return 1, nil },
				Refresh: func(context.Context, RefreshRequest) (any, error) { return 1, nil },
			})
			for dir := filepath.Dir(client.Path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
				if err := os.Chmod(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(client.Path, 0o666); err != nil {
				t.Fatal(err)
			}
			binary := filepath.Join(filepath.Dir(client.Path), "peer")
			own, err := os.ReadFile("/proc/self/exe")
			if err == nil {
				err = os.WriteFile(binary, own, 0o755)
			}
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(binary, "-test.run", "^TestOnlyKnownPeersAreAnswered$")
			cmd.Dir = "/"
			cmd.Env = []string{"CONTROL_TEST_SOCKET=" + client.Path}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "peer says: "+c.keys) ||
				!strings.Contains(string(out), "peer refreshes: "+c.fresh) {
				t.Errorf("%v\n%s", err, out)
			}
			if believes := strings.Contains(string(out), "peer believes root: true"); believes != (c.keys != "EOF") {
				t.Errorf("the peer believes root's answer: %v\n%s", believes, out)
			}
			if c.keys == "EOF" && !strings.Contains(text.String(), "uid 12345 is not allowed to connect") {
				t.Errorf("the log does not tell: %s", text.String())
			}
			if _, err := client.Ask(within(t, time.Minute), Question{Name: "alice"}); err != nil {
				t.Errorf("root: %v", err)
			}
		})
	}
}

// A lockedBuffer is a log that the server writes and the test reads.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// rawExchange sends bytes and returns the answer's status as an error.
func rawExchange(path, text string) (string, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, text)
	all, err := io.ReadAll(conn)
	if len(all) == 0 {
		return "", errors.Join(io.EOF, err)
	}
	status, _, _ := strings.Cut(string(all), "\r\n")
	return string(all), errors.New(strings.TrimPrefix(status, "HTTP/1.1 "))
}

func TestHostilePeersAreBounded(t *testing.T) {
	unmet.Long(t, "peers that say nothing are waited for")
	c, _ := serve(t, Options{Reserved: 20, Lookup: func(context.Context, string) (Answer, error) { return alice(t), nil }})
	ask := func() {
		t.Helper()
		if _, err := c.Ask(within(t, time.Minute), Question{Name: "alice"}); err != nil {
			t.Errorf("an honest peer afterwards: %v", err)
		}
	}
	for _, p := range []struct{ name, text, want string }{
		{"garbage", "\x00\xff\x16\x03\x01 garbage\r\n\r\n", "400 Bad Request"},
		{"an endless header", "GET /v1/keys HTTP/1.1\r\nA: " + strings.Repeat("x", 1<<20),
			"431 Request Header Fields Too Large"},
		{"another path", "GET /etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "404 Not Found"},
		{"another method", "DELETE /v1/keys?name=alice HTTP/1.1\r\nHost: x\r\n\r\n", "405 Method Not Allowed"},
		{"a body that never comes", "POST /v1/refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n",
			"413 Request Entity Too Large"},
		{"a body in pieces", "POST /v1/refresh HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
			"413 Request Entity Too Large"},
		{"no such endpoint here", "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", "501 Not Implemented"},
	} {
		t.Run(p.name, func(t *testing.T) {
			begin := time.Now()
			if _, err := rawExchange(c.Path, p.text); err == nil || !strings.Contains(err.Error(), p.want) {
				t.Errorf("answer %v, want %s", err, p.want)
			}
			if d := time.Since(begin); d > 30*time.Second {
				t.Errorf("the connection was held for %s", d)
			}
			ask()
		})
	}
	t.Run("silent ones are closed, and those beyond the bound at once", func(t *testing.T) {
		var open []net.Conn
		for range 20 {
			conn, err := net.Dial("unix", c.Path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			open = append(open, conn)
		}
		if _, err := rawExchange(c.Path, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err == nil ||
			!strings.Contains(err.Error(), "EOF") {
			t.Errorf("the 21st got %v", err)
		}
		for _, conn := range open {
			_ = conn.SetDeadline(time.Now().Add(time.Minute))
			if _, err := io.ReadAll(conn); err != nil {
				t.Errorf("a silent one was not closed: %v", err)
			}
		}
		ask()
	})
}

// as runs f on a thread of its own that is uid for the kernel.
func as(t *testing.T, uid int, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			t.Errorf("become uid %d: %v", uid, errno)
			return
		}
		f()
	}()
	<-done
}

func TestRootsRequestsHavePlacesOfTheirOwn(t *testing.T) {
	unmet.Root(t, "only root can become somebody else")
	const helper, stranger = 12345, 54321
	c, _ := serve(t, Options{
		Connections: 3, Reserved: 3, Peers: []uint32{helper},
		Lookup: func(context.Context, string) (Answer, error) { return alice(t), nil },
	})
	for dir := filepath.Dir(c.Path); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(c.Path, 0o666); err != nil {
		t.Fatal(err)
	}
	// hold opens n connections as uid and leaves them open, and reports how many the server kept: those that it
	// has not closed a second later. After two it closes those on which nobody speaks.
	hold := func(uid, n int) int {
		var all sync.WaitGroup
		var kept atomic.Int32
		as(t, uid, func() {
			for range n {
				conn, err := net.Dial("unix", c.Path)
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { _ = conn.Close() })
				_ = conn.SetReadDeadline(time.Now().Add(time.Second))
				all.Go(func() {
					if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
						kept.Add(1)
					}
				})
			}
		})
		all.Wait()
		return int(kept.Load())
	}
	if got := hold(stranger, 5); got != 0 {
		t.Errorf("%d connections of a stranger were kept", got)
	}
	if got := hold(helper, 5); got != 3 {
		t.Errorf("%d connections of the helper's user were kept, want its 3 places", got)
	}
	if _, err := c.Ask(within(t, time.Minute), Question{Name: "alice"}); err != nil {
		t.Errorf("root, while the helper's user has all its places: %v", err)
	}
	// The server may not have closed the one of the question yet.
	if got := hold(0, 5); got < 2 || got > 3 {
		t.Errorf("%d connections of root were kept, want the 3 reserved", got)
	}
}
