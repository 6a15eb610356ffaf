package testbed

import (
	"math"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Syslog receives what a host's programs log: it is the host's /dev/log.
type Syslog struct {
	path string

	mu    sync.Mutex
	lines []logged
	marks int        // sent by Lines so far
	seen  *sync.Cond // a mark has come
	last  int        // the newest mark that has come
}

// logged is a line, and when it came.
type logged struct {
	line string
	at   time.Time
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
	s := &Syslog{path: path}
	s.seen = sync.NewCond(&s.mu)
	h.sys = s
	go func() {
		packet := make([]byte, 64<<10)
		for {
			n, err := conn.Read(packet)
			if err != nil {
				s.receive(mark + strconv.Itoa(math.MaxInt)) // closed with the test: nobody waits
				return
			}
			s.receive(strings.TrimRight(string(packet[:n]), "\n\x00"))
		}
	}()
	return s
}

// mark begins a line of Lines' own, which no program of a host sends.
const mark = "testbed has read up to here: "

// receive keeps a line, or tells those who wait for a mark.
func (s *Syslog) receive(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, isMark := strings.CutPrefix(line, mark)
	number, err := strconv.Atoi(text)
	if !isMark || err != nil {
		s.lines = append(s.lines, logged{line, time.Now()})
		return
	}
	s.last = max(s.last, number)
	s.seen.Broadcast()
}

// drain waits until all is received that was sent before: the socket keeps the order.
func (s *Syslog) drain() {
	conn, err := net.Dial("unixgram", s.path)
	if err != nil {
		return // the host has ended, and nothing more comes
	}
	defer conn.Close()
	s.mu.Lock()
	s.marks++
	number := s.marks
	s.mu.Unlock()
	if _, err := conn.Write([]byte(mark + strconv.Itoa(number))); err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.last < number {
		s.seen.Wait()
	}
}

// Lines are the lines sent so far that hold all of these words. A line
// begins with its priority: "<38>" is facility auth (4), severity info (6).
func (s *Syslog) Lines(words ...string) []string {
	var lines []string
	for _, l := range s.with(words) {
		lines = append(lines, l.line)
	}
	return lines
}

// Times are when the lines came that Lines returns.
func (s *Syslog) Times(words ...string) []time.Time {
	var times []time.Time
	for _, l := range s.with(words) {
		times = append(times, l.at)
	}
	return times
}

func (s *Syslog) with(words []string) []logged {
	s.drain()
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []logged
	for _, l := range s.lines {
		lacks := func(word string) bool { return !strings.Contains(l.line, word) }
		if !slices.ContainsFunc(words, lacks) {
			found = append(found, l)
		}
	}
	return found
}
