package accounts

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// An Input is everything that Build looks at.
type Input struct {
	Directory directory.Directory // one complete answer
	Policy    Policy
	Host      Host
	Past      Past // what the Build before returned; zero on a host that has none
	Now       time.Time

	// AcceptRemovals confirms by hand whatever this answer removes.
	AcceptRemovals bool
	// Rebuild says that the directory is the answer of the Build before, again:
	// the host's files or the configuration changed. It counts for no removal.
	Rebuild bool
}

// A Result is what a host is to serve, and to remember.
type Result struct {
	Tables   Tables
	Past     Past                // for the next Build; to be kept with the Tables or not at all
	Admitted []string            // UserIds of those who may log in, ascending. A user who is leaving is in Tables, not here
	Shared   map[string][]string // local account → UserIds, ascending, of those who may enter it with their keys
	Gone     []User              // those who became former users by this Build, as last served
	Findings []Finding           // who and what is not served as might be expected: users, groups, settings
}

// Build computes what a host serves. It is a pure function: the order of maps,
// the clock and the machine have no part in it.
//
// Live rows depend on Directory, Policy and Host alone. What is remembered adds
// rows of users who are leaving or gone, and keeps their numbers, and while
// they are leaving their names, from everybody else; it changes no row.
//
// An error means that nothing is to change: the directory is malformed
// (directory.ErrMalformed), the policy names a group that is not in it
// (ErrUnknownGroup), too many users would be removed (ErrRemovals), or Policy
// or Past are not sound.
func Build(in Input) (Result, error) {
	p, err := newPlan(in, false)
	if err != nil {
		return Result{}, fmt.Errorf("build accounts: %w", err)
	}
	return p.serve(), nil
}

// A plan is a Build under way.
type plan struct {
	in      Input
	refused []directory.Refusal

	loginGroups map[string]bool   // folded IAM names
	sudoGroups  map[string]bool   //
	mapped      map[string]string // folded IAM name → local group

	fixed  []principal // iam-users, iam-sudo
	groups []principal // as in Directory.Groups
	users  []principal // as in Directory.Users

	byNumber   map[uint32]*principal
	groupNames map[string]*principal
	userNames  map[string]*principal // folded
	host       *hostIndex

	verdicts     []outcome          // of users, as in users
	records      map[uint32]*Record // working copies, by number
	order        []uint32           // the numbers of records, ascending, before anything is served
	leaving      []*Record          // served still, not admitted; ascending by number
	leavingNames map[string]*Record
	gone         []*Record // became former users just now
}

// newPlan decides everything. A tolerant one refuses no removals.
func newPlan(in Input, tolerant bool) (*plan, error) {
	if err := in.Policy.check(); err != nil {
		return nil, err
	}
	if err := in.Past.check(); err != nil {
		return nil, err
	}
	refused, err := directory.Validate(in.Directory)
	if err != nil {
		return nil, err
	}
	p := &plan{in: in, refused: refused, host: newHostIndex(in.Host)}
	if err := p.nameGroups(); err != nil {
		return nil, err
	}
	if len(in.Directory.Users) == 0 && !in.AcceptRemovals && !tolerant {
		return nil, &RemovalError{Empty: true, Of: p.remember(), Names: nil, MaxFraction: in.Policy.MaxFraction, Command: in.Policy.Accept}
	}
	p.gather()
	p.verdicts = make([]outcome, len(p.users))
	for i := range p.users {
		p.verdicts[i] = p.judge(userRules, &p.users[i])
	}
	p.remember()
	if err := p.remove(); err != nil && !tolerant {
		return nil, err
	}
	p.admit()
	return p, nil
}

// nameGroups finds the groups that the policy names.
func (p *plan) nameGroups() error {
	pol := &p.in.Policy
	known := make(map[string]bool, len(p.in.Directory.Groups))
	for i := range p.in.Directory.Groups {
		known[fold(p.in.Directory.Groups[i].Name)] = true
	}
	var missing []string
	want := func(name, where string) string {
		key := fold(name)
		if !known[key] {
			missing = append(missing, fmt.Sprintf("%s of %s", quoted(name), where))
		}
		return key
	}
	p.loginGroups, p.sudoGroups, p.mapped = map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, name := range pol.Login {
		p.loginGroups[want(name, "login.groups")] = true
	}
	for _, name := range pol.Sudo {
		p.sudoGroups[want(name, "sudo.groups")] = true
	}
	for _, name := range slices.Sorted(maps.Keys(pol.MapGroups)) {
		p.mapped[want(name, "accounts.map_groups")] = pol.MapGroups[name]
	}
	for _, account := range slices.Sorted(maps.Keys(pol.Shared)) {
		for _, name := range pol.Shared[account] {
			want(name, "shared."+account)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %s; create it in IAM or correct the configuration, keeping the previous state", ErrUnknownGroup, strings.Join(missing, ", "))
	}
	return nil
}

// remember makes working copies of what is still remembered and returns how
// many users are among it who are not gone.
func (p *plan) remember() (live int) {
	p.records = make(map[uint32]*Record, len(p.in.Past.Records))
	p.order = p.order[:0]
	copies := make([]Record, len(p.in.Past.Records))
	copy(copies, p.in.Past.Records)
	for i := range copies {
		r := &copies[i]
		if !p.in.Policy.Range.Contains(r.Number) || p.forgotten(r) {
			continue
		}
		p.records[r.Number] = r
		p.order = append(p.order, r.Number)
		if !r.Group && !r.Former() {
			live++
		}
	}
	return live
}

// forgotten reports whether the record of somebody gone has served its time.
func (p *plan) forgotten(r *Record) bool {
	return r.Former() && !p.in.Now.Before(r.Left.Add(p.in.Policy.KeepNames))
}

// remove looks at every user served before: who is still to be served, who is
// leaving, who is gone.
func (p *plan) remove() error {
	p.leavingNames = map[string]*Record{}
	var lost []*Record
	served, eligible := 0, 0
	for i := range p.users {
		if p.users[i].login != "" {
			eligible++
		}
	}
	for _, n := range p.order {
		r := p.records[n]
		if r.Group || r.Former() {
			continue
		}
		served++
		reason, moved := NoLogin, false
		if i, found := p.userIndex(r.ID); found {
			reason, moved = p.verdicts[i].reason, p.users[i].number != n
		}
		switch {
		case reason == Expired:
			p.part(r)
		case reason == "" || reason == HostName || reason == HostNumber:
			r.Missed = 0
			if moved {
				r.Left = p.in.Now
			}
		default:
			lost = append(lost, r)
		}
	}
	refusal := p.guard(lost, served, eligible)
	for _, r := range lost {
		if !p.in.Rebuild {
			r.Missed++
		}
		if p.in.AcceptRemovals || r.Missed >= max(p.in.Policy.Confirm, 1) {
			p.part(r)
			continue
		}
		p.leave(r)
	}
	return refusal
}

// part makes a user a former one.
func (p *plan) part(r *Record) {
	r.Left, r.Missed = p.in.Now, 0
	p.gone = append(p.gone, r)
}

func (p *plan) leave(r *Record) {
	p.leaving = append(p.leaving, r)
	p.leavingNames[r.Name] = r
}

// guard refuses an answer that removes too many. One user may always go, or
// a small company could never let anybody go.
func (p *plan) guard(lost []*Record, served, eligible int) error {
	pol := &p.in.Policy
	if p.in.AcceptRemovals || len(lost) == 0 {
		return nil
	}
	e := &RemovalError{Lost: len(lost), Of: served, MaxFraction: pol.MaxFraction, Empty: eligible == 0, Command: pol.Accept}
	allowed := pol.MaxFraction * float64(served)
	if allowed > 0 && allowed < 1 {
		allowed = 1
	}
	if !e.Empty && float64(len(lost)) <= allowed {
		return nil
	}
	for _, r := range lost[:min(len(lost), 5)] {
		e.Names = append(e.Names, r.Name)
	}
	return e
}

// admit applies the last rule. A user who is kept waiting by it goes on under
// the name served before, which may in turn keep another waiting.
func (p *plan) admit() {
	own := map[string]*Record{}
	for _, n := range p.order {
		if r := p.records[n]; !r.Group && !r.Former() {
			own[r.ID] = r
		}
	}
	for again := true; again; {
		again = false
		for i := range p.users {
			u := &p.users[i]
			if p.verdicts[i].reason != "" {
				continue
			}
			if p.verdicts[i] = memoryRule.check(p, u); p.verdicts[i].reason == "" {
				continue
			}
			if r := own[u.id]; r != nil && !r.Former() {
				p.leave(r)
				again = true
			}
		}
	}
	sort.Slice(p.leaving, func(i, j int) bool { return p.leaving[i].Number < p.leaving[j].Number })
}

// userIndex finds a user of the directory.
func (p *plan) userIndex(id string) (int, bool) {
	return sort.Find(len(p.users), func(i int) int { return strings.Compare(id, p.users[i].id) })
}

func (p *plan) user(id string) *principal {
	if i, found := p.userIndex(id); found {
		return &p.users[i]
	}
	return nil
}
