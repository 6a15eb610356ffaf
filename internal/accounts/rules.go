package accounts

import (
	"fmt"
	"time"
)

// An outcome is what a rule found: no reason means that it stands in nobody's
// way, and then only explain asks for the detail.
type outcome struct {
	reason Reason
	detail string
	remedy string
}

func failed(reason Reason, detail, remedy string) outcome { return outcome{reason, detail, remedy} }

// A rule is one condition for being served. Rules are kept in the order in
// which they apply; the first that fails is the one reported. With tell, a
// rule that passes says why.
type rule struct {
	name  string
	check func(p *plan, c *principal, tell bool) outcome
}

// userRules are for users. The last one needs to know who is leaving and is
// asked apart.
var userRules = []rule{
	{"IAM name", checkIAMName},
	{"login rule", checkLogin},
	{"expiry", checkExpiry},
	{"Unix name", checkName},
	{"name owner", checkNameOwner},
	{"number", checkPin},
	{"number owner", checkNumberOwner},
	{"host files", checkHost},
}

// groupRules are for groups that are to be served.
var groupRules = []rule{
	{"IAM name", checkIAMName},
	{"publication", checkWanted},
	{"Unix name", checkName},
	{"name owner", checkNameOwner},
	{"number", checkPin},
	{"number owner", checkNumberOwner},
	{"host files", checkHost},
}

var memoryRule = rule{"memory", checkMemory}

// judge returns the first failure.
func (p *plan) judge(rules []rule, c *principal) outcome {
	for _, r := range rules {
		if found := r.check(p, c, false); found.reason != "" {
			return found
		}
	}
	return outcome{}
}

func passed(tell bool, format string, args ...any) outcome {
	if !tell {
		return outcome{}
	}
	return outcome{detail: fmt.Sprintf(format, args...)}
}

func checkIAMName(_ *plan, c *principal, tell bool) outcome {
	if c.foreign != "" {
		return failed(IAMName, "the "+c.kind.String()+" "+c.foreign, "find out who answers in IAM's place: IAM itself gives no such name")
	}
	return passed(tell, "IAM has the %s %s, created %s", c.kind, quoted(c.iamName), c.created.UTC().Format(time.DateTime))
}

func checkLogin(p *plan, c *principal, tell bool) outcome {
	if c.login == "" {
		return failed(NoLogin, "is in none of the login groups", "add the user to one of them in IAM, or a group of the user's to login.groups")
	}
	return passed(tell, "may log in as a member of %s", c.login)
}

func checkExpiry(p *plan, c *principal, tell bool) outcome {
	switch {
	case c.badTag != "":
		return failed(ExpiresTag, c.badTag, "correct the tag or remove it")
	case !c.expires.IsZero() && !p.in.Now.Before(c.expires):
		return failed(Expired, "the account ended "+c.expires.UTC().Format(time.DateTime)+" UTC", "set the tag "+p.in.Policy.ExpiresTag+" to a later day or remove it")
	case p.in.Policy.ExpiresTag == "":
		return passed(tell, "no expiry tag is configured")
	case c.expires.IsZero():
		return passed(tell, "no end is set")
	}
	return passed(tell, "ends %s UTC", c.expires.UTC().Format(time.DateTime))
}

func checkWanted(p *plan, c *principal, tell bool) outcome {
	if !c.wanted {
		return failed(NoLogin, "is no login or sudo group and matches nothing in publish_groups", "add it to accounts.publish_groups")
	}
	return passed(tell, "is to be served")
}

func checkName(_ *plan, c *principal, tell bool) outcome {
	if c.badName.reason != "" {
		return c.badName
	}
	return passed(tell, "the Unix name is %s", c.name)
}

func checkNameOwner(_ *plan, c *principal, tell bool) outcome {
	switch owner := c.nameOwner; {
	case owner == nil || owner == c:
		return passed(tell, "the name %s is free", c.name)
	case c.kind == iamUser && owner.kind != iamUser:
		return failed(NameTaken, fmt.Sprintf("the name %q is a served group's (%s), and a private group of that name would pass for it", c.name, owner.id), "rename the user or the group in IAM; numbers stay")
	default:
		return failed(NameTaken, fmt.Sprintf("the name %q belongs to the older %s %s (%s, created %s)", c.name, owner.kind, quoted(owner.iamName), owner.id, owner.created.UTC().Format(time.DateTime)),
			"rename one of the two in IAM; numbers stay")
	}
}

func checkPin(p *plan, c *principal, tell bool) outcome {
	if c.badPin.reason != "" {
		return c.badPin
	}
	if c.pinned {
		return passed(tell, "the number %d is pinned", c.number)
	}
	return passed(tell, "the number %d follows from %s", c.number, c.id)
}

func checkNumberOwner(_ *plan, c *principal, tell bool) outcome {
	owner := c.numberOwner
	if owner == nil || owner == c {
		return passed(tell, "the number %d is free", c.number)
	}
	who := fmt.Sprintf("the %s %s (%s)", owner.kind, quoted(owner.iamName), owner.id)
	if c.pinned {
		return failed(PinRefused, fmt.Sprintf("its pin %d is the number of %s", c.number, who), "pin another number")
	}
	return failed(NumberTaken, fmt.Sprintf("the number %d belongs to %s, who is older", c.number, who),
		fmt.Sprintf("pin a number for the younger on every host, as in pin = { %q = N } under [ids]", c.id))
}

func checkHost(p *plan, c *principal, tell bool) outcome {
	if whose := p.host.named(c.name); whose != "" {
		return failed(HostName, fmt.Sprintf("the name %q is that of the local %s", c.name, quoted(whose)), "rename the IAM "+c.kind.String()+", or remove the local one")
	}
	if what := p.host.numbered(c.number); what != "" {
		return failed(HostNumber, fmt.Sprintf("the number %d is %s", c.number, quoted(what)), "free the number in the host's files, or pin another for "+c.id)
	}
	return passed(tell, "the host has neither the name nor the number")
}

// checkMemory keeps from everybody what the host still knows as another's.
func checkMemory(p *plan, c *principal, tell bool) outcome {
	if r := p.records[c.number]; r != nil && !r.of(c) && !p.forgotten(r) && !p.yields(r, c) {
		if r.Former() {
			return failed(Remembered, fmt.Sprintf("the number %d was that of the former %s %q (%s) and is kept until %s", c.number, r.kind(), r.Name, r.ID,
				r.Left.Add(p.in.Policy.KeepNames).UTC().Format(time.DateTime)), fmt.Sprintf("wait, or pin a number for %s: another, or this one if the files behind it are to change hands", c.id))
		}
		return failed(Remembered, fmt.Sprintf("the number %d is still that of the %s %q (%s), whose removal is not confirmed", c.number, r.kind(), r.Name, r.ID),
			"wait for the next refreshes")
	}
	if r := p.leavingNames[c.name]; r != nil && !r.of(c) {
		return failed(Remembered, fmt.Sprintf("the name %q is still that of %s, whose removal is not confirmed", c.name, r.ID), "wait for the next refreshes")
	}
	return passed(tell, "the host remembers nobody else under the name or the number")
}

// yields reports whether a pin may take over a number from its record: only
// when the holder is gone for good and claims the number no more.
func (p *plan) yields(r *Record, c *principal) bool {
	if !c.pinned || !r.Former() {
		return false
	}
	if r.Group {
		for i := range p.fixed {
			if p.fixed[i].id == r.ID {
				return p.fixed[i].number != r.Number
			}
		}
		for i := range p.groups {
			if p.groups[i].id == r.ID {
				return p.groups[i].number != r.Number
			}
		}
		return true
	}
	u := p.user(r.ID)
	return u == nil || u.number != r.Number
}

func (r *Record) of(c *principal) bool { return r.ID == c.id && r.Group == (c.kind != iamUser) }

func (r *Record) kind() string {
	if r.Group {
		return "group"
	}
	return "user"
}
