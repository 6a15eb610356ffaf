package accounts

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// This file is a fleet of hosts, an IAM and a clock, driven by events. What
// must hold is in promises_test.go; who drives it is in simulator_test.go.

// An event is what happens in one minute. Its numbers are taken modulo what
// there is, so that any event can happen at any time and histories can be
// shortened.
type event struct {
	op      op
	a, b, c int
}

type op uint8

const (
	createUser op = iota
	deleteUser
	renameUser
	recreateUser
	joinGroup
	leaveGroup
	createTeam
	deleteTeam
	recreateGroup
	deleteGroup
	pin
	unpin
	refresh
	rebuild
	reboot
	loseState
	hostFile
	wait
	ops
)

func (o op) String() string {
	return [...]string{"create user", "delete user", "rename user", "recreate user under the same name", "join group",
		"leave group",
		"create team", "delete team", "recreate group under the same name", "delete or create a group of the policy", "pin",
		"unpin", "refresh host", "rebuild host", "reboot host",
		"lose the state of host", "change the files of host", "wait"}[o]
}

// Names are chosen to collide in every way there is.
var (
	userNames = []string{"alice", "Alice@example.com", "bob", "bob@example.com", "carol,x", "carol.comma.x", "team-a",
		"dave", "root", "7", "erin"}
	teamNames = []string{"team-a", "team-b", "team-dave", "team-root"}
	hostNames = []string{"alice", "bob", "team-b", "former-70003"}
)

const (
	simHosts = 4
	simKeep  = 60 * time.Minute
)

// A world is the state of everything.
type world struct {
	rules   Policy
	now     time.Time
	users   []directory.User
	groups  []directory.Group
	gone    [3]bool // which of the policy's groups do not exist
	serial  int
	answer  directory.Directory // what IAM says now
	version int                 // grows with every change of answer or pins
	hosts   [simHosts]simHost
	build   func(Input) (Result, error)

	holders   map[uint32]string // who was served live with a number under this version, on any host
	heldAt    int               // the version of holders
	common    Tables            // of a host without past and files, under this version
	commonAt  int
	refreshes int
	blocked   int // principals kept from an id or name by memory
	refusals  int
	former    int // rows of former users seen
	text      []string
	explain   bool
}

// A simHost is one host, with what the test remembers of it beside its History.
type simHost struct {
	past    History
	empty   int // answers without anybody, in a row
	files   Host
	answer  directory.Directory
	policy  Policy
	version int
	started bool
	last    Result
	served  map[uint32]holding // numbers served live since the state was lost
}

type holding struct {
	id   string
	last time.Time // when it was last in the tables of somebody not gone
}

func newWorld(seed uint64) *world {
	low := uint32(70000 + seed%7*1000)
	w := &world{now: epoch, build: Build, holders: map[uint32]string{}}
	w.rules = everybody()
	w.rules.AllUsers = seed%5 == 0
	w.rules.Login, w.rules.Sudo, w.rules.Publish = []string{"dev", "ops"}, []string{"admins"}, []string{"team-*"}
	w.rules.StripDomains = []string{"example.com"}
	w.rules.Range = Range{low, low + 15 + uint32(seed%3)*16}
	w.rules.KeepNames, w.rules.Confirm, w.rules.MaxFraction = simKeep, int(1+seed%3), 0.5
	w.rules.Pins = map[string]uint32{}
	for _, name := range []string{"dev", "ops", "admins"} {
		w.groups = append(w.groups, directory.Group{ID: w.id("AGPA"), Name: name, Created: w.now})
	}
	for i := range w.hosts {
		w.hosts[i].served = map[uint32]holding{}
	}
	w.changed()
	return w
}

// id makes an id whose order has nothing to do with age.
func (w *world) id(prefix string) string {
	w.serial++
	return fmt.Sprintf("%s%08X", prefix, uint32(w.serial)*2654435761)
}

func (w *world) changed() {
	w.version++
	d := directory.Directory{Users: slices.Clone(w.users), Groups: make([]directory.Group, 0, len(w.groups))}
	for i, g := range w.groups {
		if i < len(w.gone) && w.gone[i] {
			d.Missing = append(d.Missing, g.Name)
			continue
		}
		g.Members = slices.Clone(g.Members)
		d.Groups = append(d.Groups, g)
	}
	slices.Sort(d.Missing)
	d.Sort()
	w.answer = d
}

func (w *world) say(format string, args ...any) {
	if w.explain {
		w.text = append(w.text, fmt.Sprintf("%s  ", w.now.Format("15:04"))+fmt.Sprintf(format, args...))
	}
}

func (w *world) free(name string) bool {
	return !slices.ContainsFunc(w.users, func(u directory.User) bool { return strings.EqualFold(u.Name, name) })
}

// step lets one event happen and returns what promise it broke.
func (w *world) step(e event) string {
	w.now = w.now.Add(time.Minute)
	// Several principals are created in one moment, so that ids decide too.
	created := w.now.Truncate(8 * time.Minute)
	var u *directory.User
	if len(w.users) > 0 {
		u = &w.users[e.a%len(w.users)]
	}
	h := &w.hosts[e.a%simHosts]
	switch e.op {
	case createUser:
		if name := userNames[e.a%len(userNames)]; w.free(name) {
			n := directory.User{ID: w.id("AIDA"), Name: name, Created: created}
			w.users = append(w.users, n)
			for i := range 3 {
				if e.b>>i&1 == 1 {
					w.groups[i].Members = append(w.groups[i].Members, n.ID)
				}
			}
			w.say("create user %s (%s, number %d), groups %03b", n.Name, n.ID, UserUID(n.ID, w.rules.Range), e.b&7)
			w.changed()
		}
	case deleteUser, recreateUser:
		if u == nil {
			break
		}
		gone := *u
		w.users = slices.Delete(w.users, e.a%len(w.users), e.a%len(w.users)+1)
		fresh := directory.User{ID: w.id("AIDA"), Name: gone.Name, Created: created}
		for i := range w.groups {
			if at := slices.Index(w.groups[i].Members, gone.ID); at >= 0 {
				w.groups[i].Members = slices.Delete(w.groups[i].Members, at, at+1)
				if e.op == recreateUser {
					w.groups[i].Members = append(w.groups[i].Members, fresh.ID)
				}
			}
		}
		w.say("delete user %s (%s)", gone.Name, gone.ID)
		if e.op == recreateUser {
			w.say("create user %s (%s, number %d), in the same groups", fresh.Name, fresh.ID, UserUID(fresh.ID, w.rules.Range))
			w.users = append(w.users, fresh)
		}
		w.changed()
	case renameUser:
		if name := userNames[e.b%len(userNames)]; u != nil && w.free(name) {
			w.say("rename user %s (%s) to %s", u.Name, u.ID, name)
			u.Name = name
			w.changed()
		}
	case joinGroup, leaveGroup:
		if u == nil {
			break
		}
		g := &w.groups[e.b%len(w.groups)]
		at := slices.Index(g.Members, u.ID)
		if e.op == joinGroup && at < 0 {
			g.Members = append(g.Members, u.ID)
		} else if e.op == leaveGroup && at >= 0 {
			g.Members = slices.Delete(g.Members, at, at+1)
		}
		w.say("%s %s: user %s", e.op, g.Name, u.Name)
		w.changed()
	case createTeam:
		name := teamNames[e.a%len(teamNames)]
		if !slices.ContainsFunc(w.groups, func(g directory.Group) bool { return g.Name == name }) {
			w.groups = append(w.groups, directory.Group{ID: w.id("AGPA"), Name: name, Created: created})
			w.say("create team %s (number %d)", name, GroupGID(w.groups[len(w.groups)-1].ID, w.rules.Range))
			w.changed()
		}
	case deleteTeam:
		if teams := len(w.groups) - 3; teams > 0 {
			i := 3 + e.a%teams
			w.say("delete team %s", w.groups[i].Name)
			w.groups = slices.Delete(w.groups, i, i+1)
			w.changed()
		}
	case recreateGroup:
		g := &w.groups[e.a%len(w.groups)]
		g.ID, g.Created = w.id("AGPA"), created
		w.say("recreate group %s (number %d)", g.Name, GroupGID(g.ID, w.rules.Range))
		w.changed()
	case deleteGroup:
		i := e.a % len(w.gone)
		was := w.gone
		w.gone = [3]bool{}
		if e.b%3 == 0 {
			w.gone[i] = true
		}
		for i := range was {
			if was[i] && !w.gone[i] {
				w.groups[i].ID, w.groups[i].Created = w.id("AGPA"), created
			}
		}
		w.say("groups of the policy that are gone: %v", w.gone)
		w.changed()
	case pin, unpin:
		w.pin(e, u)
	case refresh:
		return w.refresh(e.a%simHosts, false, e.b%3 == 0)
	case rebuild:
		return w.refresh(e.a%simHosts, true, false)
	case reboot:
		w.say("reboot host %d", e.a%simHosts)
		data, err := json.Marshal(h.past)
		if err != nil {
			return err.Error()
		}
		var back History
		if err := json.Unmarshal(data, &back); err != nil {
			return err.Error()
		}
		h.past = back
	case loseState:
		w.say("host %d loses its state", e.a%simHosts)
		*h = simHost{files: h.files, served: map[uint32]holding{}}
	case hostFile:
		w.changeFiles(e, h)
		return w.refresh(e.a%simHosts, true, false)
	case wait:
		w.now = w.now.Add(time.Duration(e.a%int(simKeep/time.Minute)) * time.Minute)
		w.say("time passes")
	}
	return ""
}

func (w *world) pin(e event, u *directory.User) {
	pins := map[string]uint32{}
	for id, n := range w.rules.Pins {
		pins[id] = n
	}
	id := SudoGroup
	switch {
	case e.c%8 == 0:
	case e.c%8 == 1 && len(w.groups) > 0:
		id = w.groups[e.a%len(w.groups)].ID
	case u != nil:
		id = u.ID
	}
	if e.op == unpin {
		// Pins are taken back in the order of their ids, no matter who has them.
		ids := make([]string, 0, len(pins))
		for id := range pins {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		if len(ids) == 0 {
			return
		}
		id = ids[e.a%len(ids)]
		delete(pins, id)
		w.say("unpin %s", id)
	} else {
		// One beyond each end of the range, too.
		size := int(w.rules.Range.High-w.rules.Range.Low) + 3
		pins[id] = w.rules.Range.Low - 1 + uint32(e.b%size)
		w.say("pin %s to %d", id, pins[id])
	}
	w.rules.Pins = pins
	w.version++
}

func (w *world) changeFiles(e event, h *simHost) {
	number := w.rules.Range.Low + uint32(e.c)%(w.rules.Range.High-w.rules.Range.Low+1)
	switch e.b % 4 {
	case 0:
		h.files = Host{}
	case 1:
		h.files.Users = []HostUser{{Name: hostNames[e.c%len(hostNames)], UID: 1000, GID: 1000}}
	case 2:
		h.files.Groups = []HostGroup{{Name: "local", GID: number}}
	case 3:
		h.files.SubIDs = []HostRange{{Range: Range{number, number + 1}, Owner: "x", File: "subuid"}}
	}
	w.say("the files of host %d hold %+v", e.a%simHosts, h.files)
}

// refresh is a Build of one host, from the directory's present answer or once more from
// the last one.
func (w *world) refresh(i int, again, accept bool) string {
	h := &w.hosts[i]
	if again {
		if !h.started {
			return ""
		}
	} else {
		h.answer, h.policy, h.version = w.answer, w.rules, w.version
	}
	in := Input{Directory: h.answer, Policy: h.policy, Host: h.files, History: h.past, Now: w.now, Rebuild: again,
		EmptyAnswers: h.empty, AcceptRemovals: accept, AcceptGroups: accept}
	before := slices.Clone(h.past.Entries)
	result, err := w.build(in)
	if w.explain {
		w.say("host %d: rebuild %v, accept %v: %s", i, again, accept, summary(result, err))
	}
	for i := range before {
		if !sameRecord(before[i], h.past.Entries[i]) {
			return "Build wrote into its input"
		}
	}
	if err != nil {
		w.refusals++
		if errors.Is(err, ErrEmptyAnswer) && !accept && !again && h.empty+1 < w.rules.Confirm {
			h.empty++
			return ""
		}
		if errors.Is(err, ErrUnknownGroup) && len(in.History.Groups) < len(w.gone) && len(in.Directory.Missing) > 0 {
			return ""
		}
		return "unexpected error: " + err.Error()
	}
	w.refreshes++
	if broken := w.check(h, in, result); broken != "" {
		return fmt.Sprintf("host %d: %s", i, broken)
	}
	h.started, h.last, h.past, h.empty = true, result, result.History, result.EmptyAnswers
	return ""
}

func summary(r Result, err error) string {
	if err != nil {
		return err.Error()
	}
	var s []string
	for _, u := range r.Tables.Users {
		mark := ""
		if u.Former {
			mark = " former"
		} else if !contains(r.Admitted, u.ID) {
			mark = " pending"
		}
		s = append(s, fmt.Sprintf("%d=%s%s", u.UID, u.Name, mark))
	}
	return strings.Join(s, " ")
}

// randomEvents is a history. Refreshes are half of it.
func randomEvents(seed uint64, n int) []event {
	r := rand.New(rand.NewPCG(seed, 20260101))
	weights := [ops]int{createUser: 14, deleteUser: 6, renameUser: 5, recreateUser: 4, joinGroup: 8, leaveGroup: 6,
		createTeam: 3, deleteTeam: 2,
		recreateGroup: 1, deleteGroup: 3, pin: 4, unpin: 3, refresh: 55, rebuild: 4, reboot: 3, loseState: 2, hostFile: 3,
		wait: 2}
	var bag []op
	for o, weight := range weights {
		bag = append(bag, slices.Repeat([]op{op(o)}, weight)...)
	}
	events := make([]event, n)
	for i := range events {
		events[i] = event{bag[r.IntN(len(bag))], r.IntN(1 << 20), r.IntN(1 << 20), r.IntN(1 << 20)}
	}
	return events
}

// doubts reports whether the history makes a host not believe a group.
func doubts(in Input) bool {
	if in.AcceptGroups {
		return false
	}
	for _, known := range in.History.Groups {
		if g, found := in.Directory.GroupNamed(known.Name); found && g.ID != known.ID {
			return true
		}
	}
	return false
}

// fresh builds what a host without a past serves. Hosts without files of their
// own that saw the same have it in common.
func (w *world) fresh(h *simHost, in Input) (Tables, error) {
	common := !doubts(in) && h.version == w.version && len(h.files.Users)+len(h.files.Groups)+len(h.files.SubIDs) == 0
	if common && w.commonAt == w.version {
		return w.common, nil
	}
	// Which groups are believed is the one thing in which history decides rights.
	in.History, in.Rebuild, in.AcceptRemovals = History{Groups: in.History.Groups}, false, true
	r, err := Build(in)
	if common && err == nil {
		w.common, w.commonAt = r.Tables, w.version
	}
	return r.Tables, err
}

func sameTables(a, b Tables) bool {
	return a.Range == b.Range && slices.EqualFunc(a.Users, b.Users, func(a, b User) bool {
		return a.ID == b.ID && a.Name == b.Name && a.UID == b.UID && a.Gecos == b.Gecos && a.Home == b.Home &&
			a.Shell == b.Shell && a.Former == b.Former && slices.Equal(a.Groups, b.Groups)
	}) && slices.EqualFunc(a.Groups, b.Groups, func(a, b Group) bool {
		return a.ID == b.ID && a.Name == b.Name && a.GID == b.GID && slices.Equal(a.Members, b.Members)
	})
}

func sameRecord(a, b Entry) bool {
	return a.ID == b.ID && a.UnixName == b.UnixName && a.DirectoryName == b.DirectoryName && a.UnixID == b.UnixID &&
		a.Group == b.Group &&
		a.Missed == b.Missed && a.FormerSince.Equal(b.FormerSince)
}
