package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/state"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// A running is a process of the program on a victim's host.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	output logBuffer
	ended  chan error
}

func (v *victim) start(env []string, args ...string) *running {
	v.t.Helper()
	p := &running{t: v.t, cmd: v.command(), ended: make(chan error, 1)}
	p.cmd.Args = append(p.cmd.Args[:1], args...)
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	v.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// ends waits for the end of a process, which must be a good one.
func (p *running) ends() {
	p.t.Helper()
	select {
	case err := <-p.ended:
		if err != nil {
			p.t.Fatalf("%q: %v\n%s", p.cmd.Args[1:], err, p.output.String())
		}
	case <-time.After(2 * time.Minute):
		p.t.Fatalf("%q does not end\n%s", p.cmd.Args[1:], p.output.String())
	}
}

func (p *running) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Error(err)
	}
	p.ends()
}

func (v *victim) eventually(what string, holds func() bool) {
	v.t.Helper()
	for began := time.Now(); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			v.t.Fatalf("not seen: %s", what)
		}
	}
}

func (v *victim) cache() string { return filepath.Join(v.dir, "cache") }

// answers reports whether a daemon listens.
func (v *victim) answers() bool {
	_, err := control.Client{Path: filepath.Join(v.dir, "run", "sock")}.Status(v.t.Context())
	return err == nil
}

// systemd hears what a daemon says of itself.
func (v *victim) systemd() (env []string, heard *logBuffer) {
	v.t.Helper()
	path := filepath.Join(v.dir, "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = l.Close() })
	heard = &logBuffer{}
	go func() {
		b := make([]byte, 1024)
		for {
			n, err := l.Read(b)
			if err != nil {
				return
			}
			_, _ = heard.Write(append(b[:n], '\n'))
		}
	}()
	return []string{"NOTIFY_SOCKET=" + path}, heard
}

// A refresh by hand holds state.db for as long as IAM takes, and systemd starts the
// daemon meanwhile: at a boot, or somebody's restart after an edit.
func TestADaemonWaitsForTheCommandThatHasItsState(t *testing.T) {
	for name, cached := range map[string]bool{"and the cache serves": true, "and nobody is served yet": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t)
			if cached {
				v.refresh()
			}
			slow := emulator.Fault{Kind: emulator.Slow, Action: "GetGroup", Delay: emulator.Duration(5 * time.Second)}
			if err := v.e.SetFaults(slow); err != nil {
				t.Fatal(err)
			}
			command := v.start(nil, "refresh")
			v.eventually("the command has the state", func() bool { return state.Holder(v.cache()) != "" })
			env, heard := v.systemd()
			daemon := v.start(env, "run")
			v.eventually("the daemon waits", func() bool { return strings.Contains(daemon.output.String(), "waiting for") })
			holder := fmt.Sprintf("process %d, ", command.cmd.Process.Pid)
			if text := daemon.output.String(); !strings.Contains(text, holder) || !strings.Contains(text, "refresh") {
				t.Errorf("the daemon does not say that %s has it: %s", holder, text)
			}
			// The socket that hears it for systemd here may be read later than the log.
			v.eventually("systemctl status says it", func() bool {
				return !cached || strings.Contains(heard.String(),
					"STATUS=Waiting for another iam-cachefill, which has state.db locked: "+holder)
			})
			if ready := strings.Contains(heard.String(), "READY=1"); ready != cached {
				t.Errorf("ready while it waits: %v, want %v: %s", ready, cached, heard.String())
			}
			if err := daemon.cmd.Process.Signal(syscall.SIGHUP); err != nil { // systemctl reload
				t.Error(err)
			}
			command.ends()
			v.eventually("the daemon answers", v.answers)
			v.eventually("systemd knows", func() bool { return strings.Contains(heard.String(), "READY=1") })
			v.live()
			daemon.stop()
			if text := daemon.output.String(); strings.Contains(text, "level=ERROR") || strings.Count(text, "waiting for") != 1 {
				t.Errorf("it waits once, and that is no error: %s", text)
			}
		})
	}
}

// locked is a victim that was refreshed, and whose state this process has until it closes it.
func locked(t *testing.T) (*victim, *state.Store) {
	t.Helper()
	v := newVictim(t)
	v.refresh()
	s, err := state.Open(v.cache())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return v, s
}

// The keys of thousands of people take a command an hour. Systemd's watchdog must not end
// the daemon for that, and "systemctl stop" is no failure.
func TestADaemonThatWaitsLongSaysSoAndLives(t *testing.T) {
	t.Parallel()
	v, _ := locked(t)
	env, heard := v.systemd()
	daemon := v.start(append(env, "LATE=1s"), "run")
	v.eventually("it is logged as a warning", func() bool {
		return strings.Contains(daemon.output.String(), `level=WARN msg="nothing is refreshed yet"`)
	})
	v.eventually("the watchdog hears of it", func() bool { return strings.Contains(heard.String(), "WATCHDOG=1") })
	daemon.stop()
	if text := daemon.output.String(); strings.Contains(text, "level=ERROR") {
		t.Errorf("an end that was asked for is an error: %s", text)
	}
}

// The daemon has the state already and does not listen yet, or they come in any order.
func TestACommandAndAStartingDaemonBothDoTheirWork(t *testing.T) {
	v := newVictim(t)
	v.refresh()
	for _, ahead := range []time.Duration{-60, -20, 0, 5, 10, 15, 20, 40} { // of the daemon
		ahead *= time.Millisecond
		if ahead < 0 {
			command := v.start(nil, "refresh")
			time.Sleep(-ahead)
			daemon := v.start(nil, "run")
			command.ends()
			v.eventually("the daemon answers", v.answers)
			daemon.stop()
			continue
		}
		daemon := v.start(nil, "run")
		time.Sleep(ahead)
		command := v.start(nil, "refresh")
		command.ends()
		v.eventually("the daemon answers", v.answers)
		daemon.stop()
	}
}

// Where the daemon has the state and never comes to listen, the command says who has it.
func TestACommandWaitsForADaemonThatIsAboutToAnswer(t *testing.T) {
	v, s := locked(t)
	command := v.start(nil, "refresh")
	v.eventually("the command waits", func() bool { return strings.Contains(command.output.String(), "waiting for") })
	if text := command.output.String(); !strings.Contains(text, "holder=\"process ") {
		t.Errorf("the process it waits for is not named: %s", text)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	command.ends()
}

// With a configuration of its own a command does not ask the daemon, and need not wait.
func TestACommandWithItsOwnConfigurationSaysWhoHasTheState(t *testing.T) {
	v, _ := locked(t)
	command := v.start(nil, "refresh", "--config", filepath.Join(v.dir, "config.toml"))
	if err := <-command.ended; err == nil {
		t.Errorf("it did it: %s", command.output.String())
	}
	for _, want := range []string{"locked by another iam-cachefill: process ", "drop --config"} {
		if text := command.output.String(); !strings.Contains(text, want) {
			t.Errorf("%q is not said: %s", want, text)
		}
	}
}

// While a command has the state, nothing can be explained. Who has it is the next question.
func TestExplainSaysWhoHasTheState(t *testing.T) {
	v, _ := locked(t)
	command := v.start(nil, "explain", "alice")
	if err := <-command.ended; err == nil {
		t.Errorf("it did it: %s", command.output.String())
	}
	if text := command.output.String(); !strings.Contains(text, fmt.Sprintf("process %d", os.Getpid())) ||
		!strings.Contains(text, "ask again when it has ended") {
		t.Errorf("not said: %s", text)
	}
}
