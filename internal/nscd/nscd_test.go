package nscd

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// serve answers every request with answer, and returns what was asked.
func serve(t *testing.T, answer func(net.Conn)) (socket string, asked func() []string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	names := make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				close(names)
				return
			}
			var head [3]uint32
			if err := binary.Read(conn, binary.NativeEndian, &head); err != nil || head[0] != 2 || head[1] != 10 ||
				head[2] > 100 {
				names <- "a request of another kind"
			} else {
				name := make([]byte, head[2])
				_, err := io.ReadFull(conn, name)
				if err != nil || !bytes.HasSuffix(name, []byte{0}) {
					name = []byte("a name without an end")
				}
				names <- string(bytes.TrimSuffix(name, []byte{0}))
			}
			answer(conn)
			_ = conn.Close()
		}
	}()
	return socket, func() []string {
		_ = l.Close()
		return slices.Collect(func(yield func(string) bool) {
			for name := range names {
				if !yield(name) {
					return
				}
			}
		})
	}
}

func number(n int32) func(net.Conn) {
	return func(c net.Conn) { _ = binary.Write(c, binary.NativeEndian, n) }
}

func TestUsersAndGroupsAreInvalidated(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(net.Conn)
		want   error
		asked  []string
	}{
		"a daemon that acknowledges": {number(0), nil, []string{"passwd", "group"}},
		"a daemon that closes":       {func(net.Conn) {}, nil, []string{"passwd", "group"}},
		"a daemon that refuses":      {number(int32(syscall.EPERM)), syscall.EPERM, []string{"passwd"}},
		"a daemon that does not answer": {func(net.Conn) { time.Sleep(2 * patience) }, os.ErrDeadlineExceeded,
			[]string{"passwd"}},
		"a daemon that answers too much": {func(c net.Conn) { _, _ = c.Write(make([]byte, 4096)) }, nil,
			[]string{"passwd", "group"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socket, asked := serve(t, test.answer)
			running, err := Invalidate(t.Context(), socket)
			if !running || !errors.Is(err, test.want) {
				t.Errorf("got %t, %v; want %v", running, err, test.want)
			}
			if got := asked(); !slices.Equal(got, test.asked) {
				t.Errorf("asked for %q, want %q", got, test.asked)
			}
		})
	}
}

func TestWithoutADaemonNothingIsDone(t *testing.T) {
	left := filepath.Join(t.TempDir(), "left")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: left})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, socket := range map[string]string{
		"no socket": filepath.Join(t.TempDir(), "none"), "no folder": "/nonexistent/socket", "a socket left over": left,
	} {
		if running, err := Invalidate(t.Context(), socket); running || err != nil {
			t.Errorf("%s: got %t, %v", name, running, err)
		}
	}
}
