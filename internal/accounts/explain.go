package accounts

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// States of an Explanation.
const (
	StateServed  = "served"     // may log in
	StateLeaving = "leaving"    // in the tables still, and may not log in
	StateFormer  = "former"     // the number keeps a name
	StateNot     = "not served" //
	StateLocal   = "local"      // an account or group of the host's own files
)

// An Explanation says why one user or group is served, or is not.
type Explanation struct {
	Kind    string // "user" or "group"
	ID      string
	IAMName string // IAM's; not to be trusted
	Name    string // the Unix name, or what it would be
	Number  uint32
	State   string
	Steps   []Step // the rules that applied, in their order
	Account *User  `json:",omitempty"` // the passwd entry, if there is one
}

// A Step is one rule as it applied.
type Step struct {
	Rule   string
	OK     bool
	Reason Reason `json:",omitempty"`
	Detail string
	Remedy string `json:",omitempty"`
}

// Explain explains everybody whom the query names: as an IAM name, a Unix
// name, a uid or gid, or an IAM id. The input is that of the last Build, with
// its Past; nothing is counted, and an answer that Build would refuse is
// explained all the same. Nobody found is an empty list.
func Explain(in Input, query string) ([]Explanation, error) {
	in.Rebuild = true
	p, err := newPlan(in, true)
	if err != nil {
		return nil, fmt.Errorf("explain %s: %w", quoted(query), err)
	}
	// What was remembered is looked at before serving writes it anew.
	past := make(map[uint32]Record, len(p.records))
	for n, r := range p.records {
		past[n] = *r
	}
	result := p.serve()
	e := explainer{p, result, past}

	var all []Explanation
	told := map[string]bool{}
	number, numberErr := strconv.ParseUint(query, 10, 32)
	match := func(id, iamName, name string, n uint32) bool {
		return id == query || name == query || iamName != "" && fold(iamName) == fold(query) || numberErr == nil && uint64(n) == number
	}
	p.every(func(c *principal) {
		if match(c.id, c.iamName, c.name, c.number) {
			told[c.id] = true
			all = append(all, e.principal(c))
		}
	})
	for _, n := range p.order {
		if r := past[n]; match(r.ID, r.IAMName, r.Name, n) && !told[r.ID] {
			told[r.ID] = true
			if c := p.principal(r.ID, r.Group); c != nil {
				all = append(all, e.principal(c))
			} else {
				all = append(all, e.record(r))
			}
		}
	}
	if whose := p.host.named(query); whose != "" {
		all = append(all, Explanation{Kind: strings.Fields(whose)[0], Name: query, State: StateLocal,
			Steps: []Step{{Rule: "host files", OK: true, Detail: "the host's files have the " + quoted(whose) + "; they always win"}}})
	}
	return all, nil
}

type explainer struct {
	plan   *plan
	result Result
	past   map[uint32]Record
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
	x := Explanation{Kind: c.kind.String(), ID: c.id, IAMName: c.iamName, Name: c.name, Number: c.number, State: StateNot}
	rules := groupRules
	if c.kind == iamUser {
		rules = userRules
	}
	for _, r := range rules {
		if r.name == nameOwnerRule.name && c.badName.reason != "" || r.name == numberOwnerRule.name && c.badPin.reason != "" || c.foreign != "" && r.name != nameRule.name {
			continue // about a name or number that there is not
		}
		e.apply(&x, r, c, r.check(e.plan, c))
	}
	if x.sound() {
		e.apply(&x, memoryRule, c, e.memory(c))
	}
	if c.served {
		x.State = StateServed
	}
	for _, n := range e.plan.order {
		if r := e.past[n]; r.of(c) && !(c.served && n == c.number) {
			e.remembered(&x, r)
		}
	}
	e.entry(&x)
	return x
}

// memory is the last rule's outcome. It was found before serving and cannot be
// found again, because now the principal itself is remembered.
func (e explainer) memory(c *principal) outcome {
	if c.kind == iamUser {
		if i, found := e.plan.userIndex(c.id); found && e.plan.verdicts[i].reason != "" {
			return e.plan.verdicts[i]
		}
	} else if !c.served {
		return memoryRule.check(e.plan, c)
	}
	return outcome{}
}

func (e explainer) apply(x *Explanation, r rule, c *principal, found outcome) {
	if found.reason == "" {
		found.detail = r.passed(e.plan, c)
	}
	x.add(r.name, found)
}

// record explains somebody whom IAM's answer does not hold.
func (e explainer) record(r Record) Explanation {
	x := Explanation{Kind: r.kind(), ID: r.ID, IAMName: r.IAMName, Name: r.Name, Number: r.Number, State: StateNot,
		Steps: []Step{{Rule: "IAM name", Reason: NoLogin, Detail: "IAM's answer has nobody with the id " + r.ID,
			Remedy: "if the " + r.kind() + " was deleted by mistake: a new one of the same name is another principal; a pin of the old number to the new id hands the files over"}}}
	e.remembered(&x, r)
	e.entry(&x)
	return x
}

// remembered adds what the host remembers.
func (e explainer) remembered(x *Explanation, r Record) {
	pol := e.plan.in.Policy
	if r.Former() {
		if x.State == StateNot {
			x.State = StateFormer
		}
		x.Steps = append(x.Steps, Step{Rule: "removal", OK: true, Detail: fmt.Sprintf("left %s; the number %d keeps a name until %s", moment(r.Left), r.Number,
			moment(r.Left.Add(pol.KeepNames)))})
		return
	}
	if r.Group {
		return
	}
	x.State = StateLeaving
	x.Steps = append(x.Steps, Step{Rule: "removal", Detail: fmt.Sprintf("served before as %q, missing in %d of %d answers; cannot log in, and becomes a former user when it is confirmed", r.Name, r.Missed, max(pol.Confirm, 1)),
		Remedy: `to confirm by hand, run "iam-cachefill refresh --accept-removals"`})
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
			if at, found := slices.BinarySearchFunc(e.result.Tables.Groups, gid, func(g Group, n uint32) int { return int(int64(g.GID) - int64(n)) }); found {
				name = e.result.Tables.Groups[at].Name
			}
			names = append(names, name)
		}
		x.Steps = append(x.Steps, Step{Rule: "groups", OK: true, Detail: "is in " + strings.Join(append([]string{u.Name}, names...), ", ")})
	}
	for _, f := range e.result.Findings {
		if f.ID == x.ID && f.Reason == GroupsLeft {
			x.add("groups", outcome{f.Reason, f.Detail, f.Remedy})
		}
	}
}

func (x *Explanation) add(rule string, found outcome) {
	x.Steps = append(x.Steps, Step{Rule: rule, OK: found.reason == "", Reason: found.reason, Detail: found.detail, Remedy: found.remedy})
}

// sound reports whether every rule so far was passed.
func (x *Explanation) sound() bool {
	return !slices.ContainsFunc(x.Steps, func(s Step) bool { return !s.OK })
}
