package refresh

import (
	"cmp"
	"slices"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
)

// An Outcome is what one refresh found and did. It survives JSON.
type Outcome struct {
	At        time.Time // when the source was asked
	Published bool      // nss.db was written
	Users     int       // served, former ones included
	Admitted  int       // who may log in
	Whole     bool      // ids are claimed among everybody of the directory; else among those that it was asked about
	Groups    int       // served, private ones left out
	Changes   accounts.Changes
	Findings  []accounts.Finding
	NewFormer []accounts.User    // users who became former: their processes may be ended
	Pending   []accounts.Pending // who keep their identity without rights
	HeldBack  *accounts.HeldBack // why pending removals wait for a person; nil: they do not
}

// outcome compares a result with the file that is served, and not with the history:
// if the file is damaged, the outcome shows that nothing was served.
func (s *Setup) outcome(at time.Time, history accounts.History, result accounts.Result) Outcome {
	o := Outcome{At: at, Users: len(result.Tables.Users), Admitted: len(result.Admitted), Findings: result.Findings,
		NewFormer: result.NewFormer,
		Pending:   result.Pending, HeldBack: result.HeldBack}
	for _, g := range result.Tables.Groups {
		if _, private := slices.BinarySearchFunc(result.Tables.Users, g.GID,
			func(u accounts.User, gid uint32) int { return cmp.Compare(u.UID, gid) }); !private {
			o.Groups++
		}
	}
	before, _, err := cache.ReadNSS(s.Dir)
	if err != nil {
		before = accounts.Tables{}
	}
	// The file has uids and gids only; whose they are is in the history.
	ids := make(map[uint32]string, len(history.Entries))
	for _, record := range history.Entries {
		ids[record.UnixID] = record.ID
	}
	for i := range before.Users {
		before.Users[i].ID = ids[before.Users[i].UID]
	}
	if !s.ServeNobody {
		o.Changes = accounts.Compare(before, result.Tables)
	}
	return o
}
