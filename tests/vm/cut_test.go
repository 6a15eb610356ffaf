package vm

import (
	crand "crypto/rand"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// cuts is how often the power is cut, on each format of a disk.
const cuts = 10

// apart is how much later each run begins than the one before. A machine that waits
// for its disk has a clock that runs ahead, by minutes; no keys may be dated ahead in
// the next run, nor be older than keys.max_stale.
const apart = 6 * time.Hour

const cutConfig = `[source]
region = "us-east-1"
endpoint = "http://127.0.0.1:8000"
rate = 100
[login]
all_users = true
[sudo]
groups = ["team"]
[accounts]
publish_groups = ["team"]
homes = "none"
`

// A kill of qemu loses what the machine's kernel had not handed to the disk: every
// page that no fsync asked for. It keeps what the disk had taken, and in order, so it
// makes no difference that qemu does not sync its file. A disk that forgets or
// reorders its own cache is played by tests/powerloss.
func TestAPowerCutLeavesCompleteFilesAndAModuleThatAnswers(t *testing.T) {
	t.Parallel()
	for name, format := range map[string][]string{
		"ext4": {"mke2fs", "-q", "-t", "ext4"},
		"xfs":  {"mkfs.xfs", "-q"},
	} {
		t.Run(name, func(t *testing.T) {
			bookworm := release(t, "bookworm")
			testbed.Require(t, format[0])
			t.Parallel()
			room(t)
			disk := filepath.Join(t.TempDir(), "disk")
			if err := os.WriteFile(disk, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(disk, 400<<20); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(format[0], append(format[1:], disk)...).CombinedOutput(); err != nil {
				t.Fatalf("%q: %v\n%s", format, err, out)
			}
			p := pack(t, "cut")
			p.write("config.toml", cutConfig, 0o644)
			p.company("odd", 1)
			p.company("even", 0)
			p.files()
			orders := filepath.Join(t.TempDir(), "orders")
			order(t, orders, "wait", time.Time{})
			m := machine{
				tree: bookworm, payload: p.disk(), append: "init=/usr/local/sbin/tour-init ro", memory: "768",
				args: []string{
					"-drive", "file=" + disk + ",format=raw,if=virtio,cache=unsafe",
					"-drive", "file=" + orders + ",format=raw,if=virtio,readonly=on",
				},
			}
			begin := m.boot(t, "the machine to save")
			begin.until("waits", 10*time.Minute)
			m.saved = filepath.Join(t.TempDir(), "saved")
			begin.save(m.saved, 5*time.Minute)
			begin.kill()
			t.Logf("saved: %v of processor time", begin.used.Round(time.Second))

			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			chances := rand.New(rand.NewPCG(seed, 0))
			start := time.Now()
			// One run more than cuts: the first makes the disk, the last looks at it.
			for n := range cuts + 1 {
				order(t, orders, []string{"setup", "undo"}[chances.IntN(2)], start.Add(time.Duration(n)*apart))
				begun := time.Now()
				g := m.boot(t, fmt.Sprintf("run %d", n))
				g.until("ready", 10*time.Minute)
				looked := time.Since(begun)
				after := time.Duration(chances.Int64N(int64(12 * time.Second)))
				if n < cuts {
					time.Sleep(after)
				}
				g.kill()
				for _, line := range g.lines() {
					if why, bad := strings.CutPrefix(line, "not ok "); bad {
						t.Errorf("run %d: %s", n, why)
					} else if strings.HasPrefix(line, "#") {
						t.Logf("run %d: %s", n, line)
					}
				}
				if t.Failed() {
					return
				}
				t.Logf("run %d: all was well after %v", n, looked.Round(time.Millisecond))
				if n < cuts {
					t.Logf("cut %d: %v later; %v of processor time", n+1, after.Round(time.Millisecond),
						g.used.Round(time.Millisecond))
				}
			}
		})
	}
}

// order writes the disk that says to a machine what to do and what time it is. Random
// numbers follow, for a machine that was saved has those of its last run.
func order(t *testing.T, name, what string, now time.Time) {
	t.Helper()
	block := make([]byte, 8192)
	copy(block, fmt.Sprintf("%s %d\n", what, now.Unix()))
	_, _ = crand.Read(block[4096:]) // it never fails
	if err := os.WriteFile(name, block, 0o600); err != nil {
		t.Fatal(err)
	}
}

// until waits for a line of the report.
func (g *guest) until(line string, limit time.Duration) {
	g.t.Helper()
	for deadline := time.Now().Add(limit); !slices.Contains(g.lines(), line); time.Sleep(100 * time.Millisecond) {
		select {
		case <-g.done:
			g.t.Fatalf("%s has ended by itself", g.name)
		default:
		}
		if time.Now().After(deadline) {
			g.t.Fatalf("%s does not report %q in %v", g.name, line, limit)
		}
	}
}

// company writes a directory of people. Each second one is in the team.
func (p payload) company(name string, parity int) {
	p.t.Helper()
	key := testbed.NewKey(p.t, "ed25519", "everybody").Public
	c := testbed.Company{Groups: []testbed.Group{{Name: "team", ID: "AGPATEAM0000000000AA"}}}
	for n := range 60 {
		u := testbed.User{Name: fmt.Sprintf("u%d", n), ID: fmt.Sprintf("AIDAPERSON%010d", n),
			Keys: []testbed.IAMKey{{ID: fmt.Sprintf("APKAPERSON%010d", n), Body: key}}}
		if n%2 == parity {
			u.Groups = []string{"team"}
		}
		c.Users = append(c.Users, u)
	}
	seed, err := json.Marshal(c)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(name+".json", string(seed), 0o644)
}

// files packs what the package installs, for a machine without dpkg's time.
func (p payload) files() {
	p.t.Helper()
	const script = `cd "$1" && mkdir files && for deb in *.deb; do dpkg-deb -x "$deb" files && rm "$deb" || exit; done ` +
		`&& tar -C files -cf files.tar . && rm -r files`
	if out, err := exec.Command("sh", "-c", script, "files", p.dir).CombinedOutput(); err != nil {
		p.t.Fatalf("unpack the package: %v\n%s", err, out)
	}
}
