package refresh_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/tests/emulator"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// Every way that a call can go wrong, at every call of a refresh and of the
// sweep after it: what is served is the old state or the new, and nobody who
// is in IAM all the time loses the account or the number.
func TestEveryFaultAtEveryCallLeavesACompleteState(t *testing.T) {
	unmet.Long(t, "every fault is made at every call, and each waits for a time limit")
	impatient := func(o *iam.Options) {
		o.Attempts, o.AttemptTimeout, o.CallTimeout, o.PageTimeout = 2, 400*time.Millisecond, time.Second,
			400*time.Millisecond
	}
	for _, kind := range emulator.Faults {
		for _, times := range []int{1, -1} {
			if kind == emulator.None && times < 0 {
				continue // nothing tells such answers from the truth, and few people are never too many
			}
			t.Run(fmt.Sprintf("%s, %d times", kind, times), func(t *testing.T) {
				h := newHostOf(t, emulator.Options{Company: company, Settings: emulator.Settings{PageSize: 2}}, impatient)
				h.refresh()
				h.sweep()
				h.calls()
				// What every round below changes, and back.
				h.does(h.e.AddMember("developers", "frank"))
				h.refresh()
				h.sweep()
				walk := len(h.e.Walk())
				alice := h.users()["alice"].UID
				with, without := "alice bob carol erin frank", "alice bob carol erin"
				for call := 1; call <= walk; call++ {
					if kind == emulator.None {
						// Calls go out side by side: two rounds in a row may take the same page, and twice is confirmed.
						h.does(h.e.SetFaults())
						h.refresh()
					}
					if call%2 == 1 {
						h.does(h.e.RemoveMember("developers", "frank"))
					} else {
						h.does(h.e.AddMember("developers", "frank"))
					}
					before := h.live()
					h.does(h.e.SetFaults(emulator.Fault{Kind: kind, Call: call, Times: times,
						Delay: emulator.Duration(time.Millisecond)}))
					h.clock.pass(2 * time.Hour)
					_, refreshErr := h.Refresh(t.Context(), refresh.Options{})
					_, sweepErr := h.Logins.Sweep(t.Context(), 0)
					now := h.live()
					if now != with && now != without {
						t.Fatalf("call %d: served are %q (%v, %v)", call, now, refreshErr, sweepErr)
					}
					if refreshErr != nil && now != before {
						t.Errorf("call %d: the refresh failed (%v), and %q became %q", call, refreshErr, before, now)
					}
					if uid := h.users()["alice"].UID; uid != alice {
						t.Fatalf("call %d: alice has the uid %d, before %d", call, uid, alice)
					}
					if err := cache.Verify(h.Dir); err != nil {
						t.Errorf("call %d: %v", call, err)
					}
					if keys := h.cached("bob"); keys != bobsKey && keys != "" {
						t.Errorf("call %d: bob is let in by %s", call, keys)
					}
				}
				h.does(h.e.SetFaults(), h.e.RemoveMember("developers", "erin"))
				for range 3 {
					h.refresh()
					h.clock.pass(2 * time.Hour)
					h.sweep()
				}
				h.same("alice's cached keys after it all", h.cached("alice"), alicesKeys)
			})
		}
	}
}

// The folder lies on a file system of its own that has no room left but for so
// many kilobytes: whatever is written, wherever it ends, the files served are
// those of before or those of after.
func TestAFullDiskLeavesACompleteState(t *testing.T) {
	unmet.Long(t, "the disk is filled at each of its steps")
	unmet.Root(t, "only root can mount a small file system")
	if os.Getenv("NSS_IAM_TEST_OWN_MOUNTS") == "" {
		// Mounts of its own, which end with the process.
		cmd := exec.Command(os.Args[0], "-test.run=^TestAFullDiskLeavesACompleteState$", "-test.count=1")
		cmd.Env = append(os.Environ(), "NSS_IAM_TEST_OWN_MOUNTS=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	h.does(h.State.Close(), syscall.Mount("tmpfs", h.Dir, "tmpfs", 0, "size=4m,mode=0755"))
	t.Cleanup(func() { _ = syscall.Unmount(h.Dir, syscall.MNT_DETACH) })
	h.openState()
	h.refresh()
	h.sweep()
	failed := 0
	for room := 0; room <= 400; room += 4 {
		fill(t, h.Dir, room<<10)
		name := fmt.Sprintf("new-%d", room)
		h.does(recreate(h, emulator.User{Name: name, Groups: []string{"developers"},
			Keys: []emulator.Key{{Body: emulator.RSALine(uint64(room), name)}}}))
		before, known := h.users(), h.live()
		h.clock.pass(2 * time.Hour)
		_, err := h.Refresh(t.Context(), refresh.Options{})
		_, sweepErr := h.Logins.Sweep(t.Context(), 0)
		if err != nil || sweepErr != nil {
			failed++
		}
		if err := cache.Verify(h.Dir); err != nil {
			t.Fatalf("%d KiB: %v", room, err)
		}
		now := h.users()
		if h.live() != known && now[name].Name == "" {
			t.Errorf("%d KiB: served are %q, before %q", room, h.live(), known)
		}
		for _, u := range before {
			if now[u.Name].UID != u.UID {
				t.Errorf("%d KiB: %s had the uid %d and has %d", room, u.Name, u.UID, now[u.Name].UID)
			}
		}
		h.same("alice's cached keys", h.cached("alice"), alicesKeys)
		h.does(os.Remove(filepath.Join(h.Dir, "ballast")))
		if h.e.DeleteUser(name) != nil {
			t.Fatal("the user is not there")
		}
		for range 2 {
			h.refresh()
		}
		if failed == 0 && room == 0 {
			t.Fatal("without any room nothing failed: the test tests nothing")
		}
	}
	if failed < 3 || failed > 95 {
		t.Errorf("%d of 101 rounds failed: the rooms tried do not meet the writes", failed)
	}
	h.refresh()
	h.sweep()
	h.same("served", h.live(), "alice bob carol erin")
}

// fill leaves so many bytes of a file system free.
func fill(t *testing.T, dir string, free int) {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	size := int(s.Bavail)*int(s.Bsize) - free
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, max(size, 0)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCredentialsThatExpireInTheMiddleOfAWalkAreRenewed(t *testing.T) {
	const role = "arn:aws:iam::111122223333:role/reader"
	h := newHostOf(t, emulator.Options{Company: company, Settings: emulator.Settings{PageSize: 1},
		Roles: []emulator.Role{{ARN: role}}},
		func(o *iam.Options) { o.AssumeRole = role })
	h.refresh()
	for call := 1; call <= 6; call++ {
		h.does(h.e.SetFaults(emulator.Fault{Kind: emulator.Expire, Action: "GetGroup", Call: call}))
		h.clock.pass(time.Minute)
		before := h.photo()
		if _, err := h.Refresh(t.Context(), refresh.Options{}); err != nil {
			h.unchanged(before) // refused is good as well; the next one must do
			h.does(h.e.SetFaults())
			h.refresh()
		}
		h.e.ExpireTokens()
		h.refresh()
	}
	h.same("served", h.live(), "alice bob carol erin")
}

func TestAClockThatJumpsTakesNobodysAccount(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.sweep()
	numbers := h.users()
	for _, jump := range []time.Duration{400 * 24 * time.Hour, -800 * 24 * time.Hour, 24 * time.Hour, -time.Second,
		400 * 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		h.clock.pass(jump)
		h.refresh()
		h.sweep()
		h.same("served", h.live(), "alice bob carol erin")
		h.same("alice's cached keys", h.cached("alice"), alicesKeys)
		if ahead := h.checked("alice").Sub(h.clock.Now()); ahead > 0 {
			t.Errorf("keys.db says that alice's keys were listed in %s", ahead)
		}
		h = h.restart()
		for name, u := range h.users() {
			if u.UID != numbers[name].UID {
				t.Errorf("%s has the uid %d, before %d", name, u.UID, numbers[name].UID)
			}
		}
	}
}

// Several faults at once, of kinds, places and lengths drawn by lot, in a
// directory of many pages, while people come and go: what is served is what the
// last good answer says, but for people that were missing in too few answers yet.
func TestManyFaultsInALargeDirectoryCostNobodyTheAccount(t *testing.T) {
	unmet.Long(t, "50 rounds of faults, each of which waits for time limits")
	const staff, visitors, rounds = 240, 40, 50
	// A page that is empty and says that it is the last cannot be told from the
	// truth; confirmation and max_fraction are for that, and have tests of their own.
	kinds := slices.DeleteFunc(slices.Clone(emulator.Faults), func(k string) bool { return k == emulator.None })
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			lot := rand.New(rand.NewPCG(seed, 6))
			c := emulator.Company{Groups: []emulator.Group{{Name: "developers"}, {Name: "admins"}, {Name: "ops"}}}
			for i := range staff + visitors {
				u := emulator.User{Name: fmt.Sprintf("staff-%03d", i), Groups: []string{"developers"}}
				if i >= staff {
					u = emulator.User{Name: fmt.Sprintf("visitor-%02d", i-staff)}
				}
				c.Users = append(c.Users, u)
			}
			h := newHostOf(t, emulator.Options{Company: c, Settings: emulator.Settings{PageSize: 20}}, func(o *iam.Options) {
				o.Attempts, o.AttemptTimeout, o.CallTimeout, o.PageTimeout = 2, 500*time.Millisecond, 1200*time.Millisecond,
					500*time.Millisecond
			})
			h.refresh()
			first := h.users()
			missed := map[string]int{} // good answers since a visitor left; absent: not served, or in the group
			here := map[string]bool{}
			failed := 0
			for round := range rounds {
				for range 1 + lot.IntN(5) {
					if name := fmt.Sprintf("visitor-%02d", lot.IntN(visitors)); here[name] {
						h.does(h.e.RemoveMember("developers", name))
						delete(here, name)
					} else {
						h.does(h.e.AddMember("developers", name))
						here[name] = true
					}
				}
				faults := make([]emulator.Fault, lot.IntN(4))
				for i := range faults {
					faults[i] = emulator.Fault{
						Kind: kinds[lot.IntN(len(kinds))], Call: 1 + lot.IntN(16), Times: 1 + lot.IntN(3),
						Every: lot.IntN(3), Delay: emulator.Duration(time.Millisecond),
					}
				}
				h.does(h.e.SetFaults(faults...))
				before := h.live()
				h.clock.pass(time.Minute)
				_, err := h.Refresh(t.Context(), refresh.Options{})
				if err := cache.Verify(h.Dir); err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				now := h.users()
				if err != nil {
					failed++
					if live := h.live(); live != before {
						t.Fatalf("round %d: the refresh failed (%v), and %q became %q", round, err, before, live)
					}
				} else {
					for i := range visitors {
						name := fmt.Sprintf("visitor-%02d", i)
						u, served := now[name]
						switch left := strings.Contains(" "+before+" ", " "+name+" ") && !here[name]; {
						case here[name]:
							delete(missed, name)
						case left:
							missed[name]++
						}
						if want := here[name] || missed[name] > 0 && missed[name] < h.Policy.Confirm; want != (served && !u.Former) {
							t.Fatalf("round %d, %v: %s is served: %v, want %v (missed %d times)", round, faults, name, served && !u.Former,
								want, missed[name])
						}
					}
				}
				for name, u := range first {
					if now[name].UID != u.UID || now[name].Former {
						t.Fatalf("round %d, %v (%v): %s was %d and is %+v", round, faults, err, name, u.UID, now[name])
					}
				}
			}
			t.Logf("%d of %d refreshes failed", failed, rounds)
			if failed < rounds/10 {
				t.Errorf("%d of %d refreshes failed: the faults do not meet the calls", failed, rounds)
			}
			h.does(h.e.SetFaults())
			for range h.Policy.Confirm {
				h.refresh()
			}
			want := slices.Collect(maps.Keys(here))
			for name := range first {
				want = append(want, name)
			}
			slices.Sort(want)
			h.same("served when all is well again", h.live(), strings.Join(want, " "))
		})
	}
}

// An instance's credentials end in the middle of a walk, and the metadata
// service, which has the next ones, is slow, talks nonsense or is gone.
func TestAMetadataServiceThatFailsInTheMiddleOfAWalkCostsNobodyTheAccount(t *testing.T) {
	unmet.Long(t, "each round waits for the time limits of the metadata service")
	h := newHostOf(t, emulator.Options{Company: company, Settings: emulator.Settings{PageSize: 1},
		Instance: emulator.Instance{Role: "host"}}, func(o *iam.Options) {
		o.Attempts, o.AttemptTimeout, o.CallTimeout, o.PageTimeout = 2, 500*time.Millisecond, time.Second,
			500*time.Millisecond
	})
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
		"AWS_EC2_METADATA_DISABLED": "false"} {
		t.Setenv(name, value)
	}
	h.refresh()
	if h.calls()["imds"] == 0 {
		t.Fatal("the credentials are not the instance's")
	}
	for _, kind := range []string{emulator.Slow, emulator.Stall, emulator.Reset, emulator.Failure, emulator.Throttle,
		emulator.Vanish, emulator.Deny, emulator.Garbage} {
		before := h.photo()
		h.does(h.e.SetFaults(
			emulator.Fault{Kind: emulator.Expire, Action: "GetGroup", Call: 3, Times: -1},
			emulator.Fault{Kind: kind, Action: "imds", Times: -1, Delay: emulator.Duration(100 * time.Millisecond)}))
		h.clock.pass(time.Minute)
		began := time.Now()
		if _, err := h.Refresh(t.Context(), refresh.Options{}); err == nil {
			t.Errorf("%s: a refresh without credentials", kind)
		}
		t.Logf("%s: refused after %v", kind, time.Since(began).Round(time.Millisecond))
		h.unchanged(before)
		// The credentials in hand are worth nothing any more, and the service is
		// well again. A question that the SDK asked before may not be over yet.
		h.e.ExpireTokens()
		h.does(h.e.SetFaults())
		var err error
		for again := time.Now().Add(time.Minute); time.Now().Before(again); {
			h.clock.pass(time.Minute)
			if _, err = h.Refresh(t.Context(), refresh.Options{}); err == nil {
				break
			}
			h.unchanged(before)
		}
		h.does(err)
		h.same(kind+": served", h.live(), "alice bob carol erin")
		h.unchanged(before)
	}
}
