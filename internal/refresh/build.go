package refresh

import (
	"errors"
	"maps"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// build fills in the policy and the result of a, and returns what is served:
// the result without the rights of the users that in.Denied names. a.result has
// them, so that a person who is denied is asked about again.
func (s *Setup) build(a *answer, in accounts.Input, former []directory.Former, dryRun bool) (served accounts.Result,
	err error) {
	var findings []accounts.Finding
	a.policy, findings = s.Policy.WithTags(a.tags.Login, a.tags.Sudo).WithPins(a.pins)
	denied := in.Denied
	in.Policy, in.History, in.Denied = a.policy, adopt(in.History, former, a.policy), nil
	a.result, err = accounts.Build(in)
	if errors.Is(err, accounts.ErrEmptyAnswer) && !dryRun {
		err = errors.Join(err, s.State.Save(map[string]any{savedEmpty: emptyAnswers{in.EmptyAnswers + 1, a.origin}}))
	}
	if err != nil {
		return served, err
	}
	// The home that is chosen in place of a foreign one may be foreign too. There is
	// no third one, so this ends.
	for range 2 {
		a.homes = s.foreignHomes(a.result.Homes)
		if maps.Equal(a.homes, in.ForeignHomes) {
			break
		}
		in.ForeignHomes = a.homes
		if a.result, err = accounts.Build(in); err != nil {
			return served, err
		}
	}
	if served = a.result; len(denied) > 0 {
		in.Denied = denied
		if served, err = accounts.Build(in); err != nil {
			return served, err
		}
	}
	a.result.Findings = append(a.result.Findings, findings...)
	a.result.ReportGrants(s.grants(a.result))
	served.Findings = a.result.Findings
	return served, nil
}

// grants returns what local files grant to the names of a result that changed hands.
func (s *Setup) grants(result accounts.Result) []accounts.Grant {
	names := result.HandedOver()
	if s.Grants == nil || s.ServeNobody || len(names) == 0 {
		return nil
	}
	grants, err := s.Grants(names)
	if err != nil {
		s.Log.Warn("cannot read all local files that may grant rights to names that changed hands", "error", err)
	}
	return grants
}

// foreignHomes returns the folders among homes that neither root nor the user owns,
// each with its owner. A folder that root owns is free, unless others may write to it:
// root makes homes before it gives them away.
func (s *Setup) foreignHomes(homes []accounts.Home) map[string]uint32 {
	if s.HomeOwners == nil || s.ServeNobody {
		return nil
	}
	paths := make([]string, len(homes))
	for i, h := range homes {
		paths[i] = h.Path
	}
	owners := s.HomeOwners(paths)
	var foreign map[string]uint32
	for _, h := range homes {
		owner, ok := owners[h.Path]
		if !ok || owner == 0 || owner == h.UID {
			continue
		}
		if foreign == nil {
			foreign = map[string]uint32{}
		}
		foreign[h.Path] = owner
	}
	return foreign
}
