package accounts

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrEmptyAnswer is in the error of Build for an answer that leaves nobody with
// a login, until removal.confirm such answers came in a row. The caller counts
// them in Input.EmptyAnswers.
var ErrEmptyAnswer = errors.New("an answer without anybody is not believed yet")

// fewRemovals is how many people may always become former at once: a small
// company must be able to let somebody go.
const fewRemovals = 4

// A HeldBack says why no pending removal is confirmed. All pending users have
// lost their rights already; they keep their identity until a person decides.
type HeldBack struct {
	Pending, Of int      // users pending removal, of so many known
	MaxFraction float64  // the policy's
	Empty       bool     // the answer leaves nobody with a login
	LoginNames  []string // of some of those pending
	Command     string   // with which a person confirms
}

// What says what waits, and why.
func (h HeldBack) What() string {
	who := ""
	if len(h.LoginNames) > 0 {
		who = " (" + strings.Join(h.LoginNames, ", ")
		if len(h.LoginNames) < h.Pending {
			who += ", …"
		}
		who += ")"
	}
	why := fmt.Sprintf("removal.max_fraction is %v", h.MaxFraction)
	if h.Empty {
		why = "nobody may log in by this answer"
	}
	return fmt.Sprintf("%d of %d users%s have lost their rights, and keep name and uid until a person confirms: %s",
		h.Pending, h.Of, who, why)
}

// Remedy says what a person can do.
func (h HeldBack) Remedy() string {
	return fmt.Sprintf("if they are to go, run %q; if not, correct the groups in the directory", h.Command)
}

func (p *plan) acceptCommand() string {
	return cmp.Or(p.in.Policy.Accept, "iam-cachefill refresh --accept-removals")
}

// recall copies the entries of the history that still count, and returns how
// many of them are users who are active or pending removal.
func (p *plan) recall() (active int) {
	p.entries = make(map[uint32]*Entry, len(p.in.History.Entries))
	copies := make([]Entry, len(p.in.History.Entries))
	copy(copies, p.in.History.Entries)
	for i := range copies {
		e := &copies[i]
		if !p.in.Policy.Range.Contains(e.UnixID) || p.expired(e) {
			continue
		}
		p.entries[e.UnixID] = e
		p.order = append(p.order, e.UnixID)
		if !e.Group && !e.Former() {
			active++
		}
	}
	return active
}

// expired reports whether a former entry is older than keep_names.
func (p *plan) expired(e *Entry) bool {
	return e.Former() && !p.in.Now.Before(e.FormerSince.Add(p.in.Policy.KeepNames))
}

// nobody reports whether the answer leaves nobody with a login.
func (p *plan) nobody(active int) bool {
	if len(p.users) == 0 {
		return true
	}
	for i := range p.users {
		if p.users[i].login != "" {
			return false
		}
	}
	return active > 0
}

// believeNobody refuses an answer that leaves nobody with a login, until
// removal.confirm of them came in a row: it may be an outage.
func (p *plan) believeNobody(active int) error {
	need := max(p.in.Policy.Confirm, 1)
	have := p.in.EmptyAnswers
	if !p.in.Rebuild {
		have++
	}
	if !p.in.Rebuild && !p.nobody(active) {
		have = 0
	}
	p.emptyAnswers = have
	if p.in.Rebuild || p.in.AcceptRemovals || have == 0 || have >= need {
		return nil
	}
	return fmt.Errorf("%w: by this answer no user may log in (%d of %d such answers in a row); the previous state is "+
		"kept; "+
		"if that is meant, wait or run %q", ErrEmptyAnswer, have, need, p.acceptCommand())
}

// remove decides which of the users served before stay, which are pending
// removal, and which are former. None of those it finds missing keeps a right.
func (p *plan) remove(active int) {
	p.pendingNames, p.carried = map[string]*Entry{}, map[string]*Entry{}
	var lost []*Entry
	for _, n := range p.order {
		e := p.entries[n]
		if e.Group || e.Former() {
			continue
		}
		if c := p.carriedBy(e); c != nil {
			p.carried[c.id] = e
			continue
		}
		reason, moved := NoLogin, false
		i, found := p.userIndex(e.ID)
		if found {
			reason, moved = p.verdicts[i].reason, p.users[i].unixID != n
		}
		switch {
		case reason == Expired:
			p.makeFormer(e)
		case reason == "" || reason == HostName || reason == HostID:
			e.Missed = 0
			if moved {
				e.FormerSince = p.in.Now
			}
		case found && p.stays(&p.users[i], reason) && !p.in.AcceptRemovals:
			e.Missed = 0
			p.keepPending(e)
		default:
			lost = append(lost, e)
		}
	}
	p.heldBack = p.guard(lost, active)
	for _, e := range lost {
		if !p.in.Rebuild {
			e.Missed++
		}
		confirmed := p.in.AcceptRemovals || e.Missed >= max(p.in.Policy.Confirm, 1)
		if confirmed && p.heldBack == nil {
			p.makeFormer(e)
			continue
		}
		p.keepPending(e)
	}
}

// stays reports whether a user that a rule refuses keeps the identity for as long as
// the directory gives a login. That holds where only the name, a tag or a suspension is
// in the way, which the directory can change back. So nobody can make another user
// former by taking a name.
func (p *plan) stays(u *principal, reason Reason) bool {
	switch reason {
	case NameTaken:
		return u.login != "" && u.rival != nil && u.nameOwner == u.rival
	case NameReserved, NameInvalid, ExpiresTag, Disabled:
		return u.login != ""
	}
	return false
}

func (p *plan) keepPending(e *Entry) {
	p.pending = append(p.pending, e)
	p.pendingNames[fold(e.UnixName)] = e
}

func (p *plan) makeFormer(e *Entry) {
	e.FormerSince, e.Missed = p.in.Now, 0
	p.newFormer = append(p.newFormer, e)
}

// guard decides whether so many users may become former without a person's word.
func (p *plan) guard(lost []*Entry, active int) *HeldBack {
	pol := &p.in.Policy
	empty := p.nobody(active)
	if p.in.AcceptRemovals || len(lost) == 0 ||
		!empty && (len(lost) <= fewRemovals || float64(len(lost)) <= pol.MaxFraction*float64(active)) {
		return nil
	}
	h := &HeldBack{Pending: len(lost), Of: active, MaxFraction: pol.MaxFraction, Empty: empty, Command: p.acceptCommand()}
	for _, e := range lost {
		h.LoginNames = append(h.LoginNames, e.UnixName)
	}
	slices.Sort(h.LoginNames)
	h.LoginNames = h.LoginNames[:min(len(lost), 5)]
	return h
}
