package refresh_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// aGoldenImage is a host of six people that was stopped, or copied, before three
// of them left and one joined.
func aGoldenImage(t *testing.T) *host {
	h := newHost(t)
	h.Policy.MaxFraction = 0.2
	for _, name := range []string{"frank", "dave"} {
		h.does(h.e.AddMember("developers", name))
	}
	h.Machine = "image"
	h.refresh()
	h.sweep()
	h.same("served by the image", h.live(), "alice bob carol dave erin frank")
	h.clock.pass(90 * 24 * time.Hour)
	for _, name := range []string{"erin", "frank", "carol", "dave", "bob"} {
		h.does(h.e.RemoveMember("developers", name))
	}
	h.does(recreate(h, emulator.User{Name: "joiner", Groups: []string{"developers"},
		Keys: []emulator.Key{{ID: "APKAJOINER0000000001", Body: emulator.RSALine(9, "joiner")}}}))
	return h
}

func TestAFreshBootOfAnOldImageServesTodaysAnswer(t *testing.T) {
	h := aGoldenImage(t).restart()
	o := h.refresh()
	h.sweep()
	if o.HeldBack == nil {
		t.Error("so many removals are not held back")
	}
	h.same("served", h.live(), "alice bob carol dave erin frank joiner")
	h.same("rights", h.rights(), "alice joiner")
	h.same("the joiner's keys", h.cached("joiner"), "APKAJOINER0000000001")
	h.same("the keys of one who left", h.cached("bob"), "")
	h.same("alice's keys, checked again", h.cached("alice"), alicesKeys)
	h.explains("joiner", accounts.StateServed, "")
	h.explains("bob", accounts.StatePending, "the last answer's removals were held back: 5 of 7 users")
}

// explains fails unless somebody's state is the one given, with a step that says
// the text.
func (h *host) explains(name, state, says string) {
	h.t.Helper()
	all, err := h.Explain(name)
	if err != nil || len(all) != 1 || all[0].State != state {
		h.t.Errorf("%s: got %+v, %v; want one who is %s", name, all, err, state)
		return
	}
	for _, s := range all[0].Steps {
		if strings.Contains(s.Detail, says) {
			return
		}
	}
	h.t.Errorf("%s: no step of %+v says %q", name, all[0].Steps, says)
}

// Absences that another machine counted are of another time.
func TestAbsencesCountedOnAnotherMachineAreDiscarded(t *testing.T) {
	for name, test := range map[string]struct {
		machine string
		want    string // served after one answer more
	}{
		"the same machine":              {"ec2-1", "alice carol erin"},
		"a machine that is not known":   {"", "alice carol erin"},
		"a machine made from its image": {"ec2-2", "alice bob carol erin"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			h.Machine = "ec2-1"
			h.refresh()
			h.does(h.e.RemoveMember("developers", "bob"))
			h.refresh()
			h.same("bob, missing once", h.live(), "alice bob carol erin")
			setup := h.Setup
			setup.Machine = test.machine
			h.Refresher = refresh.New(setup)
			h.does(h.Restore())
			h.refresh()
			h.same("served after another answer", h.live(), test.want)
			h.refresh()
			h.same("served after two", h.live(), "alice carol erin")
		})
	}
}

func TestExplainSaysThatTheLastAnswerWasRefused(t *testing.T) {
	h := newHost(t)
	h.refresh()
	h.does(h.e.SetFaults(emulator.Fault{Kind: emulator.None, Action: "GetGroup", Times: -1}))
	if _, err := h.Refresh(t.Context(), refresh.Options{}); err == nil {
		t.Fatal("an answer without anybody is believed at once")
	}
	if _, err := h.Explain("joiner"); err == nil || !strings.Contains(err.Error(), "the last answer was refused") {
		t.Errorf("got %v", err)
	}
	h.does(h.e.SetFaults())
	h.refresh()
	if all, err := h.Explain("joiner"); err != nil || len(all) > 0 {
		t.Errorf("after a good answer: got %+v, %v", all, err)
	}
}
