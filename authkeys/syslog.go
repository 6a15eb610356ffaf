package main

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
	severityErr     = 3
	severityWarning = 4
	severityNotice  = 5
	severityInfo    = 6
)

const facilityAuth = 4 << 3

// logPatience is how long the system's log may keep a login waiting. After it,
// this run logs no more.
const logPatience = 100 * time.Millisecond

// A syslog sends lines to the local log daemon. It never fails and never
// hangs: a login does not depend on it.
type syslog struct {
	path string
	mu   sync.Mutex
	conn net.Conn
	dead bool
}

func newSyslog(path string) *syslog { return &syslog{path: path} }

// send logs one line in facility auth.
func (l *syslog) send(severity int, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn == nil && !l.dead {
		l.conn, l.dead = dialLog(l.path)
	}
	if l.dead {
		return
	}
	line := fmt.Sprintf("<%d>%s authkeys[%d]: %s", facilityAuth|severity, time.Now().Format(time.Stamp), os.Getpid(), printable(text))
	if l.conn.RemoteAddr().Network() == "unix" {
		line += "\n"
	}
	_ = l.conn.SetWriteDeadline(time.Now().Add(logPatience))
	_, err := l.conn.Write([]byte(line))
	l.dead = err != nil
}

// dialLog connects to a datagram or, with old daemons, a stream socket.
func dialLog(path string) (conn net.Conn, dead bool) {
	for _, network := range []string{"unixgram", "unix"} {
		if conn, err := net.DialTimeout(network, path, logPatience); err == nil {
			return conn, false
		}
	}
	return nil, true
}

// printable makes text one line of plain ASCII, of a length that every log
// daemon takes whole.
func printable(text string) string {
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
