package iam_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

func TestKeysAreListedAndOnlyUnknownActiveBodiesFetched(t *testing.T) {
	isolate(t)
	for _, test := range []struct {
		name  string
		known map[string]string
		want  []directory.Key // without dates
		calls map[string]int
	}{
		{"nothing is known", nil, []directory.Key{
			{ID: "APKAALICE000000000001", Active: true, Body: emulator.RSALine(1, "alice")},
			{ID: "APKAALICE000000000002"},
		}, map[string]int{"ListSSHPublicKeys": 1, "GetSSHPublicKey": 1}},
		{"the active key is known", map[string]string{"APKAALICE000000000001": "kept"}, []directory.Key{
			{ID: "APKAALICE000000000001", Active: true, Body: "kept"},
			{ID: "APKAALICE000000000002"},
		}, map[string]int{"ListSSHPublicKeys": 1}},
		{"the inactive key is known", map[string]string{"APKAALICE000000000002": "kept"}, []directory.Key{
			{ID: "APKAALICE000000000001", Active: true, Body: emulator.RSALine(1, "alice")},
			{ID: "APKAALICE000000000002", Body: "kept"},
		}, map[string]int{"ListSSHPublicKeys": 1, "GetSSHPublicKey": 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t, emulator.Options{Company: company})
			got, err := open(t, quick(e)).Keys(t.Context(), "alice", func(id string) (string, bool) {
				body,
					ok := test.known[id]
				return body, ok
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if got[i].Uploaded.IsZero() {
					t.Errorf("key %s has no upload date", got[i].ID)
				}
				got[i].Uploaded = test.want[i].Uploaded
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if calls := e.Calls(); !maps.Equal(calls, test.calls) {
				t.Errorf("calls %v, want %v", calls, test.calls)
			}
		})
	}
}

func TestAKeyDeletedWhileItIsReadIsLeftOut(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company})
	if err := e.SetFaults(emulator.Fault{Kind: emulator.Vanish, Action: "GetSSHPublicKey"}); err != nil {
		t.Fatal(err)
	}
	keys, err := open(t, quick(e)).Keys(t.Context(), "alice", nil)
	if err != nil || len(keys) != 1 || keys[0].Active {
		t.Errorf("got %+v, %v, want the inactive key alone", keys, err)
	}
}

func TestQuestionsAboutOneUser(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company, Settings: emulator.Settings{PageSize: 1}})
	c := open(t, quick(e))
	ask := map[string]func(string) (int, error){
		"keys": func(name string) (int, error) { keys, err := c.Keys(t.Context(), name, nil); return len(keys), err },
		"groups": func(name string) (int, error) {
			groups, err := c.GroupsOf(t.Context(), name)
			if !slices.IsSortedFunc(groups, func(a, b directory.Group) int {
				if a.ID < b.ID {
					return -1
				}
				return 1
			}) {
				t.Errorf("groups are not in order: %+v", groups)
			}
			return len(groups), err
		},
		"tags": func(name string) (int, error) { tags, err := c.Tags(t.Context(), name); return len(tags), err },
	}
	for what, want := range map[string]int{"keys": 2, "groups": 3, "tags": 2} {
		if got, err := ask[what]("ALICE"); err != nil || got != want {
			t.Errorf("%s of a user whose name is written otherwise: %d, %v, want %d", what, got, err, want)
		}
		if got, err := ask[what]("dave"); err != nil || got != 0 {
			t.Errorf("%s of a user who has none: %d, %v", what, got, err)
		}
		if _, err := ask[what]("nobody"); !errors.Is(err, directory.ErrNoSuchUser) {
			t.Errorf("%s of a user who does not exist: %v, want ErrNoSuchUser", what, err)
		}
		before := len(e.Walk())
		if _, err := ask[what](""); err == nil {
			t.Errorf("%s of the empty name: no error", what)
		}
		if after := len(e.Walk()); after != before {
			t.Errorf("%s of the empty name: %d calls went out", what, after-before)
		}
	}
}

func TestEveryFaultAtEveryCallForKeysIsAnErrorOrTheRightAnswer(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company, Settings: emulator.Settings{PageSize: 1}})
	o := quick(e)
	want, err := open(t, o).Keys(t.Context(), "alice", nil)
	if err != nil {
		t.Fatal(err)
	}
	calls := len(e.Walk())
	for _, kind := range emulator.Faults {
		if kind == undetectable || kind == emulator.Vanish {
			continue
		}
		o := o
		o.Attempts = 2
		if kind == emulator.Stall {
			o.CallTimeout, o.PageTimeout = 100*time.Millisecond, 30*time.Millisecond
		}
		for call := 1; call <= calls; call++ {
			for _, times := range []int{1, -1} {
				if err := e.SetFaults(emulator.Fault{Kind: kind, Call: call, Times: times}); err != nil {
					t.Fatal(err)
				}
				got, err := open(t, o).Keys(t.Context(), "alice", nil)
				if err == nil && !slices.Equal(got, want) {
					t.Errorf("%s at call %d, %d times: %+v, want %+v", kind, call, times, got, want)
				}
				if err != nil && got != nil {
					t.Errorf("%s at call %d, %d times: an error and keys", kind, call, times)
				}
			}
		}
	}
}
