package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/succession"
)

// A crossing is the plan for a fleet that moves from IAM to Identity Center.
type crossing struct {
	users, groups succession.Plan
}

// crossingOf asks the directories of two configurations, and finds out who of the
// one is who of the other. Nothing is changed.
func crossingOf(ctx context.Context, before, after config.Config) (crossing, error) {
	if before.Source.Kind == config.KindIdentityCenter {
		return crossing{}, errors.New("the configuration before reads Identity Center already: give the one that reads IAM")
	}
	if after.Source.Kind != config.KindIdentityCenter {
		return crossing{}, fmt.Errorf("the new configuration has source.kind %q: give, by --config, the one with %q",
			after.Source.Kind, config.KindIdentityCenter)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	old, err := read(ctx, before)
	if err != nil {
		return crossing{}, fmt.Errorf("read IAM: %w", err)
	}
	policy := policyFrom(after)
	now, names, err := readByAllNames(ctx, after)
	if err != nil {
		return crossing{}, fmt.Errorf("read Identity Center: %w", err)
	}
	taken := takenBy(now, policy)
	return crossing{
		users:  succession.Compare(usersOf(old, policyFrom(before), nil), usersOf(now, policy, names), taken),
		groups: succession.Compare(groupsOf(old, policyFrom(before)), groupsOf(now, policy), taken),
	}, nil
}

// fromIAM prints the pins with which people keep their uids.
func fromIAM(ctx context.Context, o *options, w io.Writer, file string) error {
	before, err := config.Load(file)
	if err != nil && !errors.Is(err, config.ErrNotConfigured) {
		return err
	}
	after, err := config.Load(o.configFile)
	if err != nil && !errors.Is(err, config.ErrNotConfigured) {
		return err
	}
	c, err := crossingOf(ctx, before, after)
	if err != nil {
		return err
	}
	pins, rest := succession.Pins(c.users, c.groups), succession.Rest(c.users, c.groups)
	if o.json {
		err = printJSON(w, struct{ Configuration, Plan string }{pins, rest})
	} else {
		_, err = io.WriteString(w, pins+"\n"+rest)
	}
	if n := len(c.users.Doubts) + len(c.groups.Doubts); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d are not pinned, because it is doubtful who they are: read the comments and "+
			"decide", n))
	}
	return err
}

// read asks for what a host of this configuration would ask for, and a publisher
// for everybody.
func read(ctx context.Context, c config.Config) (directory.Directory, error) {
	q := policyFrom(c).Query()
	if c.Publish.URL != "" {
		q.AllUsers, q.Publish = true, []string{"*"}
	}
	return ask(ctx, c, q)
}

func ask(ctx context.Context, c config.Config, q directory.Query) (directory.Directory, error) {
	s, err := openSources(c, directory.Origin{}, slog.New(slog.DiscardHandler))
	if err != nil {
		return directory.Directory{}, err
	}
	answer, err := s.directory.Directory(ctx, q)
	return answer.Directory, err
}

// readByAllNames reads the directory, and everybody once more for each further
// attribute from which login names can be made. It returns everybody's names by id.
func readByAllNames(
	ctx context.Context, c config.Config,
) (d directory.Directory, names map[string][]string, err error) {
	d, err = read(ctx, c)
	names = map[string][]string{}
	for _, from := range []string{"user-name", "nick-name", "email"} {
		if err != nil || from == c.Accounts.NameFrom {
			continue
		}
		other := c
		other.Accounts.NameFrom = from
		var all directory.Directory
		all, err = ask(ctx, other, directory.Query{AllUsers: true})
		for _, u := range all.Users {
			names[u.ID] = append(names[u.ID], u.Name)
		}
	}
	return d, names, err
}

func usersOf(d directory.Directory, p accounts.Policy, names map[string][]string) []succession.Principal {
	all := make([]succession.Principal, 0, len(d.Users))
	for _, u := range d.Users {
		s := principalOf(u.ID, u.Name, p.LoginName(u.Name), p)
		if !s.Pinned {
			s.UnixID = accounts.UserUID(u.ID, p.Range)
		}
		for _, name := range names[u.ID] {
			s.Known = append(s.Known, name, p.LoginName(name))
		}
		all = append(all, s)
	}
	return all
}

func groupsOf(d directory.Directory, p accounts.Policy) []succession.Principal {
	all := make([]succession.Principal, 0, len(d.Groups))
	for _, g := range d.Groups {
		s := principalOf(g.ID, g.Name, p.GroupName(g.Name), p)
		if !s.Pinned {
			s.UnixID = accounts.GroupGID(g.ID, p.Range)
		}
		all = append(all, s)
	}
	return all
}

func principalOf(id, name, login string, p accounts.Policy) succession.Principal {
	n, pinned := p.Pins[id]
	return succession.Principal{ID: id, Name: name, Login: login, UnixID: n, Pinned: pinned, Known: []string{name, login}}
}

// takenBy are the uids and gids that a pin must not name, with the ids or names that
// have them.
func takenBy(d directory.Directory, p accounts.Policy) map[uint32]string {
	taken := map[uint32]string{}
	for _, c := range d.Claimants() {
		if _, pinned := p.Pins[c.ID]; pinned {
			continue
		}
		n := accounts.UserUID(c.ID, p.Range)
		if c.Group {
			n = accounts.GroupGID(c.ID, p.Range)
		}
		taken[n] = c.ID
	}
	for id, n := range p.Pins {
		taken[n] = id
	}
	for _, name := range []string{accounts.UsersGroup, accounts.SudoGroup} {
		if _, pinned := p.Pins[name]; !pinned {
			taken[accounts.FixedGID(name, p.Range)] = name
		}
	}
	return taken
}
