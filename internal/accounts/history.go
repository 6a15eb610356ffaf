package accounts

import (
	"fmt"
	"sort"
	"time"
)

// A History is what a host keeps about earlier answers: who had which uid or
// gid, and which groups were seen. It is the only thing in which two hosts with
// one policy and one answer may differ. The zero value is a host without any.
// It survives JSON; the tags keep the names that version 0.1.0 wrote.
type History struct {
	Entries []Entry      `json:"Records"`    // ascending by UnixID; UnixIDs are unique
	Groups  []KnownGroup `json:",omitempty"` // ascending by Name
}

// An Entry is one uid or gid that was served, and its holder.
type Entry struct {
	Group         bool      `json:",omitempty"`        // a directory group or a fixed one; else a user
	ID            string    `json:"ID"`                // UserId or GroupId, or the name of a fixed group
	DirectoryName string    `json:"IAMName,omitempty"` // as last seen; not to be trusted
	UnixName      string    `json:"Name"`              // the login or group name last served
	UnixID        uint32    `json:"Number"`            // uid or gid
	Missed        int       `json:",omitempty"`        // complete answers without this user, in a row
	FormerSince   time.Time `json:"Left,omitzero"`     // when the holder became former; zero before
}

// A KnownGroup is a group that the policy names and that an answer has held.
type KnownGroup struct {
	Name string // the directory name, in lower case
	ID   string // the GroupId that counts under this name
}

// Former reports whether the entry's holder is former, or has another id now.
func (e Entry) Former() bool { return !e.FormerSince.IsZero() }

// Formers returns the entries of former users and groups. A publisher hands
// them to hosts that never knew them.
func (h History) Formers() []Entry {
	var former []Entry
	for _, e := range h.Entries {
		if e.Former() {
			former = append(former, e)
		}
	}
	return former
}

// Adopt returns h with a publisher's former entries. The host's own entry for
// a uid or gid is never replaced.
func (h History) Adopt(former []Entry) History {
	known := make(map[uint32]bool, len(h.Entries)+len(former))
	all := append([]Entry(nil), h.Entries...)
	for _, e := range h.Entries {
		known[e.UnixID] = true
	}
	for _, e := range former {
		if e.Former() && !known[e.UnixID] {
			known[e.UnixID] = true
			all = append(all, e)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].UnixID < all[j].UnixID })
	return History{Entries: all, Groups: h.Groups}
}

// check refuses a history that Build cannot have returned.
func (h History) check() error {
	for i, e := range h.Entries {
		if i > 0 && h.Entries[i-1].UnixID >= e.UnixID {
			return fmt.Errorf("history: id %d appears twice or out of order", e.UnixID)
		}
		if problem := nameProblem(e.UnixName); problem != "" {
			return fmt.Errorf("history: the name %.80q of id %d %s", e.UnixName, e.UnixID, problem)
		}
	}
	return nil
}
