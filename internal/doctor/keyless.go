package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A Keyless is what is known of people whose directory holds no key of anybody:
// IAM Identity Center.
type Keyless struct {
	Home     string    // accounts.home
	Homeless []string  // served users whose home is not there
	Domains  int       // login names that are the directory name without its domain
	Others   []Renamed // login names that are neither that nor the directory name itself
	Share    *Share    // nil: this host does not ask the Identity Store
}

// A Renamed is a served user whose login name is not the directory name.
type Renamed struct{ Login, Directory string }

// A Share is what a host takes of the rate that the Identity Store has for the
// whole organization.
type Share struct {
	Pace      string // how often it is asked, and how much, in words
	Hosts     int    // hosts like this one that use up a tenth of it
	Publishes bool   // other hosts read this host's snapshot
}

const (
	identityCenter = "docs/identity-center.md"
	fewHosts       = 10 // that read the Identity Store themselves
)

// agents are the files and units of Systems Manager's agent: Debian's and Amazon
// Linux's package, and Ubuntu's snap.
var (
	agents     = []string{"/usr/bin/amazon-ssm-agent", "/snap/amazon-ssm-agent/current/amazon-ssm-agent"}
	agentUnits = []string{"amazon-ssm-agent.service", "snap.amazon-ssm-agent.amazon-ssm-agent.service"}
)

// keyless looks at what people without a key in the directory need.
func (e *examination) keyless(ctx context.Context) {
	chained := e.chained()
	if e.Keyless == nil {
		return
	}
	e.rate()
	if e.Served.Name == "" {
		return // a publisher, or nobody yet
	}
	agent := e.agent(ctx)
	e.ways(agent, chained)
	if agent {
		e.agentsHomes()
	}
	if agent || chained && strings.HasPrefix(filepath.Base(e.Chain[0]), "eic_") {
		e.runAs()
	}
}

// chained looks at the program of keys.chain, and reports whether it can be run.
func (e *examination) chained() bool {
	if len(e.Chain) == 0 {
		return false
	}
	info, err := os.Stat(e.Host.Root + e.Chain[0])
	if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
		return true
	}
	what := "which is no program"
	if err != nil {
		what = "which is not there"
	}
	e.add(Broken, "keys.chain", fmt.Sprintf("keys.chain runs %q, %s", e.Chain[0], what),
		"the key helper asks it for keys, and gets none", "install it, or correct keys.chain; then iam-cachefill refresh")
	return false
}

// agent reports whether Systems Manager's agent is installed.
func (e *examination) agent(ctx context.Context) bool {
	argv := append([]string{"systemctl", "is-active"}, agentUnits...)
	for _, name := range agents {
		if _, err := os.Stat(e.Host.Root + name); err != nil {
			continue
		}
		// Of several units one that is active is enough. Without systemd nothing is printed.
		states, _ := e.Host.Run(ctx, argv...)
		if fields := strings.Fields(states); len(fields) > 0 && !slices.Contains(fields, "active") {
			e.add(Warning, "agent", "amazon-ssm-agent is installed and does not run",
				"Session Manager cannot open a session on this host",
				"systemctl enable --now amazon-ssm-agent; for the snap: snap start --enable amazon-ssm-agent")
		}
		return true
	}
	return false
}

// ways says by what people come in, and whether there is anything.
func (e *examination) ways(agent, chained bool) {
	var ways []string
	if agent {
		ways = append(ways, "Session Manager")
	}
	if chained {
		ways = append(ways, "keys.chain ("+e.Chain[0]+")")
	}
	if given(e.userCAs) {
		ways = append(ways, "certificates of "+e.userCAs)
	}
	if e.AllowOwn {
		ways = append(ways, "authorized_keys files of their own")
	}
	if len(ways) > 0 {
		e.good("way in", "people come in by "+strings.Join(ways, ", "))
		return
	}
	e.add(Broken, "way in", "nothing lets people in: there is no amazon-ssm-agent, no keys.chain, "+
		"and no TrustedUserCAKeys",
		"Identity Center holds no SSH keys, so the key helper has none to give", "choose one of the ways of "+identityCenter)
}

// agentsHomes looks for homes where the agent wants them: it starts a shell in
// /home/NAME, and makes no home.
func (e *examination) agentsHomes() {
	const why = "Session Manager's agent starts the shell in /home/NAME, asks no PAM and makes no home: " +
		"the session does not begin"
	if e.Keyless.Home != "/home/%u" {
		e.add(Warning, "homes", fmt.Sprintf("accounts.home is %q", e.Keyless.Home), why,
			`accounts.home = "/home/%u", or links in /home`)
		return
	}
	// Where the daemon makes homes, what it could not make is another finding.
	if len(e.Keyless.Homeless) > 0 && e.HomesFolder == "" {
		e.add(Warning, "homes", "these users have no home: "+some(e.Keyless.Homeless), why,
			`accounts.homes = "create", then `+setUp)
	}
}

// runAs compares login names with what the tag SSMSessionRunAs can be made from.
func (e *examination) runAs() {
	switch k := e.Keyless; {
	case len(k.Others) > 0:
		names := make([]string, len(k.Others))
		for i, r := range k.Others {
			names[i] = fmt.Sprintf("%q is %.80q", r.Login, r.Directory)
		}
		e.add(Warning, "run as", "these login names are not the directory's: "+some(names),
			"the tag SSMSessionRunAs has to be the login name, letter by letter, or Session Manager and "+
				"Instance Connect refuse the person",
			`accounts.name_from, strip_domains, or other names in the directory: "Names" in `+identityCenter)
	case k.Domains > 0:
		e.good("run as", fmt.Sprintf("login names are the directory's, %d without the domain: the tag SSMSessionRunAs "+
			"has to be without it, too", k.Domains))
	default:
		e.good("run as", "the login names are the directory's")
	}
}

// rate looks at what this host takes of the rate that the organization has.
func (e *examination) rate() {
	s := e.Keyless.Share
	if s == nil {
		return
	}
	what := fmt.Sprintf("%s; %d hosts like this one use a tenth of the Identity Store's rate", s.Pace, s.Hosts)
	if s.Hosts >= fewHosts || s.Publishes && s.Hosts > 0 {
		e.good("rate", what)
		return
	}
	e.add(Warning, "rate", what,
		"its 20 calls a second are for the whole organization: beyond them every program that asks is refused",
		"a longer source.refresh; or one host publishes, and the others read its snapshot: "+identityCenter)
}
