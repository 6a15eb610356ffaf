package accounts

import (
	"fmt"
	"strings"
	"time"
)

// A verdict is why a rule refuses a principal. Without a reason, the rule is satisfied.
type verdict struct {
	reason Reason
	detail string
	remedy string
}

func reject(reason Reason, detail, remedy string) verdict { return verdict{reason, detail, remedy} }

// A rule is one condition for being served. Rules are kept in the order in
// which they apply; the first that fails is the one reported.
type rule struct {
	name  string
	check func(p *plan, c *principal) verdict
	// passed says what check found when it found nothing wrong: explain asks.
	passed func(p *plan, c *principal) string
}

var (
	nameRule     = rule{"directory name", checkDirectoryName, describeName}
	unixNameRule = rule{"Unix name", checkName, func(_ *plan, c *principal) string {
		return "the Unix name is " + c.name
	}}
	nameOwnerRule = rule{"name owner", checkNameOwner, describeNameOwner}
	idRule        = rule{"id", checkPin, describeID}
	idOwnerRule   = rule{"id owner", checkIDOwner, func(_ *plan, c *principal) string {
		return fmt.Sprintf("nobody older has the id %d", c.unixID)
	}}
	hostRule = rule{"host files", checkHost, func(*plan, *principal) string {
		return "the host has neither the name nor the id"
	}}
	historyRule = rule{"history", checkHistory, func(*plan, *principal) string {
		return "the history has nobody else under the name or the id"
	}}

	userRules = []rule{
		nameRule,
		{"login rule", checkLogin, func(_ *plan, c *principal) string { return "may log in as a member of " + c.login }},
		{"expiry", checkExpiry, describeExpiry},
		unixNameRule, nameOwnerRule, idRule, idOwnerRule, hostRule,
	}
	groupRules = []rule{
		nameRule,
		{"group id", checkBelieved, func(*plan, *principal) string { return "the name was never another group's" }},
		{"publication", checkWanted, func(*plan, *principal) string { return "is to be served" }},
		unixNameRule, nameOwnerRule, idRule, idOwnerRule, hostRule,
	}
)

// judge returns the first failure. The rule about memory is not among rules:
// it needs to know who is pending removal, which these rules decide.
func (p *plan) judge(rules []rule, c *principal) verdict {
	for _, r := range rules {
		if found := r.check(p, c); found.reason != "" {
			return found
		}
	}
	return verdict{}
}

func checkDirectoryName(p *plan, c *principal) verdict {
	switch {
	case c.invalid == "":
	case p.unclear[c.id]:
		return reject(NameTaken, "the group "+c.invalid+", and the configuration spells neither of the two, or both",
			"rename one of the two in the directory, or write the name in the configuration exactly as it is there; ids stay")
	default:
		return reject(BadDirectoryName, "the "+c.kind.String()+" "+c.invalid,
			"find out who answers in place of the directory: it gives no such name itself")
	}
	return verdict{}
}

func describeName(_ *plan, c *principal) string {
	if c.kind == fixedGroup {
		return "nss-iam's own group"
	}
	return fmt.Sprintf("the directory has the %s %s, %s", c.kind, quoted(c.directoryName), began(c))
}

// began says when a principal was created, where the directory does.
func began(c *principal) string {
	if c.created.IsZero() {
		return "of which the directory does not say when it was created"
	}
	return "created " + moment(c.created)
}

func checkLogin(_ *plan, c *principal) verdict {
	if c.disabled {
		return reject(Disabled, "is disabled in the directory", "enable the user there")
	}
	if c.login == "" {
		return reject(NoLogin, "is in none of the login groups", "add the user to one of them in the directory, or a "+
			"group of the user's to login.groups")
	}
	return verdict{}
}

func checkExpiry(p *plan, c *principal) verdict {
	switch {
	case c.badTag != "":
		return reject(ExpiresTag, c.badTag, "correct the tag or remove it")
	case !c.expires.IsZero() && !p.in.Now.Before(c.expires):
		return reject(Expired, "the account ended "+moment(c.expires), "set the tag "+p.in.Policy.ExpiresTag+
			" to a later day or remove it")
	}
	return verdict{}
}

func describeExpiry(p *plan, c *principal) string {
	switch {
	case p.in.Policy.ExpiresTag == "":
		return "no expiry tag is configured"
	case c.expires.IsZero():
		return "no end is set"
	}
	return "ends " + moment(c.expires)
}

func checkWanted(_ *plan, c *principal) verdict {
	if !c.wanted {
		return reject(NoLogin, "is no login or sudo group and matches nothing in publish_groups",
			"add it to accounts.publish_groups")
	}
	return verdict{}
}

func checkName(_ *plan, c *principal) verdict { return c.badName }

func checkNameOwner(_ *plan, c *principal) verdict {
	switch owner := c.nameOwner; {
	case owner == nil || owner == c:
		return verdict{}
	case c.kind == iamUser && owner.kind != iamUser:
		return reject(NameTaken, fmt.Sprintf("the name %q is a served group's (%s), and a private group of that name "+
			"would pass for it", c.name, owner.id), "rename the user or the group in the directory; ids stay")
	case c.kind == iamUser:
		return reject(NameTaken, fmt.Sprintf("the login name %q is given to nobody, because the user %s (%s) maps to it "+
			"as well",
			c.name, quoted(owner.directoryName), owner.id),
			"rename one of the two in the directory; ids stay")
	default:
		return reject(NameTaken, fmt.Sprintf("the name %q belongs to the older %s %s (%s, %s)", c.name, owner.kind,
			quoted(owner.directoryName), owner.id, began(owner)),
			"rename one of the two in the directory; ids stay")
	}
}

func describeNameOwner(_ *plan, c *principal) string {
	if c.kind == iamUser {
		return "no other user has the login name " + c.name
	}
	return "no older group has the name " + c.name
}

func checkPin(_ *plan, c *principal) verdict { return c.badPin }

func describeID(_ *plan, c *principal) string {
	if c.pinned {
		return fmt.Sprintf("the id %d is pinned", c.unixID)
	}
	return fmt.Sprintf("the id %d follows from %s", c.unixID, c.id)
}

func checkIDOwner(_ *plan, c *principal) verdict {
	owner := c.idOwner
	if owner == nil || owner == c {
		return verdict{}
	}
	who := fmt.Sprintf("the %s %s (%s)", owner.kind, quoted(owner.directoryName), owner.id)
	if c.pinned {
		return reject(PinRefused, fmt.Sprintf("its pin %d is the id of %s", c.unixID, who), "pin another id")
	}
	return reject(IDTaken, fmt.Sprintf("the id %d belongs to %s, who is older", c.unixID, who),
		fmt.Sprintf("pin an id for the younger on every host, as in pin = { %q = N } under [ids]", c.id))
}

// checkHost refuses what the host's own files define: they always win.
func checkHost(p *plan, c *principal) verdict {
	if copied := p.host.copyOf(c); copied != "" {
		what, name, _ := strings.Cut(copied, " ")
		return reject(HostName, fmt.Sprintf("the local %s %s has the same name and the same id %d; it takes precedence, "+
			"and the rights of this %s do not apply to it", what, quoted(name), c.unixID, c.kind),
			p.host.removeCommand(copied)+"; files stay, and the next refresh serves the "+c.kind.String())
	}
	if whose := p.host.ownerOfName(c.name); whose != "" {
		return reject(HostName, fmt.Sprintf("the host has a local %s; what its own files define takes precedence", whose),
			"rename the "+c.kind.String()+" in the directory, or remove the local one")
	}
	if what := p.host.ownerOfID(c.unixID); what != "" {
		return reject(HostID, fmt.Sprintf("the id %d is %s", c.unixID, what),
			"free the id in the host's files, or pin another for "+c.id)
	}
	account := func(name string) bool { return p.host.isAccount(name) || p.in.Policy.isSystemName(name) }
	group := func(name string) bool { return p.host.isGroup(name) || p.in.Policy.isSystemName(name) }
	if owner, of := chown(c.name, account, group); owner != "" && c.kind == iamUser {
		return reject(HostName, fmt.Sprintf("the login name %q: %s", c.name, chownMeaning(owner, of)),
			"rename the user in the directory; the id stays")
	}
	return verdict{}
}

// checkHistory refuses a name or id that the history has for somebody else.
func checkHistory(p *plan, c *principal) verdict {
	if r := p.entries[c.unixID]; r != nil && !r.of(c) && !p.expired(r) && !p.yields(r, c) {
		if r.Former() {
			return reject(HeldByHistory, fmt.Sprintf("the id %d was that of the former %s %q (%s) and is kept until %s",
				c.unixID, r.kind(), r.UnixName, r.ID, moment(r.FormerSince.Add(p.in.Policy.KeepNames))),
				fmt.Sprintf("wait, or pin an id for %s: another, or this one if the files behind it are to change hands", c.id))
		}
		return reject(HeldByHistory, fmt.Sprintf("the id %d is still that of the %s %q (%s), whose removal is not confirmed",
			c.unixID, r.kind(), r.UnixName, r.ID),
			p.waitRemedy())
	}
	name := fold(c.name)
	if r := p.pendingNames[name]; r != nil && !r.of(c) {
		return reject(HeldByHistory, fmt.Sprintf("the name %q is still that of %s, whose removal is not confirmed", c.name,
			r.ID), p.waitRemedy())
	}
	if r := p.waitingNames[name]; r != nil && !r.of(c) {
		return reject(HeldByHistory, fmt.Sprintf("the name %q is still that of %s, who waits for another name", c.name,
			r.ID), p.waitRemedy())
	}
	return verdict{}
}

func (p *plan) waitRemedy() string {
	if p.heldBack != nil {
		return p.heldBack.Remedy()
	}
	return "wait for the next refreshes"
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// yields reports whether a pin may take an id over from an entry: if the entry's
// holder is former or of another kind of directory. A holder who is in the answer
// and claims the id is no case for it: idOwnerRule has refused the pin by then.
func (p *plan) yields(r *Entry, c *principal) bool {
	return c.pinned && r.Former() || p.carries(c, r)
}

func (e *Entry) of(c *principal) bool { return e.ID == c.id && e.Group == (c.kind != iamUser) }

func (e *Entry) kind() string {
	if e.Group {
		return "group"
	}
	return "user"
}
