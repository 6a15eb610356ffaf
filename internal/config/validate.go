package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// shared reads [shared], whose keys are local accounts, but for allow_root.
func (r *reader) shared(table map[string]any) {
	const example = `ec2-user = ["ops"]`
	if allow, ok := table["allow_root"]; ok {
		put(&r.config.SharedAllowRoot)(value{r, []string{"shared", "allow_root"}, allow}.flag())
	}
	for _, account := range sortedKeys(table) {
		if account == "allow_root" {
			continue
		}
		entry := value{r, []string{"shared", account}, table[account]}
		if !localNameForm.MatchString(account) {
			entry.fault(quote(account)+" cannot be the name of a Unix account", "write it as "+example)
			continue
		}
		if account == "root" && !r.config.SharedAllowRoot {
			entry.fault("would let IAM users log in as root", "remove it, or add allow_root = true to [shared] if that is meant")
			continue
		}
		groups, ok := entry.list(groupForm, "a group name", example)
		if ok && len(groups) == 0 {
			entry.fault("names no group", "write it as "+example+", or remove it")
		} else if ok {
			if r.config.Shared == nil {
				r.config.Shared = map[string][]string{}
			}
			r.config.Shared[account] = groups
		}
	}
}

// validate checks what concerns more than one key, once all are read.
func (r *reader) validate() {
	r.checkSource()
	r.checkPublish()
	r.checkIDs()
	if r.config.Accounts.ExpiresTag != "" && r.config.Source.Kind == KindIAM && !r.config.Source.Bulk {
		r.fault("needs tags, which are read in bulk only", "add bulk = true to [source]", "accounts", "expires_tag")
	}
}

func (r *reader) checkSource() {
	source := &r.config.Source
	r.checkKind()
	kind := sourceKind(source.Kind)
	if !r.given["source.refresh"] {
		source.Refresh = kind.refresh
	}
	if source.Snapshot() {
		if !r.given["source.url"] {
			r.fault(fmt.Sprintf("%q needs the address of a snapshot", source.Kind),
				"add url = "+quote(kind.address), "source", "kind")
		} else if source.URL != "" && !strings.HasPrefix(source.URL, source.Kind+"://") {
			r.fault(quote(source.URL)+" does not fit kind = "+quote(source.Kind), "change one of the two", "source", "url")
		}
		if len(source.TrustedKeys) == 0 && !r.faulty("source.trusted_keys") {
			r.fault(fmt.Sprintf("%q needs the keys that may sign the snapshot", source.Kind), `add trusted_keys = ["…"]`,
				"source", "kind")
		}
		return
	}
	if source.Refresh < minRefreshIAM && !r.faulty("source.refresh") {
		r.fault(fmt.Sprintf("%q would ask %s more often than it answers", FormatDuration(source.Refresh),
			kind.asked),
			`write "30s" or more; logins are asked about each time anyway`, "source", "refresh")
	}
	if source.ExternalID != "" && !r.given["source.assume_role"] {
		r.fault("has no effect without assume_role", "add assume_role or remove it", "source", "external_id")
	}
}

var (
	snapshots    = []string{KindS3, KindFile}
	allButCenter = []string{KindIAM, KindS3, KindFile}
)

// kindKeys are keys that have an effect with some kinds of source alone.
var kindKeys = []struct {
	section, key string
	kinds        []string
	remedy       string
}{
	{"source", "url", snapshots, `remove it, or set kind to "s3" or "file"`},
	{"source", "trusted_keys", snapshots, `remove it, or set kind to "s3" or "file"`},
	{"source", "bulk", allButCenter, "remove it: Identity Center has no bulk read"},
	{"source", "path_prefix", allButCenter, "remove it: Identity Center knows no paths"},
	{"source", "identity_store", []string{KindIdentityCenter}, `remove it, or set kind to "identity-center"`},
	{"accounts", "name_from", []string{KindIdentityCenter}, "remove it; where a snapshot is read, its publisher decides " +
		"which attribute is the name"},
	{"accounts", "expires_tag", allButCenter, "remove it: people of Identity Center have no tags"},
	{"keys", "tag_prefix", allButCenter, "remove it: people of Identity Center have no tags"},
}

// checkKind finds keys that the kind of the source leaves without effect.
func (r *reader) checkKind() {
	if r.faulty("source.kind") {
		return
	}
	for _, k := range kindKeys {
		if r.given[k.section+"."+k.key] && !slices.Contains(k.kinds, r.config.Source.Kind) {
			r.fault("has no effect with kind = "+quote(r.config.Source.Kind), k.remedy, k.section, k.key)
		}
	}
	if r.config.Source.Kind != KindIAM {
		return
	}
	for _, list := range []struct {
		section, key string
		names        []string
	}{
		{"login", "groups", r.config.Login.Groups}, {"sudo", "groups", r.config.Sudo.Groups},
	} {
		r.checkIAMNames(list.names, list.section, list.key)
	}
	for _, name := range sortedKeys(r.config.Accounts.MapGroups) {
		if !iamGroupForm.MatchString(name) {
			r.fault(notIAM(name), iamAlphabet, "accounts", "map_groups", name)
		}
	}
	for _, account := range sortedKeys(r.config.Shared) {
		r.checkIAMNames(r.config.Shared[account], "shared", account)
	}
}

const iamAlphabet = "IAM allows letters, digits and + = , . @ _ -, and 128 characters"

func notIAM(name string) string { return quote(name) + " is not an IAM group name" }

// checkIAMNames refuses names that only another directory than IAM can give.
func (r *reader) checkIAMNames(names []string, path ...string) {
	for i, name := range names {
		if !iamGroupForm.MatchString(name) {
			value{r, append(slices.Clone(path), strconv.Itoa(i)), name}.listFault(notIAM(name), iamAlphabet)
		}
	}
}

func (r *reader) checkIDs() {
	ids := r.config.IDs
	held := map[uint32]string{}
	for _, id := range sortedKeys(ids.Pin) {
		n := ids.Pin[id]
		if n < ids.Low || n > ids.High {
			r.fault(fmt.Sprintf("%d is not in the range %d to %d", n, ids.Low, ids.High), "pin an id of ids.range", "ids",
				"pin", id)
			continue
		}
		if other, taken := held[n]; taken {
			r.fault(fmt.Sprintf("%d is pinned to %s as well", n, quote(other)), "give each an id of its own", "ids", "pin",
				id)
			continue
		}
		held[n] = id
	}
}

// faulty reports whether a fault of the key is noted already, so that one
// mistake is not told twice.
func (r *reader) faulty(key string) bool {
	for _, fault := range r.faults {
		if fault.Key == key {
			return true
		}
	}
	return false
}
