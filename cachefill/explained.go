package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/health"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/terminal"
)

// An explanation is what explain says of a name, to people and to scripts alike.
type explanation struct {
	MayLogIn bool             // somebody of this name may log in to this host, with a key that opens it
	Found    []explainedName  // everybody and every group of this name
	Host     []health.Finding // what keeps everybody out of this host
}

// An explainedName is one user or group, with what is known of keys among its steps.
type explainedName struct {
	refresh.Explanation
	MayLogIn bool
}

// explained adds to the rules that applied what opens a login: keys, and the host.
func explained(all []refresh.Explanation, configFile string, stops []health.Finding) explanation {
	e := explanation{Host: stops}
	for _, x := range all {
		steps, opens := keySteps(x)
		x.Steps = append(x.Steps, steps...)
		for i, step := range x.Steps {
			x.Steps[i].Remedy = naming(configFile, step.Remedy)
		}
		one := explainedName{x, x.Kind == "user" && x.State == accounts.StateServed && opens && len(stops) == 0}
		e.Found, e.MayLogIn = append(e.Found, one), e.MayLogIn || one.MayLogIn
	}
	return e
}

// keySteps are the rules about a person's keys as they apply, and whether any key opens a
// login now.
func keySteps(x refresh.Explanation) (steps []accounts.Step, opens bool) {
	no := func(rule, remedy, format string, args ...any) {
		steps = append(steps, accounts.Step{Rule: rule, Detail: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	if x.Denied {
		no("groups", "", "a login since the last refresh found the user in no login group; the next refresh decides")
	}
	if x.Kind != "user" || x.State != accounts.StateServed {
		return steps, false
	}
	if x.KeysRefused != "" {
		no("keys", "", "the directory does not answer about them: %s", x.KeysRefused)
	}
	switch {
	case x.Keyless:
		steps = append(steps, accounts.Step{Rule: "keys", OK: true,
			Detail: x.Directory + " holds none: " + identitycenter.WaysIn})
		return steps, !x.Denied && x.KeysRefused == ""
	case x.KeysListed.IsZero():
		no("keys", "iam-cachefill refresh, or wait: the daemon reads the keys of new people after a refresh",
			"the directory was not asked for them yet")
		return steps, false
	case len(x.Keys) == 0:
		no("keys", x.KeyRemedy, "the directory had none at %s", x.KeysListed.Format(time.RFC3339))
		return steps, false
	}
	cached, useful := cacheStep(x.Cached)
	steps = append(steps, cached...)
	for _, k := range x.Keys {
		if k.Refused != "" {
			no("key "+k.ID, "", "%s", k.Refused)
			continue
		}
		detail := k.Type + " " + k.Fingerprint
		if !k.Expires.IsZero() {
			detail += ", ends " + k.Expires.Format(time.RFC3339)
		}
		steps = append(steps, accounts.Step{Rule: "key " + k.ID, OK: true, Detail: detail})
		opens = true
	}
	return steps, opens && useful && !x.Denied && x.KeysRefused == ""
}

// cacheStep says until when a person's cached keys open logins.
func cacheStep(c *refresh.KeysCache) (steps []accounts.Step, useful bool) {
	const rule = "cached keys"
	switch {
	case c == nil:
		return []accounts.Step{{Rule: rule, Detail: "keys.db has none of this user; the directory is asked at a login"}}, true
	case c.Useless != "":
		return []accounts.Step{{Rule: rule, Detail: c.Useless, Remedy: "iam-cachefill refresh; if that fails, it says why"}},
			false
	case !c.Until.IsZero():
		return []accounts.Step{{Rule: rule, OK: true, Detail: "they open logins without the directory until " +
			c.Until.Format(time.RFC3339)}}, true
	}
	return nil, true
}

func (e explanation) print(w io.Writer, name string) error {
	s := terminal.On(w)
	if len(e.Found) == 0 {
		s.Text(fmt.Sprintf("%.200q: no user or group of this name was in the directory's last answer, and none is "+
			"former", name))
	}
	for i, x := range e.Found {
		if i > 0 {
			s.Text("")
		}
		head := fmt.Sprintf("%s %.80q", x.Kind, x.UnixName)
		if x.ID != "" {
			head += fmt.Sprintf(", directory name %.80q %s, id %d", x.DirectoryName, x.ID, x.UnixID)
		}
		s.Text(head + ": " + x.State)
		for _, step := range x.Steps {
			printStep(s, step)
		}
		if x.Kind != "user" || x.State != accounts.StateServed {
			continue
		}
		for _, f := range e.Host {
			printStep(s, accounts.Step{Rule: "this host", Detail: f.What, Remedy: f.Fix})
		}
	}
	return s.Err()
}

// printStep prints one rule as it applied, and what to do where it kept somebody out.
func printStep(s *terminal.Screen, step accounts.Step) {
	mark, tone := "yes", terminal.Good
	if !step.OK {
		mark, tone = "NO ", terminal.Bad
	}
	s.Line("  "+mark+"  ", tone, step.Rule+": "+step.Detail)
	if step.Remedy != "" {
		s.Line(strings.Repeat(" ", 7)+"what to do: ", terminal.Plain, step.Remedy)
	}
}
