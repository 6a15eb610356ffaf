package accounts

import (
	"fmt"
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
	History   History // what the Build before returned; zero on a host that has none
	Now       time.Time

	// Denied are UserIds of users who lost a right since this answer, as the directory
	// said at a login. They keep their identity and have no rights.
	Denied []string
	// ForeignHomes are folders of Result.Homes that no user is given. Each maps to the
	// uid that owns it, which is neither root's nor the user's, or to Anybody if root
	// owns it and others may write to it.
	ForeignHomes map[string]uint32
	// EmptyAnswers counts the complete answers without anybody that came in a
	// row before this one. See ErrEmptyAnswer.
	EmptyAnswers int
	// AcceptRemovals says that a person confirmed every removal of this answer.
	AcceptRemovals bool
	// AcceptGroups says that a person confirmed the groups that were created again.
	AcceptGroups bool
	// Grants are what local files grant to Result.HandedOver. Build does not use
	// them: Explain reports with them what Result.ReportGrants reported.
	Grants []Grant
	// Rebuild says that Directory is the answer of the Build before: the host's
	// files, the configuration or the time changed. It confirms no removal.
	Rebuild bool
}

// A Result is what a host is to serve, and the history for the next Build.
type Result struct {
	Tables    Tables
	History   History             // must be saved with the Tables or not at all
	Admitted  []string            // UserIds of those who may log in, ascending
	Shared    map[string][]string // local account → UserIds, ascending, of those who may enter it with their keys
	Pending   []Pending           // users without rights who keep their identity, ascending by uid
	HeldBack  *HeldBack           // why their removal waits for a person; nil: it does not
	NewFormer []User              // who became former by this Build, as last served
	// Homes are the folders that were considered as homes, with the uid that each
	// is for. If one of them belongs to somebody else, the caller adds it to
	// ForeignHomes and calls Build again.
	Homes []Home
	// EmptyAnswers is for the next Input: how many answers without anybody came in
	// a row, up to this one. After ErrEmptyAnswer there is no Result, and the caller
	// adds one to Input.EmptyAnswers.
	EmptyAnswers int
	Findings     []Finding // who and what is not served as somebody may expect
}

// A Pending is a user who has no rights and keeps name, uid, home, private
// group and iam-users.
type Pending struct {
	ID        string // the UserId
	LoginName string
	UID       uint32
	Missed    int  // complete answers without the user, in a row; 0: only denied
	Denied    bool // the directory took a right away after this answer
}

// Build computes what a host serves. It is a pure function: the order of maps,
// the clock and the machine have no part in it.
//
// Rights follow the answer at once: Admitted, Shared and every group but the
// private one and iam-users depend on Directory, Policy, Host and Denied alone.
// Identity waits: History keeps the rows of users whose removal is not
// confirmed, the rows of former users, and their uids and names from others.
//
// An error means that nothing may change: the directory is malformed
// (directory.ErrMalformed), the policy names a group that was never seen
// (ErrUnknownGroup), nobody is left and that is not confirmed (ErrEmptyAnswer),
// or Policy or History are not sound. A removal of many users is no error: see
// Result.HeldBack.
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
	denied  map[string]bool

	loginGroups map[string]bool       // folded directory names
	sudoGroups  map[string]bool       //
	mapped      map[string]string     // folded directory name → local group
	known       map[string]KnownGroup // what the history knows of groups that the policy names
	believed    []KnownGroup          // for the next history
	missing     []missingGroup
	unclear     map[string]bool       // GroupIds of groups that share a name of the policy, and none of them is meant
	recreated   map[string]KnownGroup // GroupId in the answer → the group that had the name before

	fixed  []principal // iam-users, iam-sudo
	groups []principal // as in Directory.Groups
	users  []principal // as in Directory.Users
	others []principal // as in Directory.Others: they only claim ids

	byUnixID   map[uint32]*principal
	groupNames map[string]*principal // folded
	userNames  map[string]*principal // folded
	host       *hostIndex

	verdicts []verdict         // of users, as in users
	entries  map[uint32]*Entry // working copies, by uid or gid
	order    []uint32          // the ids of entries, ascending, before anything is served

	carried      map[string]*Entry // UserId → the entry of another id that a pin hands to that user
	pending      []*Entry          // served without rights; ascending by uid
	pendingNames map[string]*Entry // folded
	waiting      map[string]*Entry // UserId → the entry under which a user with rights goes on
	waitingNames map[string]*Entry // folded
	heldBack     *HeldBack
	homeFindings []Finding
	emptyAnswers int
	newFormer    []*Entry
}

// newPlan makes every decision. If tolerant, as for Explain, it also takes an
// answer without anybody and a policy that names a group that was never seen.
func newPlan(in Input, tolerant bool) (*plan, error) {
	if err := in.Policy.check(); err != nil {
		return nil, err
	}
	if err := in.History.check(); err != nil {
		return nil, err
	}
	refused, err := directory.Validate(in.Directory)
	if err != nil {
		return nil, err
	}
	p := &plan{in: in, refused: refused, host: newHostIndex(in.Host), denied: make(map[string]bool, len(in.Denied))}
	for _, id := range in.Denied {
		p.denied[id] = true
	}
	if err := p.nameGroups(); err != nil && !tolerant {
		return nil, err
	}
	p.gather()
	p.verdicts = make([]verdict, len(p.users))
	for i := range p.users {
		p.verdicts[i] = p.judge(userRules, &p.users[i])
	}
	active := p.recall()
	if err := p.believeNobody(active); err != nil && !tolerant {
		return nil, err
	}
	p.remove(active)
	p.admit()
	return p, nil
}

// admit applies the last rule. A user that it refuses keeps all rights, and the
// name and uid served before. That can block another user, so admit repeats the
// rule until nothing changes.
func (p *plan) admit() {
	p.waiting, p.waitingNames = map[string]*Entry{}, map[string]*Entry{}
	own := map[string]*Entry{}
	for _, n := range p.order {
		if e := p.entries[n]; !e.Group && !e.Former() {
			own[e.ID] = e
		}
	}
	for again := true; again; {
		again = false
		for i := range p.users {
			u := &p.users[i]
			if p.verdicts[i].reason != "" {
				continue
			}
			if p.verdicts[i] = historyRule.check(p, u); p.verdicts[i].reason == "" {
				continue
			}
			if e := p.carried[u.id]; e != nil {
				delete(p.carried, u.id)
				p.keepPending(e)
				again = true
			}
			if e := own[u.id]; e != nil && !e.Former() {
				p.waiting[u.id], p.waitingNames[fold(e.UnixName)] = e, e
				again = true
			}
		}
	}
	sort.Slice(p.pending, func(i, j int) bool { return p.pending[i].UnixID < p.pending[j].UnixID })
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
