package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fields reads a packet as journald does.
func fields(t *testing.T, packet []byte) map[string]string {
	t.Helper()
	all := map[string]string{}
	for len(packet) > 0 {
		name, rest, ok := bytes.Cut(packet, []byte("\n"))
		if !ok || len(rest) < 8 {
			t.Fatalf("no field: %q", packet)
		}
		n := binary.LittleEndian.Uint64(rest)
		if n > uint64(len(rest)-9) || rest[8+n] != '\n' {
			t.Fatalf("no value: %q", packet)
		}
		all[string(name)], packet = string(rest[8:8+n]), rest[9+n:]
	}
	return all
}

func listen(t *testing.T) (path string, next func() map[string]string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "socket")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return path, func() map[string]string {
		t.Helper()
		b := make([]byte, 64<<10)
		_ = l.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return fields(t, b[:n])
	}
}

func TestARecordIsItsTextItsPriorityAndItsFields(t *testing.T) {
	socket, next := listen(t)
	var fallback bytes.Buffer
	log := slog.New(NewHandler(socket, &fallback, slog.LevelDebug))
	log.Error("a key is not accepted", "user", "alice\nMESSAGE=forged", "key", "APKA1", "error", errors.New("too short"),
		"level", "5")
	got := next()
	for name, want := range map[string]string{
		"MESSAGE": `a key is not accepted user="alice\nMESSAGE=forged" key=APKA1 error="too short" level=5`, "PRIORITY": "3",
		"NSS_IAM_USER": "alice\nMESSAGE=forged", "NSS_IAM_KEY": "APKA1", "NSS_IAM_ERROR": "too short",
		"SYSLOG_IDENTIFIER": "iam-cachefill",
	} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
	}
	log.With("directory-name", "x").WithGroup("of").Warn("w", "a", 1)
	if got := next(); got["PRIORITY"] != "4" || got["NSS_IAM_DIRECTORY_NAME"] != "x" || got["NSS_IAM_OF_A"] != "1" ||
		got["MESSAGE"] != "w directory-name=x of.a=1" {
		t.Errorf("with a group: %q", got)
	}
	log.Info("refreshed", "generation", uint64(7))
	if got := next(); got["PRIORITY"] != "6" || got["NSS_IAM_GENERATION"] != "7" {
		t.Errorf("information: %q", got)
	}
	log.Debug("d", "long", strings.Repeat("x", 1<<20))
	if got := next(); got["PRIORITY"] != "7" || len(got["MESSAGE"]) > 2*longest {
		t.Errorf("debugging: priority %s, %d bytes", got["PRIORITY"], len(got["MESSAGE"]))
	}
	if fallback.Len() > 0 {
		t.Errorf("on standard error: %q", &fallback)
	}
}

func TestWithoutTheSocketALineHasItsPriority(t *testing.T) {
	var fallback bytes.Buffer
	log := slog.New(NewHandler(filepath.Join(t.TempDir(), "none"), &fallback, slog.LevelInfo))
	log.Warn("not served\nas expected", "name", "bob")
	log.Debug("left out")
	if got := fallback.String(); got != "<4>not served as expected name=bob\n" {
		t.Errorf("got %q", got)
	}
}

func TestTheJournalIsAtTheOtherEndOnlyWhereSystemdSaysSo(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	s := info.Sys().(*syscall.Stat_t)
	for value, want := range map[string]bool{
		fmt.Sprintf("%d:%d", s.Dev, s.Ino): true, fmt.Sprintf("%d:%d", s.Dev, s.Ino+1): false, "": false, "x": false,
	} {
		t.Setenv("JOURNAL_STREAM", value)
		if got := Connected(f); got != want {
			t.Errorf("JOURNAL_STREAM=%q: %v", value, got)
		}
	}
}
