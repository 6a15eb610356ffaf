package accounts

import (
	"maps"
	"strings"
	"testing"
	"time"
)

func TestPinsOfASnapshotStandUnderTheOwn(t *testing.T) {
	policy := Policy{Pins: map[string]uint32{"AIDAOWN": 2001000001, "AIDABOTH": 2001000002}}
	for name, test := range map[string]struct {
		carried map[string]uint32
		want    map[string]uint32
		says    string // "" for no finding
	}{
		"nothing": {nil, policy.Pins, ""},
		"one more": {map[string]uint32{"AIDANEW": 2001000003}, map[string]uint32{"AIDAOWN": 2001000001,
			"AIDABOTH": 2001000002, "AIDANEW": 2001000003}, ""},
		"the same pin": {map[string]uint32{"AIDABOTH": 2001000002}, policy.Pins, ""},
		"another uid for one id": {map[string]uint32{"AIDABOTH": 2001000009}, policy.Pins,
			"the snapshot pins it to 2001000009, and ids.pin to 2001000002"},
		"another id for one uid": {map[string]uint32{"AIDATHIEF": 2001000001}, policy.Pins,
			`2001000001, which ids.pin gives to "AIDAOWN"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, findings := policy.WithPins(test.carried)
			if !maps.Equal(got.Pins, test.want) {
				t.Errorf("got %v, want %v", got.Pins, test.want)
			}
			if test.says == "" && len(findings) > 0 || test.says != "" &&
				(len(findings) != 1 || !strings.Contains(findings[0].String(), test.says)) {
				t.Errorf("got findings %v, want %q", findings, test.says)
			}
		})
	}
	if len(policy.Pins) != 2 {
		t.Errorf("the host's pins were changed: %v", policy.Pins)
	}
}

func TestAFormerUserIsNamedByTheHostsOwnRules(t *testing.T) {
	left := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	policy := Policy{Range: Range{2001000000, 2146999999}, StripDomains: []string{"example.com"},
		Pins: map[string]uint32{"AIDAPINNED": 2001000007}}
	got, ok := policy.Former("AIDAGONE", "gone@example.com", left)
	if !ok || got.UnixName != "gone" || got.UnixID != UserUID("AIDAGONE", policy.Range) || !got.Former() {
		t.Errorf("got %+v, %v", got, ok)
	}
	if got, ok = policy.Former("AIDAPINNED", "p", left); !ok || got.UnixID != 2001000007 {
		t.Errorf("pinned: got %+v, %v", got, ok)
	}
	for _, name := range []string{"root", "12345", "a/name", strings.Repeat("x", 33)} {
		if got, ok := policy.Former("AIDAGONE", name, left); ok {
			t.Errorf("%q: got %+v, want none", name, got)
		}
	}
	if _, ok := policy.Former("AIDAGONE", "gone", time.Time{}); ok {
		t.Error("one who never left is no former user")
	}
}
