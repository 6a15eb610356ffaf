package iam_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// A name is not a person: what is listed under it is believed only if it was
// this user's before, or if the name is still this user's.
func TestKeysAreListedForTheUserAndNotForTheName(t *testing.T) {
	isolate(t)
	unknown := func(string) (string, bool) { return "", false }
	known := func(string) (string, bool) { return "body", true }
	own := map[string]bool{"APKABOB00000000000001": true}
	heir := emulator.User{Name: "Bob",
		Keys: []emulator.Key{{ID: "APKAHEIR0000000000001", Body: emulator.RSALine(7, "heir")}}}
	for name, test := range map[string]struct {
		change func(*emulator.Emulator) error
		prefix string
		query  directory.KeyQuery
		none   bool // the user is not there
		calls  map[string]int
	}{
		"a key seen for the first time is verified": {nil, "", directory.KeyQuery{Body: unknown}, false,
			map[string]int{"ListSSHPublicKeys": 1, "GetSSHPublicKey": 1, "GetUser": 1}},
		"a key that the user had before needs no second question": {nil, "", directory.KeyQuery{Body: known, Own: own}, false,
			map[string]int{"ListSSHPublicKeys": 1}},
		"tags are read by name and verified": {nil, "", directory.KeyQuery{Body: known, Own: own, TagPrefix: "SSH-"}, false,
			map[string]int{"ListSSHPublicKeys": 1, "ListUserTags": 1, "GetUser": 1}},
		"a user who was deleted": {func(e *emulator.Emulator) error { return e.DeleteUser("Bob") }, "",
			directory.KeyQuery{Body: unknown}, true, map[string]int{"ListSSHPublicKeys": 1}},
		"a name that somebody else has now": {func(e *emulator.Emulator) error {
			err := e.DeleteUser("Bob")
			_, again := e.CreateUser(heir)
			return errors.Join(err, again)
		}, "", directory.KeyQuery{Body: unknown, Own: own}, true, map[string]int{"ListSSHPublicKeys": 1,
			"GetSSHPublicKey": 1, "GetUser": 1}},
		"a user of the path prefix": {nil, "/staff/", directory.KeyQuery{Body: known, Own: own, AllUsers: true}, false,
			map[string]int{"ListSSHPublicKeys": 1, "GetUser": 1}},
		"a user who left the path prefix": {func(e *emulator.Emulator) error { return e.UpdateUser("Bob", "", "/former/") },
			"/staff/",
			directory.KeyQuery{Body: known, Own: own, AllUsers: true}, true, map[string]int{"ListSSHPublicKeys": 1,
				"GetUser": 1}},
		"a user outside the path prefix who is served for a group": {
			func(e *emulator.Emulator) error { return e.UpdateUser("Bob", "", "/former/") }, "/staff/",
			directory.KeyQuery{Body: known, Own: own}, false, map[string]int{"ListSSHPublicKeys": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t, emulator.Options{Company: company})
			bob := e.Company().Users[slices.IndexFunc(e.Company().Users, func(u emulator.User) bool { return u.Name == "Bob" })]
			if test.change != nil {
				if err := test.change(e); err != nil {
					t.Fatal(err)
				}
			}
			e.ResetCalls()
			o := quick(e)
			o.PathPrefix = test.prefix
			l, err := iam.NewSource(o).Keys(t.Context(), directory.User{ID: bob.ID, Name: "Bob"}, test.query)
			switch {
			case test.none && !errors.Is(err, directory.ErrNoSuchUser):
				t.Errorf("got %+v, %v; want ErrNoSuchUser", l, err)
			case !test.none && (err != nil || len(l.Keys) != 1 || l.Keys[0].ID != "APKABOB00000000000001"):
				t.Errorf("got %+v, %v; want bob's key", l, err)
			}
			if calls := e.Calls(); !maps.Equal(calls, test.calls) {
				t.Errorf("calls %v, want %v", calls, test.calls)
			}
		})
	}
}
