package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/homes"
	"github.com/nss-iam/nss-iam/internal/sessions"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

func TestMain(m *testing.M) {
	sessions.Child()
	if os.Getenv("IAM_CACHEFILL_OF_A_TEST") != "" {
		program()
	}
	testscript.Main(m, map[string]func(){ownName: program, alias: program})
}

// program is iam-cachefill with all its paths in $WORK.
func program() {
	work := os.Getenv("WORK")
	if turn, err := time.ParseDuration(os.Getenv("TURN")); err == nil {
		commandTurn, daemonTurn = turn, turn
	}
	if late, err := time.ParseDuration(os.Getenv("LATE")); err == nil {
		lateAfter = late
	}
	cacheDir, socketPath = filepath.Join(work, "cache"), filepath.Join(work, "run", "sock")
	nscdSocket, hostRoot = filepath.Join(work, "nscd"), filepath.Join(work, "host")
	configPath, journalSocket = filepath.Join(work, "config.toml"), filepath.Join(work, "journal")
	maker = func() homes.Maker { return homes.Maker{Root: work, Skel: "/skel", Mode: 0o700, Host: "test"} }
	main()
}

// The commands that the scripts have besides testscript's own:
//
//	iam-cachefill ARG…     the program, with its cache, configuration and socket in $WORK
//	status N COMMAND ARG…  runs a command, which must exit with status N
//	iam VERB ARG…          changes the AWS account that all scripts begin with: see company and people
//	served NAME…           exactly these users are served, former ones left out
//	photo, unchanged       remembers what is in the cache folder; it is all the same still
//	daemon start           starts "iam-cachefill run" in the background
//	daemon says PATTERN    waits until its log has such a line
//	daemon notifies TEXT   waits until it told systemd so
//	daemon hup, stop       sends a signal; stop wants an end with status 0, at once
//	process start NAME     starts a process of a served user; process ended waits for its end,
//	                       ! process ended says that it lives
//	document NAME COMMAND… runs a command; its output is a document of that name by docs/json-schema.json
//	config TEXT            writes config.toml: TEXT, with \n for ends of lines, and what every script needs
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: prepare,
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			if os.Geteuid() != 0 && os.Getenv("CI") == "true" {
				return false, errors.New("only root can run this script, and in CI none is skipped")
			}
			return os.Geteuid() == 0, nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": exitStatus, "iam": changeIAM, "served": servedUsers, "photo": photo, "unchanged": unchanged,
			"daemon": daemonCommand, "config": writeConfig, "process": process, "document": jsonDocument,
		},
	})
}

var company = emulator.Company{
	Groups: []emulator.Group{{Name: "developers"}, {Name: "admins"}, {Name: "guests"}},
	Users: []emulator.User{
		{ID: "AIDAALICEEXAMPLE00001", Name: "alice", Groups: []string{"developers", "admins"},
			Keys: []emulator.Key{{ID: "APKAALICE00000000001", Body: emulator.RSALine(1, "alice")}}},
		{ID: "AIDABOBEXAMPLE0000001", Name: "bob", Groups: []string{"developers"}},
		{ID: "AIDACAROLEXAMPLE00001", Name: "carol", Groups: []string{"developers"}},
		{ID: "AIDADAVEEXAMPLE000001", Name: "dave", Groups: []string{"guests"}},
		{ID: "AIDAEVEEXAMPLE0000001", Name: "eve@example.com", Groups: []string{"developers"}},
	},
}

// people are who is in IAM Identity Center.
var people = emulator.IdentityStore{
	Groups: []emulator.PeopleGroup{{Name: "Platform Team"}, {Name: "Platform Admins"}, {Name: "Finance"}},
	People: []emulator.Person{
		{UserName: "paula@example.com", Emails: []string{"paula@example.com"}, Status: "ENABLED",
			Groups: []string{"Platform Team", "Platform Admins"}},
		{UserName: "peter@example.com", Groups: []string{"Platform Team"}},
		{UserName: "fred@example.com", Groups: []string{"Finance"}},
	},
}

// A world is what one script has besides its files.
type world struct {
	e        *emulator.Emulator
	daemon   *exec.Cmd
	log      *heard
	notices  *heard
	picture  string
	finished chan struct{}
	process  chan struct{} // closed when the user's process has ended
}

type worldKey struct{}

func of(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func prepare(env *testscript.Env) error {
	e, err := emulator.Start(emulator.Options{Company: company, Store: people})
	if err != nil {
		return err
	}
	w := &world{e: e, notices: new(heard)}
	env.Values[worldKey{}] = w
	env.Defer(func() { _ = e.Close() })
	// For scripts that end processes by their uid: no other run has the same.
	env.Setenv("LOW", strconv.Itoa(2001000000+rand.IntN(1000000)))
	address := &net.UnixAddr{Name: filepath.Join(env.WorkDir, "notify"), Net: "unixgram"}
	socket, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		return err
	}
	env.Defer(func() { _ = socket.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := socket.Read(b)
			if err != nil {
				return
			}
			_, _ = w.notices.Write(append(b[:n:n], '\n'))
		}
	}()
	env.Defer(w.kill)
	none := filepath.Join(env.WorkDir, "none")
	env.Vars = append(env.Vars, "GORACE=atexit_sleep_ms=0", "AWS_ENDPOINT_URL="+e.URL,
		"AWS_REGION=eu-west-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID="+emulator.AccessKey, "AWS_SECRET_ACCESS_KEY="+emulator.SecretKey,
		"AWS_CONFIG_FILE="+none, "AWS_SHARED_CREDENTIALS_FILE="+none, "NO_PROXY=*")
	if err := os.Mkdir(filepath.Join(env.WorkDir, "run"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(env.WorkDir, "config.toml"),
		[]byte("[login]\ngroups = [\"developers\"]\n[sudo]\ngroups = [\"admins\"]\n[removal]\nmax_fraction = 0.5\n"), 0o644)
}

func writeConfig(ts *testscript.TestScript, neg bool, args []string) {
	text := strings.ReplaceAll(strings.Join(args, " "), `\n`, "\n") + "\n"
	ts.Check(os.WriteFile(ts.MkAbs("config.toml"), []byte(text), 0o644))
}

func exitStatus(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func changeIAM(ts *testscript.TestScript, neg bool, args []string) {
	e := of(ts).e
	verb, args := args[0], args[1:]
	switch verb {
	case "add-member":
		ts.Check(e.AddMember(args[0], args[1]))
	case "remove-member":
		ts.Check(e.RemoveMember(args[0], args[1]))
	case "create-user":
		_, err := e.CreateUser(emulator.User{Name: args[0], Groups: args[1:]})
		ts.Check(err)
	case "rename":
		ts.Check(e.UpdateUser(args[0], args[1], ""))
	case "create-group":
		_, err := e.CreateGroup(emulator.Group{Name: args[0]})
		ts.Check(err)
	case "delete-group":
		ts.Check(e.DeleteGroup(args[0]))
	case "person": // STATUS NAME GROUP…: of somebody in Identity Center
		store := e.IdentityStore()
		i := slices.IndexFunc(store.People, func(p emulator.Person) bool { return p.UserName == args[1] })
		store.People[i].Status, store.People[i].Groups = args[0], args[2:]
		ts.Check(e.SetIdentityStore(store))
	case "deny":
		e.SetPolicy(emulator.AccessKey, emulator.AllowAllBut(args...))
	case "spoil":
		ts.Check(e.SetFaults(emulator.Fault{Kind: args[0], Times: -1}))
	case "repair":
		ts.Check(e.SetFaults())
		e.SetPolicy(emulator.AccessKey, nil)
	case "stop":
		ts.Check(e.Close())
	default:
		ts.Fatalf("unknown verb %q", verb)
	}
}

func servedUsers(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.Now().Add(time.Minute)
	for {
		tables, _, err := cache.ReadNSS(ts.MkAbs("cache"))
		if err != nil && len(args) > 0 {
			tables.Users = nil
		}
		var live []string
		for _, u := range tables.Users {
			if !u.Former {
				live = append(live, u.Name)
			}
		}
		slices.Sort(live)
		if slices.Equal(live, args) || len(live)+len(args) == 0 {
			return
		}
		if of(ts).daemon == nil || time.Now().After(deadline) {
			ts.Fatalf("served are %v (%v), want %v", live, err, args)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// shot is every file of the cache folder with its size, time and inode.
func shot(ts *testscript.TestScript) string {
	var all []string
	entries, err := os.ReadDir(ts.MkAbs("cache"))
	if err != nil {
		return "no folder"
	}
	for _, e := range entries {
		info, err := e.Info()
		ts.Check(err)
		all = append(all, fmt.Sprint(e.Name(), info.Size(), info.ModTime().UnixNano(), info.Mode(),
			info.Sys().(*syscall.Stat_t).Ino))
	}
	return strings.Join(all, "\n")
}

func photo(ts *testscript.TestScript, neg bool, args []string) { of(ts).picture = shot(ts) }

func unchanged(ts *testscript.TestScript, neg bool, args []string) {
	if now := shot(ts); now != of(ts).picture {
		ts.Fatalf("the cache folder changed, from\n%s\nto\n%s", of(ts).picture, now)
	}
}

// heard is what a process said so far.
type heard struct {
	mu   sync.Mutex
	text []byte
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, p...)
	return len(p), nil
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.text)
}

// wait waits until something like pattern was said, and forgets what was said up to there.
func (h *heard) wait(ts *testscript.TestScript, pattern string) {
	re := regexp.MustCompile("(?m)" + pattern)
	for deadline := time.Now().Add(time.Minute); ; {
		text := h.String()
		if at := re.FindStringIndex(text); at != nil {
			h.mu.Lock()
			h.text = h.text[at[1]:]
			h.mu.Unlock()
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nothing like %q was said in\n%s", pattern, text)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func daemonCommand(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	switch args[0] {
	case "start":
		program, err := lookPath(ts, "iam-cachefill")
		ts.Check(err)
		w.daemon, w.log, w.finished = exec.Command(program, append([]string{"run"}, args[1:]...)...), new(heard),
			make(chan struct{})
		w.daemon.Stderr = w.log
		w.daemon.Env = os.Environ()
		for _, name := range []string{"WORK", "PATH", "HOME", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_EC2_METADATA_DISABLED",
			"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "NO_PROXY"} {
			w.daemon.Env = append(w.daemon.Env, name+"="+ts.Getenv(name))
		}
		w.daemon.Env = append(w.daemon.Env, "NOTIFY_SOCKET="+ts.MkAbs("notify"))
		if usec := ts.Getenv("WATCHDOG_USEC"); usec != "" {
			w.daemon.Env = append(w.daemon.Env, "WATCHDOG_USEC="+usec)
		}
		ts.Check(w.daemon.Start())
		daemon, finished := w.daemon, w.finished
		go func() { _ = daemon.Wait(); close(finished) }()
	case "says":
		w.log.wait(ts, args[1])
	case "notifies":
		w.notices.wait(ts, args[1])
	case "hup":
		ts.Check(w.daemon.Process.Signal(syscall.SIGHUP))
	case "stop":
		ts.Check(w.daemon.Process.Signal(syscall.SIGTERM))
		select {
		case <-w.finished:
		// A second is what it should take; more is a busy machine's, and a
		// stalled call would take twelve.
		case <-time.After(8 * time.Second):
			ts.Fatalf("the daemon does not stop:\n%s", w.log)
		}
		if code := w.daemon.ProcessState.ExitCode(); code != 0 {
			ts.Fatalf("exit status %d:\n%s", code, w.log)
		}
		ts.Logf("%s", w.log)
		w.daemon = nil
	default:
		ts.Fatalf("unknown verb %q", args[0])
	}
}

func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode()&0o111 != 0 {
			return filepath.Join(dir, name), nil
		}
	}
	return "", fmt.Errorf("%s is not in the path", name)
}

func (w *world) kill() {
	if w.daemon != nil {
		_ = w.daemon.Process.Kill()
		<-w.finished
	}
}

func process(ts *testscript.TestScript, neg bool, args []string) {
	w := of(ts)
	if args[0] == "ended" && neg {
		select {
		case <-w.process:
			ts.Fatalf("the process has ended")
		default:
		}
		return
	}
	if args[0] == "ended" {
		select {
		case <-w.process:
		case <-time.After(time.Minute):
			ts.Fatalf("the process goes on")
		}
		return
	}
	tables, _, err := cache.ReadNSS(ts.MkAbs("cache"))
	ts.Check(err)
	i := slices.IndexFunc(tables.Users, func(u accounts.User) bool { return u.Name == args[1] })
	cmd := exec.Command("/bin/sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: tables.Users[i].UID,
		Gid: tables.Users[i].UID, Groups: tables.Users[i].Groups}}
	ts.Check(cmd.Start())
	ended := make(chan struct{})
	w.process = ended
	go func() { _ = cmd.Wait(); close(ended) }()
	ts.Defer(func() { _ = cmd.Process.Kill() })
}
