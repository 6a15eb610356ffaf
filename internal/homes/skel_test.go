package homes

import (
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

func TestWhatDoesNotBelongInASkeletonIsLeftOut(t *testing.T) {
	for _, c := range []struct {
		name string
		add  func(tree)
		says string
	}{
		{"a device", func(d tree) { d.does(unix.Mknod(d.at("/etc/skel/odd"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5)))) },
			"no file, folder or symbolic link"},
		{"a pipe", func(d tree) { d.does(unix.Mkfifo(d.at("/etc/skel/odd"), 0o644)) }, "no file, folder or symbolic link"},
		{"a socket", func(d tree) {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: d.at("/etc/skel/odd"), Net: "unix"})
			d.does(err)
			d.t.Cleanup(func() { _ = l.Close() })
		}, "no file, folder or symbolic link"},
		{"somebody else's file", func(d tree) {
			d.file("/etc/skel/odd", "x", 0o644)
			d.does(os.Chown(d.at("/etc/skel/odd"), bob, bob))
		}, "uid 2001000778, mode 0644: it must be root's"},
		{"a file that all may write to", func(d tree) { d.file("/etc/skel/odd", "x", 0o666) }, "writable by nobody else"},
		{"a folder that its group may write to",
			func(d tree) { d.file("/etc/skel/odd/x", "x", 0o644); d.folder("/etc/skel/odd", 0o775) }, "writable by nobody else"},
		{"somebody else's link", func(d tree) {
			d.does(os.Symlink("x", d.at("/etc/skel/odd")), os.Lchown(d.at("/etc/skel/odd"), bob, bob))
		}, "a symbolic link of uid 2001000778"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newTree(t)
			c.add(d)
			made, faults := d.make(home("alice", alice), home("bob", bob))
			if len(made) != 2 || len(faults) != 1 || !strings.Contains(faults[0].Error(), `without "/etc/skel/odd": `) ||
				!strings.Contains(faults[0].Error(), c.says) {
				t.Errorf("made %v, faults %v, want one that says %q", made, faults, c.says)
			}
			d.wholeHome("/home/alice")
		})
	}
}

func TestASkeletonThatOthersMayWriteToIsAsGoodAsNone(t *testing.T) {
	for name, change := range map[string]func(tree){
		"all may write to it": func(d tree) { d.folder("/etc/skel", 0o777) },
		"somebody else's":     func(d tree) { d.does(os.Chown(d.at("/etc/skel"), bob, bob)) },
		"a symbolic link": func(d tree) {
			d.does(os.Rename(d.at("/etc/skel"), d.at("/etc/other")), os.Symlink("other", d.at("/etc/skel")))
		},
		"a file": func(d tree) { d.does(os.RemoveAll(d.at("/etc/skel"))); d.file("/etc/skel", "", 0o644) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newTree(t)
			change(d)
			made, faults := d.make(home("alice", alice), home("bob", bob))
			if len(made) != 2 || len(faults) != 1 || !strings.Contains(faults[0].Error(), "homes are made empty") {
				t.Errorf("made %v, faults %v", made, faults)
			}
			if got := d.census("/home/alice"); got != " drwx------ 2001000777:2001000777 \"\"\n" {
				t.Errorf("home:\n%s", got)
			}
		})
	}
}

func TestASkeletonWithoutBoundsMakesNoHome(t *testing.T) {
	unmet.Long(t, "a skeleton of the largest size is written")
	for name, add := range map[string]func(tree){
		"deep": func(d tree) { d.folder("/etc/skel"+strings.Repeat("/x", maxDepth+1), 0o755) },
		"large": func(d tree) {
			d.file("/etc/skel/zeros", "", 0o644)
			d.does(os.Truncate(d.at("/etc/skel/zeros"), 1<<40))
		},
		"many": func(d tree) {
			for i := range maxEntries {
				d.does(os.Symlink("x", d.at("/etc/skel/")+"/"+strings.Repeat("y", i/200+1)+"-"+strings.Repeat("z", i%200)))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newTree(t)
			add(d)
			made, faults := d.make(home("alice", alice))
			if len(made) != 0 || len(faults) != 1 || !strings.Contains(faults[0].Error(), "holds more than") {
				t.Errorf("made %v, faults %v", made, faults)
			}
			if got := d.census("/home"); got != " drwxr-xr-x 0:0 \"\"\n" {
				t.Errorf("left:\n%s", got)
			}
		})
	}
}

// A folder of the skeleton, and the parent of homes, are a folder one moment
// and a symbolic link the next, for as long as homes are made.
func TestNoSymbolicLinkIsFollowedWhileItIsSwapped(t *testing.T) {
	unmet.Long(t, "links are swapped for seconds")
	for _, c := range []struct{ name, swapped, link string }{
		{"in the skeleton", "/etc/skel/bin", "/etc/private"},
		{"the parent", "/home", "/elsewhere"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newTree(t)
			d.file("/etc/private/secret", "secret", 0o644)
			d.does(os.Symlink(d.at(c.link), d.at(c.swapped+".link")))
			elsewhere := d.census("/elsewhere")
			done, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					_ = unix.Renameat2(unix.AT_FDCWD, d.at(c.swapped), unix.AT_FDCWD, d.at(c.swapped+".link"), unix.RENAME_EXCHANGE)
					select {
					case <-done:
						return
					default:
					}
				}
			}()
			for i := range 100 {
				_, _ = d.make(Home{"alice", alice + uint32(i), "/home/alice" + strings.Repeat("x", i%100) + "a"})
			}
			close(done)
			<-stopped
			if got := d.census("/elsewhere"); got != elsewhere {
				t.Errorf("elsewhere:\n%s", got)
			}
			for _, name := range []string{"/home", "/home.link"} {
				if info, err := os.Lstat(d.at(name)); err == nil && info.IsDir() && strings.Contains(d.census(name), "\"secret\"") {
					t.Errorf("a secret came into a home:\n%s", d.census(name))
				}
			}
		})
	}
}
