package identitycenter

import (
	"context"
	"errors"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// What a refresh costs. Memberships are read each time: rights follow them. The
// names of groups, and the names and states of people, change seldom and take as
// many pages again, of a rate that a whole organization shares. They are read
// each time where that takes no more than spareCalls together, and else when
// they are older than attributesAge. A person who was disabled is refused at the
// next login in any case, because the login asks for that person.
const (
	spareCalls    = 2
	attributesAge = time.Hour
)

// A book keeps what a store has said so far. One refresh at a time writes in it.
type book struct {
	refresh sync.Mutex // held by a refresh

	mu         sync.Mutex // guards what follows; a map that is there is never changed
	groups     map[string]directory.Group
	groupsRead time.Time
	groupPages int
	doubted    map[string]bool // people who are otherwise than the last answer has them
	cost       Cost            // as the last good refresh has it; zero before it

	// Of the refresh alone.
	people      map[string]person // by id
	peoplePages int
	everybody   time.Time       // when people was read whole
	gone        map[string]bool // members who are not there; an id is nobody else's, ever
}

// read answers a query.
func (b *book) read(ctx context.Context, c *client, q directory.Query, now time.Time) (directory.Directory, error) {
	for _, pattern := range q.Publish {
		if _, err := path.Match(pattern, ""); err != nil {
			return directory.Directory{}, err
		}
	}
	b.refresh.Lock()
	defer b.refresh.Unlock()
	b.forgetDoubted()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, walks := errgroup.WithContext(ctx)
	everybody := q.AllUsers || now.Sub(b.everybody) >= 24*attributesAge
	if everybody {
		// Beside the other walks: the pages of one list come one after another.
		g.Go(func() error { return b.listEverybody(walks, c, now) })
	}
	m, err := b.chooseGroups(ctx, c, q, now)
	if err != nil {
		cancel()
		_ = g.Wait() // it fails by this, or as the groups did
		return directory.Directory{}, err
	}
	g.Go(func() error { return b.readMembers(walks, c, q, &m, now) })
	if err := g.Wait(); err != nil {
		return directory.Directory{}, err
	}
	needed := map[string]bool{}
	for _, ids := range m.members {
		for _, id := range ids {
			needed[id] = true
		}
	}
	if err := b.readPeople(ctx, c, needed, everybody, m.spare, now); err != nil {
		return directory.Directory{}, err
	}
	b.count(m.pages, len(needed), q.AllUsers)
	return b.assemble(c, q, m), nil
}

// Memberships are the groups of the store, and who is in those that a query asks for.
type memberships struct {
	groups  map[string]directory.Group
	wanted  []directory.Group
	missing []string   // names that no group has
	members [][]string // of wanted, by its index
	pages   int        // that the members took
	spare   int        // calls that the list of groups left of spareCalls
}

// chooseGroups has the list of groups, and which of them a query asks for.
func (b *book) chooseGroups(ctx context.Context, c *client, q directory.Query, now time.Time) (memberships, error) {
	groups, fresh, err := b.groupList(ctx, c, now, func(age time.Duration, pages int) bool {
		return q.AllUsers || age >= attributesAge || pages <= spareCalls
	})
	if err != nil {
		return memberships{}, err
	}
	m := memberships{groups: groups, spare: spareCalls}
	if fresh {
		b.mu.Lock()
		m.spare -= b.groupPages
		b.mu.Unlock()
	}
	if m.wanted, m.missing = choose(groups, q); len(m.missing) > 0 && !fresh {
		err = b.chooseAgain(ctx, c, q, &m, now)
	}
	return m, err
}

func (b *book) chooseAgain(ctx context.Context, c *client, q directory.Query, m *memberships,
	now time.Time) (err error) {
	if m.groups, _, err = b.groupList(ctx, c, now, always); err == nil {
		m.wanted, m.missing = choose(m.groups, q)
	}
	return err
}

// readMembers adds who is in the wanted groups.
func (b *book) readMembers(ctx context.Context, c *client, q directory.Query, m *memberships,
	now time.Time) (err error) {
	m.members, m.pages, err = c.membersOf(ctx, m.wanted)
	if errors.Is(err, errGroupGone) {
		// Deleted since the list was read, or during this read.
		if err = b.chooseAgain(ctx, c, q, m, now); err != nil {
			return err
		}
		m.members, m.pages, err = c.membersOf(ctx, m.wanted)
	}
	if errors.Is(err, errGroupGone) {
		return awsapi.Incomplete("read directory", "groups are deleted during the read: %v", err)
	}
	return err
}

// count keeps what refreshes cost, after one that read so many pages of members
// and needed so many people.
func (b *book) count(memberPages, people int, all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if people = min(people, max(b.peoplePages, 1)); all {
		people = b.peoplePages
	}
	b.cost = Cost{Each: memberPages}
	spare := spareCalls
	for _, calls := range []int{b.groupPages, people} {
		if all || calls <= spare {
			b.cost.Each += calls
			spare -= calls
		} else {
			b.cost.Hourly += calls
		}
	}
}

func always(time.Duration, int) bool { return true }

// groupList returns the groups of the store, read again if due says so by how
// old the last list is and how many pages it took.
func (b *book) groupList(ctx context.Context, c *client, now time.Time,
	due func(age time.Duration, pages int) bool) (groups map[string]directory.Group, fresh bool, err error) {
	b.mu.Lock()
	groups, age, pages := b.groups, now.Sub(b.groupsRead), b.groupPages
	b.mu.Unlock()
	if groups != nil && !due(age, pages) {
		return groups, false, nil
	}
	if groups, pages, err = c.listGroups(ctx); err != nil {
		return nil, false, err
	}
	b.mu.Lock()
	b.groups, b.groupsRead, b.groupPages = groups, now, pages
	b.mu.Unlock()
	return groups, true, nil
}

// named returns the groups of these names, for a login's question.
func (b *book) named(ctx context.Context, c *client, names []string, now time.Time) ([]directory.Group, error) {
	q := directory.Query{Groups: names}
	groups, fresh, err := b.groupList(ctx, c, now, func(age time.Duration, _ int) bool { return age >= 2*attributesAge })
	if err != nil {
		return nil, err
	}
	wanted, missing := choose(groups, q)
	if len(missing) > 0 && !fresh {
		if groups, _, err = b.groupList(ctx, c, now,
			func(age time.Duration, _ int) bool { return age >= time.Minute }); err != nil {
			return nil, err
		}
		wanted, _ = choose(groups, q)
	}
	return wanted, nil
}

// choose returns the groups that a query asks for, ascending by id, and the
// names that no group has. All groups are taken that a name may mean: that
// nobody gets a right by a name of two groups is for the policy to see to.
func choose(groups map[string]directory.Group, q directory.Query) (wanted []directory.Group, missing []string) {
	named := make(map[string]bool, len(q.Groups))
	for _, name := range q.Groups {
		named[directory.FoldName(name)] = false
	}
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		g := groups[id]
		fold := directory.FoldName(g.Name)
		_, asked := named[fold]
		if asked {
			named[fold] = true
		}
		if asked || q.Publishes(g.Name) {
			wanted = append(wanted, g)
		}
	}
	for _, name := range q.Groups {
		if fold := directory.FoldName(name); !named[fold] {
			named[fold] = true
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return wanted, missing
}

// membersOf reads the members of each group, ascending and each once, in so many
// pages together.
func (c *client) membersOf(ctx context.Context, groups []directory.Group) (all [][]string, pages int, err error) {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(awsapi.Parallel)
	all = make([][]string, len(groups))
	took := make([]int, len(groups))
	for i := range groups {
		g.Go(func() error {
			ids, pages, err := c.members(inner, groups[i])
			slices.Sort(ids)
			all[i], took[i] = slices.Compact(ids), pages
			return err
		})
	}
	err = g.Wait()
	for _, n := range took {
		pages += n
	}
	return all, pages, err
}

// readPeople has everybody who matters in the book, none of them older than
// attributesAge. listed says that this refresh has listed everybody.
func (b *book) readPeople(ctx context.Context, c *client, needed map[string]bool, listed bool, spare int,
	now time.Time) error {
	b.forgetDoubted() // those that a login doubted since the lists were begun
	due := b.due(needed, !listed && min(len(needed), max(b.peoplePages, 1)) <= spare, now)
	if !listed && len(due) > b.peoplePages {
		if err := b.listEverybody(ctx, c, now); err != nil {
			return err
		}
		due = b.due(needed, false, now)
	}
	return b.describe(ctx, c, due, now) // also who came during the walk, or is gone
}

// listEverybody reads the store's whole list of people.
func (b *book) listEverybody(ctx context.Context, c *client, now time.Time) error {
	people, pages, err := c.listPeople(ctx, now)
	if err != nil {
		return err
	}
	b.people, b.peoplePages, b.everybody = people, pages, now
	maps.DeleteFunc(b.gone, func(id string, _ bool) bool { _, there := people[id]; return there })
	return nil
}

// doubt marks a person whose attributes the next refresh reads again.
func (b *book) doubt(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.doubted == nil {
		b.doubted = map[string]bool{}
	}
	b.doubted[id] = true
}

// forgetDoubted treats what the book knows of the people that doubt marked as too
// old, until they are read again.
func (b *book) forgetDoubted() {
	b.mu.Lock()
	doubted := b.doubted
	b.doubted = nil
	b.mu.Unlock()
	for id := range doubted {
		if p, known := b.people[id]; known {
			p.read = time.Time{}
			b.people[id] = p
		}
	}
}

// due are the members that the book does not know enough about, ascending: all
// of them if again is set.
func (b *book) due(needed map[string]bool, again bool, now time.Time) (due []string) {
	for _, id := range slices.Sorted(maps.Keys(needed)) {
		p, known := b.people[id]
		if again || !known && !b.gone[id] || known && now.Sub(p.read) >= attributesAge {
			due = append(due, id)
		}
	}
	return due
}

// describe reads people one by one.
func (b *book) describe(ctx context.Context, c *client, ids []string, now time.Time) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(awsapi.Parallel)
	found := make([]person, len(ids))
	there := make([]bool, len(ids))
	for i, id := range ids {
		g.Go(func() (err error) {
			found[i], there[i], err = c.describe(inner, id, now)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, id := range ids {
		if there[i] {
			b.people[id] = found[i]
			delete(b.gone, id)
			continue
		}
		delete(b.people, id)
		if b.gone == nil {
			b.gone = map[string]bool{}
		}
		b.gone[id] = true
	}
	return nil
}

// assemble makes the answer out of what was read.
func (b *book) assemble(c *client, q directory.Query, m memberships) directory.Directory {
	d := directory.Directory{Account: c.account, Store: c.store, Missing: m.missing}
	take := map[string]bool{}
	nameless := map[string]bool{}
	left := map[string]string{} // members who are not there → a group that still names them
	for i, g := range m.wanted {
		for _, id := range m.members[i] {
			switch p, there := b.people[id]; {
			case !there:
				left[id] = g.Name
			case p.refused == "":
				g.Members = append(g.Members, id)
				take[id] = true
			default:
				nameless[id] = true
			}
		}
		d.Groups = append(d.Groups, g)
	}
	var others []directory.Claimant
	for _, id := range slices.Sorted(maps.Keys(b.people)) {
		p := b.people[id]
		if take[id] || q.AllUsers && p.refused == "" {
			d.Users = append(d.Users, p.User)
			continue
		}
		others = append(others, directory.Claimant{ID: id, Name: p.Name, Created: p.Created})
		if nameless[id] {
			d.Refused = append(d.Refused, directory.Refusal{ID: id, Reason: p.refused,
				Remedy: "set it in Identity Center, or choose another accounts.name_from"})
		}
	}
	for id, group := range left {
		d.Refused = append(d.Refused, directory.Refusal{ID: id, Reason: "is a member of the group " + quoted(group) +
			", and is not there any more", Remedy: "remove the membership in Identity Center"})
	}
	slices.SortFunc(d.Refused, func(a, b directory.Refusal) int { return strings.Compare(a.ID, b.ID) })
	for id, g := range m.groups {
		others = append(others, directory.Claimant{ID: id, Group: true, Name: g.Name, Created: g.Created})
	}
	return d.WithOthers(others, true)
}
