package testbed

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// CommandLimit is how long a command in a host may take before it is ended and
// the test fails.
const CommandLimit = 10 * time.Minute

// A Host is a machine of its own as far as its processes can tell. Its methods
// end the test when the test bed itself fails.
type Host struct {
	t   testing.TB
	pid int    // of its first process
	Way string // how it was made, as tests/private-host says it
	sys *Syslog

	machine *machine // of a booted host; nil: it cannot boot again
}

// An Option changes how a host is made.
type Option func(*hostOptions)

type hostOptions struct{ args []string }

// WithoutOverlay makes a host as on machines that refuse overlays.
func WithoutOverlay() Option {
	return func(o *hostOptions) { o.args = append(o.args, "--no-overlay") }
}

func ofTree(dir string) Option {
	return func(o *hostOptions) {
		o.args = append(o.args, "--root", dir)
		if _, err := os.Stat(Build()); err == nil {
			o.args = append(o.args, "--bind", Build())
		}
	}
}

// NewHost is a private copy of this machine. It ends with the test.
func NewHost(t testing.TB, options ...Option) *Host {
	t.Helper()
	Require(t)
	var o hostOptions
	for _, option := range options {
		option(&o)
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	// The host ends when cat does: when this process closes the pipe, or ends.
	cmd := exec.Command(filepath.Join(Root(), "tests", "private-host"), append(append(o.args, "--ready", "3", "--"),
		"cat")...)
	cmd.ExtraFiles = []*os.File{theirs}
	stderr := new(bytes.Buffer)
	cmd.Stderr = stderr
	life, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	t.Cleanup(func() {
		life.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("end the host: %v\n%s", err, stderr)
		}
	})
	line, _ := bufio.NewReader(ready).ReadString('\n') // an end without a line is no number either
	pid, way, _ := strings.Cut(strings.TrimSpace(line), " ")
	h := &Host{t: t, Way: way}
	if h.pid, err = strconv.Atoi(pid); err != nil {
		t.Fatalf("no private host: %s", stderr)
	}
	return h
}

// root opens the host's file tree. Paths in it that leave it, as absolute links
// do, are errors: they would lead to the machine's own files.
func (h *Host) root() *os.Root {
	h.t.Helper()
	root, err := os.OpenRoot(fmt.Sprintf("/proc/%d/root", h.pid))
	if err != nil {
		h.t.Fatal(err)
	}
	return root
}

// Write replaces a file, makes the folders that it needs, and gives it this mode.
func (h *Host) Write(name, content string, mode os.FileMode) {
	h.t.Helper()
	root := h.root()
	defer root.Close()
	name = strings.TrimPrefix(name, "/")
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		h.t.Fatal(err)
	}
	if err := root.WriteFile(name, []byte(content), mode); err != nil {
		h.t.Fatal(err)
	}
	if err := root.Chmod(name, mode); err != nil {
		h.t.Fatal(err)
	}
}

// Read is a file's content.
func (h *Host) Read(name string) string {
	h.t.Helper()
	root := h.root()
	defer root.Close()
	content, err := root.ReadFile(strings.TrimPrefix(name, "/"))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(content)
}

// A Result is what a command did.
type Result struct {
	Command        string
	Stdout, Stderr string
	Code           int // exit status; -1 after a signal
	Took           time.Duration
}

// String is the result as a failed test shows it.
func (r Result) String() string {
	return fmt.Sprintf("%s\nexit status %d after %v\nstdout: %q\nstderr: %q", r.Command, r.Code,
		r.Took.Round(time.Millisecond), r.Stdout, r.Stderr)
}

// Try runs a command as root and tells what came of it.
func (h *Host) Try(command ...string) Result {
	h.t.Helper()
	return h.TryInput("", nil, command...)
}

// TryAs is Try as another user, with that user's groups and no capability.
func (h *Host) TryAs(user string, command ...string) Result {
	h.t.Helper()
	group := h.Run("id", "-g", user)
	return h.TryInput("", nil, append([]string{"setpriv", "--reuid=" + user, "--regid=" + group, "--init-groups"},
		command...)...)
}

// TryInput is Try with standard input and further environment variables. A
// command starts with PATH, HOME and LANG only.
func (h *Host) TryInput(input string, env []string, command ...string) Result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), CommandLimit)
	defer cancel()
	cmd := h.command(ctx, env, command...)
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	r := Result{Command: strings.Join(command, " "), Stdout: stdout.String(), Stderr: stderr.String(),
		Took: time.Since(start)}
	if ctx.Err() != nil {
		h.t.Fatalf("not ended in %v: %v", CommandLimit, r)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("%s: %v", r.Command, err)
	}
	r.Code = cmd.ProcessState.ExitCode()
	return r
}

// Run runs a command as root, which must succeed, and returns its output
// without the last newline.
func (h *Host) Run(command ...string) string {
	h.t.Helper()
	r := h.Try(command...)
	if r.Code != 0 {
		h.t.Fatal(r)
	}
	return strings.TrimSuffix(r.Stdout, "\n")
}

// RunAs is Run as another user.
func (h *Host) RunAs(user string, command ...string) string {
	h.t.Helper()
	r := h.TryAs(user, command...)
	if r.Code != 0 {
		h.t.Fatal(r)
	}
	return strings.TrimSuffix(r.Stdout, "\n")
}

func (h *Host) command(ctx context.Context, env []string, command ...string) *exec.Cmd {
	args := []string{"-t", strconv.Itoa(h.pid), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--",
		"env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	args = append(args, env...)
	cmd := exec.CommandContext(ctx, "nsenter", append(args, command...)...)
	// nsenter and what it starts are one group, so that a limit ends both.
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// within calls f on a thread that is in the host's network.
func (h *Host) within(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread is never unlocked, so it ends with the goroutine and no other
		// finds itself in the host.
		runtime.LockOSThread()
		space, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", h.pid))
		if err != nil {
			done <- err
			return
		}
		defer space.Close()
		if err := unix.Setns(int(space.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the host's network: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// Dial connects to an address in the host's network.
func (h *Host) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = h.within(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Client speaks HTTP in the host's network.
func (h *Host) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: h.Dial, DisableKeepAlives: true}, Timeout: CommandLimit}
}

// FreePort is a TCP port that nothing in the host's network listens on.
func (h *Host) FreePort() (port int) {
	h.t.Helper()
	err := h.within(func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		port = l.Addr().(*net.TCPAddr).Port
		return l.Close()
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return port
}
