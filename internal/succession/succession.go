// Package succession finds out who of one directory is who of another,
// so that people and groups keep their uids and gids when a fleet changes its
// directory. It is a pure function over two answers. A match that is not the only
// one, or that rests on part of a name, is never made: it is listed for a person.
package succession

import (
	"fmt"
	"slices"
	"strings"
)

// A Principal is a user or a group of one of the two directories.
type Principal struct {
	ID     string
	Name   string // the directory name, for people to read; not to be trusted
	Login  string // the Unix name under which it is served
	UnixID uint32 // uid or gid: by its pin, or made from the id
	Pinned bool   // the configuration pins it already
	// Known are all names by which the same person may be known in the other
	// directory: directory name, login name, e-mail addresses.
	Known []string
}

// A Match is somebody who goes on, with the uid or gid that is kept.
type Match struct {
	Before, After Principal
}

// A Doubt is a match that was not made.
type Doubt struct {
	Principal // of the directory before
	Why       string
}

// A Plan is who is who. Each list is in the order of the principals before.
type Plan struct {
	Matches []Match
	Doubts  []Doubt
	Absent  []Principal // nobody of the directory after has a name of theirs
	New     []Principal // of the directory after: nobody before was like them
}

// Compare compares two directories' users, or their groups. taken are the uids or gids of
// the directory after that a pin must not name, with what has them: an id that
// follows from an id beats a pin.
func Compare(before, after []Principal, taken map[uint32]string) Plan {
	candidates := make([][]int, len(before))
	claims := make([]int, len(after)) // how many before claim this one
	index := byName(after)
	for i := range before {
		for _, j := range find(index, before[i].Known) {
			candidates[i] = append(candidates[i], j)
			claims[j]++
		}
	}
	var p Plan
	used := map[int]bool{}
	for i := range before {
		b := before[i]
		for _, j := range candidates[i] {
			used[j] = true
		}
		switch doubt := doubtOf(b, candidates[i], claims, after, taken); {
		case doubt != "":
			p.Doubts = append(p.Doubts, Doubt{b, doubt})
		case len(candidates[i]) == 1:
			p.Matches = append(p.Matches, Match{b, after[candidates[i][0]]})
		default:
			p.Absent = append(p.Absent, b)
		}
	}
	p.likeness(after, used)
	for j := range after {
		if !used[j] {
			p.New = append(p.New, after[j])
		}
	}
	return p
}

func doubtOf(b Principal, candidates, claims []int, after []Principal, taken map[uint32]string) string {
	switch {
	case len(candidates) == 0:
		return ""
	case len(candidates) > 1:
		return "more than one has a name of theirs: " + list(after, candidates)
	}
	a := after[candidates[0]]
	holder, held := taken[b.UnixID]
	switch {
	case claims[candidates[0]] > 1:
		return fmt.Sprintf("others have a name of %s too", a)
	case a.Pinned && a.UnixID != b.UnixID:
		return fmt.Sprintf("the new configuration pins %s to %d already", a, a.UnixID)
	case held && holder != a.ID:
		return fmt.Sprintf("the id %d already belongs to %.80q", b.UnixID, holder)
	}
	return ""
}

// likeness moves those out of Absent whose name has a part in common with
// somebody's: alice and alice@example.com, where the domain is not stripped.
func (p *Plan) likeness(after []Principal, used map[int]bool) {
	var absent []Principal
	var liked []int
	for _, b := range p.Absent {
		var like []int
		for j, a := range after {
			if !used[j] && slices.ContainsFunc(b.Known, func(x string) bool {
				return slices.ContainsFunc(a.Known, func(y string) bool {
					return localPart(x) != "" && localPart(x) == localPart(y)
				})
			}) {
				like = append(like, j)
			}
		}
		if len(like) == 0 {
			absent = append(absent, b)
			continue
		}
		liked = append(liked, like...)
		p.Doubts = append(p.Doubts, Doubt{b, "the name alone is like that of " + list(after, like)})
	}
	p.Absent = absent
	for _, j := range liked {
		used[j] = true
	}
}

// byName has for each folded name the indices of those who are known by it.
func byName(all []Principal) map[string][]int {
	index := map[string][]int{}
	for i := range all {
		for _, name := range all[i].Known {
			if key := fold(name); key != "" && !slices.Contains(index[key], i) {
				index[key] = append(index[key], i)
			}
		}
	}
	return index
}

func find(index map[string][]int, names []string) (found []int) {
	for _, name := range names {
		for _, i := range index[fold(name)] {
			if !slices.Contains(found, i) {
				found = append(found, i)
			}
		}
	}
	slices.Sort(found)
	return found
}

// String is how a plan names somebody.
func (p Principal) String() string { return fmt.Sprintf("%.80q (%.80q)", p.Name, p.ID) }

func list(all []Principal, indices []int) string {
	const most = 5
	var names []string
	for _, i := range indices[:min(len(indices), most)] {
		names = append(names, all[i].String())
	}
	if more := len(indices) - most; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

func fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func localPart(name string) string {
	local, _, _ := strings.Cut(fold(name), "@")
	return local
}
