package homes

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

const alice, bob = 2001000777, 2001000778

// A tree is a small host: /home, /etc/skel with a bit of everything in it, and
// /etc/secret, which is nobody's to see.
type tree struct {
	Maker
	t *testing.T
}

func newTree(t *testing.T) tree {
	t.Helper()
	unmet.Root(t, "homes are given to other users")
	d := tree{Maker{Root: t.TempDir(), Skel: "/etc/skel", Mode: 0o700, Host: "here"}, t}
	d.does(os.Chmod(d.Root, 0o755))
	d.folder("/home", 0o755)
	d.folder("/elsewhere", 0o755)
	d.file("/etc/secret", "secret", 0o600)
	d.file("/etc/skel/.bashrc", "# bash\n", 0o644)
	d.file("/etc/skel/.profile", "# profile\n", 0o600)
	d.file("/etc/skel/bin/run", "#!/bin/sh\n", 0o755)
	d.does(os.Chmod(d.at("/etc/skel/bin/run"), 0o755|fs.ModeSetuid|fs.ModeSetgid))
	d.does(os.Symlink(".bashrc", d.at("/etc/skel/.bash_link")), os.Symlink("/etc/secret", d.at("/etc/skel/.secret_link")))
	return d
}

func (d tree) at(name string) string { return filepath.Join(d.Root, name) }

func (d tree) does(errs ...error) {
	d.t.Helper()
	for _, err := range errs {
		if err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d tree) folder(name string, mode fs.FileMode) {
	d.t.Helper()
	d.does(os.MkdirAll(d.at(name), 0o755), os.Chmod(d.at(name), mode))
}

func (d tree) file(name, content string, mode fs.FileMode) {
	d.t.Helper()
	d.does(os.MkdirAll(filepath.Dir(d.at(name)), 0o755), os.WriteFile(d.at(name), []byte(content), 0o600),
		os.Chmod(d.at(name), mode))
}

func (d tree) make(homes ...Home) ([]Home, []error) {
	d.t.Helper()
	return d.Make(d.t.Context(), homes)
}

// mustMake wants all of the homes made and nothing to be said.
func (d tree) mustMake(homes ...Home) {
	d.t.Helper()
	if made, faults := d.make(homes...); len(faults) > 0 || len(made) != len(homes) {
		d.t.Fatalf("made %v, faults %v", made, faults)
	}
}

func home(user string, uid uint32) Home { return Home{user, uid, "/home/" + user} }

// census is everything below a folder, one line an entry.
func (d tree) census(name string) string {
	d.t.Helper()
	var all strings.Builder
	d.does(filepath.WalkDir(d.at(name), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		content := ""
		switch {
		case info.Mode().IsRegular():
			text, _ := os.ReadFile(path)
			content = string(text)
		case info.Mode()&fs.ModeSymlink != 0:
			content, _ = os.Readlink(path)
		}
		owner := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&all, "%s %v %d:%d %q\n", strings.TrimPrefix(path, d.at(name)), info.Mode(), owner.Uid, owner.Gid,
			content)
		return nil
	}))
	return all.String()
}

// whole is the census of a home as it is to be.
const whole = ` drwx------ 2001000777:2001000777 ""
/.bash_link Lrwxrwxrwx 2001000777:2001000777 ".bashrc"
/.bashrc -rw-r--r-- 2001000777:2001000777 "# bash\n"
/.profile -rw------- 2001000777:2001000777 "# profile\n"
/.secret_link Lrwxrwxrwx 2001000777:2001000777 "/etc/secret"
/bin drwxr-xr-x 2001000777:2001000777 ""
/bin/run -rwxr-xr-x 2001000777:2001000777 "#!/bin/sh\n"
`

func (d tree) wholeHome(name string) {
	d.t.Helper()
	if got := d.census(name); got != whole {
		d.t.Errorf("%s:\n%swant\n%s", name, got, whole)
	}
}

func TestAHomeIsTheSkeletonInItsOwnersHands(t *testing.T) {
	d := newTree(t)
	d.mustMake(home("alice", alice), home("bob", bob), Home{"carol", bob + 1, "/home/2001000779"})
	d.wholeHome("/home/alice")
	if got := d.census("/home/bob"); got != strings.ReplaceAll(whole, "2001000777", "2001000778") {
		t.Errorf("bob's home:\n%s", got)
	}
	if entries, err := os.ReadDir(d.at("/home")); err != nil || len(entries) != 3 {
		t.Errorf("in /home: %v, %v", entries, err)
	}
	before := d.census("/home")
	if made, faults := d.make(home("alice", alice), home("bob", bob)); len(made)+len(faults) != 0 ||
		d.census("/home") != before {
		t.Errorf("a second run made %v, faults %v:\n%s", made, faults, d.census("/home"))
	}
}

func TestHomesOfOtherShapes(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*tree)
		want   string
	}{
		{"without a skeleton it is empty", func(d *tree) { d.does(os.RemoveAll(d.at("/etc/skel"))) },
			" drwx------ 2001000777:2001000777 \"\"\n"},
		{"of an empty skeleton", func(d *tree) { d.does(os.RemoveAll(d.at("/etc/skel"))); d.folder("/etc/skel", 0o755) },
			" drwx------ 2001000777:2001000777 \"\"\n"},
		{"of the mode that is configured", func(d *tree) { d.Mode = 0o751 }, strings.Replace(whole, "drwx------",
			"drwxr-x--x", 1)},
		{"on a file system without an exclusive rename", func(d *tree) { d.plain = true }, whole},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newTree(t)
			c.change(&d)
			d.mustMake(home("alice", alice))
			if got := d.census("/home/alice"); got != c.want {
				t.Errorf("home:\n%swant\n%s", got, c.want)
			}
		})
	}
}

func TestWhatIsThereAlreadyIsNeverTouched(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for _, c := range []struct {
			name string
			make func(tree)
		}{
			{"a home", func(d tree) { d.file("/home/alice/mine", "mine", 0o644) }},
			{"an empty folder of root's", func(d tree) { d.folder("/home/alice", 0o700) }},
			{"a file", func(d tree) { d.file("/home/alice", "mine", 0o644) }},
			{"a symbolic link to a folder", func(d tree) { d.does(os.Symlink("/elsewhere", d.at("/home/alice"))) }},
			{"a symbolic link to nothing", func(d tree) { d.does(os.Symlink("/nothing", d.at("/home/alice"))) }},
		} {
			t.Run(fmt.Sprintf("%s, plain %v", c.name, plain), func(t *testing.T) {
				d := newTree(t)
				d.plain = plain
				c.make(d)
				before := d.census("/")
				if made, faults := d.make(home("alice", alice)); len(made)+len(faults) != 0 {
					t.Errorf("made %v, faults %v", made, faults)
				}
				if after := d.census("/"); after != before {
					t.Errorf("from\n%sto\n%s", before, after)
				}
				// And not when it appears while the home is being built.
				d = newTree(t)
				d.plain = plain
				d.interrupt = func(where string) {
					if where == "given away" {
						c.make(d)
						before = d.census("/home/alice")
					}
				}
				if made, faults := d.make(home("alice", alice)); len(made)+len(faults) != 0 {
					t.Errorf("made %v, faults %v", made, faults)
				}
				if after := d.census("/home/alice"); after != before {
					t.Errorf("from\n%sto\n%s", before, after)
				}
				if left, _ := filepath.Glob(d.at("/home/.*")); len(left) > 0 {
					t.Errorf("left %q", left)
				}
			})
		}
	}
}

func TestAPlaceThatOthersCouldChangeGetsNoHome(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(tree)
		path   string
		says   string
	}{
		{"a parent of somebody else's", func(d tree) { d.does(os.Chown(d.at("/home"), alice, 0)) }, "/home/alice",
			`folder "/home": uid 2001000777, mode 0755: it must be root's`},
		{"a parent that its group may write to", func(d tree) { d.folder("/home", 0o775) }, "/home/alice",
			"mode 0775: it must be root's and writable by nobody else"},
		{"a parent that all may write to", func(d tree) { d.folder("/home", 0o777|fs.ModeSticky) }, "/home/alice",
			"mode 1777"},
		{"a folder above it that all may write to", func(d tree) {
			d.folder("/srv/all", 0o777)
			d.folder("/srv/all/homes",
				0o755)
		}, "/srv/all/homes/alice", `folder "/srv/all"`},
		{"a parent that is a symbolic link",
			func(d tree) { d.does(os.Remove(d.at("/home")), os.Symlink("elsewhere", d.at("/home"))) }, "/home/alice",
			`"/home" is no folder; name the one behind a symbolic link`},
		{"a symbolic link above it",
			func(d tree) { d.folder("/elsewhere/homes", 0o755); d.does(os.Symlink("elsewhere", d.at("/srv"))) },
			"/srv/homes/alice", `"/srv" is no folder`},
		{"a parent that is a file", func(d tree) { d.file("/srv", "", 0o644) }, "/srv/alice", `"/srv" is no folder`},
		{"a parent that is not there", func(tree) {}, "/srv/homes/alice", `open folder /srv: no such file`},
		{"a path out of it", func(tree) {}, "/home/../elsewhere/alice", "not a path for a home"},
		{"a path from nowhere", func(tree) {}, "home/alice", "not a path for a home"},
		{"no path", func(tree) {}, "", "not a path for a home"},
		{"the root", func(tree) {}, "/", "not a path for a home"},
		{"a name of ours", func(tree) {}, "/home/.nss-iam-home.here.7", "not a path for a home"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newTree(t)
			c.change(d)
			before := d.census("/")
			made, faults := d.make(Home{"alice", alice, c.path})
			if len(made) != 0 || len(faults) != 1 || !strings.Contains(faults[0].Error(), c.says) {
				t.Errorf("made %v, faults %v, want one that says %q", made, faults, c.says)
			}
			if after := d.census("/"); after != before {
				t.Errorf("from\n%sto\n%s", before, after)
			}
		})
	}
}

func TestOneWrongHomeHindersNoOther(t *testing.T) {
	d := newTree(t)
	made, faults := d.make(Home{"carol", 2001000779, "/srv/carol"}, home("alice", alice), Home{"dave", 2001000780, "/"})
	if len(made) != 1 || len(faults) != 2 {
		t.Errorf("made %v, faults %v", made, faults)
	}
	d.wholeHome("/home/alice")
}

func TestTheModeOfHomesIsLoginDefs(t *testing.T) {
	for _, c := range []struct {
		defs string
		want fs.FileMode
	}{
		{"", 0o700},
		{"UMASK 022\n", 0o700},
		{"#HOME_MODE 0755\n", 0o700},
		{"HOME_MODE\t0750\n", 0o750},
		{"HOME_MODE 0711 # so\nHOME_MODE 0755", 0o755},
		{"HOME_MODE 0777\n", 0o755},
		{"HOME_MODE 04755\n", 0o755},
		{"HOME_MODE 0000\n", 0o700},
		{"HOME_MODE yes\n", 0o700},
		{"HOME_MODE\n", 0o700},
	} {
		if got := homeMode(c.defs); got != c.want {
			t.Errorf("%q: %04o, want %04o", c.defs, got, c.want)
		}
	}
}
