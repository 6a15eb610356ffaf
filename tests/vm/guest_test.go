// Package vm boots nss-iam on kernels of its own: SELinux and AppArmor that enforce.
// Machines are emulated, so no hardware for virtualization is needed, and they see no
// network. It imports no internal package.
package vm

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// rooms are for as many machines as run at the same time. A test takes one before
// t.Parallel, and so before any other, where it takes long: nothing runs beside what
// is begun last.
var rooms = make(chan struct{}, 2)

// TestMain lets every test go on to wait for a room: those that have one and wait for
// their turn would otherwise wait for those that have a turn and wait for a room.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func room(t *testing.T) {
	t.Helper()
	rooms <- struct{}{}
	t.Cleanup(func() { <-rooms })
}

// A tree is what tests/vm/tree made of a release.
type tree string

// release is the tree of a release of Debian. It needs qemu, and says so where there is none.
func release(t *testing.T, name string) tree {
	t.Helper()
	unmet.Long(t, "it boots machines")
	testbed.RequireArtifacts(t, "qemu-system-x86_64", "mke2fs", "debootstrap", "python3")
	cmd := exec.Command(filepath.Join(testbed.Root(), "tests/vm/tree"), name)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("make the tree of %s: %v\n%s", name, err, stderr.String())
	}
	return tree(strings.TrimSpace(string(out)))
}

func (t tree) file(name string) string { return filepath.Join(string(t), name) }

// A payload is a folder that becomes /opt/tour of a machine.
type payload struct {
	t   *testing.T
	dir string
}

// pack begins a payload with what every tour needs: the package, the emulated
// account and its company, people's keys, and the tour itself.
func pack(t *testing.T, tour string) payload {
	t.Helper()
	p := payload{t, filepath.Join(t.TempDir(), "payload")}
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	tours := filepath.Join(testbed.Root(), "tests/vm/tours")
	p.copy(filepath.Join(tours, tour), "run", 0o755)
	p.copy(filepath.Join(tours, "lib.sh"), "lib.sh", 0o644)
	for _, deb := range testbed.Pack(t, "deb", "0.2.0~vm") {
		p.copy(deb, filepath.Base(deb), 0o644)
	}
	p.copy(filepath.Join(testbed.Build(), "iam-emulator"), "iam-emulator", 0o755)
	company := testbed.Company{Groups: []testbed.Group{{Name: "developers"}, {Name: "admins"}}}
	person := func(name string, groups ...string) {
		key := testbed.NewKey(t, "ed25519", name)
		p.write("key-"+name, key.Private, 0o600)
		company.Users = append(company.Users, testbed.User{
			Name: name, ID: "AIDA" + strings.ToUpper(name) + "0000000000AA", Groups: groups,
			Keys: []testbed.IAMKey{{ID: "APKA" + strings.ToUpper(name) + "00000000001", Body: key.Public}},
		})
	}
	person("alice", "developers")
	person("carol", "developers", "admins")
	seed, err := json.Marshal(company)
	if err != nil {
		t.Fatal(err)
	}
	p.write("company.json", string(seed), 0o644)
	root := testbed.NewKey(t, "ed25519", "root")
	p.write("key-root", root.Private, 0o600)
	p.write("key-root.pub", root.Public+"\n", 0o644)
	return p
}

func (p payload) copy(from, to string, mode os.FileMode) {
	p.t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(to, string(content), mode)
}

func (p payload) write(name, content string, mode os.FileMode) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(content), mode); err != nil {
		p.t.Fatal(err)
	}
}

// disk is the payload as a disk: a tar file.
func (p payload) disk() string {
	p.t.Helper()
	name := p.dir + ".tar"
	if out, err := exec.Command("tar", "-C", p.dir, "--owner=0", "--group=0", "-cf", name,
		".").CombinedOutput(); err != nil {
		p.t.Fatalf("pack the tour: %v\n%s", err, out)
	}
	return name
}

// A machine is what is booted.
type machine struct {
	tree    tree
	payload string     // the tour's disk
	append  string     // further words for the kernel
	args    []string   // further arguments of qemu
	memory  string     // megabytes
	wires   []*os.File // to other machines, one for each of eth0, eth1, …
	saved   string     // begin where this guest was saved, see guest.save; empty: boot
}

// A guest is a machine that runs.
type guest struct {
	t               *testing.T
	name            string
	console, report string    // files
	monitor         io.Writer // takes qemu's commands
	process         *os.Process
	done            chan struct{} // closed when it has ended
	used            time.Duration // processor time, once it has ended
}

// boot starts a machine. Its root is a layer over the tree's disk that ends with it.
func (m machine) boot(t *testing.T, name string) *guest {
	t.Helper()
	dir := t.TempDir()
	g := &guest{t: t, name: name, console: filepath.Join(dir, "console"), report: filepath.Join(dir, "report"),
		done: make(chan struct{})}
	args := append([]string{"-n", "10", "qemu-system-x86_64", "-accel", "tcg,thread=single",
		// An older processor, without defenses of the kernel's: a boot with SELinux takes
		// 79 s of processor time with it, and 95 s with "max".
		"-cpu", "Nehalem,+rdrand", "-smp", "1", "-m", m.memory,
		"-nodefaults", "-no-user-config", "-display", "none", "-serial", "file:" + g.console, "-serial", "file:" + g.report,
		"-qmp", "stdio",
		"-kernel", m.tree.file("vmlinuz"), "-initrd", m.tree.file("initrd"),
		"-append", "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off " + m.append,
		"-drive", "file=" + m.tree.file("disk.img") + ",format=raw,if=virtio,snapshot=on",
		"-drive", "file=" + m.payload + ",format=raw,if=virtio,readonly=on"}, m.args...)
	for n := range m.wires {
		// Descriptors begin at 3. Both ends of a wire have addresses of their own.
		args = append(args, "-netdev", fmt.Sprintf("socket,id=wire%d,fd=%d", n, 3+n),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=wire%d,romfile=,mac=52:54:00:%02x:00:%02x", n, len(name), n))
	}
	if len(m.wires) == 0 {
		// A machine's time is what it has computed: where this machine is busy no time
		// limit in it is reached sooner, and a wait for the next minute takes none of ours.
		args = append(args, "-icount", "shift=2,sleep=off", "-rtc", "clock=vm")
	}
	if m.saved != "" {
		args = append(args, "-incoming", "exec:cat "+m.saved)
	}
	cmd := exec.Command("nice", args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir) // for the layer
	cmd.ExtraFiles = m.wires
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	monitor, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	g.monitor = monitor
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// Linux ends the child with the thread that began it.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // what the guest reports says how it went
			g.used = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			close(g.done)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	g.process = cmd.Process
	t.Cleanup(func() {
		g.kill()
		if t.Failed() {
			t.Logf("%s: qemu: %s\nconsole:\n%s\nreport:\n%s", name, said.String(), tail(g.console, 150), tail(g.report, 200))
		}
	})
	return g
}

// kill ends the machine as a power cut does: what it did not hand to its disk is lost.
func (g *guest) kill() {
	_ = g.process.Kill() // it may have ended
	<-g.done
}

// save writes the machine's memory and devices to a file. Disks are not in it.
func (g *guest) save(name string, limit time.Duration) {
	g.t.Helper()
	fmt.Fprintf(g.monitor, `{"execute": "qmp_capabilities"}
{"execute": "migrate", "arguments": {"uri": "exec:cat >%s.part && mv %s.part %s"}}
`, name, name, name)
	for deadline := time.Now().Add(limit); ; time.Sleep(100 * time.Millisecond) {
		if _, err := os.Stat(name); err == nil {
			return
		}
		if time.Now().After(deadline) {
			g.t.Fatalf("%s is not saved in %v", g.name, limit)
		}
	}
}

// tail is the end of a file.
func tail(name string, lines int) string {
	content, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.ReplaceAll(string(content), "\r", ""), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// lines are those that the guest has reported so far.
func (g *guest) lines() []string {
	content, _ := os.ReadFile(g.report) // qemu makes it
	return strings.Split(strings.ReplaceAll(string(content), "\r", ""), "\n")
}

// passed waits until the machine has switched itself off, and fails the test for
// each check that failed. A tour that did not come to its end has failed.
func (g *guest) passed(limit time.Duration) {
	g.t.Helper()
	begun := time.Now()
	for shown, running := 0, true; running; {
		select {
		case <-g.done:
			running = false
		case <-time.After(time.Second):
		}
		if running && time.Since(begun) > limit {
			g.t.Errorf("%s has not ended in %v", g.name, limit)
			g.kill()
		}
		for lines := g.lines(); shown < len(lines)-1; shown++ {
			g.t.Logf("%4.0f s %s: %s", time.Since(begun).Seconds(), g.name, lines[shown])
		}
	}
	g.t.Logf("%s: %v of processor time", g.name, g.used.Round(time.Second))
	ended := ""
	n := 0
	for _, line := range g.lines() {
		if why, bad := strings.CutPrefix(line, "not ok "); bad {
			g.t.Errorf("%s: %s", g.name, why)
		} else if strings.HasPrefix(line, "ok ") {
			n++
		} else if strings.HasPrefix(line, "end ") {
			ended = line
		}
	}
	if want := fmt.Sprintf("end %d", n); !g.t.Failed() && ended != want {
		g.t.Errorf("%s: the tour did not come to its end: %q, want %q", g.name, ended, want)
	}
}
