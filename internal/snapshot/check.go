package snapshot

import (
	"fmt"
	"strings"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// The longest id, the longest name in IAM, and the longest in Identity Center, in
// bytes: its groups have up to 1,024 characters.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
// https://docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference/API_CreateGroup.html
const (
	maxID        = 128
	maxName      = 128
	maxStoreName = 4 * 1024
)

// check reports the first thing that the content must not have: it is what both
// the writer and the reader of a file hold themselves to.
func check(c directory.Answer) error {
	if a := c.Directory.Account; a != "" && (len(a) != 12 || strings.Trim(a, "0123456789") != "") {
		return fmt.Errorf("account %.200q is not twelve digits", a)
	}
	users := make(map[string]bool, len(c.Directory.Users))
	last := ""
	for _, u := range c.Directory.Users {
		if err := checkEntry("user", last, u.ID, u.Name); err != nil {
			return err
		}
		last = u.ID
		users[u.ID] = true
		if read, ok := c.Listings[u.ID]; ok && read.Checked.IsZero() {
			return fmt.Errorf("keys of user %.200q have no time", u.ID)
		}
	}
	last = ""
	for _, g := range c.Directory.Groups {
		if err := checkEntry("group", last, g.ID, g.Name); err != nil {
			return err
		}
		last = g.ID
		member := ""
		for _, id := range g.Members {
			if !users[id] {
				return fmt.Errorf("group %.200q has the member %.200q, who is not there", g.ID, id)
			}
			if id <= member {
				return fmt.Errorf("members of group %.200q are not ascending at %.200q", g.ID, id)
			}
			member = id
		}
	}
	last = ""
	for _, f := range c.Former {
		if err := checkEntry("former user", last, f.ID, f.Name); err != nil {
			return err
		}
		last = f.ID
	}
	return nil
}

func checkEntry(kind, last, id, name string) error {
	longest := maxName
	if strings.Contains(id, "-") { // a UUID, which IAM does not give
		longest = maxStoreName
	}
	switch {
	case id == "" || len(id) > maxID || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }):
		return fmt.Errorf("%s %.200q has an id that the directory does not give", kind, id)
	case id <= last:
		return fmt.Errorf("%ss are not ascending at %q", kind, id)
	case name == "" || len(name) > longest:
		return fmt.Errorf("%s %q has a name of %d bytes", kind, id, len(name))
	}
	return nil
}
