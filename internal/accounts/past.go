package accounts

import (
	"fmt"
	"sort"
	"time"
)

// A Past is what a host remembers of what it served. It is the only thing in
// which two hosts with one policy and one answer of IAM may differ. The zero
// value remembers nothing. It survives JSON.
type Past struct {
	Records []Record // ascending by Number; numbers are unique
}

// A Record is one number that was served, and to whom.
type Record struct {
	Group    bool      `json:",omitempty"` // an IAM group or a fixed one; else a user
	ID       string    // UserId or GroupId, or the name of a fixed group
	IAMName  string    `json:",omitempty"`
	Name     string    // the Unix name last served
	Number   uint32    // uid or gid
	MemberOf []string  `json:",omitempty"` // GroupIds, as last answered; ascending
	Missed   int       `json:",omitempty"` // complete answers without this user, in a row
	Left     time.Time `json:",omitzero"`  // when the number's holder was found to be gone; zero before
}

// Former reports whether the record's holder is gone, or has another number.
func (r Record) Former() bool { return !r.Left.IsZero() }

// Formers returns the records of those gone, which a publisher hands to hosts
// that never knew them.
func (p Past) Formers() []Record {
	var gone []Record
	for _, r := range p.Records {
		if r.Former() {
			gone = append(gone, r)
		}
	}
	return gone
}

// Adopt adds records of those gone, from a publisher, to what the host
// remembers itself. The host's own record of a number stands.
func (p Past) Adopt(gone []Record) Past {
	known := make(map[uint32]bool, len(p.Records)+len(gone))
	all := append([]Record(nil), p.Records...)
	for _, r := range p.Records {
		known[r.Number] = true
	}
	for _, r := range gone {
		if r.Former() && !known[r.Number] {
			known[r.Number] = true
			all = append(all, r)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Number < all[j].Number })
	return Past{all}
}

// check refuses a memory that cannot be one of Build's.
func (p Past) check() error {
	for i, r := range p.Records {
		if i > 0 && p.Records[i-1].Number >= r.Number {
			return fmt.Errorf("number %d is remembered twice or out of order", r.Number)
		}
		if problem := nameProblem(r.Name); problem != "" {
			return fmt.Errorf("the name %.80q is remembered for number %d, which %s", r.Name, r.Number, problem)
		}
	}
	return nil
}
