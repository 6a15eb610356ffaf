package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

func (d tree) mustSetup(o Options) *Result {
	d.t.Helper()
	r, err := d.Setup(context.Background(), o)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

func (d tree) mustUndo() *Result {
	d.t.Helper()
	r, err := d.Undo(context.Background(), false)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

func TestUndoPutsEveryByteBack(t *testing.T) {
	for _, c := range []struct {
		name    string
		options Options
		change  func(tree)
	}{
		{"Debian", all, func(tree) {}},
		{"homes made by nobody", Options{Sudo: true}, func(tree) {}},
		{"homes made by the daemon", Options{Sudo: true, HomesFolder: "/home"}, func(tree) {}},
		{"an sshd_config without Include", all, func(d tree) {
			d.write(sshdConfigPath, "UsePAM yes\nMatch User git\n  "+
				"X11Forwarding yes")
		}},
		{"no sudo, no sshd", all,
			func(d tree) { _ = os.Remove(d.at("/usr/sbin/visudo")); _ = os.Remove(d.at("/usr/sbin/sshd")) }},
		{"no nsswitch.conf", all, func(d tree) { _ = os.Remove(d.at(nsswitchPath)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newTree(t)
			c.change(d)
			before := d.snapshot()
			if r := d.mustSetup(c.options); len(r.Changed) < 2 {
				t.Errorf("setup changed %q", r.Changed)
			}
			if passwd, group, err := HasService(d.text(nsswitchPath)); !passwd || !group || err != nil {
				t.Errorf("nsswitch.conf: %q", d.text(nsswitchPath))
			}
			after := d.snapshot()
			if r := d.mustSetup(c.options); len(r.Changed) != 0 {
				t.Errorf("a second setup changed %q", r.Changed)
			}
			d.same(after)
			d.mustUndo()
			d.same(before)
			if _, err := os.Stat(d.at(StateDir)); err == nil {
				t.Errorf("%s is still there", StateDir)
			}
			if _, err := d.Undo(context.Background(), false); !errors.Is(err, ErrNothingToUndo) {
				t.Errorf("a second undo: %v", err)
			}
		})
	}
}

func TestSetupRefusesAndChangesNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(tree)
		says   string
	}{
		{"a broken nsswitch.conf", func(d tree) { d.write(nsswitchPath, "passwd files\n") }, "line 1 is no rule"},
		{"a broken sshd_config", func(d tree) { d.write(sshdConfigPath, "BROKEN\n") }, "broken already"},
		{"a broken sudoers", func(d tree) { d.write("/etc/sudoers.d/x", "BROKEN\n") }, "visudo"},
		{"no systemd", func(d tree) { _ = os.RemoveAll(d.at("/run/systemd")) }, "does not run systemd"},
		{"another key command", func(d tree) {
			d.write("/etc/ssh/sshd_config.d/60-eic.conf", "AuthorizedKeysCommand /opt/aws/bin/eic_run_authorized_keys %u %f\n"+
				"AuthorizedKeysCommandUser ec2-instance-connect\n")
		}, `chain = ["/opt/aws/bin/eic_run_authorized_keys", "%u", "%f"]`},
		{"a key command as an option in a unit", func(d tree) {
			d.write("/usr/lib/systemd/system/ssh.service.d/ec2-instance-connect.conf",
				"[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS -o \"AuthorizedKeysCommand "+
					"/usr/share/ec2-instance-connect/eic_run_authorized_keys %%u %%f\" -o \"AuthorizedKeysCommandUser "+
					"ec2-instance-connect\"\n")
		}, `chain = ["/usr/share/ec2-instance-connect/eic_run_authorized_keys", "%u", "%f"]`},
		{"nsswitch.conf as a link", func(d tree) {
			_ = os.Rename(d.at(nsswitchPath), d.at("/etc/other"))
			_ = os.Symlink("other", d.at(nsswitchPath))
		}, "symbolic link"},
		{"a drop-in of that name by somebody else", func(d tree) { d.write(sudoersPath, "%x ALL=ALL\n") },
			"is there already"},
		{"no helper's user", func(d tree) { d.write("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n") },
			"systemd-sysusers"},
		{"no helper", func(d tree) { _ = os.Remove(d.at(Helper)) }, "no key helper"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newTree(t)
			c.change(d)
			before := d.snapshot()
			_, err := d.Setup(context.Background(), all)
			var refusal *Refusal
			if !errors.As(err, &refusal) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want a refusal that says %q", err, c.says)
			}
			d.same(before)
			if _, err := os.Stat(d.at(StateDir)); err == nil {
				t.Errorf("%s was left", StateDir)
			}
		})
	}
}

func TestAReadOnlyEtcIsRefused(t *testing.T) {
	unmet.Root(t, "only root can mount")
	d := newTree(t)
	etc := d.at("/etc")
	if err := unix.Mount(etc, etc, "", unix.MS_BIND, ""); err != nil {
		unmet.Skip(t, "no mounts in this container: %v; start it with --privileged", err)
	}
	defer func() { _ = unix.Unmount(etc, unix.MNT_DETACH) }()
	if err := unix.Mount("", etc, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	before := d.snapshot()
	if _, err := d.Setup(context.Background(), all); err == nil ||
		!strings.Contains(err.Error(), "read-only file system") {
		t.Errorf("error %v", err)
	}
	d.same(before)
}

func TestAnotherKeyCommandGoesOnThroughTheChain(t *testing.T) {
	const eic = "/opt/aws/bin/eic_run_authorized_keys"
	o := all
	o.Chain = []string{eic, "%u", "%f"}
	t.Run("in a drop-in", func(t *testing.T) {
		d := newTree(t)
		d.write("/etc/ssh/sshd_config.d/60-eic.conf", "AuthorizedKeysCommand "+eic+
			" %u %f\nAuthorizedKeysCommandUser ec2-instance-connect\n")
		before := d.snapshot()
		d.mustSetup(o)
		if e, _ := d.effectiveSSHD(context.Background()); e.keysCommand()[0] != Helper {
			t.Errorf("effective: %v", e)
		}
		d.mustUndo()
		d.same(before)
	})
	t.Run("as an option in a unit", func(t *testing.T) {
		d := newTree(t)
		d.write("/usr/lib/systemd/system/ssh.service.d/eic.conf", "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D "+
			"$SSHD_OPTS -o \"AuthorizedKeysCommand "+eic+" %%u %%f\" -o AuthorizedKeysCommandUser=eic\n")
		before := d.snapshot()
		d.mustSetup(o)
		got := d.text("/etc/systemd/system/ssh.service.d/zz-nss-iam.conf")
		if !strings.HasSuffix(got, "[Service]\nExecStart=\nExecStart=/usr/sbin/sshd -D $SSHD_OPTS\n") {
			t.Errorf("override: %q", got)
		}
		if r := d.mustSetup(o); len(r.Changed) != 0 {
			t.Errorf("a second setup changed %q", r.Changed)
		}
		d.mustUndo()
		d.same(before)
	})
}

func TestAFailedCheckPutsEverythingBack(t *testing.T) {
	d := newTree(t)
	before := d.snapshot()
	d.Run = func(ctx context.Context, argv ...string) (string, error) {
		if strings.HasSuffix(argv[0], "sshd") && argv[1] == "-t" && d.text(sshdDropInPath) != "" {
			return "", errors.New("sshd objects")
		}
		return d.run(ctx, argv...)
	}
	if _, err := d.Setup(context.Background(), all); err == nil ||
		!strings.Contains(err.Error(), "sshd objects; the host is as it was") {
		t.Errorf("error %v", err)
	}
	d.same(before)
}

func TestAFailedSecondSetupKeepsTheFirst(t *testing.T) {
	d := newTree(t)
	before := d.snapshot()
	d.mustSetup(Options{HomesByPAM: true})
	first := d.snapshot()
	d.Run = func(ctx context.Context, argv ...string) (string, error) {
		if strings.HasSuffix(argv[0], "visudo") && d.text(sudoersPath) != "" {
			return "", errors.New("visudo objects")
		}
		return d.run(ctx, argv...)
	}
	if _, err := d.Setup(context.Background(), all); err == nil {
		t.Error("no error")
	}
	d.same(first)
	d.Run = d.run
	d.mustSetup(all)
	d.mustUndo()
	d.same(before)
}

func TestUndoKeepsWhatOthersEditedSince(t *testing.T) {
	d := newTree(t)
	d.write(sshdConfigPath, "UsePAM yes\n")
	d.mustSetup(all)
	d.write(nsswitchPath, d.text(nsswitchPath)+"hosts: files dns\n")
	d.write(sshdConfigPath, d.text(sshdConfigPath)+"X11Forwarding no\n")
	d.write(sudoersPath, "%iam-sudo ALL=(ALL) ALL\n")
	d.write("/etc/pam.d/common-session", d.text("/etc/pam.d/common-session")+"session optional pam_foo.so\n")
	r := d.mustUndo()
	for name, want := range map[string]string{
		nsswitchPath:                   debian[nsswitchPath] + "hosts: files dns\n",
		sshdConfigPath:                 "UsePAM yes\nX11Forwarding no\n",
		sudoersPath + ".nss-iam-saved": "%iam-sudo ALL=(ALL) ALL\n",
		sudoersPath:                    "",
		"/etc/pam.d/common-session":    debian["/etc/pam.d/common-session"] + "session optional pam_foo.so\n",
	} {
		if got := d.text(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if len(r.Notes) != 4 {
		t.Errorf("notes: %q", r.Notes)
	}
}

func TestAFileOfOursThatSomebodyEditedIsKeptAndMoved(t *testing.T) {
	d := newTree(t)
	d.mustSetup(all)
	written := d.text(sudoersPath)
	d.write(sudoersPath, written+"alice ALL=(ALL) ALL\n")
	before := d.snapshot()
	if got := d.Look(t.Context()).Edited; !slices.Equal(got, []string{sudoersPath}) {
		t.Errorf("edited: %q", got)
	}
	remedy := "mv " + sudoersPath + " /root/ && iam-cachefill setup"
	if _, err := d.Setup(t.Context(), all); err == nil || !strings.Contains(err.Error(), remedy) {
		t.Errorf("error %v, want %q", err, remedy)
	}
	d.same(before)
	if err := os.Remove(d.at(sudoersPath)); err != nil {
		t.Fatal(err)
	}
	d.mustSetup(all)
	if got := d.Look(t.Context()).Edited; len(got) != 0 || d.text(sudoersPath) != written {
		t.Errorf("edited %q: %q", got, d.text(sudoersPath))
	}
}

// TestMain plays a setup that is killed at its n-th step.
func TestMain(m *testing.M) {
	root, n := os.Getenv("KILLED_SETUP_ROOT"), 0
	if root == "" {
		os.Exit(m.Run())
	}
	at, _ := strconv.Atoi(os.Getenv("KILLED_SETUP_STEP"))
	d := tree{&Host{Root: root}, new(testing.T)}
	d.Run = d.run
	d.interrupt = func(string) {
		if n++; n == at {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			time.Sleep(time.Minute)
		}
	}
	var err error
	if os.Getenv("KILLED_SETUP_UNDO") != "" {
		_, err = d.Undo(context.Background(), false)
	} else {
		_, err = d.Setup(context.Background(), all)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(0)
}

// killed runs a setup in a process of its own that is killed at a step, and
// reports whether it came to that step.
func killed(t *testing.T, d tree, step int, undo string) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "KILLED_SETUP_ROOT="+d.Root, "KILLED_SETUP_STEP="+strconv.Itoa(step),
		"KILLED_SETUP_UNDO="+undo)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err == nil {
		return false
	}
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("step %d: %v\n%s", step, err, stderr.String())
	}
	return true
}

func TestASetupKilledAnywhereIsPutBackOrFinishedByTheNextRun(t *testing.T) {
	unmet.Long(t, "setup is killed at each of its steps")
	steps := 0
	for step := 1; ; step++ {
		d := newTree(t)
		before := d.snapshot()
		if !killed(t, d, step, "") {
			break
		}
		steps++
		_, err := os.Stat(d.at(pendingPath))
		noted := err == nil
		r := d.mustSetup(all)
		// Killed before anything was noted or after all was, there is nothing to tell.
		if r.Recovered == "" && len(r.Changed) != 0 && noted {
			t.Errorf("step %d: nothing said of the interruption, and changed %q", step, r.Changed)
		}
		after := d.snapshot()
		whole := newTree(t)
		whole.mustSetup(all)
		whole.same(after)
		d.mustUndo()
		d.same(before)

		d = newTree(t)
		killed(t, d, step, "")
		if _, err := d.Undo(context.Background(), false); err != nil && !errors.Is(err, ErrNothingToUndo) {
			t.Fatalf("step %d: %v", step, err)
		}
		d.same(before)
		leftovers, _ := filepath.Glob(d.at("/etc/*/.*nss-iam-new"))
		if len(leftovers) > 0 {
			t.Errorf("step %d: left %q", step, leftovers)
		}
	}
	if steps < 15 {
		t.Errorf("only %d steps", steps)
	}
}

func TestAnUndoKilledAnywhereIsFinishedByTheNextRun(t *testing.T) {
	unmet.Long(t, "undo is killed at each of its steps")
	for step := 1; ; step++ {
		d := newTree(t)
		before := d.snapshot()
		d.mustSetup(all)
		if !killed(t, d, step, "yes") {
			break
		}
		if _, err := d.Undo(context.Background(), false); err != nil && !errors.Is(err, ErrNothingToUndo) {
			t.Fatalf("step %d: %v", step, err)
		}
		d.same(before)
	}
}

func TestTheDaemonIsLetOutAsFarAsItsHomes(t *testing.T) {
	const head = "# accounts.homes = \"create\": the refresher makes homes that are missing. Made by\n# " +
		"\"iam-cachefill setup\".\n"
	for folder, want := range map[string]string{
		"/home": head + "[Unit]\nAfter=home.mount\n[Service]\nCapabilityBoundingSet=CAP_CHOWN\n" +
			"ReadWritePaths=\"-/home\"\nProtectHome=no\n",
		"/home/staff": head + "[Unit]\nAfter=home.mount home-staff.mount\n[Service]\nCapabilityBoundingSet=CAP_CHOWN\n" +
			"ReadWritePaths=\"-/home/staff\"\nProtectHome=no\n",
		"/efs/a-b \"%": head + "[Unit]\nAfter=efs.mount efs-a\\x2db\\x20\\x22\\x25.mount\n[Service]\n" +
			"CapabilityBoundingSet=CAP_CHOWN\nReadWritePaths=\"-/efs/a-b \\\"%%\"\n",
		"/": head + "[Service]\nCapabilityBoundingSet=CAP_CHOWN\nReadWritePaths=\"-/\"\nProtectHome=no\n",
	} {
		d := newTree(t)
		var ran []string
		d.Run = func(ctx context.Context, argv ...string) (string, error) {
			ran = append(ran, strings.Join(argv, " "))
			return d.run(ctx, argv...)
		}
		if d.MayMakeHomes(folder) {
			t.Errorf("%s: before setup", folder)
		}
		d.mustSetup(Options{HomesFolder: folder})
		if got := d.text(homesDropIn); got != want || !d.MayMakeHomes(folder) || d.MayMakeHomes("/other") {
			t.Errorf("%s:\n%s\nwant\n%s", folder, got, want)
		}
		d.mustUndo()
		for _, command := range []string{"systemctl daemon-reload", "systemctl --no-block try-restart nss-iam.service"} {
			if n := len(ran) - len(slices.DeleteFunc(slices.Clone(ran), func(s string) bool { return s == command })); n != 2 {
				t.Errorf("%s: %q was run %d times, want one by setup and one by undo", folder, command, n)
			}
		}
	}
}

func TestWhatPAMWouldBeIsShownBeforeItIs(t *testing.T) {
	d := newTree(t)
	before := d.snapshot()
	p, err := d.Plan(context.Background(), all)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := d.Preview(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	d.same(before)
	d.mustSetup(all)
	for _, c := range shown {
		if got := d.text(c.Path); got != c.After {
			t.Errorf("%s: %q, shown was %q", c.Path, got, c.After)
		}
	}
	var paths []string
	for _, c := range shown {
		paths = append(paths, c.Path)
	}
	slices.Sort(paths)
	if got := strings.Join(paths, " "); got != "/etc/pam.d/common-account /etc/pam.d/common-session "+
		"/var/lib/pam/account /var/lib/pam/session" || !shown[3].New {
		t.Errorf("shown: %+v", shown)
	}
	d.Run = func(context.Context, ...string) (string, error) { return "", errors.New("no namespaces") }
	if _, err := d.Preview(context.Background(), p); err == nil ||
		!strings.Contains(err.Error(), "cannot be shown: no namespaces") {
		t.Errorf("error %v", err)
	}
}

func TestNothingOfAHalfWrittenFileIsEverSeen(t *testing.T) {
	d := newTree(t)
	was := d.text(nsswitchPath)
	d.interrupt = func(string) {
		if now := d.text(nsswitchPath); now != was {
			if want, _ := AddService(was); now != want {
				t.Errorf("between: %q", now)
			}
		}
	}
	d.mustSetup(all)
}
