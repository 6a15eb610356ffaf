package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/authlog"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/control"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"account": func() {
		work := os.Getenv("WORK")
		a := attempt{os.Getenv("PAM_USER"), os.Getenv("PAM_SERVICE"), os.Getenv("PAM_TYPE"), os.Getenv("PAM_RHOST")}
		h := newHelper(work)
		if uid, err := strconv.Atoi(os.Getenv("RUN_BY")); err == nil {
			h.uid = uint32(uid)
		}
		if d, err := time.ParseDuration(os.Getenv("PATIENCE")); err == nil {
			h.patience = d
		}
		os.Exit(h.main(a))
	}})
}

// newHelper is the helper of a host that lies in the folder work.
func newHelper(work string) *helper {
	return &helper{
		cacheDir: filepath.Join(work, "cache"), socket: filepath.Join(work, "sock"), passwd: filepath.Join(work, "passwd"),
		getent: filepath.Join(work, "getent"), log: authlog.New(filepath.Join(work, "log"), "nss-iam-account"),
		now: time.Now, patience: wholeRun,
	}
}

// The company: alice and bob may come in; carol is pending removal, so she has
// a row and no right; frank is a former user.
func tables() accounts.Tables {
	user := func(name string, uid uint32) accounts.User {
		return accounts.User{Name: name, UID: uid, Home: "/home/" + name, Shell: "/bin/bash"}
	}
	t := accounts.Tables{
		Range: accounts.Range{Low: 2001000000, High: 2146999999},
		Users: []accounts.User{user("alice", 2001000001), user("bob", 2001000002), user("carol", 2001000003),
			user("frank", 2001000006)},
	}
	t.Users[3].Former = true
	for _, u := range t.Users {
		t.Groups = append(t.Groups, accounts.Group{Name: u.Name, GID: u.UID})
	}
	return t
}

func keyTables() cache.KeyTables {
	now := time.Now()
	return cache.KeyTables{
		Policy: cache.LoginPolicy{Online: "prefer", Timeout: 10 * time.Second, MaxStale: 24 * time.Hour,
			Range: tables().Range},
		Users: []cache.UserKeys{
			{Name: "alice", UID: 2001000001, Login: true, Checked: now}, {Name: "bob", UID: 2001000002, Login: true,
				Checked: now},
			{Name: "carol", Checked: now},
		},
	}
}

// The commands that the scripts have besides testscript's own:
//
//	asks SERVICE NAME       env for the next command: PAM_SERVICE and PAM_USER
//	publish [name=value…]   writes both files for the company above; online=, timeout=, stale=, age=
//	spoil FILE HOW          harms nss.db or keys.db: absent, cut, text, foreign, writable, link, flipped
//	daemon HOW              listens on the socket
//	asked N [recent]        the daemon was asked so often since it began
//	log 'PATTERN'           the log has a line like this; "log lines N": it has N lines
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", Setup: setup,
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"asks": asks, "publish": publish, "spoil": spoil, "daemon": daemon, "asked": wantAsked, "log": wantLog,
		},
	})
}

func setup(env *testscript.Env) error {
	env.Setenv("PAM_TYPE", "account")
	env.Setenv("LONG", strings.Repeat("a", 10000))
	env.Setenv("LINES", "alice\nbob")
	passwd := "root:x:0:0:root:/root:/bin/bash\nubuntu:x:1001:1001::/home/ubuntu:/bin/bash\n"
	getent := "#!/bin/sh\ncase $3 in alice) echo 'alice:*:2001000001:2001000001::/:/bin/sh';; olga) echo " +
		"'olga:*:70001:70001::/:/bin/sh';; *) exit 2;; esac\n"
	err := errors.Join(os.Mkdir(filepath.Join(env.WorkDir, "cache"), 0o755),
		os.WriteFile(filepath.Join(env.WorkDir, "passwd"), []byte(passwd), 0o644),
		os.WriteFile(filepath.Join(env.WorkDir, "getent"), []byte(getent), 0o755))
	if err != nil {
		return err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(env.WorkDir, "log"), Net: "unixgram"})
	if err != nil {
		return err
	}
	l := &logged{}
	env.Values["log"], env.Values["asked"] = l, &questions{}
	go l.receive(conn)
	env.Defer(func() { _ = conn.Close() })
	return nil
}

func asks(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv("PAM_SERVICE", args[0])
	ts.Setenv("PAM_USER", args[1])
}

// logged collects what the helper sends to the log.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) receive(conn net.Conn) {
	line := make([]byte, 4096)
	for {
		n, err := conn.Read(line)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.lines = append(l.lines, string(line[:n]))
		l.mu.Unlock()
	}
}

func (l *logged) text() (string, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n"), len(l.lines)
}

func wantLog(ts *testscript.TestScript, neg bool, args []string) {
	l := ts.Value("log").(*logged)
	good := func() bool {
		text, n := l.text()
		if args[0] == "lines" {
			return strconv.Itoa(n) == args[1]
		}
		return regexp.MustCompile(`(?m)^<3[2-8]>\w{3} [ \d]\d [\d:]{8} nss-iam-account\[\d+\]: ` + args[0]).MatchString(text)
	}
	found := good()
	for range 200 { // the helper has ended, so its datagrams are in our socket's queue
		if found || neg {
			break
		}
		time.Sleep(10 * time.Millisecond)
		found = good()
	}
	if found == neg {
		text, n := l.text()
		ts.Fatalf("log matches %q: %v, want %v\n%d lines:\n%s", args, found, !neg, n, text)
	}
}

func publish(ts *testscript.TestScript, neg bool, args []string) {
	t := keyTables()
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		duration, err := time.ParseDuration(value)
		switch name {
		case "online":
			t.Policy.Online, err = value, nil
		case "timeout":
			t.Policy.Timeout = duration
		case "stale":
			t.Policy.MaxStale = duration
		case "age":
			for i := range t.Users {
				t.Users[i].Checked = time.Now().Add(-duration)
			}
		default:
			ts.Fatalf("publish knows no %q", name)
		}
		ts.Check(err)
	}
	dir := ts.MkAbs("cache")
	ts.Check(os.RemoveAll(filepath.Join(dir, cache.KeysFile)))
	ts.Check(os.RemoveAll(filepath.Join(dir, cache.NSSFile)))
	_, err := cache.PublishKeys(dir, t, -1, time.Now())
	ts.Check(err)
	_, err = cache.PublishNSS(dir, tables(), time.Now())
	ts.Check(err)
}

func spoil(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(harm(filepath.Join(ts.MkAbs("cache"), args[0]), args[1]))
}

// harm damages a cache file.
func harm(path, how string) error {
	switch how {
	case "absent":
		return os.Remove(path)
	case "cut":
		return os.Truncate(path, 2*cache.PageSize)
	case "empty":
		return os.Truncate(path, 0)
	case "text":
		return os.WriteFile(path, bytes.Repeat([]byte("alice:x:0:0\n"), 2000), 0o640)
	case "foreign":
		return os.Chown(path, 12345, -1)
	case "writable":
		return os.Chmod(path, 0o666)
	case "link":
		return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
	case "flipped": // alice's uid becomes another
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		le := binary.LittleEndian
		uid, other := le.AppendUint32(nil, 2001000001), le.AppendUint32(nil, 2001000257)
		if !bytes.Contains(b, uid) {
			return errors.New("alice's uid is not in the file")
		}
		return os.WriteFile(path, bytes.ReplaceAll(b, uid, other), 0o640)
	}
	return fmt.Errorf("no way %q to harm a file", how)
}

// questions counts what the daemon was asked.
type questions struct {
	mu            sync.Mutex
	fresh, recent int
}

func wantAsked(ts *testscript.TestScript, neg bool, args []string) {
	q := ts.Value("asked").(*questions)
	q.mu.Lock()
	defer q.mu.Unlock()
	got := q.fresh
	if len(args) == 2 {
		got = q.recent
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("asked %d times, want %q", got, args)
	}
}

// daemon listens on the socket in one of many ways, in the place of the last one.
func daemon(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs("sock")
	_ = os.Remove(path)
	if args[0] == "gone" {
		return
	}
	l, err := control.Listen(path, 0o600, -1)
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	ts.Defer(func() { cancel(); _ = l.Close() })
	if raw, ok := rawDaemons[args[0]]; ok {
		go serveRaw(l, raw)
		return
	}
	answer, ok := answers[args[0]]
	if !ok {
		ts.Fatalf("daemon knows no %q", args[0])
	}
	q := ts.Value("asked").(*questions)
	*q = questions{}
	server := control.NewServer(control.Options{
		Reuse: -1, Peers: []uint32{uint32(os.Getuid())},
		Admit: func(ctx context.Context, name string) (cache.UserKeys, error) {
			q.mu.Lock()
			q.fresh++
			q.mu.Unlock()
			return answer(ctx, name)
		},
		Recent: func(name string) (cache.UserKeys, bool) {
			q.mu.Lock()
			q.recent++
			q.mu.Unlock()
			u, err := answer(ctx, name)
			return u, err == nil
		},
	})
	go func() { _ = server.Serve(ctx, l) }()
}

var answers = map[string]func(context.Context, string) (cache.UserKeys, error){
	"truth": func(_ context.Context, name string) (cache.UserKeys, error) {
		for _, u := range keyTables().Users {
			if u.Name == name {
				return u, nil
			}
		}
		return cache.UserKeys{Name: name}, nil
	},
	"left": func(_ context.Context, name string) (cache.UserKeys, error) { return cache.UserKeys{Name: name}, nil },
	"reborn": func(_ context.Context, name string) (cache.UserKeys, error) {
		return cache.UserKeys{Name: name, UID: 2001999999, Login: true}, nil
	},
	"down": func(context.Context, string) (cache.UserKeys, error) {
		return cache.UserKeys{}, errors.New("IAM does not answer")
	},
	"hangs": func(ctx context.Context, _ string) (cache.UserKeys, error) {
		<-ctx.Done()
		return cache.UserKeys{}, ctx.Err()
	},
}

// rawDaemons misbehave below HTTP.
var rawDaemons = map[string]func(net.Conn){
	"never":     func(c net.Conn) { time.Sleep(time.Minute) },
	"closes":    func(net.Conn) {},
	"garbage":   func(c net.Conn) { _, _ = c.Write(bytes.Repeat([]byte("\x00\xff garbage "), 1000)) },
	"rootuid":   says(`{"version":1,"name":"alice","uid":0,"login":true,"checked":1,"keys":[]}`),
	"othername": says(`{"version":1,"name":"bob","uid":2001000002,"login":true,"checked":1,"keys":[]}`),
	"future":    says(`{"version":2,"name":"alice","uid":2001000001,"login":true,"checked":1,"keys":[]}`),
}

func says(body string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

func serveRaw(l net.Listener, raw func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			_, _ = c.Read(make([]byte, 4096))
			raw(c)
		}()
	}
}

func TestTheHelperHoldsNoAWSCode(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(out, []byte("internal/control\n")) {
		t.Fatalf("the list lacks what is surely linked in:\n%s", out)
	}
	for pkg := range strings.Lines(string(out)) {
		for _, barred := range []string{"aws", "smithy", "nss-iam/internal/iam", "nss-iam/internal/snapshot",
			"nss-iam/internal/config", "os/user"} {
			if strings.Contains(pkg, barred) {
				t.Errorf("%s is linked in", strings.TrimSpace(pkg))
			}
		}
	}
}
