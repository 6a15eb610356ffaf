package sessions

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

// What forks and ends without pause is nowhere when one looks.
const (
	runner = `trap "" TERM; echo set up; f() { f & exit; }; f`
	// It ends all processes of its uid that may be ended, before it runs on.
	hunter = `trap "" TERM; echo set up; f() { kill -9 -1 2>/dev/null; f & exit; }; f`
	// It does nothing but that.
	guard = `trap "" TERM; echo set up; while :; do kill -9 -1; done 2>/dev/null`
)

func shortGrace(t *testing.T) {
	before := grace
	grace = 300 * time.Millisecond
	t.Cleanup(func() { grace = before })
}

func noBus(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+t.TempDir()+"/none")
}

func TestWhatRunsFromSignalsIsEndedAllTheSame(t *testing.T) {
	unmet.Long(t, "processes that fork are chased for seconds")
	noBus(t)
	for name, script := range map[string]string{
		"a process that forks faster than it is looked at": runner,
		"one that also ends all of its number":             hunter,
		"one that ends all of its number and never forks":  guard,
	} {
		t.Run(name, func(t *testing.T) {
			shortGrace(t)
			other := start(t, stays, "echo set up; exec sleep 600")
			cmd := start(t, gone, script)
			t.Cleanup(func() { _ = signalAs(context.Background(), gone, unix.SIGKILL) })
			go func() { _ = cmd.Wait() }()
			if !exists(gone) {
				t.Fatal("it does not run")
			}
			got, err := End(t.Context(), []uint32{gone}, limits)
			if err != nil || len(got) != 1 || got[0].Err != nil || got[0].Processes < 1 {
				t.Fatalf("got %v, %v", got, err)
			}
			for range 50 { // ended means ended
				if exists(gone) {
					t.Fatal("it is alive after the end")
				}
				time.Sleep(time.Millisecond)
			}
			if !exists(stays) {
				t.Error("somebody else's process is gone")
			}
			_ = other.Process.Kill()
			_ = other.Wait()
		})
	}
}

// The capabilities that the unit's drop-in gives are enough, also for a process
// that may not gain any.
func TestTheUnitsCapabilitiesAreEnough(t *testing.T) {
	unmet.Root(t, "only root has capabilities to give up")
	if os.Getenv("NSS_IAM_TEST_BOUNDED") != "" {
		shortGrace(t)
		uid, err := strconv.ParseUint(os.Getenv("NSS_IAM_TEST_BOUNDED"), 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		got, err := End(t.Context(), []uint32{uint32(uid)}, limits)
		if err != nil || len(got) != 1 || got[0].Err != nil {
			t.Errorf("got %v, %v", got, err)
		}
		return
	}
	noBus(t)
	text, err := os.ReadFile("../../packaging/systemd/features/sessions.conf")
	if err != nil {
		t.Fatal(err)
	}
	bounds := "-all"
	for line := range strings.Lines(string(text)) {
		if list, ok := strings.CutPrefix(strings.TrimSpace(line), "CapabilityBoundingSet="); ok {
			for c := range strings.FieldsSeq(list) {
				bounds += ",+" + strings.ToLower(strings.TrimPrefix(c, "CAP_"))
			}
		}
	}
	for name, test := range map[string]struct {
		bounds string
		ends   bool
	}{"as the drop-in says": {bounds, true}, "without setuid": {"-all,+kill", false}} {
		t.Run(name, func(t *testing.T) {
			cmd := start(t, gone, runner)
			t.Cleanup(func() { _ = signalAs(context.Background(), gone, unix.SIGKILL) })
			go func() { _ = cmd.Wait() }()
			self, err := filepath.EvalSymlinks("/proc/self/exe")
			if err != nil {
				t.Fatal(err)
			}
			again := exec.Command("setpriv", "--bounding-set="+test.bounds, "--no-new-privs", self,
				"-test.run=^TestTheUnitsCapabilitiesAreEnough$")
			again.Env = append(os.Environ(), fmt.Sprintf("NSS_IAM_TEST_BOUNDED=%d", gone))
			out, err := again.CombinedOutput()
			if (err == nil) != test.ends {
				t.Errorf("%v\n%s", err, out)
			}
			if !test.ends && !strings.Contains(string(out), "iam-cachefill setup") {
				t.Errorf("the error has no remedy:\n%s", out)
			}
		})
	}
}

// The daemon and an expel may end people at the same time.
func TestTwoThatEndProcessesDoNotEndEachOther(t *testing.T) {
	unmet.Root(t, "only root takes other numbers")
	noBus(t)
	shortGrace(t)
	var both sync.WaitGroup
	for _, uid := range []uint32{gone, gone2} {
		cmd := start(t, uid, guard)
		t.Cleanup(func() { _ = signalAs(context.Background(), uid, unix.SIGKILL) })
		go func() { _ = cmd.Wait() }()
		both.Go(func() {
			if got, err := End(t.Context(), []uint32{uid}, limits); err != nil || len(got) != 1 || got[0].Err != nil {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	both.Wait()
}

// Linux before 5.3 has no pidfd_open(2), and filters older than that refuse it. A filter
// plays both.
func TestWhereThereAreNoPidfdsProcessesEndToo(t *testing.T) {
	unmet.Root(t, "only root takes other numbers")
	const variable = "NSS_IAM_TEST_NO_PIDFDS"
	if os.Getenv(variable) == "" {
		noBus(t)
		self, err := filepath.EvalSymlinks("/proc/self/exe")
		if err != nil {
			t.Fatal(err)
		}
		for _, with := range []syscall.Errno{unix.ENOSYS, unix.EPERM} {
			again := exec.Command(self, "-test.v", "-test.run=^TestWhereThereAreNoPidfdsProcessesEndToo$")
			again.Env = append(os.Environ(), fmt.Sprintf("%s=%d", variable, with))
			if out, err := again.CombinedOutput(); err != nil {
				t.Errorf("%v: %v\n%s", with, err, out)
			}
		}
		return
	}
	n, err := strconv.Atoi(os.Getenv(variable))
	if err != nil {
		t.Fatal(err)
	}
	with := syscall.Errno(n)
	refuse(t, unix.SYS_PIDFD_OPEN, with)
	if _, err := unix.PidfdOpen(os.Getpid(), 0); !errors.Is(err, with) {
		t.Fatalf("the filter lets it through: %v", err)
	}
	for name, c := range map[string]struct {
		script string
		by     syscall.Signal
	}{
		"what obeys SIGTERM is given it": {"echo set up; exec sleep 600", syscall.SIGTERM},
		"what ignores it is killed":      {`trap "" TERM; echo set up; while :; do sleep 1; done`, syscall.SIGKILL},
	} {
		t.Run(name, func(t *testing.T) {
			shortGrace(t)
			other := start(t, stays, "echo set up; exec sleep 600")
			cmd := start(t, gone, c.script)
			by := make(chan syscall.Signal, 1)
			go func() { by <- end(t, cmd) }()
			got, err := End(t.Context(), []uint32{gone}, limits)
			if err != nil || len(got) != 1 || got[0].Err != nil || got[0].Processes < 1 {
				t.Fatalf("got %v, %v", got, err)
			}
			if s := <-by; s != c.by {
				t.Errorf("it ended by %v, want %v", s, c.by)
			}
			if !exists(stays) {
				t.Error("somebody else's process is gone")
			}
			_ = other.Process.Kill()
			_ = other.Wait()
		})
	}
}

// refuse has the kernel answer a system call of this process with an error.
//
// Source: seccomp(2), linux/seccomp.h.
func refuse(t *testing.T, call uint32, with syscall.Errno) {
	t.Helper()
	const allow, fail = 0x7fff0000, 0x00050000 // SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the call's number is at 0
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: fail | uint32(with)},
		{Code: unix.BPF_RET | unix.BPF_K, K: allow},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const setFilter, allThreads = 1, 1 // SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC
	if _, _, err := unix.Syscall(unix.SYS_SECCOMP, setFilter, allThreads, uintptr(unsafe.Pointer(&program))); err != 0 {
		t.Fatalf("seccomp: %v", err)
	}
}

func TestTheChildTakesOnlyUIDsOfOurs(t *testing.T) {
	for _, text := range []string{"0", "1000", "-1", "4294967295", "", "x", "2147352576"} {
		if err := child(text, true); !errors.Is(err, ErrNotOurs) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// A root shell in a session has another uid, and ends with the slice.
func TestTheSliceOfAUserEndsAsAWhole(t *testing.T) {
	unmet.Root(t, "only root can make cgroups")
	noBus(t)
	shortGrace(t)
	root := ""
	for _, r := range cgroupRoots {
		if _, err := os.Stat(filepath.Join(r, "cgroup.controllers")); err == nil {
			root = r
		}
	}
	if root == "" {
		unmet.Skip(t, "no cgroups of version 2 here")
	}
	top := filepath.Join(root, fmt.Sprintf("nss-iam-sessions-test-%d", os.Getpid()))
	dir := filepath.Join(top, sliceOf(gone).name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = os.Remove(dir), os.Remove(filepath.Dir(dir)), os.Remove(top) })
	if _, err := os.Stat(filepath.Join(dir, "cgroup.kill")); err != nil {
		unmet.Skip(t, "the kernel has no cgroup.kill")
	}
	before := cgroupRoots
	cgroupRoots = []string{filepath.Join(root, "no such folder"), top}
	t.Cleanup(func() { cgroupRoots = before })

	if got, err := End(t.Context(), []uint32{gone}, limits); got != nil || err != nil {
		t.Fatalf("an empty slice: got %v, %v", got, err)
	}
	shell := start(t, 0, "echo $$ >"+dir+"/cgroup.procs; trap '' TERM HUP; echo set up; sleep 600; :")
	ended := make(chan struct{})
	go func() { _ = shell.Wait(); close(ended) }()
	if exists(gone) {
		t.Fatal("it runs under the user's uid")
	}
	got, err := End(t.Context(), []uint32{gone, gone2}, limits)
	if err != nil || len(got) != 1 || got[0].Err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the root shell lives on")
	}
}
