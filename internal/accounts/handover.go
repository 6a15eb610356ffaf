package accounts

import (
	"fmt"
	"slices"
	"strings"
)

// A Grant is something that a local file grants to a login name. Package
// hostfiles finds them.
type Grant struct {
	LoginName string
	File      string // the path, with a line where there is one
	What      string // a short phrase, with foreign text quoted
}

// HandedOver returns the login names that another user had before, ascending,
// for as long as the history knows of it. Local files that name people cannot tell
// the two apart.
func (r Result) HandedOver() []string {
	var names []string
	for name := range r.handedOver() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// handedOver are users whose login name was another's, with who had it, by name.
func (r Result) handedOver() map[string]handover {
	before := map[string]Entry{}
	for _, e := range r.History.Entries {
		if !e.Group && e.Former() {
			name := fold(e.UnixName) // to sudo, capitals and small letters are one in names
			if other, found := before[name]; !found || e.FormerSince.After(other.FormerSince) {
				before[name] = e
			}
		}
	}
	found := map[string]handover{}
	if len(before) == 0 {
		return found
	}
	for i := range r.Tables.Users {
		u := &r.Tables.Users[i]
		if e, had := before[fold(u.Name)]; had && !u.Former && e.ID != u.ID {
			found[u.Name] = handover{u, e}
		}
	}
	return found
}

type handover struct {
	now *User
	was Entry
}

// ReportGrants adds a finding for each login name that changed hands and that
// local files grant something.
func (r *Result) ReportGrants(grants []Grant) {
	handed := r.handedOver()
	for _, name := range r.HandedOver() {
		var what []string
		for _, g := range grants {
			if g.LoginName == name {
				what = append(what, fmt.Sprintf("%s (%s)", quoted(g.File), g.What))
			}
		}
		if len(what) == 0 {
			continue
		}
		const most = 10
		if len(what) > most {
			what = append(what[:most], fmt.Sprintf("and %d more", len(what)-most))
		}
		h := handed[name]
		r.Findings = append(r.Findings, Finding{
			Kind: "user", ID: h.now.ID, DirectoryName: h.now.Gecos, UnixID: h.now.UID, Reason: NameHandedOver,
			Detail: fmt.Sprintf("the login name %q was another person's until %s (%s, uid %d), and local files grant it "+
				"something: %s",
				name, moment(h.was.FormerSince), h.was.ID, h.was.UnixID, strings.Join(what, ", ")),
			Remedy: "take out of these files what was meant for the person before",
		})
	}
}
