package doctor

import (
	"os"
	"strings"
	"testing"
)

const (
	eic   = "/usr/share/ec2-instance-connect/eic_run_authorized_keys"
	agent = "/usr/bin/amazon-ssm-agent"
)

// program puts programs of the host.
func program(t *testing.T, p Input, names ...string) {
	t.Helper()
	for _, name := range names {
		put(t, p, map[string]string{name: "#!/bin/sh\n"})
		if err := os.Chmod(p.Host.Root+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatPeopleWithoutAKeyNeedIsLookedAt(t *testing.T) {
	certificates := func(answers map[string]string) {
		answers["/usr/sbin/sshd -T"] = sshdT + "trustedusercakeys /etc/ssh/ca.pub\n"
	}
	for _, c := range []struct {
		name         string
		arrange      func(p *Input, answers map[string]string)
		check, state string
		text         string
	}{
		{"nothing lets people in", func(*Input, map[string]string) {}, "way in", Broken,
			"no amazon-ssm-agent, no keys.chain"},
		{"the agent does", func(p *Input, _ map[string]string) { program(t, *p, agent) }, "way in", Good, "Session Manager"},
		{"the agent of the snap does", func(p *Input, _ map[string]string) { program(t, *p, agents[1]) }, "way in", Good,
			"Session Manager"},
		{"the program of keys.chain does", func(p *Input, _ map[string]string) {
			program(t, *p, eic)
			p.Chain = []string{eic, "%u"}
		}, "way in", Good, eic},
		{"certificates do", func(_ *Input, a map[string]string) { certificates(a) }, "way in", Good, "/etc/ssh/ca.pub"},
		{"own keys do", func(p *Input, _ map[string]string) { p.AllowOwn = true }, "way in", Good, "authorized_keys"},
		{"the program of keys.chain is missing", func(p *Input, _ map[string]string) { p.Chain = []string{eic} },
			"keys.chain", Broken, "which is not there"},
		{"the program of keys.chain is none", func(p *Input, _ map[string]string) {
			put(t, *p, map[string]string{eic: ""})
			p.Chain = []string{eic}
		}, "keys.chain", Broken, "which is no program"},
		{"a missing program is no way in", func(p *Input, _ map[string]string) { p.Chain = []string{eic} }, "way in", Broken,
			"nothing lets people in"},
		{"a publisher serves nobody who could come in", func(p *Input, _ map[string]string) { p.Served = Served{} }, "way in",
			"", ""},

		{"the agent runs", func(p *Input, a map[string]string) {
			program(t, *p, agent)
			a["systemctl is-active amazon-ssm-agent"] = "active\ninactive\n"
		}, "agent", "", ""},
		{"the agent does not run", func(p *Input, a map[string]string) {
			program(t, *p, agent)
			a["systemctl is-active amazon-ssm-agent"] = "failed\ninactive\n"
		}, "agent", Warning, "systemctl enable --now"},
		{"there is no systemd to ask", func(p *Input, _ map[string]string) { program(t, *p, agent) }, "agent", "", ""},

		{"a home is missing for the agent", func(p *Input, _ map[string]string) {
			program(t, *p, agent)
			p.Keyless.Homeless = []string{"alice"}
		}, "homes", Good + " " + Warning, `these users have no home: alice; accounts.homes = "create"`},
		{"a home is missing, and PAM makes it where no agent is", func(p *Input, a map[string]string) {
			certificates(a)
			p.Keyless.Homeless = []string{"alice"}
		}, "homes", Good, "PAM makes homes"},
		{"homes are where the agent does not look", func(p *Input, _ map[string]string) {
			program(t, *p, agent)
			p.Keyless.Home = "/srv/home/%u"
		}, "homes", Good + " " + Warning, `accounts.home is "/srv/home/%u"`},

		{"the login names are the directory's", func(p *Input, _ map[string]string) { program(t, *p, agent) }, "run as", Good,
			"are the directory's"},
		{"a domain is left out", func(p *Input, _ map[string]string) {
			program(t, *p, agent)
			p.Keyless.Domains = 3
		}, "run as", Good, "the directory's, 3 without the domain"},
		{"a login name is another", func(p *Input, _ map[string]string) {
			program(t, *p, agent)
			p.Keyless.Domains, p.Keyless.Others = 3, []Renamed{{"eve.at.other.example", "eve@other.example"}}
		}, "run as", Warning, `these login names are not the directory's: "eve.at.other.example" is "eve@other.example"`},
		{"Instance Connect wants the login name, too", func(p *Input, _ map[string]string) {
			program(t, *p, eic)
			p.Chain, p.Keyless.Others = []string{eic}, []Renamed{{"a-b", "a b"}}
		}, "run as", Warning, `"a-b" is "a b"`},
		{"the names of certificates are nobody's tag", func(p *Input, a map[string]string) {
			certificates(a)
			p.Keyless.Others = []Renamed{{"a-b", "a b"}}
		}, "run as", "", ""},

		{"ten such hosts take a tenth", func(p *Input, _ map[string]string) { p.Keyless.Share = &Share{Hosts: 10} }, "rate",
			Good, "10 hosts like this one"},
		{"nine such hosts take a tenth", func(p *Input, _ map[string]string) { p.Keyless.Share = &Share{Hosts: 9} }, "rate",
			Warning, "one host publishes"},
		{"one publisher takes a ninth of a tenth", func(p *Input, _ map[string]string) {
			p.Keyless.Share = &Share{Hosts: 9, Publishes: true}
		}, "rate", Good, "9 hosts like this one"},
		{"one publisher takes more than a tenth", func(p *Input, _ map[string]string) {
			p.Keyless.Share = &Share{Publishes: true}
		}, "rate", Warning, "longer source.refresh"},
		{"a host that reads a snapshot takes nothing", func(*Input, map[string]string) {}, "rate", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, answers := healthy(t)
			p.Keyless = &Keyless{Home: "/home/%u"}
			c.arrange(&p, answers)
			state, text := found(p, c.check)
			if state != c.state || !strings.Contains(text, c.text) {
				t.Errorf("%q: %s", state, text)
			}
		})
	}
}

func TestUsersOfIAMNeedNoOtherWayIn(t *testing.T) {
	p, _ := healthy(t)
	program(t, p, agent)
	for _, check := range []string{"way in", "run as", "agent", "rate"} {
		if state, text := found(p, check); state != "" {
			t.Errorf("%s: %q: %s", check, state, text)
		}
	}
}
