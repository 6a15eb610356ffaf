package sessions

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

var limits = Limits{
	Range: accounts.Range{Low: 2001000000, High: 2146999999},
	Host:  accounts.Host{Users: []accounts.HostUser{{Name: "root"}, {Name: "local", UID: 2001000009}}},
}

// firstThreadEnds makes this program one whose first thread has ended, while others run
// on: /proc shows it as a zombie.
const firstThreadEnds = "FIRST_THREAD_ENDS"

func init() { // which runs in the first thread
	if os.Getenv(firstThreadEnds) != "" {
		go func() {
			time.Sleep(10 * time.Minute)
			os.Exit(0)
		}()
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT, 0, 0, 0)
	}
}

func TestMain(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

// Numbers of nobody, and of no other run of these tests at the same time.
var (
	gone   = 2001001000 + 10*uint32(os.Getpid()%100000)
	gone2  = gone + 1
	stays  = gone + 2
	unused = gone + 3
)

func TestUIDsThatAreNotOursAreRefused(t *testing.T) {
	self := uint32(os.Getuid())
	for name, c := range map[string]struct {
		uid    uint32
		limits Limits
	}{
		"root":                                  {0, limits},
		"a local person":                        {1000, limits},
		"a system number by a range too wide":   {1000, Limits{Range: accounts.Range{Low: 0, High: 4294967295}}},
		"our own user by a range too wide":      {self, Limits{Range: accounts.Range{Low: 0, High: 4294967295}}},
		"no number at all":                      {4294967295, Limits{Range: accounts.Range{Low: 0, High: 4294967295}}},
		"outside the range":                     {70000, limits},
		"a local account inside the range":      {2001000009, limits},
		"the last but one of systemd's numbers": {2147352576, limits},
	} {
		// One wrong number stops all.
		if got, err := End(t.Context(), []uint32{gone, c.uid}, c.limits); !errors.Is(err, ErrNotOurs) || got != nil {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestWithoutProcessesThereIsNothingToEnd(t *testing.T) {
	if got, err := End(t.Context(), []uint32{gone}, limits); got != nil || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

// start runs a shell as uid and returns when it has said that it is set up.
func start(t *testing.T, uid uint32, script string) *exec.Cmd {
	t.Helper()
	unmet.Root(t, "only root can run processes as somebody else")
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}, Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "set up\n" {
		t.Fatalf("the process said %q, %v", line, err)
	}
	return cmd
}

// end waits for a process and returns the signal that ended it, 0 for none.
func end(t *testing.T, cmd *exec.Cmd) syscall.Signal {
	t.Helper()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()
}

func TestAUsersProcessesEndAndNobodyElses(t *testing.T) {
	unmet.Long(t, "one process ignores SIGTERM, and has the whole grace for it")
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+t.TempDir()+"/none")
	polite := start(t, gone, "echo set up; exec sleep 600")
	stubborn := start(t, gone, `trap "" TERM; sleep 600 & echo set up; wait; sleep 600`)
	second := start(t, gone2, "echo set up; exec sleep 600")
	other := start(t, stays, "echo set up; exec sleep 600")
	var signals [3]syscall.Signal
	var all sync.WaitGroup
	for i, cmd := range []*exec.Cmd{polite, stubborn, second} {
		all.Go(func() { signals[i] = end(t, cmd) })
	}
	got, err := End(t.Context(), []uint32{gone, gone2, unused}, limits)
	// the stubborn one's sleep is a process of its own
	if err != nil || !slices.Equal(got, []Ended{{UID: gone, Processes: 3}, {UID: gone2, Processes: 1}}) {
		t.Errorf("got %v, %v", got, err)
	}
	all.Wait()
	if signals != [3]syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGTERM} {
		t.Errorf("they were ended by %v", signals)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("somebody else's process: %v", err)
	}
	if left, err := signal([]uint32{gone, gone2}, 0); left != 0 || err != nil {
		t.Errorf("%d are left, %v", left, err)
	}
}

// A logind that ends sessions as the real one does, and remembers whose.
type logind struct {
	asked chan uint32
	end   func()
}

func (l *logind) TerminateUser(uid uint32) *dbus.Error {
	l.end()
	l.asked <- uid
	return nil
}

func TestLogindIsAskedFirst(t *testing.T) {
	bus := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address=1", "--address=unix:dir="+t.TempDir())
	out, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bus.Process.Kill(); _ = bus.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", strings.TrimSpace(address))
	conn, err := dbus.Connect(strings.TrimSpace(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	process := start(t, gone, "echo set up; exec sleep 600")
	// Not SIGHUP: under nohup(1) everybody ignores it.
	l := &logind{make(chan uint32, 1),
		func() { _ = process.Process.Signal(syscall.SIGUSR1); time.Sleep(200 * time.Millisecond) }}
	if err := conn.Export(l, "/org/freedesktop/login1", "org.freedesktop.login1.Manager"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName("org.freedesktop.login1", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	ended := make(chan syscall.Signal)
	go func() { ended <- end(t, process) }()
	if got, err := End(t.Context(), []uint32{gone}, limits); err != nil ||
		!slices.Equal(got, []Ended{{UID: gone, Processes: 1}}) {
		t.Errorf("got %v, %v", got, err)
	}
	if s := <-ended; s != syscall.SIGUSR1 {
		t.Errorf("the process ended by %v, not by logind", s)
	}
	select {
	case uid := <-l.asked:
		if uid != gone {
			t.Errorf("logind was asked for %d", uid)
		}
	default:
		t.Error("logind was not asked")
	}
}

func TestAProcThatHidesProcessesIsNoticed(t *testing.T) {
	const shown = "22 28 0:20 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw\n"
	const hidden = "90 22 0:44 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw,hidepid=invisible\n"
	for _, c := range []struct {
		name, mounts string
		want         bool
	}{
		{"an open /proc", shown, false},
		{"hidden by ProtectProc over an open one", shown + hidden, true},
		{"open again over a hidden one", hidden + shown, false},
		{"hidepid by number", "22 28 0:20 / /proc rw - proc proc rw,hidepid=2\n", true},
		{"hidepid switched off", "22 28 0:20 / /proc rw - proc proc rw,hidepid=off\n", false},
		{"another folder's", "22 28 0:20 / /srv/proc rw - proc proc rw,hidepid=2\n", false},
		{"lines that are none", "\n - \nx /proc - proc\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := hidesProcesses(c.mounts); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestWhoHoldsAGroupIsFoundByTheRealUid(t *testing.T) {
	unmet.Root(t, "only root can give a process groups")
	const group = 2001000999
	cmd := exec.Command("/bin/sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: gone, Gid: gone,
		Groups: []uint32{5, group}}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for name, test := range map[string]struct {
		gid  uint32
		want []uint32
	}{
		"a supplementary group": {group, []uint32{gone}},
		"the process's own":     {gone, []uint32{gone}},
		"nobody's":              {group + 1, nil},
	} {
		if got, err := Holding(test.gid); err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestAProcessWhoseFirstThreadHasEndedIsSeenAndEnded(t *testing.T) {
	unmet.Root(t, "only root can give a process groups")
	noBus(t)
	shortGrace(t)
	const group = 2001000998
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{firstThreadEnds + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: gone, Gid: gone, Groups: []uint32{group}}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	path := fmt.Sprintf("/proc/%d/status", cmd.Process.Pid)
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		status, err := os.ReadFile(path)
		if err != nil || time.Now().After(end) {
			t.Fatalf("%v; its first thread does not end:\n%s", err, status)
		}
		if strings.Contains(string(status), "zombie") {
			break
		}
	}
	if got, err := Holding(group); err != nil || !slices.Equal(got, []uint32{gone}) {
		t.Errorf("the holders of its group are %v, %v; want %d", got, err, gone)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if got, err := End(t.Context(), []uint32{gone}, limits); err != nil ||
		!slices.Equal(got, []Ended{{UID: gone, Processes: 1}}) {
		t.Errorf("got %v, %v", got, err)
	}
	if err := <-ended; err == nil {
		t.Error("it was not ended by a signal")
	}
}
