// Package journal writes a program's log to systemd's journal with a priority on
// every line, and with what the line is about as fields of its own. It is not the
// system's log: helpers that sshd runs use package authlog.
//
// Source: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/, sd-daemon(3),
// systemd.exec(5) on $JOURNAL_STREAM
package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Socket is where the journal listens.
const Socket = "/run/systemd/journal/socket"

// patience is how long the journal may hold up who logs.
const patience = 2 * time.Second

// longest is how many bytes of one value are sent.
const longest = 16 << 10

// Connected reports whether what a process writes to f goes to the journal.
func Connected(f *os.File) bool {
	var dev, inode uint64
	if n, err := fmt.Sscanf(os.Getenv("JOURNAL_STREAM"), "%d:%d", &dev, &inode); err != nil || n != 2 {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && uint64(s.Dev) == dev && s.Ino == inode
}

// Prefix is what makes a line of standard error an error in the journal.
const Prefix = "<3>"

// A Handler hands records to the journal: the message with all that it says as
// text, and each attribute as the field NSS_IAM_NAME. Where the journal's socket
// does not take them, a line with its priority goes to the fallback.
type Handler struct {
	level  slog.Level
	out    *output
	attrs  []slog.Attr
	groups string // "a." within the group a
}

type output struct {
	mu       sync.Mutex
	socket   string
	conn     net.Conn
	fallback io.Writer
}

// NewHandler returns a Handler of records from level on.
func NewHandler(socket string, fallback io.Writer, level slog.Level) *Handler {
	return &Handler{level: level, out: &output{socket: socket, fallback: fallback}}
}

// Enabled reports whether records of a level are taken.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// WithAttrs returns a Handler whose records have these attributes, too.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], h.named(attrs)...)
	return &next
}

// WithGroup returns a Handler whose attributes' names begin with a group's.
func (h *Handler) WithGroup(name string) slog.Handler {
	next := *h
	next.groups += name + "."
	return &next
}

func (h *Handler) named(attrs []slog.Attr) []slog.Attr {
	all := make([]slog.Attr, 0, len(attrs))
	for _, a := range attrs {
		if !a.Equal(slog.Attr{}) {
			all = append(all, slog.Attr{Key: h.groups + a.Key, Value: a.Value.Resolve()})
		}
	}
	return all
}

// Handle writes one record.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	attrs := h.attrs[:len(h.attrs):len(h.attrs)]
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, h.named([]slog.Attr{a})...)
		return true
	})
	text := cut(r.Message + asText(ctx, attrs))
	priority := priorityOf(r.Level)
	var b bytes.Buffer
	field(&b, "MESSAGE", text)
	field(&b, "PRIORITY", fmt.Sprint(priority))
	field(&b, "SYSLOG_IDENTIFIER", "iam-cachefill")
	for _, a := range attrs {
		field(&b, fieldName(a.Key), cut(a.Value.String()))
	}
	return h.out.write(b.Bytes(), fmt.Sprintf("<%d>%s\n", priority, strings.ReplaceAll(text, "\n", " ")))
}

// asText writes attributes as slog's text handler does.
func asText(ctx context.Context, attrs []slog.Attr) string {
	if len(attrs) == 0 {
		return ""
	}
	var b bytes.Buffer
	text := slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			_, level := a.Value.Any().(slog.Level)
			if len(groups) == 0 && (level && a.Key == slog.LevelKey || a.Key == slog.MessageKey && a.Value.String() == marker) {
				return slog.Attr{}
			}
			return a
		}})
	r := slog.NewRecord(time.Time{}, slog.LevelInfo, marker, 0)
	r.AddAttrs(attrs...)
	_ = text.Handle(ctx, r) // into memory
	return " " + strings.TrimSuffix(b.String(), "\n")
}

// marker is a message that no record has.
const marker = "\x00"

func (o *output) write(packet []byte, line string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for range 2 { // a journal that was started again has another socket
		if o.conn == nil {
			conn, err := net.Dial("unixgram", o.socket)
			if err != nil {
				break
			}
			o.conn = conn
		}
		_ = o.conn.SetWriteDeadline(time.Now().Add(patience))
		if _, err := o.conn.Write(packet); err == nil {
			return nil
		}
		_ = o.conn.Close()
		o.conn = nil
	}
	_, err := io.WriteString(o.fallback, line)
	return err
}

// field adds a field in the form that takes any bytes.
func field(b *bytes.Buffer, name, value string) {
	b.WriteString(name)
	b.WriteByte('\n')
	_ = binary.Write(b, binary.LittleEndian, uint64(len(value)))
	b.WriteString(value)
	b.WriteByte('\n')
}

// fieldName makes a field's name of an attribute's: at most 64 of A-Z, 0-9 and _.
func fieldName(key string) string {
	name := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return c
		}
		return '_'
	}, key)
	return "NSS_IAM_" + name[:min(len(name), 56)]
}

func cut(s string) string {
	if len(s) > longest {
		return s[:longest] + "…"
	}
	return s
}

// priorityOf is a level as syslog(3) counts.
func priorityOf(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}
