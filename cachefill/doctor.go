package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/doctor"
	"github.com/nss-iam/nss-iam/internal/hostsetup"
	"github.com/nss-iam/nss-iam/internal/refresh"
)

func doctorCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything a login needs, and say what mends it",
		Long:  "Look at everything a login needs, and say what is wrong, why it matters, and which command\nmends it. Exits with 1 if anything is broken. Changes nothing.",
		Args:  cobra.NoArgs,
		RunE: job(func(cmd *cobra.Command, _ []string) error {
			if os.Geteuid() != 0 {
				return errors.New("doctor looks at what only root may see; run it with sudo")
			}
			findings := doctor.Examine(cmd.Context(), patient(cmd.Context(), o.configFile))
			var err error
			if o.json {
				err = printJSON(cmd.OutOrStdout(), findings)
			} else {
				err = printDiagnosis(cmd.OutOrStdout(), findings)
			}
			if err == nil && !doctor.Well(findings) {
				err = errNo
			}
			return err
		}),
	}
}

func printDiagnosis(w io.Writer, findings []doctor.Finding) error {
	var b strings.Builder
	for _, f := range findings {
		_, _ = fmt.Fprintf(&b, "%-7s %-14s %s\n", f.State, f.Check, f.What)
		if f.Why != "" {
			_, _ = fmt.Fprintf(&b, "%22s why: %s\n", "", f.Why)
		}
		if f.Mend != "" {
			_, _ = fmt.Fprintf(&b, "%22s mend: %s\n", "", f.Mend)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// patient reads what the doctor judges.
func patient(ctx context.Context, configFile string) doctor.Patient {
	c, err := loadConfig(configFile)
	p := doctor.Patient{
		Host: hostsetup.This(), ConfigFile: configFile, ConfigError: err,
		CacheDir: c.Cache.Dir, HomesByPAM: c.Accounts.Homes == "pam", HomesFolder: homesFolder(c), Now: time.Now(),
	}
	if p.CacheDir == "" {
		p.CacheDir = config.Default().Cache.Dir
	}
	_, p.HelperGID = helperIDs()
	s := readServed(p.CacheDir)
	p.Served = doctor.Served{NSSError: s.NSSError, KeysError: s.KeysError, Refresh: c.Source.Refresh}
	if t, _, err := cache.ReadNSS(p.CacheDir); err == nil {
		for _, h := range homesOf(t) {
			if p.Served.Name == "" {
				p.Served.Name, p.Served.UID = h.User, h.UID
			}
			if _, err := os.Lstat(h.Path); p.HomesFolder != "" && errors.Is(err, fs.ErrNotExist) {
				p.Homeless = append(p.Homeless, h.User)
			}
		}
	}
	if r, err := readReport(); err == nil {
		p.Served.Success, p.Served.LastError = r.Success, r.Error
	}
	if _, err := (control.Client{Path: socketPath}).Status(ctx); err == nil {
		p.Served.Daemon = true
	}
	if p.ConfigError == nil && c.Source.Kind == "iam" {
		p.AWS = func(ctx context.Context) []doctor.Attempt { return tryIAM(ctx, c) }
	}
	return p
}

// daemonEnvironment gives this process what the daemon's unit is given, so
// that AWS is asked as the daemon asks it.
func daemonEnvironment() {
	f, err := os.Open("/etc/nss-iam/environment")
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if _, set := os.LookupEnv(name); ok && !set && !strings.HasPrefix(name, "#") {
			_ = os.Setenv(name, strings.Trim(value, `"'`))
		}
	}
}

// tryIAM makes each kind of request that the configuration needs once.
func tryIAM(ctx context.Context, c config.Config) (tried []doctor.Attempt) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	daemonEnvironment()
	try := func(what string, err error) bool {
		tried = append(tried, doctor.Attempt{What: what, Err: err})
		return err == nil
	}
	a, err := whoToAsk(c, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		try("the source", err)
		return tried
	}
	s := a.iam
	var groups []string
	groups = append(append(groups, c.Login.Groups...), c.Sudo.Groups...)
	for _, key := range []string{c.Login.GroupsTag, c.Sudo.GroupsTag} {
		if key == "" {
			continue
		}
		value, err := s.InstanceTag(ctx, key)
		if try(fmt.Sprintf("the instance's tag %q", key), err) {
			for _, g := range strings.Split(value, ",") {
				if g = strings.TrimSpace(g); g != "" {
					groups = append(groups, g)
				}
			}
		}
	}
	said, err := s.Directory(ctx, refresh.Wanted{Groups: groups, Publish: c.Accounts.PublishGroups, AllUsers: c.Login.AllUsers})
	if !try("users, groups and members", err) || len(said.Directory.Users) == 0 {
		return tried
	}
	name := said.Directory.Users[0].Name
	_, err = s.UserID(ctx, name)
	try("one user", err)
	_, _, err = s.Keys(ctx, name, func(string) (string, bool) { return "", false })
	try("one user's keys", err)
	if c.Keys.TagPrefix != "" || c.Accounts.ExpiresTag != "" {
		_, err = s.Tags(ctx, name)
		try("one user's tags", err)
	}
	return tried
}
