package refresh

import (
	"slices"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

// Out returns the people who are served but may run nothing: former users, and with
// pendingToo also those pending removal. A person who has another uid by now is not
// out under the old one.
func (r *Refresher) Out(pendingToo bool) []accounts.User {
	users := r.last().result.Tables.Users
	here := map[string]bool{}
	for _, u := range users {
		if !u.Former && !(pendingToo && u.Pending) {
			here[u.ID] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(users), func(u accounts.User) bool { return here[u.ID] })
}

// WithoutSudo returns the people who are served and not in the group of those
// who may use sudo, and that group's gid.
func (r *Refresher) WithoutSudo() (people []accounts.User, gid uint32) {
	a := r.last()
	gid = accounts.FixedGID(accounts.SudoGroup, a.policy.Range)
	if pin, ok := a.policy.Pins[accounts.SudoGroup]; ok {
		gid = pin
	}
	for _, u := range a.result.Tables.Users {
		if !slices.Contains(u.Groups, gid) {
			people = append(people, u)
		}
	}
	return people, gid
}
