package accounts

import (
	"fmt"
	"maps"
	"slices"
)

// findings reports who is not served although somebody may expect it.
func (p *plan) findings(groupVerdicts []verdict) []Finding {
	var all []Finding
	pins := map[string]bool{}
	add := func(c *principal, found verdict) {
		if found.reason == "" || found.reason == NoLogin || found.reason == Disabled {
			return
		}
		pins[c.id] = found.reason == PinRefused
		all = append(all, Finding{Kind: c.kind.String(), ID: c.id, DirectoryName: c.directoryName, UnixID: c.unixID,
			Reason: found.reason, Detail: found.detail, Remedy: found.remedy})
	}
	for i := range p.users {
		add(&p.users[i], p.verdicts[i])
	}
	for i := range p.fixed {
		add(&p.fixed[i], groupVerdicts[i])
	}
	for i := range p.groups {
		add(&p.groups[i], groupVerdicts[len(p.fixed)+i])
	}
	for _, r := range p.in.Directory.Refused {
		all = append(all, Finding{Kind: "user", ID: r.ID, DirectoryName: r.Name, Reason: LeftOut, Detail: "the user " +
			r.Reason, Remedy: r.Remedy})
	}
	all = append(all, p.groupFindings()...)
	if h := p.heldBack; h != nil {
		all = append(all, Finding{Kind: "removal", ID: "removal.max_fraction", DirectoryName: "removal",
			Reason: RemovalsHeld, Detail: h.What(), Remedy: h.Remedy()})
	}
	if len(p.in.Policy.Pins) == 0 {
		return all
	}
	holders := map[uint32]string{}
	for _, id := range slices.Sorted(maps.Keys(p.in.Policy.Pins)) {
		n := p.in.Policy.Pins[id]
		other, double := holders[n]
		holders[n] = id
		switch {
		case pins[id]:
		case !p.in.Policy.Range.Contains(n):
			all = append(all, Finding{Kind: "pin", ID: id, UnixID: n, Reason: PinRefused,
				Detail: fmt.Sprintf("the id %d is outside ids.range", n), Remedy: "pin an id of the range"})
		case double:
			all = append(all, Finding{Kind: "pin", ID: id, UnixID: n, Reason: PinRefused,
				Detail: fmt.Sprintf("the id %d is pinned to %s as well", n, quoted(other)), Remedy: "give each an id of its own"})
		}
	}
	return all
}
