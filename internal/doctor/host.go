package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nss-iam/nss-iam/internal/health"
	"github.com/nss-iam/nss-iam/internal/hostsetup"
)

const setUp = health.SetUp

var libraryPatterns = []string{
	"/usr/lib/*-linux-gnu*/libnss_iam.so.2", "/lib/*-linux-gnu*/libnss_iam.so.2", "/usr/lib64/libnss_iam.so.2",
	"/lib64/libnss_iam.so.2", "/usr/lib/libnss_iam.so.2",
}

// library asks the module itself, whatever nsswitch.conf says, and then glibc
// as any program would.
func (e *examination) library(ctx context.Context) {
	var found []string
	for _, pattern := range libraryPatterns {
		names, _ := filepath.Glob(filepath.Join(e.Host.Root, pattern))
		found = append(found, names...)
	}
	if len(found) == 0 {
		e.add(Broken, "library", "libnss_iam.so.2 is not installed", "no program knows a user of the directory",
			"reinstall the package")
		return
	}
	name := e.Served.Name
	if name == "" && (e.ConfigError != nil || slices.ContainsFunc(e.Health, func(f Finding) bool {
		return f.State == Broken && (f.Check == "cache" || f.Check == "refresh")
	})) {
		return // that is why
	}
	if name == "" {
		e.add(Warning, "library", "no user is served, so the module cannot be asked for one", "nobody can log in",
			"iam-cachefill refresh")
		return
	}
	want := fmt.Sprintf("%s:*:%d:", name, e.Served.UID)
	if got, err := e.Host.Run(ctx, "getent", "-s", "passwd:iam", "passwd", name); err != nil ||
		!strings.HasPrefix(got, want) {
		e.add(Broken, "library", fmt.Sprintf("the module does not answer for %q: %s", name, answered(got, err)),
			"no program knows a user of the directory", "ldconfig; if that is not it, reinstall the package")
		return
	}
	e.good("library", "the module answers")
	if got, err := e.Host.Run(ctx, "getent", "passwd", name); err != nil || !strings.HasPrefix(got, want) {
		e.add(Broken, glibc, fmt.Sprintf("programs do not see %q: %s", name, answered(got, err)),
			"the module knows users, but glibc does not ask it", setUp+"; then restart nscd, if it runs")
	}
}

// answered is what getent said, for people.
func answered(got string, err error) string {
	switch got = strings.TrimSpace(got); {
	case got != "":
		return fmt.Sprintf("getent answers %.200q", got)
	case err == nil, strings.Contains(err.Error(), "exit status 2"):
		return "getent finds nobody of this name"
	}
	return err.Error()
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return " (" + err.Error() + ")"
}

// host looks at what setup edits.
func (e *examination) host(ctx context.Context) {
	s := e.Host.Look(ctx)
	e.edited = s.Edited
	e.findings = append(e.findings, health.Edits(s, health.Wish{Chain: e.Chain, ConfigFile: e.ConfigFile})...)
	if !s.SSHD {
		e.add(Warning, "sshd", "there is no sshd", "nobody logs in by ssh", "install openssh-server, then "+setUp)
	}
	e.doors(ctx, s)
	if !e.unread() {
		e.homes(s)
	}
}

func (e *examination) homes(s hostsetup.Sight) {
	switch {
	case e.HomesFolder != "" && !e.Host.MayMakeHomes(e.HomesFolder):
		e.add(Broken, "homes", fmt.Sprintf("the daemon may make no homes in %q", e.HomesFolder),
			"its unit has no write access there; new people have no home", setUp)
	case e.HomesFolder != "" && len(e.Homeless) > 0:
		e.add(Warning, "homes", fmt.Sprintf("%d users have no home, %q among them", len(e.Homeless), e.Homeless[0]),
			"the daemon makes homes after each refresh; its log says what hinders it",
			"iam-cachefill refresh; journalctl -u nss-iam -g home")
	case e.HomesFolder != "":
		e.good("homes", "the daemon makes homes")
	case !e.HomesByPAM:
		e.good("homes", "nothing makes homes, as configured")
	case s.MakesHomes && (!s.SSHD || s.UsePAM || s.SSHDError != nil):
		e.good("homes", "PAM makes homes at a login")
	default:
		e.add(Warning, "homes", "nothing makes homes", "people log in to / and can save nothing",
			setUp+"; or set accounts.homes = \"create\", or \"none\" if they are there already")
	}
}

// hidden are the folders that the daemon's unit keeps from it: ProtectHome and
// PrivateTmp.
var hidden = []string{"/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/"}

func (e *examination) snapshot() {
	for _, dir := range hidden {
		if strings.HasPrefix(e.Snapshot, dir) {
			e.add(Broken, "source", fmt.Sprintf("the daemon does not see %q", e.Snapshot), "its unit hides "+dir+" from it",
				"put the snapshot under /var/lib, and set source.url")
		}
	}
}

func (e *examination) aws(ctx context.Context) {
	if e.AWS == nil {
		return
	}
	for _, a := range e.AWS(ctx) {
		if a.Err == nil {
			e.good("source", a.What)
			continue
		}
		what, fix, _ := strings.Cut(a.Err.Error(), "; ")
		if fix == "" {
			fix = "the message names what is missing"
		}
		e.add(Broken, "source", what, "this is needed by the configuration ("+a.What+")", fix)
	}
}

func (e *examination) clock(ctx context.Context) {
	got, err := e.Host.Run(ctx, "timedatectl", "show", "--property=NTPSynchronized", "--property=CanNTP")
	if err != nil {
		return // no systemd, and no telling
	}
	if strings.Contains(got, "NTPSynchronized=no") {
		fix := "timedatectl set-ntp true"
		if strings.Contains(got, "CanNTP=no") {
			fix = "install chrony; timedatectl knows no program that sets the clock"
		}
		e.add(Warning, "clock", "the clock is not synchronized", "AWS refuses requests whose time is five minutes off", fix)
		return
	}
	e.good("clock", "the clock is synchronized")
}

// faults adds what a refresh found as warnings of one check.
func (e *examination) faults(check, why string, faults []Fault) {
	for _, f := range faults {
		e.add(Warning, check, f.What, why, f.Remedy)
	}
}
