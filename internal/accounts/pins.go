package accounts

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// WithPins returns the policy with the pins that a snapshot carries under its
// own. Where the two disagree the host's pin counts, and a finding names both:
// one principal with two ids, or one id for two principals.
func (p Policy) WithPins(carried map[string]uint32) (Policy, []Finding) {
	if len(carried) == 0 {
		return p, nil
	}
	pins := maps.Clone(p.Pins)
	if pins == nil {
		pins = make(map[string]uint32, len(carried))
	}
	holder := make(map[uint32]string, len(p.Pins))
	for _, id := range slices.Sorted(maps.Keys(p.Pins)) {
		holder[p.Pins[id]] = id
	}
	var findings []Finding
	for _, id := range slices.Sorted(maps.Keys(carried)) {
		n := carried[id]
		own, both := p.Pins[id]
		other, taken := holder[n]
		detail := ""
		switch {
		case both && own == n:
		case both:
			detail = fmt.Sprintf("the snapshot pins it to %d, and ids.pin to %d, which stands", n, own)
		case taken:
			detail = fmt.Sprintf("the snapshot pins it to %d, which ids.pin gives to %s, and that stands", n, quoted(other))
		default:
			pins[id] = n
		}
		if detail != "" {
			findings = append(findings, Finding{
				Kind: "pin", ID: id, UnixID: n, Reason: PinRefused, Detail: detail,
				Remedy: "make the pins of this host and of the publisher agree, or files on shared disks change hands",
			})
		}
	}
	p.Pins = pins
	return p, findings
}

// Former returns the entry of a former user, perhaps one who was never seen here, as
// this policy names people and gives them uids. It reports false if the policy serves no such
// name or uid.
func (p Policy) Former(id, directoryName string, since time.Time) (Entry, bool) {
	name, _, ok := p.userName(directoryName)
	n, pinned := p.Pins[id]
	if !pinned {
		n = UserUID(id, p.Range)
	}
	if !ok || since.IsZero() || !p.Range.Contains(n) {
		return Entry{}, false
	}
	return Entry{ID: id, DirectoryName: directoryName, UnixName: name, UnixID: n, FormerSince: since}, true
}
