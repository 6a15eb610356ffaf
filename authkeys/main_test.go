package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
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
	"golang.org/x/crypto/ssh"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/authlog"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/keys"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"authkeys": func() {
		work := os.Getenv("WORK")
		os.Clearenv()
		h := helper{
			cacheDir: filepath.Join(work, "cache"), socket: filepath.Join(work, "sock"), passwd: filepath.Join(work, "passwd"),
			log: authlog.New(filepath.Join(work, "log"), "authkeys"), now: time.Now,
		}
		os.Exit(h.main(os.Args[1:], os.Stdout, os.Stderr))
	}})
}

// The commands that the scripts have besides testscript's own:
//
//	authkeys ARG…           the helper, with its cache, socket, passwd and log in $WORK
//	publish [name=value…]   writes keys.db for the company below; online=, timeout=, stale= (max_stale),
//	                        age= (of the cached answers), denied= (a person), root=allowed, options=a,b, chain=a,b
//	spoil HOW               harms keys.db: absent, cut, flipped, text, foreign, writable, link
//	daemon HOW              listens on the socket: says the directory's present truth, or has it changed, or misbehaves
//	log 'PATTERN'           the log has a line like this, in facility auth
//	lines N                 stdout of the last command has N lines
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setup,
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"publish": publish, "spoil": spoil, "daemon": daemon, "log": wantLog, "lines": wantLines,
		},
	})
}

// key makes a key from a word.
func key(id, word string) keys.Key {
	seed := bytes.Repeat([]byte(word+"........"), 32)[:32]
	pub, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(seed).Public())
	if err != nil {
		panic(err)
	}
	return keys.Key{ID: id, Type: pub.Type(), Blob: pub.Marshal()}
}

// The company: alice has two keys, one of which ends in an hour; bob has none;
// olga may only enter the shared accounts, as alice may.
func company() cache.KeyTables {
	now := time.Now()
	ending, ended := key("APKAALICEENDING", "alice2"), key("APKAALICEENDED", "alice3")
	ending.Expires, ended.Expires = now.Add(time.Hour), now.Add(-time.Hour)
	return cache.KeyTables{
		Policy: cache.LoginPolicy{
			Online: "prefer", Timeout: 10 * time.Second, MaxStale: 24 * time.Hour,
			Range: accounts.Range{Low: 2001000000, High: 2146999999},
		},
		Users: []cache.UserKeys{
			{Name: "alice", UID: 2001000001, Login: true, Checked: now, Keys: []keys.Key{key("APKAALICE", "alice1"), ending,
				ended}},
			{Name: "bob", UID: 2001000002, Login: true, Checked: now},
			{Name: "olga", Checked: now, Keys: []keys.Key{key("APKAOLGA", "olga")}},
			{Name: "ubuntu", UID: 2001000003, Login: true, Checked: now, Keys: []keys.Key{key("APKAUBUNTU", "ubuntu")}},
		},
		Shared: []cache.SharedAccount{{Name: "ec2-user", Members: []string{"alice", "olga"}},
			{Name: "high", Members: []string{"alice"}}, {Name: "root", Members: []string{"alice"}}},
	}
}

func setup(env *testscript.Env) error {
	for _, k := range []struct{ name, word string }{{"ALICE", "alice1"}, {"ENDING", "alice2"}, {"ENDED", "alice3"},
		{"OLGA", "olga"}, {"NEW", "new"}, {"UBUNTU", "ubuntu"}} {
		it := key("x", k.word)
		env.Setenv(k.name, base64.StdEncoding.EncodeToString(it.Blob))
		env.Setenv(k.name+"_FP", it.SHA256())
	}
	for name, principals := range map[string][]string{"OLGAS": {"olga"}, "ALICES": {"alice"},
		"BOTH": {"olga", "alice", "bob"}, "NOBODYS": nil} {
		certificate := &ssh.Certificate{CertType: ssh.UserCert, KeyId: name, ValidPrincipals: principals,
			ValidBefore: ssh.CertTimeInfinity}
		for word, to := range map[string]*ssh.PublicKey{"alice1": &certificate.Key, "authority": &certificate.SignatureKey} {
			public, err := ssh.ParsePublicKey(key("x", word).Blob)
			if err != nil {
				return err
			}
			*to = public
		}
		certificate.Signature = &ssh.Signature{Format: ssh.KeyAlgoED25519, Blob: make([]byte, 64)} // sshd has checked it
		env.Setenv(name, base64.StdEncoding.EncodeToString(certificate.Marshal()))
	}
	env.Setenv("LONG", strings.Repeat("a", 10000))
	passwd := "root:x:0:0:root:/root:/bin/bash\nhigh:x:2100000000:100::/home/high:/bin/bash\n" +
		"ec2-user:x:1000:1000::/home/ec2-user:/bin/bash\nubuntu:x:1001:1001::/home/ubuntu:/bin/bash\n"
	if err := os.WriteFile(filepath.Join(env.WorkDir, "passwd"), []byte(passwd), 0o644); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(env.WorkDir, "cache"), 0o755); err != nil {
		return err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(env.WorkDir, "log"), Net: "unixgram"})
	if err != nil {
		return err
	}
	l := &logged{}
	env.Values["log"] = l
	go l.receive(conn)
	env.Defer(func() { _ = conn.Close() })
	return nil
}

// logged collects what the helper sends to the log.
type logged struct {
	mu   sync.Mutex
	text string
}

func (l *logged) receive(conn net.Conn) {
	line := make([]byte, 4096)
	for {
		n, err := conn.Read(line)
		if err != nil {
			return
		}
		l.mu.Lock()
		l.text += string(line[:n]) + "\n"
		l.mu.Unlock()
	}
}

func (l *logged) has(pattern *regexp.Regexp) (bool, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return pattern.MatchString(l.text), l.text
}

func wantLog(ts *testscript.TestScript, neg bool, args []string) {
	pattern, err := regexp.Compile(`(?m)^<3[2-8]>\w{3} [ \d]\d [\d:]{8} authkeys\[\d+\]: .*` + args[0])
	ts.Check(err)
	l := ts.Value("log").(*logged)
	// The helper has ended, so its datagrams are in our socket's queue already.
	found, text := l.has(pattern)
	for range 200 {
		if found || neg {
			break
		}
		time.Sleep(10 * time.Millisecond)
		found, text = l.has(pattern)
	}
	if found == neg {
		ts.Fatalf("log matches %q: %v, want %v\n%s", args[0], found, !neg, text)
	}
}

func wantLines(ts *testscript.TestScript, neg bool, args []string) {
	if got := strings.Count(ts.ReadFile("stdout"), "\n"); neg || strconv.Itoa(got) != args[0] {
		ts.Fatalf("%d lines, want %s", got, args[0])
	}
}

func publish(ts *testscript.TestScript, neg bool, args []string) {
	t := company()
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		duration, durationErr := time.ParseDuration(value)
		switch name {
		case "online":
			t.Policy.Online = value
		case "timeout":
			ts.Check(durationErr)
			t.Policy.Timeout = duration
		case "stale":
			ts.Check(durationErr)
			t.Policy.MaxStale = duration
		case "age":
			ts.Check(durationErr)
			for i := range t.Users {
				t.Users[i].Checked = time.Now().Add(-duration)
			}
		case "denied":
			for i := range t.Users {
				if t.Users[i].Name == value {
					t.Users[i] = cache.UserKeys{Name: value, Checked: t.Users[i].Checked}
				}
			}
		case "root":
			t.Shared[2].AllowRoot = value == "allowed"
		case "options":
			t.Policy.Options = strings.Split(value, ",")
		case "chain":
			t.Policy.Chain = strings.Split(value, ",")
		default:
			ts.Fatalf("publish knows no %q", name)
		}
	}
	ts.Check(os.RemoveAll(ts.MkAbs("cache/keys.db")))
	_, err := cache.PublishKeys(ts.MkAbs("cache"), t, -1, time.Now())
	ts.Check(err)
}

func spoil(ts *testscript.TestScript, neg bool, args []string) {
	path := ts.MkAbs("cache/keys.db")
	switch args[0] {
	case "absent":
		ts.Check(os.Remove(path))
	case "cut":
		ts.Check(os.Truncate(path, 2*cache.PageSize))
	case "empty":
		ts.Check(os.Truncate(path, 0))
	case "text":
		ts.Check(os.WriteFile(path, bytes.Repeat([]byte("ssh-ed25519 AAAA\n"), 1000), 0o640))
	case "foreign":
		ts.Check(os.Chown(path, 12345, -1))
	case "writable":
		ts.Check(os.Chmod(path, 0o666))
	case "link":
		ts.Check(os.Rename(path, path+".real"))
		ts.Check(os.Symlink(path+".real", path))
	case "flipped":
		b, err := os.ReadFile(path)
		ts.Check(err)
		at := bytes.Index(b, key("", "alice1").Blob)
		if at < 0 {
			ts.Fatalf("alice's key is not in the file")
		}
		b[at+30] ^= 1
		ts.Check(os.WriteFile(path, b, 0o640))
	default:
		ts.Fatalf("spoil knows no %q", args[0])
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
	lookup, ok := lookups[args[0]]
	if !ok {
		ts.Fatalf("daemon knows no %q", args[0])
	}
	server := control.NewServer(control.Options{Lookup: lookup, Peers: []uint32{uint32(os.Getuid())}})
	go func() { _ = server.Serve(ctx, l) }()
}

// truth is IAM's answer where the cache is right.
func truth(name string) control.Answer {
	for _, u := range company().Users {
		if u.Name == name {
			a := control.Answer{User: u}
			if name != "ubuntu" && name != "bob" {
				a.Shared = []string{"ec2-user"}
			}
			if name == "alice" {
				a.Shared = append(a.Shared, "high", "root")
			}
			return a
		}
	}
	return control.Answer{User: cache.UserKeys{Name: name, Checked: time.Now()}}
}

var lookups = map[string]func(context.Context, string) (control.Answer, error){
	"truth": func(_ context.Context, name string) (control.Answer, error) { return truth(name), nil },
	"newkey": func(_ context.Context, name string) (control.Answer, error) {
		a := truth(name)
		a.User.Keys = []keys.Key{key("APKANEW", "new")}
		return a, nil
	},
	"nokeys": func(_ context.Context, name string) (control.Answer, error) {
		a := truth(name)
		a.User.Keys = nil
		return a, nil
	},
	"limited": func(_ context.Context, name string) (control.Answer, error) {
		a := truth(name)
		a.Limited = true
		return a, nil
	},
	"left": func(_ context.Context, name string) (control.Answer, error) {
		return control.Answer{User: cache.UserKeys{Name: name, Checked: time.Now()}}, nil
	},
	"reborn": func(_ context.Context, name string) (control.Answer, error) {
		a := truth(name)
		a.User.UID = 2001999999
		return a, nil
	},
	"down": func(context.Context, string) (control.Answer, error) {
		return control.Answer{}, errors.New("IAM does not answer")
	},
	"hangs": func(ctx context.Context, _ string) (control.Answer, error) {
		<-ctx.Done()
		return control.Answer{}, ctx.Err()
	},
}

// rawDaemons misbehave below HTTP.
var rawDaemons = map[string]func(net.Conn){
	"garbage": func(c net.Conn) { _, _ = c.Write(bytes.Repeat([]byte("\x00\xff garbage "), 1000)) },
	"never":   func(c net.Conn) { time.Sleep(time.Minute) },
	"closes":  func(net.Conn) {},
	"slow": func(c net.Conn) {
		for _, b := range []byte("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n") {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	},
	"endless": func(c net.Conn) {
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		for {
			if _, err := c.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	},
	"halfanswer": func(c net.Conn) {
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" +
			`{"version":1,"name":"alice","uid":2001000001,"login":true,"keys":[{"id":"APKAX"`))
	},
	"othername": answers(`{"version":1,"name":"bob","uid":2001000002,"login":true,"checked":1,"keys":[]}`),
	"future":    answers(`{"version":2,"name":"alice","uid":2001000001,"login":true,"checked":1,"keys":[]}`),
	"badkey": answers(`{"version":1,"name":"alice","uid":2001000001,"login":true,"checked":1,` +
		`"keys":[{"id":"A\nssh-rsa AAAA","blob":"AAAA"}]}`),
	"halfkey": answers(fmt.Sprintf(`{"version":1,"name":"alice","uid":2001000001,"login":true,"checked":1,`+
		`"keys":[{"id":"APKAX","blob":%q}]}`, base64.StdEncoding.EncodeToString(key("", "x").Blob[:40]))),
	"offcurve": answers(fmt.Sprintf(`{"version":1,"name":"alice","uid":2001000001,"login":true,"checked":1,`+
		`"keys":[{"id":"APKAX","blob":%q}]}`, base64.StdEncoding.EncodeToString(offCurve()))),
	"rootuid": answers(`{"version":1,"name":"alice","uid":0,"login":true,"checked":1,"keys":[]}`),
}

func answers(body string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
}

// offCurve is an ecdsa key whose point is nowhere, in a good frame.
func offCurve() []byte {
	return ssh.Marshal(struct {
		Type, Curve string
		Point       []byte
	}{ssh.KeyAlgoECDSA256, "nistp256", append([]byte{4}, bytes.Repeat([]byte{1}, 64)...)})
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
		for _, barred := range []string{"aws", "smithy", "nss-iam/internal/iam", "nss-iam/internal/snapshot", "os/user"} {
			if strings.Contains(pkg, barred) {
				t.Errorf("%s is linked in", strings.TrimSpace(pkg))
			}
		}
	}
}
