package accounts

import (
	"fmt"
	"slices"
)

// localUses reports local accounts whose primary group is a served one. That is
// allowed and takes nothing from anybody, but the account has what the group is
// given, sudo for one.
func (p *plan) localUses(result *Result) {
	for i := range p.in.Host.Users {
		u := &p.in.Host.Users[i]
		if !p.in.Policy.Range.Contains(u.GID) {
			continue
		}
		at, served := slices.BinarySearchFunc(result.Tables.Groups, u.GID,
			func(g Group, gid uint32) int { return int(int64(g.GID) - int64(gid)) })
		if !served {
			continue
		}
		result.Findings = append(result.Findings, Finding{
			Kind: "local", ID: u.Name, DirectoryName: u.Name, UnixID: u.GID, Reason: LocalUse,
			Detail: fmt.Sprintf("the local account %s has the served group %q (gid %d) as its primary group, and with it all "+
				"that the group may do", quoted(u.Name), result.Tables.Groups[at].Name, u.GID),
			Remedy: fmt.Sprintf("if that is not meant, give it another with \"usermod -g GROUP %s\"", ascii(u.Name)),
		})
	}
}
