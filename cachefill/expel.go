package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/leftovers"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/sessions"
)

// hostRoot is where expel looks for what somebody left; tests have another.
var hostRoot = "/"

func expelCommand(o *options) *cobra.Command {
	var anyway bool
	cmd := &cobra.Command{
		Use:   "expel NAME",
		Short: "End the access of a person removed from the directory, now",
		Long: "Ask the directory now, take the person's rights away, end everything that runs for the person, have nscd " +
			"forget, " +
			"and list what is left that needs a person: rules of local files, jobs, keys in other accounts, processes begun " +
			"by sudo. " +
			"NAME is as for explain. A person that the directory still lets in is not put out.\n\n" +
			"Exits with 0 if the person is out and nothing is left.",
		Example:           "  # iam-cachefill expel mallory\n  # iam-cachefill expel mallory --anyway",
		ValidArgsFunction: servedNames(o),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("expel wants one NAME, and got %d", len(args))
			}
			return nil
		},
		RunE: job(func(cmd *cobra.Command, args []string) error { return expel(cmd, o, args[0], anyway) }),
	}
	cmd.Flags().BoolVar(&anyway, "anyway", false, "end what runs though the directory lets the person in, or cannot be "+
		"asked")
	return cmd
}

// An expulsion is what became of one. It survives JSON.
type expulsion struct {
	People    []expelled           `json:"people"`
	Leftovers []leftovers.Leftover `json:"leftovers"` // for a person to look at
	Errors    []string             `json:"errors"`    // what could not be done or looked at

	shared []string // accounts that the person may have entered
}

type expelled struct {
	Name      string `json:"name"`
	UID       uint32 `json:"uid"`
	State     string `json:"state"`
	Processes int    `json:"processes"` // ended
}

func (x expulsion) done() bool { return len(x.Leftovers) == 0 && len(x.Errors) == 0 }

func expel(cmd *cobra.Command, o *options, name string, anyway bool) error {
	log := slog.New(newTextLog(cmd.ErrOrStderr()))
	if !isHostsOwn(o.configFile) {
		return wrongConfig{fmt.Errorf("%s is not the host's own configuration, by which people are let in; drop --config",
			o.configFile)}
	}
	c, err := loadConfig(o.configFile)
	if err != nil {
		return err
	}
	// The keys of somebody who is out are not kept: what is known before counts.
	before, _ := explain(cmd, o, name)
	stop := sayWaiting(cmd, o)
	all, err := refreshAndExplain(cmd, o, c, name, log)
	stop()
	// An answer without anybody, as where the last person goes, is believed when
	// removal.confirm of them came in a row.
	for n := 1; n < c.Removal.Confirm && err != nil && strings.Contains(err.Error(),
		accounts.ErrEmptyAnswer.Error()); n++ {
		all, err = refreshAndExplain(cmd, o, c, name, log)
	}
	unasked := err
	if err != nil && anyway {
		log.Warn("the directory cannot be asked; the last answer counts", "error", err)
		all, err = explain(cmd, o, name)
	}
	if err != nil {
		return err
	}
	people, err := whoIsExpelled(name, all, anyway)
	if err != nil {
		return err
	}
	x := putOut(cmd.Context(), c, name, people, append(before, all...), log)
	if unasked != nil {
		// What runs has ended, but rights may be as they were.
		x.Errors = append(x.Errors, fmt.Sprintf("rights are those of the last refresh: %v", unasked))
	}
	if o.json {
		err = printJSON(cmd.OutOrStdout(), x)
	} else {
		err = x.print(cmd.OutOrStdout())
	}
	if err == nil && !x.done() {
		err = errNo
	}
	return err
}

// refreshAndExplain has the daemon refresh, or does it here, and says what the
// answer means for a name.
func refreshAndExplain(cmd *cobra.Command, o *options, c config.Config, name string,
	log *slog.Logger) ([]refresh.Explanation, error) {
	if cmd.Flags().Changed("config") {
		all, err := refreshAndExplainHere(cmd, c, name, log)
		return all, lockedAlone(err, o.configFile)
	}
	var all []refresh.Explanation
	err := inTurn(cmd.Context(), c.Cache.Dir, commandTurn, log, func() (err error) {
		switch _, err = askDaemon(cmd.Context(), refresh.Options{}); {
		case noDaemon(err):
			all, err = refreshAndExplainHere(cmd, c, name, log)
		case err == nil:
			all, err = explain(cmd, o, name)
		}
		return err
	})
	return all, err
}

func refreshAndExplainHere(cmd *cobra.Command, c config.Config, name string, log *slog.Logger) ([]refresh.Explanation,
	error) {
	s, err := openState(c.Cache.Dir, log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Close() }()
	r, a, err := newRefresher(c, s, log)
	if err != nil {
		return nil, err
	}
	started := time.Now()
	outcome, err := r.Refresh(cmd.Context(), refresh.Options{})
	if err = errors.Join(err, tellReport(newReport(s, started, outcome, err, a, c), c)); err != nil {
		return nil, err
	}
	return r.Explain(name)
}

// whoIsExpelled returns the users of a name. Somebody who may log in, or whose
// account is the host's own, is an error.
func whoIsExpelled(name string, all []refresh.Explanation, anyway bool) ([]refresh.Explanation, error) {
	var people []refresh.Explanation
	for _, x := range all {
		switch {
		case x.State == accounts.StateLocal && len(all) == 1:
			return nil, fmt.Errorf("%.200q is a local account of this host; lock it with usermod -L -e 1 -s /usr/sbin/nologin",
				name)
		case x.Kind != "user" || x.State == accounts.StateLocal:
		case x.State == accounts.StateServed && !x.Denied && !anyway:
			return nil, fmt.Errorf("the directory still lets %.200q in; take the user out of the login groups there, or "+
				"delete it, wait some seconds and run this again; \"iam-cachefill explain %s\" says why", name, x.UnixName)
		case x.Account != nil || x.State != accounts.StateNot:
			people = append(people, x)
		}
	}
	if len(people) == 0 {
		return nil, fmt.Errorf("%.200q: no user of this name is active, pending removal or former here", name)
	}
	return people, nil
}

// putOut ends what runs for people, and looks for what is left.
func putOut(ctx context.Context, c config.Config, name string, people, known []refresh.Explanation,
	log *slog.Logger) expulsion {
	x := expulsion{People: []expelled{}, Leftovers: []leftovers.Leftover{}, Errors: []string{},
		shared: slices.Sorted(maps.Keys(c.Shared))}
	fault := func(err error) {
		if err != nil {
			x.Errors = append(x.Errors, err.Error())
		}
	}
	p := leftovers.Person{Names: []string{name}}
	for _, one := range people {
		x.People = append(x.People, expelled{Name: one.UnixName, UID: one.UnixID, State: one.State})
		p.UIDs = append(p.UIDs, one.UnixID)
	}
	for _, one := range known {
		p.Names = append(p.Names, one.UnixName, one.DirectoryName)
		if one.Account != nil {
			p.Homes = append(p.Homes, one.Account.Home)
		}
		for _, k := range one.Keys {
			p.Fingerprints = append(p.Fingerprints, k.Fingerprint)
		}
	}
	host, err := readHost(log)
	fault(err)
	if err == nil {
		limits := sessions.Limits{Range: accounts.Range{Low: c.IDs.Low, High: c.IDs.High}, Host: host}
		fault(x.end(ctx, p.UIDs, limits))
		// Who was let in a moment before the refresh opens the session now.
		select {
		case <-ctx.Done():
		case <-time.After(letInBefore):
		}
		fault(x.end(ctx, p.UIDs, limits))
	}
	_, err = invalidateNscd(ctx, log)
	fault(err)
	others, err := everybodysHome(c)
	fault(err)
	left, faults := leftovers.Find(hostRoot, unique(p), others)
	for _, err := range faults {
		fault(err)
	}
	x.Leftovers = append(x.Leftovers, left...)
	return x
}

// letInBefore is more than sshd takes from asking whether a person may come in
// to opening the session.
const letInBefore = 2 * time.Second

// end ends what runs under these uids, and counts it.
func (x *expulsion) end(ctx context.Context, uids []uint32, limits sessions.Limits) error {
	ended, err := sessions.End(ctx, uids, limits)
	for _, e := range ended {
		err = errors.Join(err, e.Err)
		for i := range x.People {
			if x.People[i].UID == e.UID && e.Err == nil {
				x.People[i].Processes += e.Processes
			}
		}
	}
	return err
}

// unique leaves out what a Person has twice, and empty words.
func unique(p leftovers.Person) leftovers.Person {
	tidy := func(words []string) []string {
		words = slices.DeleteFunc(words, func(w string) bool { return w == "" || w == "/" || w == "/nonexistent" })
		slices.Sort(words)
		return slices.Compact(words)
	}
	p.Names, p.Homes, p.Fingerprints = tidy(p.Names), tidy(p.Homes), tidy(p.Fingerprints)
	return p
}

// everybodysHome lists the accounts of the host's own and of ours.
func everybodysHome(c config.Config) ([]leftovers.Account, error) {
	all, err := leftovers.Accounts(hostRoot)
	tables, _, failed := cache.ReadNSS(c.Cache.Dir)
	for _, u := range tables.Users {
		if !u.Former {
			all = append(all, leftovers.Account{Name: u.Name, Home: u.Home})
		}
	}
	return all, errors.Join(err, failed)
}

func (x expulsion) print(w io.Writer) error {
	for _, p := range x.People {
		if _, err := fmt.Fprintf(w, "%s, uid %d: %s; %d processes ended\n", p.Name, p.UID, p.State, p.Processes); err != nil {
			return err
		}
	}
	for _, l := range x.Leftovers {
		if _, err := fmt.Fprintf(w, "left: %s: %s\n      what to do: %s\n", l.Where, l.What, l.Remedy); err != nil {
			return err
		}
	}
	for _, text := range x.Errors {
		if _, err := fmt.Fprintf(w, "FAILED: %s\n", text); err != nil {
			return err
		}
	}
	for _, p := range x.People {
		if _, err := fmt.Fprintf(w, "not looked for: files that run as %s (find / -xdev -uid %d -perm /6000), and what "+
			"other hosts have\n", p.Name, p.UID); err != nil {
			return err
		}
	}
	// What runs there has the account's uid, and a key there may be anybody's.
	if len(x.shared) > 0 {
		if _, err := fmt.Fprintf(w, "not looked for: sessions in the shared accounts that the person may have entered "+
			"(%s), and new keys in their authorized_keys\n", strings.Join(x.shared, ", ")); err != nil {
			return err
		}
	}
	if x.done() {
		_, err := fmt.Fprintln(w, "out: nothing is left")
		return err
	}
	return nil
}
