package control

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// What the daemon says opens a login: an answer that does not hang together is
// none, and then the policy says whether the cache may stand in.
func TestAnAnswerIsTakenWholeOrNotAtAll(t *testing.T) {
	const blob = "\x00\x00\x00\x01t"
	someKeys := func(n int) []wireKey {
		list := make([]wireKey, n)
		for i := range list {
			list[i] = wireKey{ID: fmt.Sprint("APKA", i), Blob: []byte(blob)}
		}
		return list
	}
	good := wireAnswer{Version: Version, Name: "alice", UID: 2001000001, Login: true, Checked: 7, Keys: someKeys(1)}
	for _, c := range []struct {
		name   string
		change func(*wireAnswer)
		sound  bool
	}{
		{"one as any", func(*wireAnswer) {}, true},
		{"the least uid", func(w *wireAnswer) { w.UID = cache.MinID }, true},
		{"the greatest uid", func(w *wireAnswer) { w.UID = cache.MaxID }, true},
		{"a uid below", func(w *wireAnswer) { w.UID = cache.MinID - 1 }, false},
		{"a uid above", func(w *wireAnswer) { w.UID = cache.MaxID + 1 }, false},
		{"uid 0 with a login", func(w *wireAnswer) { w.UID = 0 }, false},
		{"no login and no uid", func(w *wireAnswer) { w.UID, w.Login = 0, false }, true},
		{"a uid without a login", func(w *wireAnswer) { w.Login = false }, false},
		{"a uid below without a login", func(w *wireAnswer) { w.UID, w.Login = 1000, false }, false},
		{"another version", func(w *wireAnswer) { w.Version++ }, false},
		{"another name", func(w *wireAnswer) { w.Name = "Alice" }, false},
		{"no keys", func(w *wireAnswer) { w.Keys = nil }, true},
		{"the most keys", func(w *wireAnswer) { w.Keys = someKeys(keys.MaxKeys) }, true},
		{"one key more", func(w *wireAnswer) { w.Keys = someKeys(keys.MaxKeys + 1) }, false},
		{"the most shared accounts", func(w *wireAnswer) { w.Shared = make([]string, maxShared) }, true},
		{"one shared account more", func(w *wireAnswer) { w.Shared = make([]string, maxShared+1) }, false},
		{"a second key that is none", func(w *wireAnswer) { w.Keys = append(w.Keys, wireKey{ID: "APKA"}) }, false},
		{"a key with an unsafe id", func(w *wireAnswer) { w.Keys[0].ID = "A\nB" }, false},
	} {
		w := good
		w.Keys = someKeys(1)
		c.change(&w)
		body, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		a, err := decodeAnswer(body, "alice")
		if (err == nil) != c.sound {
			t.Errorf("%s: %v, want sound: %v", c.name, err, c.sound)
		}
		if err == nil && (a.User.UID != w.UID || a.User.Login != w.Login || len(a.User.Keys) != len(w.Keys) ||
			len(a.Shared) != len(w.Shared)) ||
			err != nil && (a.User.Name != "" || a.User.Keys != nil) {
			t.Errorf("%s: read as %.300v", c.name, a)
		}
	}
}

func TestTheLongestAnswerFitsIntoWhatAClientReads(t *testing.T) {
	a := Answer{User: cache.UserKeys{Name: "alice", UID: 2001000001, Login: true, Checked: time.Unix(7, 0)}}
	// RSA of 16384 bits
	blob := append(binary.BigEndian.AppendUint32([]byte("\x00\x00\x00\x01t"), 2050), bytes.Repeat([]byte{1}, 2050)...)
	for i := range keys.MaxKeys {
		a.User.Keys = append(a.User.Keys, keys.Key{ID: fmt.Sprint("APKA", i), Type: "t", Blob: blob})
	}
	c, _ := serve(t, Options{Lookup: func(context.Context, string) (Answer, error) { return a, nil }})
	if got, err := c.Ask(within(t, time.Minute), Question{Name: "alice"}); err != nil ||
		len(got.User.Keys) != keys.MaxKeys {
		t.Errorf("%d keys, %v; want %d", len(got.User.Keys), err, keys.MaxKeys)
	}
}

func TestAnAnswerThatIsNotOursIsToldAsUnusable(t *testing.T) {
	for _, c := range []struct{ name, answer, says string }{
		{"no HTTP", "hello\r\n\r\n", "unusable answer"},
		{"an error with its reason", "HTTP/1.1 503 X\r\nContent-Length: 15\r\n\r\n" + `{"error":"why"}`, `it says "why"`},
		{"an error without a reason", "HTTP/1.1 503 X\r\nContent-Length: 12\r\n\r\n" + `{"error":""}`,
			"unusable answer: status 503"},
		{"an error that is no JSON", "HTTP/1.1 500 X\r\nContent-Length: 3\r\n\r\nwhy", "unusable answer: status 500"},
		{"a success of another kind", "HTTP/1.1 204 X\r\n\r\n", "unusable answer: status 204"},
		{"no JSON", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nwhy", "unusable answer: not JSON"},
		{"a body cut short", "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{}", "unusable answer"},
	} {
		path := filepath.Join(t.TempDir(), "sock")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = conn.Write([]byte(c.answer))
			_ = conn.Close()
		}()
		got, err := Client{Path: path}.Status(within(t, time.Minute))
		if err == nil || got != nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.says)
		}
		if strings.Contains(err.Error(), "in time") {
			t.Errorf("%s: %v, though there was time", c.name, err)
		}
		_ = l.Close()
	}
	absent := filepath.Join(t.TempDir(), "sock")
	if _, err := (Client{Path: absent}).Status(within(t, time.Minute)); err == nil ||
		strings.Count(err.Error(), absent) != 1 {
		t.Errorf("no socket: %v, want it named once", err)
	}
}

// A socket that somebody else listens on would answer for the daemon.
func TestOnlyRootOrTheRunningUserIsBelieved(t *testing.T) {
	if path := os.Getenv("CONTROL_TEST_LISTEN"); path != "" {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err == nil {
			_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
			_ = conn.Close()
		}
		return
	}
	unmet.Root(t, "only root can become somebody else")
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	binary, path := filepath.Join(dir, "listener"), filepath.Join(dir, "sock")
	own, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(binary, own, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-test.run", "^TestOnlyRootOrTheRunningUserIsBelieved$")
	cmd.Dir, cmd.Env = "/", []string{"CONTROL_TEST_LISTEN=" + path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for range 1000 {
		if _, err := os.Lstat(path); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got, err := (Client{Path: path}).Status(within(t, time.Minute)); err == nil ||
		!strings.Contains(err.Error(), "belongs to uid 12345") {
		t.Errorf("got %s, %v; want it refused by its owner", got, err)
	}
}

func TestALoginNameIsOfPlainCharacters(t *testing.T) {
	var asked atomic.Int32
	c, _ := serve(t, Options{Rate: 1e6, Burst: 1e6, Lookup: func(_ context.Context, name string) (Answer, error) {
		asked.Add(1)
		return Answer{User: cache.UserKeys{Name: name, Checked: time.Unix(7, 0)}}, nil
	}})
	for _, question := range []struct {
		name string
		ok   bool
	}{
		{"!", true}, {"~", true}, {"a", true}, {strings.Repeat("a", 255), true}, {strings.Repeat("a", 256), false},
		{"", false}, {" ", false}, {"a\x7f", false}, {"a/b", false}, {"a:b", false}, {"a\n", false}, {"ä", false},
		{"\x80", false},
	} {
		before := asked.Load()
		_, err := c.Ask(within(t, time.Minute), Question{Name: question.name})
		if (err == nil) != question.ok || (asked.Load() > before) != question.ok {
			t.Errorf("%.20q: %v, asked %v; want %v", question.name, err, asked.Load() > before, question.ok)
		}
	}
}

func TestTheOfferedKeyGoesWithTheQuestion(t *testing.T) {
	d := newDirectory(1)
	d.takes = 0
	c, s := serve(t, Options{Lookup: d.lookup, Listed: d.list, Reuse: -1})
	s.lookups.strangers.rate.SetBurst(0)
	for _, q := range []struct {
		name    string
		key     string
		limited bool
	}{
		{"a key of the listing", aKey(person(0)).SHA256(), false},
		{"a key that no listing has", aKey("stranger").SHA256(), true},
		{"no key", "", false},
	} {
		a, err := c.Ask(within(t, time.Minute), Question{Name: person(0), Key: q.key})
		if err != nil || a.Limited != q.limited || len(a.User.Keys) != 1 {
			t.Errorf("%s: %+v, %v; want limited %v", q.name, a, err, q.limited)
		}
	}
}

func TestTheSocketIsTheDaemonsAndOpenToTheHelpersGroup(t *testing.T) {
	unmet.Root(t, "giving a file to another group needs root")
	for _, c := range []struct{ asked, want int }{{65534, 65534}, {-1, 0}, {0, 0}} {
		dir := t.TempDir()
		if c.asked == 0 { // a folder whose group new files get
			if err := os.Chown(dir, -1, 65534); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, os.ModeSetgid|0o700); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(dir, "sock")
		l, err := Listen(path, 0o660, c.asked)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 0 || int(st.Gid) != c.want || info.Mode().Perm() != 0o660 {
			t.Errorf("group %d asked for: owner %d:%d, mode %v; want 0:%d", c.asked, st.Uid, st.Gid, info.Mode().Perm(), c.want)
		}
		_ = l.Close()
	}
}
