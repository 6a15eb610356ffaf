package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/doctor"
	"github.com/nss-iam/nss-iam/internal/health"
	"github.com/nss-iam/nss-iam/internal/homes"
	"github.com/nss-iam/nss-iam/internal/hostsetup"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/internal/terminal"
)

func doctorCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything a login needs, and say what fixes it",
		Long: "Look at everything a login needs, and say what is wrong, why it matters, and which command fixes it. " +
			"Changes nothing.\n\n" +
			"Exits with 1 if anything is broken.",
		Example: "  # iam-cachefill doctor\n  # iam-cachefill doctor --json | jq '.findings[] | select(.state != \"good\")'",
		Args:    noArguments,
		RunE: job(func(cmd *cobra.Command, _ []string) error {
			if os.Geteuid() != 0 {
				return errors.New("doctor looks at what only root may see; run it with sudo")
			}
			p, err := input(cmd.Context(), o.configFile)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("config") && errors.Is(p.ConfigError, fs.ErrNotExist) {
				return p.ConfigError
			}
			stop := sayWaiting(cmd, o)
			findings := withConfig(o.configFile, doctor.Examine(cmd.Context(), p))
			stop()
			d := diagnosis{doctor.Sound(findings), findings}
			if o.json {
				err = printJSON(cmd.OutOrStdout(), d)
			} else {
				err = d.print(cmd.OutOrStdout())
			}
			if err == nil && !d.Sound {
				err = errNo
			}
			return err
		}),
	}
}

// A diagnosis is what doctor says.
type diagnosis struct {
	Sound    bool // nothing is broken
	Findings []doctor.Finding
}

func (d diagnosis) print(w io.Writer) error { return printDiagnosis(w, d.Findings) }

func printDiagnosis(w io.Writer, findings []doctor.Finding) error {
	s := terminal.On(w)
	tones := map[string]terminal.Tone{doctor.Good: terminal.Good, doctor.Warning: terminal.Warning,
		doctor.Broken: terminal.Bad}
	for _, f := range findings {
		s.Line(fmt.Sprintf("%-7s %-14s ", f.State, f.Check), tones[f.State], f.What)
		if f.Why != "" {
			s.Line(strings.Repeat(" ", 23)+"why: ", terminal.Plain, f.Why)
		}
		if f.Fix != "" {
			s.Line(strings.Repeat(" ", 23)+"fix: ", terminal.Plain, f.Fix)
		}
	}
	return s.Err()
}

// input reads what doctor judges.
func input(ctx context.Context, configFile string) (doctor.Input, error) {
	v, err := lookAt(ctx, configFile)
	if err != nil {
		return doctor.Input{}, err
	}
	c := v.config
	facts := v.facts
	facts.Trials = nil       // doctor tries now what the daemon tried
	facts.Host.SetUp = false // and looks at what setup edits, and at the file itself
	p := doctor.Input{
		Host: hostsetup.This(), ConfigFile: configFile, ConfigError: v.configError, CacheMayLack: !isHostsOwn(configFile),
		Health: slices.DeleteFunc(health.Examine(facts), func(f health.Finding) bool { return f.Check == "configuration" }),
		LowID:  c.IDs.Low, HighID: c.IDs.High, CacheDir: c.Cache.Dir, HomesByPAM: c.Accounts.Homes == "pam",
		HomesFolder: homesFolder(c),
		AllowOwn:    c.Keys.OwnFile == "allow", Sudo: len(c.Sudo.Groups) > 0 || c.Sudo.GroupsTag != "",
	}
	_, p.HelperGID = helperIDs()
	if t, _, err := cache.ReadNSS(p.CacheDir); err == nil {
		for _, h := range homesOf(t) {
			if p.Served.Name == "" {
				p.Served.Name, p.Served.UID = h.User, h.UID
			}
			if _, err := os.Lstat(h.Path); p.HomesFolder != "" && errors.Is(err, fs.ErrNotExist) {
				p.Homeless = append(p.Homeless, h.User)
			}
			if hasOwnKeys(h.Path) {
				p.OwnKeys = append(p.OwnKeys, h.User)
			}
		}
	}
	p.Chain, p.Keyless = c.Keys.Chain, keylessOf(v)
	if v.last != nil {
		p.Directory, p.ForeignHomes, p.LocalFiles = faultsOf(v.last.Findings)
	}
	if p.ConfigError == nil {
		p.AWS = func(ctx context.Context) []doctor.Attempt { return attempts(ctx, c, v.daemon) }
	}
	if name, ok := strings.CutPrefix(c.Source.URL, "file://"); ok {
		p.Snapshot = name
	}
	return p, nil
}

// keylessOf collects what doctor judges of people of Identity Center, or is nil where
// the users are of IAM, or nobody knows yet where they are from.
func keylessOf(v hostView) *doctor.Keyless {
	c := v.config
	direct := c.Source.Kind == config.KindIdentityCenter
	if !keyless(c, v.last) {
		return nil
	}
	k := &doctor.Keyless{Home: c.Accounts.Home}
	t, _, err := cache.ReadNSS(c.Cache.Dir)
	if direct {
		var cost *identitycenter.Cost
		if v.last != nil {
			cost = v.last.Cost
		}
		s := shareOf(c, t, cost)
		k.Share = &doctor.Share{Pace: s.pace(), Hosts: s.hosts(tenth), Publishes: c.Publish.URL != ""}
	}
	if err != nil {
		return k // what is wrong with it is told elsewhere
	}
	mounted := homes.Automounted(c.Accounts.HomesFolder())
	for _, u := range t.Users {
		if u.Former {
			continue
		}
		if _, there := homes.Owner(u.Home); !there && !mounted {
			k.Homeless = append(k.Homeless, u.Name)
		}
		switch at := strings.LastIndexByte(u.Gecos, '@'); {
		case u.Gecos == u.Name:
		case at >= 0 && u.Gecos[:at] == u.Name:
			k.Domains++
		default:
			k.Others = append(k.Others, doctor.Renamed{Login: u.Name, Directory: u.Gecos})
		}
	}
	return k
}

// keyless reports whether the directory is known to hold no keys of anybody.
func keyless(c config.Config, last *report) bool {
	return c.Source.Kind == config.KindIdentityCenter ||
		last != nil && last.Snapshot != nil && last.Snapshot.Store != ""
}

// faultsOf picks out of a refresh's findings what a person is to look at: removals
// that are held back and what else the directory's answer has, homes that another
// uid owns, and what the host's own files have of ours.
func faultsOf(findings []accounts.Finding) (directory, foreignHomes, localFiles []doctor.Fault) {
	for _, f := range findings {
		fault := doctor.Fault{What: fmt.Sprintf("the %s %.80q: %s", f.Kind, f.DirectoryName, f.Detail), Remedy: f.Remedy}
		switch f.Reason {
		case accounts.RemovalsHeld:
			fault.What = f.Detail
			directory = append(directory, fault)
		case accounts.GroupMissing, accounts.KeysRefused:
			directory = append(directory, fault)
		case accounts.HomeTaken:
			fault.What = fmt.Sprintf("the user %.80q %s", f.DirectoryName, f.Detail)
			foreignHomes = append(foreignHomes, fault)
		case accounts.LocalUse:
			fault.What = f.Detail
			localFiles = append(localFiles, fault)
		case accounts.HostName, accounts.HostID:
			localFiles = append(localFiles, fault)
		}
	}
	return directory, foreignHomes, localFiles
}

// hasOwnKeys reports whether a home has a file with keys of its user's own. It
// mounts no home to look.
func hasOwnKeys(home string) bool {
	if _, there := homes.Owner(home); !there {
		return false
	}
	for _, name := range []string{"authorized_keys", "authorized_keys2"} {
		if info, err := os.Lstat(filepath.Join(home, ".ssh", name)); err == nil &&
			(info.Size() > 0 || !info.Mode().IsRegular()) {
			return true
		}
	}
	return false
}
