package refresh

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/state"
)

// Said is one complete answer of a Source. What follows Directory and AsOf is
// for sources that repeat an answer, as a snapshot is repeated until the next
// is published.
type Said struct {
	Directory directory.Directory
	AsOf      time.Time // when IAM was asked; zero: just now

	Origin Origin // names the answer; zero for a source whose every answer is new
	// Unchanged says that the answer is the one that Wanted.Known or
	// Wanted.Refused names, and nothing but Origin is filled in.
	Unchanged bool

	Pins   map[string]uint32 // as ids.pin, which stands above them
	Former []Former          // ascending by ID
	// Listings are the keys of everybody whose keys are known, by UserId. Not
	// nil, they are all that the source has: there is nothing to sweep.
	Listings map[string]state.Listing
}

// An Origin names one answer of a source that repeats itself.
type Origin struct {
	Address    string
	Account    string
	Generation uint64 // grows with every answer of this address
	Digest     string `json:",omitempty"` // of what was signed; "": kept by a release that did not know
}

// A Former is an IAM user who is gone.
type Former struct {
	ID   string
	Name string // in IAM, last seen
	Left time.Time
}

// Wanted is what a refresh asks a Source for.
type Wanted struct {
	Groups   []string // names; those that do not exist are in Directory.Missing
	Publish  []string // patterns of further groups
	AllUsers bool
	Tags     bool   // the users' tags too; a Source that has them anyway may give them unasked
	Known    Origin // the answer in hand, for a source that need not repeat it
	Refused  Origin // one that was read and is not believed: need not be repeated either
}

// wanted is what the policy needs to know of IAM.
func (r *Refresher) wanted(p accounts.Policy) Wanted {
	w := Wanted{Publish: p.Publish, AllUsers: p.AllUsers, Tags: p.ExpiresTag != ""}
	if r.Everybody {
		w.AllUsers, w.Publish = true, []string{"*"}
	}
	add := func(names ...string) { w.Groups = append(w.Groups, names...) }
	add(p.Login...)
	add(p.Sudo...)
	for name := range p.MapGroups {
		add(name)
	}
	for _, names := range p.Shared {
		add(names...)
	}
	slices.SortFunc(w.Groups, func(a, b string) int { return cmp.Compare(strings.ToLower(a), strings.ToLower(b)) })
	w.Groups = slices.CompactFunc(w.Groups, strings.EqualFold)
	return w
}

// readTags reads the groups that the instance's tags name. A tag that is
// configured and missing is an error: it must neither admit nor remove anybody.
func (r *Refresher) readTags(ctx context.Context) (tagGroups, error) {
	var groups tagGroups
	for _, tag := range []struct {
		key  string
		into *[]string
	}{{r.LoginTag, &groups.Login}, {r.SudoTag, &groups.Sudo}} {
		if tag.key == "" {
			continue
		}
		value, err := r.Source.InstanceTag(ctx, tag.key)
		if err != nil {
			return tagGroups{}, err
		}
		if *tag.into, err = accounts.ParseGroupsTag(value); err != nil {
			return tagGroups{}, fmt.Errorf("instance tag %q: %w", tag.key, err)
		}
	}
	return groups, nil
}

// Of returns the part of a whole account that is wanted, as IAM itself would
// have answered: the groups named, and their members or all users of the path
// prefix ("" is every path). A group that is not there is in Missing.
func (w Wanted) Of(all directory.Directory, pathPrefix string) directory.Directory {
	d := directory.Directory{Account: all.Account}
	allowed := func(u directory.User) bool { return strings.HasPrefix(u.Path, pathPrefix) }
	keep := make(map[string]bool, len(all.Users))
	if w.AllUsers {
		for _, u := range all.Users {
			keep[u.ID] = allowed(u)
		}
	}
	for _, g := range all.Groups {
		if !w.group(g.Name) {
			continue
		}
		if w.AllUsers {
			g.Members = slices.DeleteFunc(slices.Clone(g.Members), func(id string) bool { return !keep[id] })
		} else {
			for _, id := range g.Members {
				keep[id] = true
			}
		}
		d.Groups = append(d.Groups, g)
	}
	for _, name := range w.Groups {
		if _, exists := all.GroupNamed(name); !exists {
			d.Missing = append(d.Missing, name)
		}
	}
	slices.Sort(d.Missing)
	for _, u := range all.Users {
		if keep[u.ID] {
			d.Users = append(d.Users, u)
		}
	}
	return d
}

func (w Wanted) group(name string) bool {
	if slices.ContainsFunc(w.Groups, func(g string) bool { return strings.EqualFold(g, name) }) {
		return true
	}
	return slices.ContainsFunc(w.Publish, func(pattern string) bool {
		fits, _ := path.Match(strings.ToLower(pattern), strings.ToLower(name)) // the configuration tried the pattern
		return fits
	})
}

// LastOrigin returns the origin of the last answer that was taken up from a
// source that repeats itself: no older one of its address may follow.
func LastOrigin(s *state.Store) (Origin, error) {
	var o Origin
	return o, s.Load(savedOrigin, &o)
}
