package testbed

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A Process is a command that goes on in a host while the test does.
type Process struct {
	h    *Host
	name string
	cmd  *exec.Cmd
	out  output
	done chan struct{} // closed when it has ended
}

// output collects what a process prints, readable meanwhile.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Start starts a command as root. It is ended with the test, and what it
// printed is shown if the test fails.
func (h *Host) Start(env []string, command ...string) *Process {
	h.t.Helper()
	p := &Process{h: h, name: command[0], done: make(chan struct{})}
	p.cmd = h.command(context.Background(), env, command...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() {
		p.cmd.Wait() // the status is read from ProcessState
		close(p.done)
	}()
	h.t.Cleanup(func() {
		p.Stop()
		if h.t.Failed() {
			h.t.Logf("%s printed:\n%s", p.name, p.out.String())
		}
	})
	return p
}

// Output is what the process has printed so far.
func (p *Process) Output() string { return p.out.String() }

// Pid is the process's number on this machine: nsenter's child. It is 0 when
// the process has ended.
func (p *Process) Pid() int {
	all, err := os.ReadDir("/proc")
	if err != nil {
		p.h.t.Fatal(err)
	}
	for _, entry := range all {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue
		}
		// "42 (name) S 17 …": the name may hold anything, the parent is the second field after it.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(p.cmd.Process.Pid) {
			return pid
		}
	}
	return 0
}

// Signal sends the process a signal.
func (p *Process) Signal(signal unix.Signal) {
	p.h.t.Helper()
	pid := p.Pid()
	if pid == 0 {
		p.h.t.Fatalf("%s has ended:\n%s", p.name, p.out.String())
	}
	if err := unix.Kill(pid, signal); err != nil {
		p.h.t.Fatalf("signal %s: %v", p.name, err)
	}
	if signal == unix.SIGCONT {
		// nsenter stops with its child, and would never see it end.
		if err := p.cmd.Process.Signal(signal); err != nil {
			p.h.t.Fatalf("signal nsenter of %s: %v", p.name, err)
		}
	}
}

// Wait waits for the process to end by itself and returns its exit status.
func (p *Process) Wait(limit time.Duration) int {
	p.h.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		p.h.t.Fatalf("%s has not ended in %v:\n%s", p.name, limit, p.out.String())
		return -1
	}
}

// Stop ends the process: politely, then after five seconds by force.
func (p *Process) Stop() {
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if pid := p.Pid(); pid != 0 {
			unix.Kill(pid, signal) // it may have ended meanwhile
		}
		select {
		case <-p.done:
			return
		case <-time.After(5 * time.Second):
		}
	}
	unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
	<-p.done
}

// Eventually waits until ok says yes, asking often, and fails the test with
// what is said when it has not by the limit. The limit is for machines that
// hang, not for measuring.
func (h *Host) Eventually(what string, limit time.Duration, ok func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("not in %v: %s", limit, what)
		}
	}
}
