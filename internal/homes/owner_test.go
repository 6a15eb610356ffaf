package homes

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

func TestTheOwnerOfAHomeIsFoundAlongLinks(t *testing.T) {
	unmet.Root(t, "only root can give folders away")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, uid := range map[string]int{"alice": 2001000001, "data": 0, "data/bob": 2001000002, "roots": 0} {
		if err := os.MkdirAll(at(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(at(name), uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"bob": "data/bob", "absolute": at("data/bob"), "up": "data/../alice", "loop": "loop", "nowhere": "missing",
		"chain": "bob", "long": strings.Repeat("data/../", 300) + "alice",
	} {
		if err := os.Symlink(target, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(at("file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		uid uint32
		ok  bool
	}{
		"alice": {2001000001, true}, "data/bob": {2001000002, true}, "roots": {0, true}, "alice/": {2001000001, true},
		"bob": {2001000002, true}, "absolute": {2001000002, true}, "chain": {2001000002, true}, "up": {2001000001, true},
		"loop": {}, "nowhere": {}, "missing": {}, "file": {}, "file/below": {}, "long": {},
	} {
		if uid, ok := Owner(dir + "/" + name); uid != c.uid || ok != c.ok {
			t.Errorf("%s: uid %d, %v, want %d, %v", name, uid, ok, c.uid, c.ok)
		}
	}
	if _, ok := Owner("alice"); ok {
		t.Error("a path that is not absolute has an owner")
	}
}

func TestAFolderIsForeignIfAnotherUIDThanRootsOwnsIt(t *testing.T) {
	unmet.Root(t, "only root can give folders away")
	home := filepath.Join(t.TempDir(), "alice")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	for owner, want := range map[int]bool{0: false, 2001000001: false, 2001000002: true, 65534: true} {
		if err := os.Chown(home, owner, 0); err != nil {
			t.Fatal(err)
		}
		if got, foreign := Foreign(home, 2001000001); foreign != want || got != uint32(owner) {
			t.Errorf("owner %d: %d, %v, want foreign %v", owner, got, foreign, want)
		}
	}
	if _, foreign := Foreign(home+"-missing", 2001000001); foreign {
		t.Error("a folder that is not there is foreign")
	}
}

// What lies in such a folder would run as the user.
func TestAFolderOfRootsThatOthersMayWriteToIsForeign(t *testing.T) {
	unmet.Root(t, "only root can give folders away")
	home := filepath.Join(t.TempDir(), "alice")
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	const alice = 2001000001
	for _, c := range []struct {
		uid, gid int
		mode     uint32
		want     bool
	}{
		{0, 0, 0o755, false}, {0, 0, 0o775, false}, {0, 50, 0o755, false}, {0, 50, 0o770, true}, {0, 50, 0o2775, true},
		{0, 0, 0o1777, true}, {0, 0, 0o702, true}, {alice, 50, 0o777, false}, {alice, 0, 0o700, false},
	} {
		if err := errors.Join(os.Chown(home, c.uid, c.gid), unix.Chmod(home, c.mode)); err != nil {
			t.Fatal(err)
		}
		owner, foreign := Foreign(home, alice)
		var l Looker
		if foreign != c.want || (owner == accounts.Anybody) != c.want || l.Owners([]string{home})[home] != owner {
			t.Errorf("owner %d, group %d, mode %o: %d, %v, want foreign %v", c.uid, c.gid, c.mode, owner, foreign, c.want)
		}
	}
	if got := Name(accounts.Anybody) + Name(7); got != "anybody who may write to it"+"uid 7" {
		t.Errorf("owners are called %q", got)
	}
}

// The test is the automounter of a point of its own. Processes of its process
// group see through the point, so the process that looks is of another group.
func TestLookingAtAnAutomountPointMountsNothing(t *testing.T) {
	if name := os.Getenv("LOOK_AT_A_HOME"); name != "" {
		uid, ok := Owner(name)
		fmt.Println("owner", uid, ok)
		return
	}
	unmet.Root(t, "only root can mount")
	// In mounts of its own: what a killed test leaves ends with its thread, which is
	// not unlocked and so ends with the test.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		unmet.Skip(t, "no mount namespace: %v", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	// Direct: the point itself waits for its mount, as one of systemd's .automount units does.
	options := fmt.Sprintf("fd=%d,pgrp=%d,minproto=5,maxproto=5,direct", write.Fd(), unix.Getpgrp())
	if err := unix.Mount("test", dir, "autofs", 0, options); err != nil {
		unmet.Skip(t, "the kernel mounts no autofs: %v", err)
	}
	point, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		const catatonic = 0x9362 // AUTOFS_IOC_CATATONIC, linux/auto_fs.h: every waiting look fails
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(point), catatonic, 0)
		_ = unix.Close(point)
		_ = unix.Unmount(dir, unix.MNT_DETACH)
	}()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		var request [1]byte
		_, _ = read.Read(request[:])
	}()
	look := func(cmd *exec.Cmd) (string, bool) {
		var out strings.Builder
		cmd.Stdout = &out
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
			return out.String(), true
		case <-asked:
		case <-time.After(20 * time.Second):
		}
		_ = cmd.Process.Kill()
		<-done
		return "", false
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, dir + "/alice"} {
		cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), "LOOK_AT_A_HOME="+name)
		if out, ended := look(cmd); !ended || !strings.Contains(out, "owner 0 false") {
			t.Fatalf("%s: the kernel was asked to mount something, or the look said %q", name, out)
		}
	}
	// Any other look does ask, or this test could not fail.
	if out, ended := look(exec.Command("stat", dir+"/alice")); ended {
		t.Errorf("stat(1) was answered without a mount: %q", out)
	}
}
