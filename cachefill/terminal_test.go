package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// atTerminal runs this program with a terminal of this width, and returns what a person sees.
func atTerminal(t *testing.T, width uint16, environment []string, args ...string) string {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ptmx.Close()
	if err := unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), append(environment, "IAM_CACHEFILL_OF_A_TEST=1", "WORK="+t.TempDir())...)
	cmd.Stdout, cmd.Stderr = tty, tty
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	seen, _ := io.ReadAll(ptmx) // ends with EIO when the program does
	_ = cmd.Wait()
	return strings.ReplaceAll(string(seen), "\r\n", "\n")
}

func TestATerminalOfFortyColumnsIsEnough(t *testing.T) {
	for _, args := range [][]string{{}, {"status", "--config", "testdata/config.toml"}, {"setup", "--help"}} {
		seen := atTerminal(t, 40, []string{"TERM=xterm"}, args...)
		for _, line := range strings.Split(seen, "\n") {
			if n := len([]rune(plain(line))); n > 40 && strings.Contains(strings.TrimSpace(plain(line)), " ") &&
				!strings.HasPrefix(strings.TrimSpace(line), "#") && !strings.Contains(line, "--") {
				t.Errorf("%q: %d columns: %q", args, n, line)
			}
		}
	}
}

func TestWhatIsBrokenIsRedOnATerminalThatPeopleWantColored(t *testing.T) {
	const red = "\x1b[31m"
	for _, c := range []struct {
		name        string
		environment []string
		want        bool
	}{
		{"a terminal with colors", []string{"TERM=xterm", "NO_COLOR="}, true},
		{"NO_COLOR", []string{"TERM=xterm", "NO_COLOR=1"}, false},
		{"a terminal without colors", []string{"TERM=dumb", "NO_COLOR="}, false},
		{"another language and alphabet", []string{"TERM=xterm", "NO_COLOR=", "LC_ALL=ja_JP.UTF-8"}, true},
	} {
		seen := atTerminal(t, 80, c.environment, "status", "--config", "testdata/config.toml")
		if got := strings.Contains(seen, red); got != c.want {
			t.Errorf("%s: red %v, want %v: %q", c.name, got, c.want, seen)
		}
		if !strings.Contains(plain(seen), "broken  cache") {
			t.Errorf("%s: %q", c.name, seen)
		}
	}
}

// plain is a text without colors.
func plain(text string) string {
	for _, code := range []string{"\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"} {
		text = strings.ReplaceAll(text, code, "")
	}
	return text
}
