package homes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

// TestMain plays a maker that is killed at its n-th step, where it is asked to.
func TestMain(m *testing.M) {
	root := os.Getenv("KILLED_MAKER_ROOT")
	if root == "" {
		os.Exit(m.Run())
	}
	maker := Maker{Root: root, Skel: "/etc/skel", Mode: 0o700, Host: "here",
		plain: os.Getenv("KILLED_MAKER_PLAIN") == "true"}
	if mode, err := strconv.ParseUint(os.Getenv("KILLED_MAKER_MODE"), 8, 12); err == nil {
		maker.Mode = os.FileMode(mode)
	}
	at, _ := strconv.Atoi(os.Getenv("KILLED_MAKER_STEP"))
	n := 0
	maker.interrupt = func(string) {
		if n++; n == at {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			time.Sleep(time.Minute)
		}
	}
	made, faults := maker.Make(context.Background(), []Home{home("alice", alice)})
	for _, fault := range faults {
		fmt.Println(fault)
	}
	fmt.Println("made", len(made))
	os.Exit(0)
}

// killed runs a maker in a process of its own, which is killed at a step, and
// reports whether it came to that step.
func (d tree) killed(step int) bool {
	d.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "KILLED_MAKER_ROOT="+d.Root, "KILLED_MAKER_STEP="+strconv.Itoa(step),
		"KILLED_MAKER_PLAIN="+strconv.FormatBool(d.plain), fmt.Sprintf("KILLED_MAKER_MODE=%o", d.Mode))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case !errors.As(err, &exit) || exit.ExitCode() != -1:
		d.t.Fatalf("step %d: %v\n%s", step, err, out)
	}
	return true
}

func TestAMakerKilledAnywhereLeavesNothingThatTheNextDoesNotClear(t *testing.T) {
	unmet.Long(t, "the maker is killed at each of its steps")
	for _, c := range []struct {
		name  string
		plain bool
		mode  os.FileMode
		steps int
	}{
		{"with an exclusive rename", false, 0o700, 10},
		{"homes that others may enter", false, 0o755, 10},
		{"without an exclusive rename", true, 0o700, 11},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := strings.Replace(whole, "drwx------", map[os.FileMode]string{0o700: "drwx------",
				0o755: "drwxr-xr-x"}[c.mode], 1)
			step := 1
			for ; ; step++ {
				d := newTree(t)
				d.plain, d.Mode = c.plain, c.mode
				if !d.killed(step) {
					break
				}
				// What is seen under the name is nothing, all, or an empty folder that is
				// nobody's yet.
				if _, err := os.Lstat(d.at("/home/alice")); err == nil {
					if got := d.census("/home/alice"); got != want && !(c.plain && got == " drwx------ 0:0 \"\"\n") {
						t.Errorf("step %d: seen\n%s", step, got)
					}
				}
				if _, faults := d.make(home("alice", alice)); len(faults) > 0 {
					t.Errorf("step %d: faults %v", step, faults)
				}
				if got := d.census("/home/alice"); got != want {
					t.Errorf("step %d: home\n%s", step, got)
				}
				if entries, _ := os.ReadDir(d.at("/home")); len(entries) != 1 {
					t.Errorf("step %d: left %v", step, entries)
				}
			}
			if step < c.steps {
				t.Errorf("only %d steps", step)
			}
		})
	}
}

func TestWhatIsNotOursStays(t *testing.T) {
	temp := fmt.Sprintf("/home/.nss-iam-home.here.%d", alice)
	for _, c := range []struct {
		name string
		make func(tree)
		says string // "": nothing
	}{
		{"another host's", func(d tree) { d.folder(fmt.Sprintf("/home/.nss-iam-home.there.%d", alice), 0o700) }, ""},
		{"one without a number", func(d tree) { d.folder("/home/.nss-iam-home.here.x", 0o700) }, ""},
		{"a file", func(d tree) { d.file("/home/.nss-iam-home.here.7", "", 0o600) }, "remove it by hand"},
		{"a symbolic link", func(d tree) { d.does(os.Symlink("/elsewhere", d.at("/home/.nss-iam-home.here.7"))) },
			"remove it by hand"},
		{"somebody else's", func(d tree) {
			d.folder("/home/.nss-iam-home.here.7", 0o700)
			d.does(os.Chown(d.at("/home/.nss-iam-home.here.7"), bob, bob))
		}, "remove it by hand"},
		{"the whole home of somebody who is to have none", func(d tree) {
			d.folder(fmt.Sprintf("/home/.nss-iam-home.here.%d", bob), 0o700)
			d.does(os.Chown(d.at(fmt.Sprintf("/home/.nss-iam-home.here.%d", bob)), bob, bob))
		}, "is to have no home here"},
		{"a whole home whose place is taken", func(d tree) {
			d.file(temp+"/mine", "mine", 0o600)
			d.does(os.Chown(d.at(temp), alice, alice))
			d.file("/home/alice/other", "other", 0o600)
		}, `"/home/alice" is there already`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newTree(t)
			c.make(d)
			before := d.census("/home")
			_, faults := d.make(home("alice", alice))
			if c.says == "" && len(faults) != 0 || c.says != "" &&
				(len(faults) != 1 || !strings.Contains(faults[0].Error(), c.says)) {
				t.Errorf("faults %v, want one that says %q", faults, c.says)
			}
			after := d.census("/home")
			for line := range strings.Lines(before) {
				if !strings.Contains(after, line) {
					t.Errorf("gone: %s", line)
				}
			}
		})
	}
}

func TestWithoutPermissionThereIsOneLineAndNothingIsLeft(t *testing.T) {
	unmet.Root(t, "capabilities are taken away")
	for _, c := range []struct{ without, says string }{
		{"-chown,-dac_override,-fowner,-dac_read_search", "operation not permitted; the daemon needs the folder writable " +
			"and CAP_CHOWN: run \"iam-cachefill setup\""},
		{"-dac_override,-fowner,-dac_read_search", "made 1\n"},
	} {
		d := newTree(t)
		cmd := exec.Command("setpriv", "--bounding-set="+c.without, "--inh-caps="+c.without, os.Args[0])
		cmd.Env = append(os.Environ(), "KILLED_MAKER_ROOT="+d.Root)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.says) || strings.Count(string(out), "\n") > 2 {
			t.Errorf("%s: %v\n%s", c.without, err, out)
		}
		if entries, _ := os.ReadDir(d.at("/home")); (len(entries) == 1) != strings.HasPrefix(c.says, "made") {
			t.Errorf("%s: left %v", c.without, entries)
		}
	}
}

// A leftover is cleared without any capability but CAP_CHOWN, too: what lies
// in it may be its owner's already.
func TestALeftoverIsClearedWithTheOneCapability(t *testing.T) {
	d := newTree(t)
	d.folder("/etc/skel/private", 0o700)
	d.file("/etc/skel/private/x", "x", 0o600)
	if !d.killed(8) { // in the middle of the skeleton's folders
		t.Fatal("the maker was not killed")
	}
	cmd := exec.Command("setpriv", "--bounding-set=-all,+chown", os.Args[0])
	cmd.Env = append(os.Environ(), "KILLED_MAKER_ROOT="+d.Root)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "made 1\n" {
		t.Errorf("%v\n%s", err, out)
	}
	if entries, _ := os.ReadDir(d.at("/home")); len(entries) != 1 {
		t.Errorf("left %v", entries)
	}
}
