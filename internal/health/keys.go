package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
)

// Ages says when the keys of the people in keys.db who may log in were checked.
type Ages struct {
	People  int       // who may log in, as themselves or to a shared account
	Oldest  time.Time // zero without people
	Median  time.Time
	Useless []string // login names of people whose cached keys open nothing now, the oldest first
	why     error    // of the first of them
}

// AgesOf reads from keys.db's tables when keys were checked.
func AgesOf(t cache.KeyTables, now time.Time) Ages {
	shared := map[string]bool{}
	for _, s := range t.Shared {
		for _, m := range s.Members {
			shared[m] = true
		}
	}
	people := make([]cache.UserKeys, 0, len(t.Users))
	for _, u := range t.Users {
		if u.Login || shared[u.Name] {
			people = append(people, u)
		}
	}
	if len(people) == 0 {
		return Ages{}
	}
	slices.SortFunc(people, func(a, b cache.UserKeys) int {
		if c := a.Checked.Compare(b.Checked); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	// Of an even number of people the older of the two in the middle.
	a := Ages{People: len(people), Oldest: people[0].Checked, Median: people[(len(people)-1)/2].Checked}
	if t.Policy.Online == "require" {
		return a // what is cached opens nothing, however young it is
	}
	for _, u := range people {
		if err := t.Policy.Usable(u.Checked, now); err != nil {
			if a.why == nil {
				a.why = err
			}
			a.Useless = append(a.Useless, u.Name)
		}
	}
	return a
}

// shown is how many names a finding has.
const shown = 5

// keys judges by the age of the keys, which decides who gets in while the
// directory cannot be asked.
func (e *examination) keys() {
	a, p := e.Keys, e.Policy
	if e.KeysError != "" || e.ServesNobody || a.People == 0 || p.Online == "require" {
		return
	}
	w := e.words()
	why := "cached " + w.what + " are all that " + w.useful + " while the directory cannot be asked"
	const (
		fix = "iam-cachefill refresh; then iam-cachefill doctor, which tries what the sweep over keys needs"
		// The daemon asks again whatever the date, where it can.
		set = "put the clock right (timedatectl), which needs no directory; or iam-cachefill refresh, where it answers"
	)
	switch n := len(a.Useless); {
	case n > 0:
		fix := fix
		if a.Oldest.After(e.Now) {
			fix = set
		}
		e.add(Broken, "keys", fmt.Sprintf("the cached %s of %d of %d people who may log in %s (%s): %s", w.what, n,
			a.People, w.useless, quoted(a.Useless), a.why), why, fix)
	case p.MaxStale > 0 && e.Now.Sub(a.Median) > p.MaxStale/2:
		e.add(Warning, "keys", fmt.Sprintf("%s; from %s on they %s", e.Checked(),
			p.Until(a.Oldest).Format(time.RFC3339), w.useless), why, fix)
	default:
		e.good("keys", e.Checked())
	}
}

// words say what a host keeps of a person for an outage, and what that does.
type words struct{ what, useful, useless string }

func (f Facts) words() words {
	if f.Keyless {
		return words{"answers", "lets people in", "let nobody in"}
	}
	return words{"keys", "opens logins", "open nothing"}
}

// Checked says when keys were checked, as status has it.
func (f Facts) Checked() string {
	a := f.Keys
	w := f.words()
	if a.People == 0 {
		return "nobody's " + w.what + " are cached"
	}
	if ahead := a.Oldest.Sub(f.Now); ahead > time.Minute {
		return fmt.Sprintf("%s are dated %s ahead: the clock was set back, or is behind", w.what, Span(ahead))
	}
	text := fmt.Sprintf("%s checked %s ago at most, half of them within %s", w.what, Span(f.Now.Sub(a.Oldest)),
		Span(f.Now.Sub(a.Median)))
	switch p := f.Policy; {
	case p.Online == "require":
		text += `; keys.online is "require", so they ` + w.useless
	case p.MaxStale == 0:
		text += "; they never grow too old"
	case len(a.Useless) == 0:
		text += fmt.Sprintf("; they %s from %s on", w.useless, p.Until(a.Oldest).Format(time.RFC3339))
	}
	return text
}

func quoted(names []string) string {
	all := make([]string, 0, shown+1)
	for i, name := range names {
		if i == shown {
			all = append(all, "…")
			break
		}
		all = append(all, fmt.Sprintf("%.40q", name))
	}
	return strings.Join(all, ", ")
}

// Span is d in the two largest units that a person needs: 2h5m, not 2h5m0s.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "-" + Span(-d)
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < time.Hour:
		return units(d.Round(time.Second), time.Minute, "m", time.Second, "s")
	case d < 2*day:
		return units(d.Round(time.Minute), time.Hour, "h", time.Minute, "m")
	}
	return units(d.Round(time.Hour), day, "d", time.Hour, "h")
}

func units(d, large time.Duration, name string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d%s", d/large, name)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf("%d%s", rest, smallName)
	}
	return text
}
