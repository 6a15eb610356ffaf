package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/terminal"
)

// A changeRow is one line of the table that refresh prints.
type changeRow struct {
	what, name string
	id         uint32 // uid or gid
	detail     string
}

func changeRows(c accounts.Changes) []changeRow {
	var rows []changeRow
	users := func(what string, list []accounts.User, detail func(accounts.User) string) {
		for _, u := range list {
			rows = append(rows, changeRow{what, u.Name, u.UID, detail(u)})
		}
	}
	place := func(u accounts.User) string { return fmt.Sprintf("home %s, shell %s", u.Home, u.Shell) }
	nothing := func(accounts.User) string { return "" }
	users("user added", c.Added, place)
	users("user returned", c.Returned, place)
	users("user removed", c.BecameFormer, nothing)
	users("user expired", c.Expired, nothing)
	users("user changed", c.Changed, place)
	for _, r := range c.Renamed {
		rows = append(rows, changeRow{"user renamed", r.New, r.UnixID, "was " + r.Old})
	}
	for _, g := range c.GroupsAdded {
		rows = append(rows, changeRow{"group added", g.Name, g.GID, many(len(g.Members), "member")})
	}
	for _, g := range c.GroupsRemoved {
		rows = append(rows, changeRow{"group removed", g.Name, g.GID, ""})
	}
	for _, r := range c.GroupsRenamed {
		rows = append(rows, changeRow{"group renamed", r.New, r.UnixID, "was " + r.Old})
	}
	return rows
}

// mostChanges is how many changes are printed one by one.
const mostChanges = 40

// printChanges prints one line a change, memberships last. Many are summed up, one line a
// kind: a first refresh of thousands would bury what needs attention.
func printChanges(w io.Writer, c accounts.Changes, all bool) error {
	var rows [][]string
	for _, r := range changeRows(c) {
		rows = append(rows, []string{r.what, r.name, strconv.FormatUint(uint64(r.id), 10), r.detail})
	}
	for _, m := range c.MembersAdded {
		rows = append(rows, []string{"joined", m.User, "", "group " + m.Group})
	}
	for _, m := range c.MembersRemoved {
		rows = append(rows, []string{"removed", m.User, "", "from group " + m.Group})
	}
	s := terminal.On(w)
	if len(rows) <= mostChanges || all {
		s.Table(rows)
		return s.Err()
	}
	counts, kinds := map[string]int{}, []string{}
	for _, row := range rows {
		if counts[row[0]]++; counts[row[0]] == 1 {
			kinds = append(kinds, row[0])
		}
	}
	var sums [][]string
	for _, kind := range kinds {
		sums = append(sums, []string{kind, thousands(counts[kind])})
	}
	s.Table(sums)
	s.Text(fmt.Sprintf("%s changes; \"iam-cachefill refresh --dry-run --verbose\" lists changes one by one before they "+
		"are made", thousands(len(rows))))
	return s.Err()
}

// summary is the changes in one line for the log: all of few, the first of many.
func summary(c accounts.Changes) string {
	const most = 20
	rows := changeRows(c)
	var parts []string
	for _, r := range rows[:min(len(rows), most)] {
		text := fmt.Sprintf("%s %s(%d)", r.what, r.name, r.id)
		if r.detail != "" && strings.HasPrefix(r.detail, "was ") {
			text += " " + r.detail
		}
		parts = append(parts, text)
	}
	if len(rows) > most {
		parts = append(parts, fmt.Sprintf("and %d more", len(rows)-most))
	}
	if n := len(c.MembersAdded) + len(c.MembersRemoved); n > 0 {
		parts = append(parts, fmt.Sprintf("%d memberships", n))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
