package testbed

import (
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

// A Syslog receives what a host's programs log: it is the host's /dev/log.
type Syslog struct {
	mu    sync.Mutex
	lines []string
}

// Syslog starts to receive the host's log; called again, it is the same one.
func (h *Host) Syslog() *Syslog {
	h.t.Helper()
	if h.sys != nil {
		return h.sys
	}
	path := "/proc/" + strconv.Itoa(h.pid) + "/root/dev/log"
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	s := new(Syslog)
	h.sys = s
	go func() {
		packet := make([]byte, 64<<10)
		for {
			n, err := conn.Read(packet)
			if err != nil {
				return // closed with the test
			}
			s.mu.Lock()
			s.lines = append(s.lines, strings.TrimRight(string(packet[:n]), "\n\x00"))
			s.mu.Unlock()
		}
	}()
	return s
}

// Lines are the lines received so far that hold all of these words. A line
// begins with its priority: "<38>" is facility auth (4), severity info (6).
func (s *Syslog) Lines(words ...string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
lines:
	for _, line := range s.lines {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		found = append(found, line)
	}
	return found
}
