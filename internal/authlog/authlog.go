// Package authlog sends lines to the local system log in facility auth. It
// never fails and never hangs: a login does not depend on it.
package authlog

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// Severities of RFC 3164, section 4.1.1.
const (
	Err     = 3
	Warning = 4
	Notice  = 5
	Info    = 6
)

const facilityAuth = 4 << 3

// logPatience is how long the system's log may keep a login waiting. After it,
// this run logs no more.
const logPatience = 100 * time.Millisecond

// A Log is a connection to the log daemon's socket at one path. It may be used
// by several goroutines.
type Log struct {
	path string
	tag  string
	mu   sync.Mutex
	conn net.Conn
	dead bool
}

// New returns a Log whose lines carry the program's name tag. It connects with
// the first line.
func New(path, tag string) *Log { return &Log{path: path, tag: tag} }

// Send logs one line of text, made printable and cut.
func (l *Log) Send(severity int, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil && !l.dead {
		l.conn, l.dead = dial(l.path)
	}
	if l.dead {
		return
	}
	line := fmt.Sprintf("<%d>%s %s[%d]: %s", facilityAuth|severity, time.Now().Format(time.Stamp), l.tag, os.Getpid(),
		Printable(text))
	if l.conn.RemoteAddr().Network() == "unix" {
		line += "\n"
	}
	_ = l.conn.SetWriteDeadline(time.Now().Add(logPatience))
	_, err := l.conn.Write([]byte(line))
	l.dead = err != nil
}

// dial connects to a datagram or, with old daemons, a stream socket.
func dial(path string) (conn net.Conn, dead bool) {
	for _, network := range []string{"unixgram", "unix"} {
		if conn, err := net.DialTimeout(network, path, logPatience); err == nil {
			return conn, false
		}
	}
	return nil, true
}

// Printable makes text one line of plain ASCII, of a length that every log
// daemon takes whole.
func Printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	if len(text) > 900 {
		text = text[:900] + "..."
	}
	return text
}
