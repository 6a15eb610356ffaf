package refresh

import (
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// A change that the fingerprint does not see is a change that no refresh acts
// upon while the answer says nothing else new.
func TestTheFingerprintOfAnAnswerSeesEveryChange(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	type inputs struct {
		directory directory.Directory
		tags      tagGroups
		pins      map[string]uint32
		origin    directory.Origin
		host      accounts.Host
	}
	full := func() inputs {
		return inputs{
			directory.Directory{
				Account: "123456789012",
				Users: []directory.User{
					{ID: "AIDAA", Name: "alice", Path: "/a/", Created: made, Tags: map[string]string{"k": "v"}},
					{ID: "AIDAB", Name: "bob", Created: made, Tags: map[string]string{}},
				},
				Groups: []directory.Group{
					{ID: "AGPAA", Name: "dev", Path: "/g/", Created: made, Members: []string{"AIDAA"}},
					{ID: "AGPAB", Name: "ops", Created: made},
				},
			},
			tagGroups{Login: []string{"dev"}, Sudo: []string{"ops"}}, map[string]uint32{"AIDAA": 2001000007},
			directory.Origin{Address: "file:///x", Account: "1", Generation: 7},
			accounts.Host{Users: []accounts.HostUser{{Name: "root"}}},
		}
	}
	of := func(in inputs) fingerprint {
		f, err := fingerprintOf(in.directory, in.tags, in.pins, in.origin, in.host)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if once, again := of(full()), of(full()); once != again || once == (fingerprint{}) {
		t.Fatal("the same inputs have two fingerprints, or none")
	}
	for name, change := range map[string]func(*inputs){
		"another account": func(in *inputs) { in.directory.Account = "210987654321" },
		"a user's id":     func(in *inputs) { in.directory.Users[0].ID = "AIDA9" },
		"a user's name":   func(in *inputs) { in.directory.Users[0].Name = "alicia" },
		"a user's path":   func(in *inputs) { in.directory.Users[0].Path = "/" },
		"a user's date":   func(in *inputs) { in.directory.Users[0].Created = made.Add(1) },
		"a tag's value":   func(in *inputs) { in.directory.Users[0].Tags["k"] = "w" },
		"a tag more":      func(in *inputs) { in.directory.Users[1].Tags["k"] = "v" },
		"tags that were not read, in place of none": func(in *inputs) { in.directory.Users[1].Tags = nil },
		"a user less":    func(in *inputs) { in.directory.Users = in.directory.Users[:1] },
		"a group's id":   func(in *inputs) { in.directory.Groups[0].ID = "AGPA9" },
		"a group's name": func(in *inputs) { in.directory.Groups[0].Name = "devs" },
		"a group's path": func(in *inputs) { in.directory.Groups[0].Path = "/" },
		"a group's date": func(in *inputs) { in.directory.Groups[0].Created = made.Add(1) },
		"a member more": func(in *inputs) {
			in.directory.Groups[0].Members = []string{"AIDAA",
				"AIDAB"}
		},
		"a group less":                               func(in *inputs) { in.directory.Groups = in.directory.Groups[:1] },
		"a group that does not exist any more":       func(in *inputs) { in.directory.Missing = []string{"admins"} },
		"a login group of the tags":                  func(in *inputs) { in.tags.Login = []string{"ops"} },
		"a group that moved from one tag to another": func(in *inputs) { in.tags = tagGroups{Login: []string{"dev", "ops"}} },
		"a pin":           func(in *inputs) { in.pins["AIDAA"]++ },
		"a generation":    func(in *inputs) { in.origin.Generation++ },
		"a local account": func(in *inputs) { in.host.Users[0].UID = 1 },
	} {
		changed := full()
		change(&changed)
		if of(changed) == of(full()) {
			t.Errorf("%s: the fingerprint is the same", name)
		}
	}
}

func TestAResultIsUsedAgainForTheSameInputsAndInItsTimeOnly(t *testing.T) {
	from := time.Unix(1700000000, 0)
	inputs, other := fingerprint{1}, fingerprint{2}
	u := unchanged{inputs: inputs, from: from}
	if !u.holds(inputs, from) || !u.holds(inputs, from.Add(1000*time.Hour)) {
		t.Error("a result without an end does not hold")
	}
	u.earlier(from.Add(2 * time.Hour))
	u.earlier(from.Add(time.Hour))
	u.earlier(from.Add(3 * time.Hour))
	for name, c := range map[string]struct {
		inputs fingerprint
		at     time.Time
		want   bool
	}{
		"a moment before its end":       {inputs, from.Add(time.Hour - 1), true},
		"at its end":                    {inputs, from.Add(time.Hour), false},
		"a clock that was set back":     {inputs, from.Add(-1), false},
		"other inputs":                  {other, from, false},
		"no inputs, as in a zero value": {fingerprint{}, from, false},
	} {
		if got := u.holds(c.inputs, c.at); got != c.want {
			t.Errorf("%s: holds is %v, want %v", name, got, c.want)
		}
	}
	if (unchanged{}).holds(fingerprint{}, from) {
		t.Error("the zero value holds")
	}
}
