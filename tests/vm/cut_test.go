package vm

import (
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

// cuts is how often the power of a machine is cut.
const cuts = 10

// apart is how much later each boot begins than the one before. A machine that waits
// for its disk has a clock that runs ahead, by minutes; no keys may be dated ahead at
// the next boot, nor be older than keys.max_stale.
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
// page that no fsync asked for. It keeps what the disk had taken, and in order: a
// disk that forgets or reorders its own cache is played by tests/powerloss.
func TestAPowerCutLeavesCompleteFilesAndAModuleThatAnswers(t *testing.T) {
	for name, format := range map[string][]string{
		"ext4": {"mke2fs", "-q", "-t", "ext4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bookworm := release(t, "bookworm")
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
			m := machine{
				tree: bookworm, payload: p.disk(), append: "init=/usr/local/sbin/tour-init", memory: "512",
				args: []string{"-drive", "file=" + disk + ",format=raw,if=virtio,cache=writeback"},
			}
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			moments := rand.New(rand.NewPCG(seed, 0))
			start := time.Now()
			// One boot more than cuts: the first makes the disk, the last looks at it.
			for n := range cuts + 1 {
				m.clock = start.Add(time.Duration(n) * apart)
				g := m.boot(t, fmt.Sprintf("boot %d", n))
				g.until("ready", 4*time.Minute)
				after := time.Duration(moments.Int64N(int64(12 * time.Second)))
				if n < cuts {
					time.Sleep(after)
				}
				g.kill()
				for _, line := range g.lines() {
					if why, bad := strings.CutPrefix(line, "not ok "); bad {
						t.Errorf("boot %d: %s", n, why)
					} else if strings.HasPrefix(line, "#") {
						t.Logf("boot %d: %s", n, line)
					}
				}
				if t.Failed() {
					return
				}
				if n < cuts {
					t.Logf("cut %d, %v after all was well", n+1, after.Round(time.Millisecond))
				}
			}
		})
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
