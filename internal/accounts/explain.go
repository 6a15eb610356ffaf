package accounts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// States of an Explanation.
const (
	StateServed  = "served"          // may log in
	StatePending = "pending removal" // in the tables, without rights
	StateFormer  = "former"          // the uid keeps a name
	StateNot     = "not served"      //
	StateLocal   = "local"           // an account or group of the host's own files
)

// An Explanation says why one user or group is served, or is not.
type Explanation struct {
	Kind          string // "user" or "group"
	ID            string
	DirectoryName string // not to be trusted
	UnixName      string // or what it would be
	UnixID        uint32 // uid or gid
	State         string
	Steps         []Step // the rules that applied, in their order
	Account       *User  `json:",omitempty"` // the passwd entry, if there is one
}

// A Step is one rule as it applied.
type Step struct {
	Rule   string
	OK     bool
	Reason Reason `json:",omitempty"`
	Detail string
	Remedy string `json:",omitempty"`
}

// Explain explains everybody that the query names: as a directory name, a
// Unix name, a uid or gid, or a UserId or GroupId. The input is that of the last Build, with
// its History; nothing is counted, and an answer that Build would refuse is
// explained too. The list is empty if nobody is found.
func Explain(in Input, query string) ([]Explanation, error) {
	in.Rebuild = true
	p, err := newPlan(in, true)
	if err != nil {
		return nil, fmt.Errorf("explain %s: %w", quoted(query), err)
	}
	// Serving changes the entries.
	history := make(map[uint32]Entry, len(p.entries))
	for n, r := range p.entries {
		history[n] = *r
	}
	result := p.serve()
	result.ReportGrants(in.Grants)
	e := explainer{p, result, history}

	var all []Explanation
	told := map[string]bool{}
	unixID, notAnID := strconv.ParseUint(query, 10, 32)
	match := func(id, directoryName, name string, n uint32) bool {
		return id == query || name == query || directoryName != "" && fold(directoryName) == fold(query) ||
			notAnID == nil && uint64(n) == unixID
	}
	p.every(func(c *principal) {
		if match(c.id, c.directoryName, c.name, c.unixID) {
			told[c.id] = true
			all = append(all, e.principal(c))
		}
	})
	for _, n := range p.order {
		if r := history[n]; match(r.ID, r.DirectoryName, r.UnixName, n) && !told[r.ID] {
			told[r.ID] = true
			if c := p.principal(r.ID, r.Group); c != nil {
				all = append(all, e.principal(c))
			} else {
				all = append(all, e.entryOf(r))
			}
		}
	}
	if whose := p.host.ownerOfName(query); whose != "" {
		all = append(all, e.local(query, whose))
	}
	return all, nil
}

// local explains an account or group of the host's own files.
func (e explainer) local(query, whose string) Explanation {
	x := Explanation{Kind: strings.Fields(whose)[0], UnixName: query, State: StateLocal,
		Steps: []Step{{Rule: "host files", OK: true, Detail: "the host has a local " + whose +
			"; what its own files define takes precedence"}}}
	for _, f := range e.result.Findings {
		if f.Reason == LocalUse && fold(f.ID) == fold(query) {
			x.add("primary group", verdict{f.Reason, f.Detail, f.Remedy})
		}
	}
	e.plan.every(func(c *principal) {
		if c.name != "" && fold(c.name) == fold(query) {
			if found := checkHost(e.plan, c); found.reason != "" {
				x.add("directory", verdict{found.reason, fmt.Sprintf("the directory's %s %s (%s) is not served here: %s", c.kind,
					quoted(c.directoryName), c.id, found.detail), found.remedy})
			}
		}
	})
	return x
}

// uses names the local accounts that have a principal's group as primary group.
func (e explainer) uses(x *Explanation) {
	for _, f := range e.result.Findings {
		if f.Reason == LocalUse && f.UnixID == x.UnixID {
			x.Steps = append(x.Steps, Step{Rule: "local use", OK: true, Detail: f.Detail, Remedy: f.Remedy})
		}
	}
}

type explainer struct {
	plan    *plan
	result  Result
	history map[uint32]Entry
}

func (p *plan) principal(id string, group bool) (found *principal) {
	p.every(func(c *principal) {
		if c.id == id && (c.kind != iamUser) == group {
			found = c
		}
	})
	return found
}

func (e explainer) principal(c *principal) Explanation {
	x := Explanation{Kind: c.kind.String(), ID: c.id, DirectoryName: c.directoryName, UnixName: c.name, UnixID: c.unixID,
		State: StateNot}
	rules := groupRules
	if c.kind == iamUser {
		rules = userRules
	}
	for _, r := range rules {
		if r.name == nameOwnerRule.name && c.badName.reason != "" || r.name == idOwnerRule.name && c.badPin.reason != "" ||
			c.invalid != "" && r.name != nameRule.name {
			continue // the rule is about a name or id that the principal does not have
		}
		e.apply(&x, r, c, r.check(e.plan, c))
	}
	if x.sound() {
		e.apply(&x, historyRule, c, e.memory(c))
	}
	if c.served || e.plan.waiting[c.id] != nil {
		x.State = StateServed
	}
	for _, n := range e.plan.order {
		if r := e.history[n]; r.of(c) && !(c.served && n == c.unixID) && !(e.plan.waiting[c.id] != nil && !r.Former()) {
			e.recalled(&x, r)
		}
	}
	e.entry(&x)
	e.uses(&x)
	return x
}

// memory is the verdict of the last rule, from before serving. Now the rule
// would pass: serving put the principal itself into the history.
func (e explainer) memory(c *principal) verdict {
	if c.kind == iamUser {
		if i, found := e.plan.userIndex(c.id); found && e.plan.verdicts[i].reason != "" {
			return e.plan.verdicts[i]
		}
	} else if !c.served {
		return historyRule.check(e.plan, c)
	}
	return verdict{}
}

func (e explainer) apply(x *Explanation, r rule, c *principal, found verdict) {
	if found.reason == "" {
		found.detail = r.passed(e.plan, c)
	}
	x.add(r.name, found)
}

// entryOf explains a principal that only the history has.
func (e explainer) entryOf(r Entry) Explanation {
	x := Explanation{Kind: r.kind(), ID: r.ID, DirectoryName: r.DirectoryName, UnixName: r.UnixName, UnixID: r.UnixID,
		State: StateNot,
		Steps: []Step{{Rule: "directory name", Reason: NoLogin, Detail: "the directory's answer has nobody with the id " +
			r.ID,
			Remedy: "if the " + r.kind() + " was deleted by mistake: a new one of the same name is another principal; a pin " +
				"of the old uid to the new id hands the files over"}}}
	e.recalled(&x, r)
	e.entry(&x)
	return x
}

// recalled adds what the history has.
func (e explainer) recalled(x *Explanation, r Entry) {
	pol := e.plan.in.Policy
	if r.Former() {
		if x.State == StateNot {
			x.State = StateFormer
		}
		x.Steps = append(x.Steps, Step{Rule: "removal", OK: true, Detail: fmt.Sprintf("former since %s; the id %d keeps a "+
			"name until %s", moment(r.FormerSince), r.UnixID,
			moment(r.FormerSince.Add(pol.KeepNames)))})
		return
	}
	if r.Group {
		return
	}
	x.State = StatePending
	step := Step{Rule: "removal", Remedy: fmt.Sprintf("to confirm by hand, run %q", e.plan.acceptCommand()),
		Detail: fmt.Sprintf("served before as %q, missing in %d of %d answers; has no rights, and becomes former when it "+
			"is confirmed", r.UnixName, r.Missed, max(pol.Confirm, 1))}
	if r.Missed == 0 {
		step.Detail = fmt.Sprintf("served before as %q; keeps name and id, and has no rights until the problem above is "+
			"put right", r.UnixName)
		step.Remedy = ""
	} else if e.plan.heldBack != nil {
		step.Detail = fmt.Sprintf("served before as %q, missing in %d answers; "+
			"the last answer's removals were held back: %s", r.UnixName, r.Missed, e.plan.heldBack.What())
		step.Remedy = e.plan.heldBack.Remedy()
	}
	x.Steps = append(x.Steps, step)
}

// entry adds the passwd entry and the groups.
func (e explainer) entry(x *Explanation) {
	if x.Kind != "user" {
		return
	}
	for i := range e.result.Tables.Users {
		u := e.result.Tables.Users[i]
		if u.ID != x.ID || u.Former && x.State == StateServed {
			continue
		}
		x.Account = &u
		if u.Former {
			return
		}
		var names []string
		for _, gid := range u.Groups {
			name := strconv.FormatUint(uint64(gid), 10) + " of the host"
			if at, found := slices.BinarySearchFunc(e.result.Tables.Groups, gid,
				func(g Group, n uint32) int { return int(int64(g.GID) - int64(n)) }); found {
				name = e.result.Tables.Groups[at].Name
			}
			names = append(names, name)
		}
		x.Steps = append(x.Steps,
			Step{Rule: "groups", OK: true, Detail: "is in " + strings.Join(append([]string{u.Name}, names...), ", ")})
	}
	for _, f := range e.result.Findings {
		if f.ID != x.ID {
			continue
		}
		switch f.Reason {
		case TooManyGroups:
			x.add("groups", verdict{f.Reason, f.Detail, f.Remedy})
		case HomeTaken:
			x.add("home", verdict{f.Reason, f.Detail, f.Remedy})
		case NameHandedOver:
			x.add("name", verdict{f.Reason, f.Detail, f.Remedy})
		}
	}
}

func (x *Explanation) add(rule string, found verdict) {
	x.Steps = append(x.Steps, Step{Rule: rule, OK: found.reason == "", Reason: found.reason, Detail: found.detail,
		Remedy: found.remedy})
}

// sound reports whether every rule so far was passed.
func (x *Explanation) sound() bool {
	return !slices.ContainsFunc(x.Steps, func(s Step) bool { return !s.OK })
}
