package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/state"
	"github.com/nss-iam/nss-iam/tests/emulator"
	"github.com/nss-iam/nss-iam/tests/powerloss"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// A view is what the three files of a cache folder say. A file that is not
// there says "".
type view struct {
	nss   string // names with numbers
	keys  string // names with key ids
	known string // names in the directory that is remembered, and a digest of what is besides
}

// look opens the files as their readers do, and checks every page.
func look(dir string) (v view, err error) {
	if tables, _, err := cache.ReadNSS(dir); err == nil {
		if err := errors.Join(cache.Verify(dir), checkBolt(dir, cache.NSSFile, 0o644)); err != nil {
			return v, err
		}
		var names []string
		for _, u := range tables.Users {
			names = append(names, fmt.Sprintf("%s=%d %t", u.Name, u.UID, u.Former))
		}
		slices.Sort(names)
		v.nss = strings.Join(names, ", ")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	if tables, _, err := cache.ReadKeys(dir); err == nil {
		if err := checkBolt(dir, cache.KeysFile, 0o640); err != nil {
			return v, err
		}
		var names []string
		for _, u := range tables.Users {
			for _, k := range u.Keys {
				names = append(names, u.Name+" "+k.ID)
			}
		}
		slices.Sort(names)
		v.keys = strings.Join(names, ", ")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	s, err := state.Read(dir)
	if err != nil {
		return v, err
	}
	defer func() { _ = s.Close() }()
	var d directory.Directory
	var past json.RawMessage
	if err := errors.Join(s.Load("directory", &d), s.Load("past", &past)); err != nil {
		return v, err
	}
	if _, err := s.Listings(); err != nil {
		return v, err
	}
	var names []string
	for _, u := range d.Users {
		names = append(names, u.Name)
	}
	slices.Sort(names)
	if past != nil {
		v.known = fmt.Sprintf("%s; %.4x", strings.Join(names, ", "), sha256.Sum256(past))
	}
	if info, err := os.Stat(filepath.Join(dir, state.File)); err == nil && info.Size() > 0 {
		return v, checkBolt(dir, state.File, 0o600)
	}
	return v, nil
}

// checkBolt is bbolt's own check of every page and key.
func checkBolt(dir, name string, mode fs.FileMode) error {
	path := filepath.Join(dir, name)
	if info, err := os.Stat(path); err != nil || info.Mode() != mode {
		return fmt.Errorf("%s has mode %v, want %v (%v)", name, info.Mode(), mode, err)
	}
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// put writes what a crash left into an empty folder.
func put(dir string, files map[string]powerloss.Content) error {
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
		return err
	}
	for name, c := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, c.Data, 0o600), os.Chmod(path, c.Mode)); err != nil {
			return err
		}
	}
	return nil
}

// A judge says whether what a crash left is one of the complete states.
type judge struct {
	dir      string
	promised []view            // by the number of promises; the first is an empty folder
	seen     map[[32]byte]view // what was looked at already
	fresh    func(powerloss.Crash)
}

func (j *judge) check(c powerloss.Crash) error {
	sum := sha256.New()
	for _, name := range []string{cache.NSSFile, cache.KeysFile, state.File} {
		f, there := c.Files[name]
		_, _ = fmt.Fprintf(sum, "%s %t %v %d\n%s", name, there, f.Mode, len(f.Data), f.Data)
	}
	now, known := j.seen[[32]byte(sum.Sum(nil))]
	if !known {
		if err := put(j.dir, c.Files); err != nil {
			return err
		}
		var err error
		if now, err = look(j.dir); err != nil {
			// Before anything was promised, a state file half made is set aside.
			if c.Promises > 0 || !errors.Is(err, state.ErrDamaged) || now.nss != "" || now.keys != "" {
				return err
			}
		}
		j.seen[[32]byte(sum.Sum(nil))] = now
		if j.fresh != nil {
			j.fresh(c)
		}
	}
	before := j.promised[c.Promises]
	after := j.promised[min(c.Promises+1, len(j.promised)-1)]
	for _, file := range []struct{ name, now, before, after string }{
		{cache.NSSFile, now.nss, before.nss, after.nss},
		{cache.KeysFile, now.keys, before.keys, after.keys},
		{state.File, now.known, before.known, after.known},
	} {
		if file.now != file.before && file.now != file.after {
			return fmt.Errorf("%s says %q, which is neither %q nor %q", file.name, file.now, file.before, file.after)
		}
	}
	if now.nss != before.nss && now.known != after.known {
		return fmt.Errorf("%q is served and %q remembered: a former user may be forgotten", now.nss, now.known)
	}
	return nil
}

// The cache folder lies on a disk that forgets what was not synced. Power is
// lost after every single write, name and sync of some refreshes, with more and
// less of what was not synced: what is found is what was served before or after,
// and the next refresh goes on from there. The same judge finds fault with each
// sync that is taken out of the recording.
func TestPowerLossAtAnyWriteLeavesACompleteState(t *testing.T) {
	unmet.Long(t, "each of some 150 states of the disk is looked at by a process")
	unmet.Root(t, "only root can mount a disk of the tests")
	if _, err := os.Stat("/dev/fuse"); err != nil {
		unmet.Skip(t, "the kernel has no FUSE for a disk of the tests: %v", err)
	}
	if os.Getenv("NSS_IAM_TEST_OWN_MOUNTS") == "" {
		// Mounts of its own, which end with the process.
		cmd := exec.Command(os.Args[0], "-test.run=^TestPowerLossAtAnyWriteLeavesACompleteState$", "-test.v")
		cmd.Env = append(os.Environ(), "NSS_IAM_TEST_OWN_MOUNTS=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		t.Logf("%s", out)
		return
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	v := newVictim(t)
	folder := filepath.Join(v.dir, "cache")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	disk, err := powerloss.Mount(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = disk.Unmount() })
	j := &judge{dir: filepath.Join(t.TempDir(), "cache"), promised: []view{{}}, seen: map[[32]byte]view{}}
	// What is there after each refresh was said to be done.
	step := func(want func(view) bool, changes ...error) {
		t.Helper()
		if err := errors.Join(changes...); err != nil {
			t.Fatal(err)
		}
		v.refresh()
		disk.Promise()
		if err := put(j.dir, disk.Files()); err != nil {
			t.Fatal(err)
		}
		now, err := look(j.dir)
		if err != nil {
			t.Fatal(err)
		}
		if !want(now) {
			t.Fatalf("after refresh %d: %+v", len(j.promised), now)
		}
		j.promised = append(j.promised, now)
	}
	step(func(now view) bool { return strings.Contains(now.keys, "alice") && !strings.Contains(now.nss, "dave") })
	step(func(now view) bool { return strings.Contains(now.nss, "dave") }, v.e.AddMember("developers", "dave"))
	var many []error
	for n := range 15 {
		name := fmt.Sprintf("new-%02d", n)
		_, err := v.e.CreateUser(emulator.User{Name: name, Groups: []string{"developers"},
			Keys: []emulator.Key{{Body: emulator.RSALine(uint64(100+n), name)}}})
		many = append(many, err)
	}
	step(func(now view) bool { return strings.Contains(now.keys, "new-14") }, many...)
	step(func(now view) bool { return strings.Contains(now.nss, "dave=") }, v.e.RemoveMember("developers", "dave"))
	step(func(now view) bool { return strings.Contains(now.nss, "true") }) // confirmed: a former user
	trace := disk.Trace()

	var crashes []powerloss.Crash
	j.fresh = func(c powerloss.Crash) { crashes = append(crashes, c) }
	if err := trace.Crashes(1, 6, j.check); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d events, %d different states of the files", len(trace), len(crashes))
	j.fresh = nil

	// From states all over the recording, the program goes on.
	const recoveries = 25
	last := j.promised[len(j.promised)-1]
	for n := 0; n < len(crashes); n += max(1, len(crashes)/recoveries) {
		if err := put(j.dir, crashes[n].Files); err != nil {
			t.Fatal(err)
		}
		after := &victim{t: t, e: v.e, dir: filepath.Dir(j.dir)}
		if err := os.WriteFile(filepath.Join(after.dir, "config.toml"), after.config(), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := after.command()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("after event %d, %s: %v\n%s", crashes[n].After, crashes[n].How, err, out)
		}
		now, err := look(j.dir)
		if err != nil {
			t.Fatalf("after event %d, %s, and a refresh: %v", crashes[n].After, crashes[n].How, err)
		}
		for _, u := range strings.Split(last.nss, ", ") {
			if strings.HasSuffix(u, " false") && !strings.Contains(now.nss, u) {
				t.Errorf("after event %d, %s, and a refresh: %q is not among %q", crashes[n].After, crashes[n].How, u, now.nss)
			}
		}
	}

	of := func(name string, kind powerloss.Kind) func(powerloss.Event) bool {
		return func(e powerloss.Event) bool { return e.Kind == kind && trace.NameOf(e.File) == name }
	}
	for what, faulty := range map[string]powerloss.Trace{
		"nss.db is not synced":      trace.Without(of(".nss.db.new", powerloss.Synced)),
		"keys.db is not synced":     trace.Without(of(".keys.db.new", powerloss.Synced)),
		"state.db is not synced":    trace.Without(of("state.db", powerloss.Synced)),
		"the folder is not synced":  trace.Without(func(e powerloss.Event) bool { return e.Kind == powerloss.FolderSynced }),
		"nss.db is renamed first":   syncedLate(trace, of(".nss.db.new", powerloss.Synced)),
		"nss.db keeps its own mode": trace.Without(of(".nss.db.new", powerloss.ModeSet)),
	} {
		j.seen = map[[32]byte]view{}
		err := faulty.Crashes(1, 6, j.check)
		if err == nil {
			t.Errorf("%s, and nobody noticed", what)
		}
		t.Logf("%s: %.300v", what, err)
	}
}

// syncedLate has each of the syncs come behind the renaming that it was before.
func syncedLate(trace powerloss.Trace, late func(powerloss.Event) bool) powerloss.Trace {
	all := slices.Clone(trace)
	for i := range all {
		if late(all[i]) && i+1 < len(all) && all[i+1].Kind == powerloss.Named {
			all[i], all[i+1] = all[i+1], all[i]
		}
	}
	return all
}
