package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

// A changeRow is one line of the table that refresh prints.
type changeRow struct {
	what, name string
	number     uint32
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
		rows = append(rows, changeRow{"group added", g.Name, g.GID, fmt.Sprintf("%d members", len(g.Members))})
	}
	for _, g := range c.GroupsRemoved {
		rows = append(rows, changeRow{"group removed", g.Name, g.GID, ""})
	}
	for _, r := range c.GroupsRenamed {
		rows = append(rows, changeRow{"group renamed", r.New, r.UnixID, "was " + r.Old})
	}
	return rows
}

// printChanges prints one line a change, memberships last.
func printChanges(w io.Writer, c accounts.Changes) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, r := range changeRows(c) {
		if _, err := fmt.Fprintf(t, "%s\t%s\t%d\t%s\n", r.what, r.name, r.number, r.detail); err != nil {
			return err
		}
	}
	for _, m := range c.MembersAdded {
		_, _ = fmt.Fprintf(t, "joined\t%s\t\tgroup %s\n", m.User, m.Group)
	}
	for _, m := range c.MembersRemoved {
		_, _ = fmt.Fprintf(t, "removed\t%s\t\tgroup %s\n", m.User, m.Group)
	}
	return t.Flush()
}

// summary is the changes in one line for the log: all of few, the first of many.
func summary(c accounts.Changes) string {
	const most = 20
	rows := changeRows(c)
	var parts []string
	for _, r := range rows[:min(len(rows), most)] {
		text := fmt.Sprintf("%s %s(%d)", r.what, r.name, r.number)
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
