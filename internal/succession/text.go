package succession

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Pins is the plans for users and groups as a table for config.toml, in the order
// of the ids.
func Pins(users, groups Plan) string {
	var b strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	line("# Made by \"iam-cachefill import --from-iam\": %d users and %d groups keep their uids and gids, "+
		"%d are left to you.",
		len(users.Matches), len(groups.Matches), len(users.Doubts)+len(groups.Doubts))
	line("# Put this into the configuration of the publisher, or of every host that reads the directory itself.")
	line("[ids.pin]")
	pins := slices.Concat(users.Matches, groups.Matches)
	slices.SortFunc(pins, func(x, y Match) int { return strings.Compare(x.After.ID, y.After.ID) })
	for _, m := range pins {
		note := ""
		if m.Before.Login != m.After.Login {
			note = fmt.Sprintf("; the Unix name was %.40q: a home of that name stays under it", m.Before.Login)
		}
		line("%s = %d # %.40q: %s, before %s%s", strconv.Quote(m.After.ID), m.Before.UnixID, m.After.Login, m.After,
			m.Before, note)
	}
	return b.String()
}

// Rest is who was not matched, as comments for a configuration.
func Rest(users, groups Plan) string {
	var b strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	section := func(title string, count int) bool {
		if count > 0 {
			line("# %s", title)
		}
		return count > 0
	}
	doubts := slices.Concat(users.Doubts, groups.Doubts)
	if section("Not pinned. Decide, and write the line yourself: \"ID\" = UID", len(doubts)) {
		for _, d := range doubts {
			line("# %d was %s: %s", d.UnixID, d.Principal, d.Why)
		}
	}
	absent := slices.Concat(users.Absent, groups.Absent)
	if section("Nobody of Identity Center has a name of theirs; their uids and gids stay theirs:", len(absent)) {
		for _, p := range absent {
			line("# %d is %s", p.UnixID, p)
		}
	}
	if n := len(users.New) + len(groups.New); n > 0 {
		line("# %d users and groups of Identity Center have no match in IAM; their uids and gids are made from their ids.", n)
	}
	return b.String()
}
