package accounts

import (
	"fmt"
	"slices"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// check verifies every promise at one refresh of one host and returns the
// first that is broken.
func (w *world) check(h *simHost, in Input, got Result) string {
	if problems := tableProblems(got.Tables); len(problems) > 0 {
		return "the tables are not sound: " + problems[0]
	}
	if broken := w.checkIDs(h, in, got); broken != "" {
		return broken
	}
	if broken := w.checkHistory(h, in, got); broken != "" {
		return broken
	}
	if broken := w.checkLive(h, in, got); broken != "" {
		return "(a) " + broken
	}
	if broken := w.checkRights(in, got); broken != "" {
		return "(e) " + broken
	}
	return ""
}

// checkRights is promise (e): nobody has a right that this answer does not give.
func (w *world) checkRights(in Input, got Result) string {
	member := func(id string, groups []string) bool {
		return slices.ContainsFunc(groups, func(name string) bool {
			g, found := in.Directory.GroupNamed(name)
			return found && contains(g.Members, id)
		})
	}
	sudo, users := got.Tables.group(SudoGroup).GID, got.Tables.group(UsersGroup).GID
	pending := 0
	for _, u := range got.Tables.Users {
		switch {
		case u.Former:
		case !contains(got.Admitted, u.ID):
			pending++
			if !u.Pending || len(u.Groups) > 1 || len(u.Groups) == 1 && u.Groups[0] != users {
				return fmt.Sprintf("%s may not log in and has the groups %v", u.Name, u.Groups)
			}
		case !in.Policy.AllUsers && !member(u.ID, in.Policy.Login):
			return u.Name + " may log in and is in no login group"
		case sudo != 0 && slices.Contains(u.Groups, sudo) && !member(u.ID, in.Policy.Sudo):
			return u.Name + " is in iam-sudo and in no sudo group"
		}
	}
	if pending > len(got.Pending) {
		return fmt.Sprintf("%d users are without rights, and %d are reported", pending, len(got.Pending))
	}
	if got.HeldBack != nil && len(got.NewFormer) > 0 {
		for _, u := range got.NewFormer {
			if !slices.ContainsFunc(in.Directory.Users, func(d directory.User) bool { return d.ID == u.ID }) {
				return u.Name + " became former while removals are held back"
			}
		}
	}
	return ""
}

// checkLive is promise (a): live rows are those of a host without a past, but
// for principals that memory keeps waiting, and the rest is remembered.
func (w *world) checkLive(h *simHost, in Input, got Result) string {
	want, err := w.fresh(h, in)
	if err != nil {
		return "a host without a past fails: " + err.Error()
	}
	remembered := false
	for _, r := range got.History.Entries {
		// Somebody leaving may be remembered without a row: the host has the uid.
		remembered = remembered || r.Former() || !r.Group && !contains(got.Admitted, r.ID)
	}
	for _, u := range got.Tables.Users {
		remembered = remembered || !contains(got.Admitted, u.ID)
	}
	if !remembered {
		if !sameTables(got.Tables, want) {
			return fmt.Sprintf("nothing is remembered, and yet the tables are\n  %+v\nnot\n  %+v", got.Tables, want)
		}
		return ""
	}
	// What memory keeps waiting is taken out of the fresh host's tables, what
	// memory adds out of this host's. The rest must be the same.
	waiting := map[string]bool{} // names
	for _, f := range got.Findings {
		if f.Reason != HeldByHistory {
			continue
		}
		name := ""
		for _, u := range want.Users {
			if u.ID == f.ID {
				name = u.Name
			}
		}
		for _, g := range want.Groups {
			if g.ID == f.ID && f.Kind == "group" || g.Name == f.ID {
				name = g.Name
			}
		}
		if name == "" {
			continue // not served on a fresh host either
		}
		if !justified(in.History, got.History, f, name) {
			return fmt.Sprintf("%s is kept waiting without a memory of another: %v", name, f)
		}
		waiting[name] = true
		w.blocked++
	}
	formerGroup := map[uint32]bool{}
	for _, r := range got.History.Entries {
		formerGroup[r.UnixID] = r.Group && r.Former()
	}
	mine := without(got.Tables, func(u User) bool { return !contains(got.Admitted, u.ID) || u.Former || waits(got, u.ID) },
		func(g Group) bool { return formerGroup[g.GID] })
	plain := without(want, func(u User) bool { return waiting[u.Name] }, func(g Group) bool { return waiting[g.Name] })
	if !sameTables(mine, plain) {
		return fmt.Sprintf("live rows differ from a host without a past:\n  %+v\nnot\n  %+v", mine, plain)
	}
	return ""
}

// waits reports whether history makes a user wait for a name or an id.
func waits(got Result, id string) bool {
	return slices.ContainsFunc(got.Findings, func(f Finding) bool {
		return f.ID == id && f.Kind == "user" &&
			f.Reason == HeldByHistory
	})
}

// justified looks for the memory that keeps a principal waiting.
func justified(before, after History, f Finding, name string) bool {
	for _, past := range []History{before, after} {
		for _, r := range past.Entries {
			if r.ID != f.ID && (r.UnixID == f.UnixID || fold(r.UnixName) == fold(name)) {
				return true
			}
		}
	}
	return false
}

// without takes users and groups out of tables, and out of each other.
func without(t Tables, user func(User) bool, group func(Group) bool) Tables {
	out := Tables{Range: t.Range}
	goneName, goneGID := map[string]bool{}, map[uint32]bool{}
	for _, u := range t.Users {
		if user(u) {
			goneName[u.Name], goneGID[u.UID] = true, true
		}
	}
	for _, g := range t.Groups {
		if goneGID[g.GID] || group(g) {
			goneGID[g.GID] = true
			continue
		}
		g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(m string) bool { return goneName[m] })
		if len(g.Members) == 0 {
			g.Members = nil
		}
		out.Groups = append(out.Groups, g)
	}
	for _, u := range t.Users {
		if !goneName[u.Name] {
			u.Groups = slices.DeleteFunc(slices.Clone(u.Groups), func(gid uint32) bool { return goneGID[gid] })
			if len(u.Groups) == 0 {
				u.Groups = nil
			}
			out.Users = append(out.Users, u)
		}
	}
	return out
}

// checkIDs is promise (b), a user's uid is the one of the pin or of the
// id and nothing else, and (c), one number is one principal's at one time: on
// this host, and on all hosts that saw the same.
func (w *world) checkIDs(h *simHost, in Input, got Result) string {
	if w.heldAt != w.version {
		clear(w.holders)
		w.heldAt = w.version
	}
	hold := func(n uint32, id string) string {
		if h.version != w.version {
			return ""
		}
		if other, held := w.holders[n]; held && other != id {
			return fmt.Sprintf("(c) the number %d is %s's here and %s's on another host", n, id, other)
		}
		w.holders[n] = id
		return ""
	}
	for _, u := range got.Tables.Users {
		if u.Former {
			w.former++
		}
		if !contains(got.Admitted, u.ID) || u.Former || waits(got, u.ID) {
			continue
		}
		want, pinned := in.Policy.Pins[u.ID]
		if !pinned {
			want = UserUID(u.ID, in.Policy.Range)
		}
		if u.UID != want {
			return fmt.Sprintf("(b) %s (%s) has the uid %d, not %d", u.Name, u.ID, u.UID, want)
		}
		if broken := hold(u.UID, u.ID); broken != "" {
			return broken
		}
	}
	for _, r := range got.History.Entries {
		if r.Group && !r.Former() {
			if broken := hold(r.UnixID, r.ID); broken != "" {
				return broken
			}
		}
	}
	for _, local := range in.Host.Groups {
		for _, u := range got.Tables.Users {
			if u.UID == local.GID {
				return fmt.Sprintf("the number %d of a local group is served", local.GID)
			}
		}
	}
	for _, local := range in.Host.Users {
		if u := got.Tables.user(local.Name); u.Name != "" {
			return fmt.Sprintf("the name %q of a local user is served", local.Name)
		}
	}
	return ""
}

// checkHistory is promise (d), from a memory that the test keeps itself.
func (w *world) checkHistory(h *simHost, in Input, got Result) string {
	live := map[uint32]string{}
	shown := map[uint32]string{}
	for _, u := range got.Tables.Users {
		shown[u.UID] = u.ID
		if !u.Former {
			live[u.UID] = u.ID
		}
	}
	for _, r := range got.History.Entries {
		if r.Group && !r.Former() {
			live[r.UnixID] = r.ID
		}
	}
	for n, was := range h.served {
		now, taken := live[n]
		if !taken || now == was.id || !w.now.Before(was.last.Add(simKeep)) {
			continue
		}
		if in.Policy.Pins[now] == n && !claims(in, was.id, n) {
			continue // handed over by hand
		}
		return fmt.Sprintf("(d) the number %d was %s's at %s and is %s's now", n, was.id, was.last.Format("15:04"), now)
	}
	for n, id := range shown {
		if was, known := h.served[n]; known && was.id != id && live[n] == "" && w.now.Before(was.last.Add(simKeep)) {
			return fmt.Sprintf("(d) the number %d was %s's and is shown as the former %s's", n, was.id, id)
		}
	}
	for n, id := range live {
		h.served[n] = holding{id, w.now}
	}
	return ""
}

// claims reports whether a principal of the answer has a right to a number.
func claims(in Input, id string, n uint32) bool {
	if p, pinned := in.Policy.Pins[id]; pinned {
		_, isUser := in.Directory.User(id)
		_, isGroup := in.Directory.Group(id)
		return p == n && (isUser || isGroup || id == UsersGroup || id == SudoGroup)
	}
	if _, found := in.Directory.User(id); found {
		return UserUID(id, in.Policy.Range) == n
	}
	if _, found := in.Directory.Group(id); found {
		return GroupGID(id, in.Policy.Range) == n
	}
	return (id == UsersGroup || id == SudoGroup) && FixedGID(id, in.Policy.Range) == n
}

// settle lets everything that was ever removed be forgotten, and compares the
// hosts with each other. Hosts with files of their own are given none first.
func (w *world) settle() string {
	w.gone = [3]bool{}
	w.changed()
	for round := range w.rules.Confirm + 2 {
		for i := range w.hosts {
			w.hosts[i].files = Host{}
			if broken := w.refresh(i, false, true); broken != "" {
				return broken
			}
		}
		if round == w.rules.Confirm {
			w.now = w.now.Add(simKeep)
		}
	}
	for i := range w.hosts {
		if !sameTables(w.hosts[i].last.Tables, w.hosts[0].last.Tables) {
			return fmt.Sprintf("(a) when all is forgotten, host %d serves\n  %+v\nand host 0\n  %+v", i, w.hosts[i].last.Tables,
				w.hosts[0].last.Tables)
		}
	}
	return ""
}
