package iam_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/tests/emulator"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// undetectable is a last page without items. Nothing in the answer gives it
// away; that a directory must not shrink so much is the policy's to notice.
const undetectable = emulator.None

// TestEveryFaultAtEveryCallIsAnErrorOrTheRightAnswer spoils each call of a
// refresh in turn, once and from there on for ever, in every way there is.
func TestEveryFaultAtEveryCallIsAnErrorOrTheRightAnswer(t *testing.T) {
	unmet.Long(t, "every fault is made at every call, and many wait for a time limit")
	isolate(t)
	e := start(t, emulator.Options{Company: company, Settings: emulator.Settings{PageSize: 2},
		Roles: []emulator.Role{{ARN: "arn:aws:iam::111122223333:role/reader"}}})
	o := quick(e)
	o.Attempts = 3
	o.AssumeRole = "arn:aws:iam::111122223333:role/reader"
	for name, q := range map[string]directory.Query{
		"by group": {Groups: []string{"developers", "Admins"}, Publish: []string{"team-*"}},
		"by list":  {AllUsers: true, Groups: []string{"Admins"}, Tags: true},
		"in bulk":  {AllUsers: true, Publish: []string{"*"}, Tags: true},
	} {
		o := o
		o.Bulk = name == "in bulk"
		want := expected(e.Company(), q, "/")
		if err := e.SetFaults(); err != nil {
			t.Fatal(err)
		}
		e.ResetCalls()
		read(t.Context(), t, open(t, o), q)
		calls := len(e.Walk())
		if calls < 4 {
			t.Fatalf("%s: %d calls, too few for the test to mean anything", name, calls)
		}
		for _, kind := range emulator.Faults {
			if kind == undetectable || kind == emulator.Other { // Other is a fault of an Identity Store
				continue
			}
			o := o
			if kind == emulator.Stall {
				o.Attempts, o.CallTimeout, o.PageTimeout = 2, 100*time.Millisecond, 30*time.Millisecond
			}
			for _, times := range []int{1, -1} {
				t.Run(fmt.Sprintf("%s, %s, %d times", name, kind, times), func(t *testing.T) {
					failed := 0
					for call := 1; call <= calls; call++ {
						if err := e.SetFaults(emulator.Fault{Kind: kind, Call: call, Times: times,
							Delay: emulator.Duration(time.Millisecond)}); err != nil {
							t.Fatal(err)
						}
						got, err := open(t, o).Directory(t.Context(), q)
						if err != nil {
							failed++
							if diff := difference(got, directory.Directory{}); diff != "" {
								t.Errorf("at call %d: an error and a part of an answer: %s", call, diff)
							}
							if text := err.Error(); strings.ContainsAny(text, "\n\r") || len(text) > 900 {
								t.Errorf("at call %d: the error is no line: %q", call, text)
							}
							continue
						}
						if diff := difference(got, want); diff != "" &&
							!(kind == emulator.Vanish && len(got.Users)+len(got.Groups) < len(want.Users)+len(want.Groups)) {
							t.Errorf("at call %d: no error, but %s", call, diff)
						}
					}
					persistent := times < 0 && !slices.Contains([]string{emulator.Slow, emulator.Vanish}, kind)
					if persistent && failed == 0 {
						t.Errorf("no call failed for good: the faults did not bite")
					}
					passing := []string{emulator.Throttle, emulator.Failure, emulator.Slow, emulator.Reset, emulator.Empty,
						emulator.Cut, emulator.CutShort, emulator.Garbage}
					if times == 1 && failed > 0 && slices.Contains(passing, kind) {
						t.Errorf("%d of %d calls failed for a single fault that passes", failed, calls)
					}
				})
			}
		}
	}
}

func TestOneStalledCallIsTriedAgain(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company})
	o := quick(e)
	o.PageTimeout = 500 * time.Millisecond
	if err := e.SetFaults(emulator.Fault{Kind: emulator.Stall}); err != nil {
		t.Fatal(err)
	}
	q := directory.Query{Groups: []string{"developers"}}
	if diff := difference(read(t.Context(), t, open(t, o), q), expected(e.Company(), q, "/")); diff != "" {
		t.Error(diff)
	}
}

func TestRandomFaultsNeverMakeAWrongAnswer(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: emulator.Generate(emulator.Size{Users: 200, Groups: 8, Seed: 5}),
		Settings: emulator.Settings{RaggedPage: true}, Seed: 5})
	o := quick(e)
	var faults []emulator.Fault
	for _, kind := range []string{emulator.Throttle, emulator.Failure, emulator.Reset, emulator.Cut, emulator.CutShort,
		emulator.NoMarker, emulator.OldMarker, emulator.Garbage, emulator.Empty, emulator.Bare} {
		faults = append(faults, emulator.Fault{Kind: kind, Times: -1, Share: 0.004})
	}
	if err := e.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
	q := directory.Query{AllUsers: true, Groups: []string{"everyone"}, Publish: []string{"group-*"}}
	want := expected(e.Company(), q, "/")
	good := 0
	for range 40 {
		got, err := open(t, o).Directory(t.Context(), q)
		if err != nil {
			continue
		}
		good++
		if diff := difference(got, want); diff != "" {
			t.Fatal(diff)
		}
	}
	if good == 0 || good == 40 {
		t.Errorf("%d of 40 reads were good: the share of faults makes the test mean nothing", good)
	}
}
