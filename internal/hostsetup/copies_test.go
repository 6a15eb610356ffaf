package hostsetup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/powerloss"
)

// where names the two ways in which pam-auth-update is run.
var where = map[string]func(tree) func(context.Context, ...string) (string, error){
	"on copies": func(d tree) func(context.Context, ...string) (string, error) { return d.run },
	"on the files, where no namespace can be made": func(d tree) func(context.Context, ...string) (string, error) {
		return func(ctx context.Context, argv ...string) (string, error) {
			if argv[0] == "unshare" {
				return "", errors.New("unshare: Operation not permitted")
			}
			return d.run(ctx, argv...)
		}
	},
}

func TestPAMIsTheSameWhetherItsProgramMayWorkOnCopiesOrNot(t *testing.T) {
	var results []map[string]string
	for name, run := range where {
		t.Run(name, func(t *testing.T) {
			d := newTree(t)
			d.Run = run(d)
			before := d.snapshot()
			d.mustSetup(all)
			results = append(results, d.snapshot())
			// Edited since, so that undo has the program take its part out.
			d.write("/etc/pam.d/common-session", d.text("/etc/pam.d/common-session")+"# by hand\n")
			d.mustUndo()
			d.write("/etc/pam.d/common-session", strings.TrimSuffix(d.text("/etc/pam.d/common-session"), "# by hand\n"))
			d.same(before)
		})
	}
	for name, got := range results[0] {
		if want := results[1][name]; got != want || len(results[0]) != len(results[1]) {
			t.Errorf("%s: %s in one way, %s in the other", name, got, want)
		}
	}
}

// A disk on which what was not synced may be lost plays PAM's folder.
func TestAPowerCutFindsPAMsFilesWhole(t *testing.T) {
	for name, run := range where {
		t.Run(name, func(t *testing.T) {
			d := newTree(t)
			was := map[string]string{}
			for _, file := range d.glob([]string{"/etc/pam.d/*"}) {
				was[strings.TrimPrefix(file, "/etc/pam.d/")] = d.text(file)
			}
			disk, err := powerloss.Mount(d.at("/etc/pam.d"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = disk.Unmount() }()
			for file, text := range was {
				d.write("/etc/pam.d/"+file, text)
				if err := d.settle([]string{"/etc/pam.d/" + file}); err != nil {
					t.Fatal(err)
				}
			}
			disk.Promise() // they are there
			d.Run = run(d)
			ended := false
			d.interrupt = func(where string) {
				if where == "after pam-auth-update" {
					disk.Promise()
					ended = true
				}
			}
			d.mustSetup(all)
			will := map[string]string{}
			for file := range was {
				will[file] = d.text("/etc/pam.d/" + file)
			}
			if !ended || will["common-account"] == was["common-account"] {
				t.Fatal("setup did not change PAM")
			}
			states := map[string]bool{}
			err = disk.Trace().Crashes(1, 6, func(c powerloss.Crash) error {
				for file := range was {
					now := string(c.Files[file].Data)
					switch {
					case c.Promises == 0 || c.Promises == 1 && name != "on copies":
					case c.Promises == 1 && now == was[file]:
						states[file+" before"] = true
					case now == will[file]:
						states[file+" after"] = true
					default:
						return fmt.Errorf("%s is %q", file, now)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if !states["common-account after"] || name == "on copies" && !states["common-account before"] {
				t.Errorf("states seen: %v", states)
			}
		})
	}
}

func TestALinkInPAMsPlaceIsRefused(t *testing.T) {
	d := newTree(t)
	if err := errors.Join(os.Rename(d.at("/etc/pam.d/common-account"), d.at("/etc/pam.d/site")),
		os.Symlink("site", d.at("/etc/pam.d/common-account"))); err != nil {
		t.Fatal(err)
	}
	before := d.snapshot()
	if _, err := d.Setup(t.Context(), all); err == nil || !strings.Contains(err.Error(), "is a symbolic link") {
		t.Errorf("error %v", err)
	}
	d.same(before)
}
