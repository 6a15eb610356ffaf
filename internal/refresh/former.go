package refresh

import (
	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// adopt adds to a host's history the users who were former before it came.
func adopt(history accounts.History, users []directory.Former, policy accounts.Policy) accounts.History {
	var former []accounts.Entry
	for _, u := range users {
		if entry, ok := policy.Former(u.ID, u.Name, u.Since); ok {
			former = append(former, entry)
		}
	}
	return history.Adopt(former)
}
