package hostsetup

import (
	"context"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// keysFile is where sshd looks for a user's own keys.
func (d tree) keysFile(user string) string {
	d.t.Helper()
	text, err := d.run(context.Background(), "/usr/sbin/sshd", "-T", "-C", "user="+user+",host=localhost")
	if err != nil {
		d.t.Fatal(err)
	}
	return parseEffective(text).first("authorizedkeysfile")
}

func TestOwnKeysOfServedUsersAreIgnoredAndNobodyElses(t *testing.T) {
	const own = ".ssh/authorized_keys"
	for _, c := range []struct{ name, config string }{
		{"Debian", debian[sshdConfigPath]},
		{"no Include", "UsePAM yes\n"},
		{"no Include, and a Match at the end", "UsePAM yes\nMatch User git\n\tForceCommand x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newTree(t)
			d.write(sshdConfigPath, c.config)
			before := d.snapshot()
			d.mustSetup(all)
			if got := d.keysFile("served"); got != "none" {
				t.Errorf("a served user's keys are read from %q", got)
			}
			if got := d.keysFile("root"); got != own {
				t.Errorf("root's keys are read from %q", got)
			}
			allowed := all
			allowed.OwnKeys = true
			d.mustSetup(allowed)
			if got := d.keysFile("served"); got != own {
				t.Errorf("with keys.own_file = \"allow\" a served user's keys are read from %q", got)
			}
			d.mustSetup(all)
			if got := d.keysFile("served"); got != "none" {
				t.Errorf("with it taken back they are read from %q", got)
			}
			d.mustUndo()
			d.same(before)
		})
	}
}

func TestSudoLooksAtTheGroupDatabaseUnlessTheHostChose(t *testing.T) {
	const block = blockBegin + "Set group_source dynamic\n" + blockEnd
	for _, c := range []struct {
		name, before, after string
		absent              bool
		noted               bool
	}{
		{name: "Debian's file", before: "# Set group_source static\n", after: "# Set group_source static\n" + block},
		{name: "a file without a last newline", before: "Set probe_interfaces false", after: "Set probe_interfaces false\n" +
			block},
		{name: "no file", absent: true, after: block},
		{name: "the host chose the same", before: "set  group_source\tdynamic\n", after: "set  group_source\tdynamic\n"},
		{name: "the host chose otherwise", before: "Set group_source static\n", after: "Set group_source static\n",
			noted: true},
		{name: "the last of two choices counts", before: "Set group_source dynamic\nSet group_source adaptive\n",
			after: "Set group_source dynamic\nSet group_source adaptive\n", noted: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newTree(t)
			d.write(sudoConfPath, c.before)
			if c.absent {
				_ = os.Remove(d.at(sudoConfPath))
			}
			before := d.snapshot()
			r := d.mustSetup(all)
			if got := d.text(sudoConfPath); got != c.after {
				t.Errorf("got %q, want %q", got, c.after)
			}
			if got := strings.Contains(strings.Join(r.Notes, "\n"), "a person who lost iam-sudo"); got != c.noted {
				t.Errorf("notes: %q", r.Notes)
			}
			if r := d.mustSetup(all); len(r.Changed) != 0 {
				t.Errorf("a second setup changed %q", r.Changed)
			}
			d.mustUndo()
			d.same(before)
		})
	}
	d := newTree(t)
	d.mustSetup(Options{})
	if got := d.text(sudoConfPath); got != debian[sudoConfPath] {
		t.Errorf("without sudo for anybody: %q", got)
	}
	d.write("/usr/bin/sudo", "sudo-rs 0.2.5\n") // what the stand-in says of its version
	d.mustSetup(all)
	if got := d.text(sudoConfPath); got != debian[sudoConfPath] {
		t.Errorf("with sudo-rs: %q", got)
	}
}

func TestWhereSudoTakesGroupsFrom(t *testing.T) {
	for _, c := range []struct {
		name, sudo, conf, source string
		ok                       bool
	}{
		{name: "by its own choice", sudo: "Sudo version 1.9.13p3\n", conf: "# Set group_source dynamic\n", ok: true},
		{name: "the group database", sudo: "Sudo version 1.9.13p3\n", conf: "Set group_source dynamic\n", source: "dynamic",
			ok: true},
		{name: "the process", sudo: "Sudo version 1.9.13p3\n", conf: "Set group_source static\n", source: "static", ok: true},
		{name: "sudo-rs has no choice", sudo: "sudo-rs 0.2.5\n", conf: "Set group_source static\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newTree(t)
			d.write("/usr/bin/sudo", c.sudo)
			d.write(sudoConfPath, c.conf)
			if source, ok := d.SudoGroups(context.Background()); source != c.source || ok != c.ok {
				t.Errorf("got %q, %v; want %q, %v", source, ok, c.source, c.ok)
			}
		})
	}
}

func TestLookAtPAM(t *testing.T) {
	const asks = "account [success=1 default=ignore] pam_localuser.so\naccount [success=ok default=bad] pam_exec.so " +
		"quiet seteuid " + AccountHelper + "\n"
	for _, c := range []struct {
		name  string
		files map[string]string // below /etc/pam.d, but for those with a slash
		want  Stack
	}{
		{"everything asks by what it includes", map[string]string{
			"common-account": "account required pam_unix.so\n" + asks,
			"sshd":           "account required pam_nologin.so\n@include common-account\n",
			"crond":          "account include common-account\n", "su": "-account   substack\tcommon-account # x\n",
			"/usr/lib/pam.d/systemd-user": "@include common-account\n",
		}, Stack{}},
		{"some do not ask", map[string]string{
			"common-account": "account required pam_unix.so\n", "sshd": "@include common-account\n" + asks,
			"cron": "@include common-account\n", "/usr/lib/pam.d/systemd-user": "@include common-account\n",
			"su": "#" + strings.ReplaceAll(asks, "\n", "\n#"), "sudo": "session optional pam_exec.so " + AccountHelper + "\n",
		}, Stack{Unasked: []string{"su", "sudo", "cron", "systemd-user"}}},
		{"a file in /etc goes before the package's", map[string]string{
			"systemd-user": "account required pam_permit.so\n", "/usr/lib/pam.d/systemd-user": asks,
		}, Stack{Unasked: []string{"systemd-user"}}},
		{"no jump, or another line between", map[string]string{
			"sshd": strings.SplitAfter(asks, "\n")[1], "su": strings.Replace(asks, "pam_localuser.so\n",
				"pam_localuser.so\naccount required pam_x.so\n", 1),
			"sudo":  strings.Replace(asks, "success=1", "success=2", 1),
			"login": strings.Replace(asks, "[success=1 default=ignore]", "sufficient", 1),
		}, Stack{Misjumps: []string{"sshd", "su", "sudo"}}},
		{"a line that ends the phase before", map[string]string{
			"sshd": "account sufficient pam_unix.so\n" + asks, "su": "account [success=done default=bad] " +
				"/lib/security/pam_permit.so\n" + asks,
			"login": asks + "account sufficient pam_permit.so\n", "cron": "account sufficient pam_localuser.so\n" + asks,
		}, Stack{Ends: []string{"sshd (sufficient pam_unix.so)", "su ([success=done default=bad] pam_permit.so)"}}},
		{"broken_shadow", map[string]string{"sshd": "account required pam_unix.so \\\n\tbroken_shadow\n" + asks,
			"su": "auth required pam_unix.so broken_shadow\n" + asks},
			Stack{Broken: []string{"sshd"}}},
		{"files that include each other without end", map[string]string{"sshd": "@include sshd\n"},
			Stack{Unasked: []string{"sshd"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := tree{&Host{Root: t.TempDir()}, t}
			for name, content := range c.files {
				if !strings.HasPrefix(name, "/") {
					name = "/etc/pam.d/" + name
				}
				d.write(name, content)
			}
			if got := d.LookAtPAM(); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// redHat is what a host of that family has of PAM.
var redHat = map[string]string{
	"/etc/pam.d/system-auth": "auth required pam_unix.so\naccount required pam_unix.so\naccount sufficient " +
		"pam_localuser.so\naccount required pam_permit.so\n\npassword required pam_deny.so\n",
	"/etc/pam.d/password-auth": "account required pam_unix.so",
	"/etc/pam.d/sshd": "auth substack password-auth\naccount    required     pam_nologin.so\naccount    " +
		"include      password-auth\npassword   include      password-auth\n",
	"/etc/pam.d/crond":     "account    required   pam_access.so\naccount    include    system-auth\n",
	"/etc/pam.d/runuser":   "auth sufficient pam_rootok.so\nsession include system-auth\n",
	"/etc/pam.d/commented": "#account include system-auth\naccount required pam_permit.so\n",
}

// ofRedHat is a host of that family; with authselect its shared files are
// links to what that generates.
func ofRedHat(t *testing.T, authselect bool) tree {
	t.Helper()
	d := newTree(t)
	for _, name := range []string{"/usr/sbin/pam-auth-update", "/etc/pam.d/common-account", "/etc/debian_version"} {
		_ = os.Remove(d.at(name))
	}
	for name, content := range redHat {
		d.write(name, content)
	}
	if authselect {
		d.write("/usr/bin/authselect", "")
		d.write("/etc/authselect/authselect.conf", "sssd\n")
		d.write(userNsswitchPath, debian[nsswitchPath])
		_ = os.Chmod(d.at("/usr/bin/authselect"), 0o755)
		for _, stack := range []string{"system-auth", "password-auth"} {
			d.write("/etc/authselect/"+stack, redHat["/etc/pam.d/"+stack])
			_ = os.Remove(d.at("/etc/pam.d/" + stack))
			_ = os.Symlink("../authselect/"+stack, d.at("/etc/pam.d/"+stack))
		}
		d.write(nsswitchPath, "# Generated by authselect\n"+debian[nsswitchPath])
	}
	return d
}

func TestPAMAsksTheAccountHelperWhereNoProgramWritesItsFiles(t *testing.T) {
	block := blockBegin + accountLines + blockEnd
	asked := map[string]string{
		"/etc/pam.d/system-auth": strings.Replace(redHat["/etc/pam.d/system-auth"], "pam_permit.so\n",
			"pam_permit.so\n"+block, 1),
		"/etc/pam.d/password-auth": redHat["/etc/pam.d/password-auth"] + "\n" + block,
		"/etc/pam.d/sshd": strings.Replace(redHat["/etc/pam.d/sshd"], "password   include",
			block+"password   include", 1),
		"/etc/pam.d/crond": redHat["/etc/pam.d/crond"] + block,
	}
	for _, c := range []struct {
		name       string
		authselect bool
		edited     []string
	}{
		{"the files that services share", false, []string{"/etc/pam.d/system-auth", "/etc/pam.d/password-auth"}},
		{"each service's file where authselect generates the shared ones", true,
			[]string{"/etc/pam.d/sshd", "/etc/pam.d/crond"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := ofRedHat(t, c.authselect)
			d.Run = func(ctx context.Context, argv ...string) (string, error) {
				if argv[0] == "authselect" {
					return "", nil
				}
				return d.run(ctx, argv...)
			}
			before := d.snapshot()
			d.mustSetup(Options{Sudo: true})
			edited := map[string]bool{}
			for _, name := range c.edited {
				edited[name] = true
				if got := d.text(name); got != asked[name] {
					t.Errorf("%s: %q, want %q", name, got, asked[name])
				}
			}
			for name, content := range redHat {
				if got := d.text(name); !edited[name] && got != content {
					t.Errorf("%s: %q, want it left alone", name, got)
				}
			}
			if r := d.mustSetup(Options{Sudo: true}); len(r.Changed) != 0 {
				t.Errorf("a second setup changed %q", r.Changed)
			}
			d.mustUndo()
			d.same(before)
		})
	}
	t.Run("a link to a file beside it", func(t *testing.T) {
		d := ofRedHat(t, false)
		_ = os.Rename(d.at("/etc/pam.d/system-auth"), d.at("/etc/pam.d/system-auth-ac"))
		_ = os.Symlink("system-auth-ac", d.at("/etc/pam.d/system-auth"))
		before := d.snapshot()
		d.mustSetup(Options{})
		if got := d.text("/etc/pam.d/system-auth-ac"); got != asked["/etc/pam.d/system-auth"] {
			t.Errorf("system-auth-ac: %q", got)
		}
		d.mustUndo()
		d.same(before)
	})
	t.Run("edited since, our part alone goes", func(t *testing.T) {
		d := ofRedHat(t, false)
		d.mustSetup(Options{})
		d.write("/etc/pam.d/system-auth", d.text("/etc/pam.d/system-auth")+"session optional pam_foo.so\n")
		d.mustUndo()
		if got, want := d.text("/etc/pam.d/system-auth"), redHat["/etc/pam.d/system-auth"]+
			"session optional pam_foo.so\n"; got != want {
			t.Errorf("system-auth: %q, want %q", got, want)
		}
	})
	t.Run("no file that is known", func(t *testing.T) {
		d := newTree(t)
		_ = os.Remove(d.at("/usr/sbin/pam-auth-update"))
		_ = os.Remove(d.at("/etc/pam.d/common-account"))
		if r := d.mustSetup(Options{}); !strings.Contains(strings.Join(r.Notes, "\n"), "pam_exec.so quiet seteuid "+
			AccountHelper) {
			t.Errorf("notes: %q", r.Notes)
		}
	})
}

func TestPAMsFilesThatWereEditedByHandAreNoted(t *testing.T) {
	d := newTree(t)
	d.Run = func(ctx context.Context, argv ...string) (string, error) {
		if slices.Contains(argv, "pam-auth-update") {
			return "", nil // it leaves them alone
		}
		return d.run(ctx, argv...)
	}
	r := d.mustSetup(all)
	if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes,
		"add to the end of /etc/pam.d/common-account:\naccount     [success=1 default=ignore]    pam_localuser.so") {
		t.Errorf("notes: %q", notes)
	}
}
