package accounts

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

func TestAServedNameHasItsCharactersAndItsLength(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for c := range 256 {
		char := string([]byte{byte(c)})
		if got, want := nameProblem("a"+char) == "", strings.Contains(letters+"0123456789._-", char); got != want {
			t.Errorf("a name with byte %#x is served: %v, want %v", c, got, want)
		}
		if got, want := nameProblem(char+"a") == "", strings.Contains(letters, char); got != want {
			t.Errorf("a name that begins with byte %#x is served: %v, want %v", c, got, want)
		}
	}
	for name, want := range map[string]string{
		"a": "", strings.Repeat("a", 32): "", strings.Repeat("a", 33): "is longer than 32 bytes", "": "is empty",
		"1": "is all digits", "12345": "is all digits", "1a": "does not begin with a letter",
		"-1": "does not begin with a letter",
	} {
		if got := nameProblem(name); want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestNamesOfTheProgramsOwnAreReserved(t *testing.T) {
	for name, want := range map[string]bool{
		"former-1": true, "FORMER-2001000000": true, "former-": false, "former-1a": false, "former-x": false,
		"former": false, "xformer-1": false,
		"systemd-": true, "systemd-x": true, "Systemd-X": true, "systemdx": false, "root": true, "ROOT": true, "roots": false,
		UsersGroup: true, SudoGroup: true, "alice": false,
	} {
		if got := (Policy{}).reserved(name) != ""; got != want {
			t.Errorf("%q is reserved: %v, want %v", name, got, want)
		}
	}
}

func TestOnlyASCIICapitalsAreFolded(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "abc": "abc", "AZ": "az", "aZ": "az", "Az@[": "az@[", "[@": "[@", "xY\u017f\u212a": "xy\u017f\u212a",
		"Ä": "Ä",
	} {
		if got := fold(in); got != want {
			t.Errorf("fold(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestAPolicyThatCouldServeASystemsIDIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Policy)
		sound  bool
	}{
		{"the default", func(*Policy) {}, true},
		{"all numbers that can be served", func(p *Policy) { p.Range = Range{MinID, MaxID} }, true},
		{"one number", func(p *Policy) { p.Range = Range{70000, 70000} }, true},
		{"a number below", func(p *Policy) { p.Range = Range{MinID - 1, MaxID} }, false},
		{"a number above", func(p *Policy) { p.Range = Range{MinID, MaxID + 1} }, false},
		{"no number", func(p *Policy) { p.Range = Range{70001, 70000} }, false},
		{"0", func(p *Policy) { p.Range = Range{} }, false},
		{"a shell without a path", func(p *Policy) { p.Shell = "bash" }, false},
		{"a nologin shell without a path", func(p *Policy) { p.NoLogin = "" }, false},
		{"a home without a path", func(p *Policy) { p.Home = "%u" }, false},
	} {
		p := policy()
		c.change(&p)
		if err := p.check(); (err == nil) != c.sound {
			t.Errorf("%s: %v, want sound: %v", c.name, err, c.sound)
		}
	}
}

func TestARangeHoldsItsEnds(t *testing.T) {
	r := Range{10, 12}
	for n, want := range map[uint32]bool{9: false, 10: true, 11: true, 12: true, 13: false} {
		if got := r.Contains(n); got != want {
			t.Errorf("%d in 10 to 12: %v", n, got)
		}
	}
}

func TestAGroupsTagHasIAMsCharacters(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	for c := rune(1); c < 0x180; c++ {
		if c == ',' || c == ' ' {
			continue // between names
		}
		_, err := ParseGroupsTag("a"+string(c)+"a", directory.IAMForm)
		if (err == nil) != strings.ContainsRune(letters+"_+=.@-", c) {
			t.Errorf("a name with %q: %v", c, err)
		}
	}
	if got, err := ParseGroupsTag(strings.Repeat("a", 128), directory.IAMForm); err != nil || len(got) != 1 {
		t.Errorf("the longest name: %q, %v", got, err)
	}
	if got, err := ParseGroupsTag(strings.Repeat("a", 129), directory.IAMForm); err == nil {
		t.Errorf("a name longer by one: %q", got)
	}
}

func TestSubIDRangesAreTheHostsToTheirEnds(t *testing.T) {
	// Out of order, one within another, one over the end of another.
	x := newHostIndex(Host{SubIDs: []HostRange{
		{Range{300, 399}, "carol", "subuid"}, {Range{100, 199}, "alice", "subuid"}, {Range{120, 130}, "bob", "subgid"},
		{Range{150, 249}, "dave", "subgid"}, {Range{100, 199}, "eve", "subgid"},
	}})
	for n, owner := range map[uint32]string{
		99: "", 100: "alice", 119: "alice", 125: "alice", 149: "alice", 150: "dave", 199: "dave", 200: "dave", 249: "dave",
		250: "",
		299: "", 300: "carol", 399: "carol", 400: "", 0: "", 1<<32 - 1: "",
	} {
		got := x.ownerOfID(n)
		want := "a sub-id of " + strconv.Quote(owner) + " in /etc/sub"
		if owner == "" && got != "" || owner != "" && !strings.Contains(got, want) {
			t.Errorf("%d: %q, want %s's", n, got, owner)
		}
	}
}

func TestTheFirstLineOfALocalNameCounts(t *testing.T) {
	x := newHostIndex(Host{
		Users: []HostUser{{"u", 1000, 5}, {"u", 1001, 6}},
		Groups: []HostGroup{{"g", 5, nil}, {"g", 0, nil}, {"wheel", 0, nil}, {"Docker", 7, nil}, {"engine", 7, nil},
			{"plain", 8, nil}},
	})
	if x.users["u"].UID != 1000 || x.groups["g"].GID != 5 {
		t.Errorf("got the user %+v and the group %+v", x.users["u"], x.groups["g"])
	}
	for gid, want := range map[uint32]string{0: "root", 5: "", 7: "Docker", 8: "", 99: ""} {
		if got := x.privileged(gid); got != want {
			t.Errorf("gid %d is as good as root for %q, want %q", gid, got, want)
		}
	}
}

func TestAnAccountsEndIsTheEndOfItsDay(t *testing.T) {
	day := time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		tags map[string]string
		want time.Time
		bad  bool
	}{
		{"no tags", nil, time.Time{}, false},
		{"another tag", map[string]string{"ends": "2027-03-31"}, time.Time{}, false},
		{"a day", map[string]string{"end": " 2027-03-31 "}, day, false},
		{"a moment", map[string]string{"end": "2027-04-01T02:00:00+02:00"}, day, false},
		{"another case of the key", map[string]string{"End": "2027-03-31"}, day, false},
		{"the exact key goes before another case", map[string]string{"END": "2020-01-01", "end": "2027-03-31"}, day, false},
		{"of other cases the least", map[string]string{"eND": "2020-01-01", "END": "2027-03-31", "enD": "2021-01-01"}, day,
			false},
		{"a blank value", map[string]string{"end": " "}, time.Time{}, true},
		{"words", map[string]string{"end": "never"}, time.Time{}, true},
	} {
		end, problem := expiry(c.tags, "end")
		if !end.Equal(c.want) || (problem != "") != c.bad {
			t.Errorf("%s: %v, %q; want %v", c.name, end, problem, c.want)
		}
	}
}

func TestAHistoryThatBuildCannotHaveReturnedIsRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []Entry
		sound   bool
	}{
		{"none", nil, true},
		{"one", []Entry{{UnixName: "a", UnixID: 0}}, true},
		{"ascending", []Entry{{UnixName: "a", UnixID: 7}, {UnixName: "b", UnixID: 8}}, true},
		{"an id twice", []Entry{{UnixName: "a", UnixID: 7}, {UnixName: "b", UnixID: 7}}, false},
		{"descending", []Entry{{UnixName: "a", UnixID: 8}, {UnixName: "b", UnixID: 7}}, false},
		{"a name that is none", []Entry{{UnixName: "root:x", UnixID: 7}}, false},
	} {
		if err := (History{Entries: c.entries}).check(); (err == nil) != c.sound {
			t.Errorf("%s: %v, want sound: %v", c.name, err, c.sound)
		}
	}
}

func TestAnAdoptedEntryNeverReplacesTheHostsOwn(t *testing.T) {
	own := History{Entries: []Entry{{ID: "A", UnixID: 5}, {ID: "B", UnixID: 9, FormerSince: at(1)}}}
	got := own.Adopt([]Entry{
		{ID: "X", UnixID: 9, FormerSince: at(2)}, {ID: "Y", UnixID: 7, FormerSince: at(2)},
		{ID: "Z", UnixID: 7, FormerSince: at(3)},
		{ID: "ACTIVE", UnixID: 6}, {ID: "FIRST", UnixID: 1, FormerSince: at(2)},
	})
	var ids []string
	for _, e := range got.Entries {
		ids = append(ids, e.ID)
	}
	if want := []string{"FIRST", "A", "Y", "B"}; !reflect.DeepEqual(ids, want) {
		t.Errorf("got %q, want %q", ids, want)
	}
	if former := got.Formers(); len(former) != 3 {
		t.Errorf("%d former entries, want 3", len(former))
	}
	if len(own.Entries) != 2 {
		t.Error("the host's own history was changed")
	}
}

// passwd(5) has a line a user and a colon between fields; commas divide gecos.
func TestNoNameBreaksThePasswdLine(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice", "a,b": "a b", "a:b": "a b", "a\nb": "a b", "a\x00b,": "a b ", "a,\x1fb\x7f": "a  b\x7f",
		"a b,": "a b ",
	} {
		if got := gecos(in); got != want {
			t.Errorf("%q is written as %q, want %q", in, got, want)
		}
	}
	for template, want := range map[string]string{
		"/home/%u": "/home/al", "/srv/%u": "/srv/al", "/h/%U": "/h/7", "/h/%%u/%u": "/h/%u/al", "/h": "/h",
	} {
		if got := home(template, "al", 7); got != want {
			t.Errorf("the home of %q is %q, want %q", template, got, want)
		}
	}
}

func TestASystemGroupIsOneUpToTheHostsOwnBound(t *testing.T) {
	for _, c := range []struct {
		max, gid uint32
		want     bool
	}{{0, 0, true}, {0, 999, true}, {0, 1000, false}, {499, 499, true}, {499, 500, false}, {1999, 1999, true},
		{1999, 2000, false}} {
		if got := (Host{SysGIDMax: c.max}).system(c.gid); got != c.want {
			t.Errorf("gid %d where SYS_GID_MAX is %d is a system group's: %v, want %v", c.gid, c.max, got, c.want)
		}
	}
}
