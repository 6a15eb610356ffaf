package accounts

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// localHost has what every bad name could wish to be taken for.
var localHost = Host{
	Users: []HostUser{{"root", 0, 0}, {"daemon", 1, 1}, {"alice", 1000, 1000}, {"ubuntu", 1001, 1001}},
	Groups: []HostGroup{{"root", 0, nil}, {"sudo", 27, []string{"ubuntu"}}, {"docker", 999, nil}, {"alice", 1000, nil},
		{"video", 44, nil},
		{"engine", 999, nil}, {"ubuntu", 1001, nil}},
}

// finding returns the finding about an id, or one about nobody.
func finding(findings []Finding, id string) Finding {
	for _, f := range findings {
		if f.ID == id {
			return f
		}
	}
	return Finding{}
}

// Every bad user comes alone beside bob and carol, who must not notice.
func TestABadUserIsRefusedAloneWithAReason(t *testing.T) {
	const id = "AIDABAD"
	for _, test := range []struct {
		name, iam string
		want      Reason
		change    func(*Policy, *directory.User)
	}{
		{name: "an IAM user called root is not served", iam: "root", want: NameReserved},
		{name: "an IAM user called Root is not served", iam: "Root", want: NameReserved},
		{name: "an IAM user called 0 is not taken for a number", iam: "0", want: NameInvalid},
		{name: "an IAM user called 2001000000 is not taken for a number", iam: "2001000000", want: NameInvalid},
		{name: "an IAM user called -rf is not taken for an option", iam: "-rf", want: NameInvalid},
		{name: "an IAM user called .. is not taken for a folder", iam: "..", want: NameInvalid},
		{name: "an IAM user called . is not taken for a folder", iam: ".", want: NameInvalid},
		{name: "an IAM user called .hidden is not served", iam: ".hidden", want: NameInvalid},
		{name: "an IAM user called _apt is not taken for a system account", iam: "_apt", want: NameInvalid},
		{name: "an IAM user called Alice does not come near the local alice", iam: "Alice", want: HostName},
		{name: "an IAM user called like a local group does not get its name", iam: "engine", want: HostName},
		{name: "an IAM user called ubuntu is not served although no sudoers rule is known", iam: "ubuntu",
			want: NameReserved},
		{name: "an IAM user called wheel is not taken for the group", iam: "wheel", want: NameReserved},
		{name: "an IAM user called iam-sudo is not taken for the group", iam: "iam-sudo", want: NameReserved},
		{name: "an IAM user called dev is not taken for the IAM group", iam: "dev", want: NameTaken},
		{name: "an IAM user called like a former user's uid is not served", iam: "former-2001000000", want: NameReserved},
		{name: "an IAM user called systemd-x is not taken for a system account", iam: "systemd-x", want: NameReserved},
		{name: "a name of 64 characters is skipped", iam: strings.Repeat("a", 64), want: NameInvalid},
		{name: "a name of 33 characters is skipped", iam: strings.Repeat("a", 33), want: NameInvalid},
		{name: "a name that grows beyond 32 characters in Unix is skipped", iam: "a@very-long-domain.example.com",
			want: NameInvalid},
		{name: "a name of 65 characters is none of IAM's", iam: strings.Repeat("a", 65), want: BadDirectoryName},
		{name: "a name with a newline is none of IAM's", iam: "mallory\nroot:x:0:0", want: BadDirectoryName},
		{name: "a name with a colon is none of IAM's", iam: "mallory:x", want: BadDirectoryName},
		{name: "a name with a shell fragment is none of IAM's", iam: "$(reboot)", want: BadDirectoryName},
		{name: "a name with a slash is none of IAM's", iam: "../../etc", want: BadDirectoryName},
		{name: "a name with Unicode in it is none of IAM's", iam: "ro\u03bft", want: BadDirectoryName},
		{name: "a name with a NUL is none of IAM's", iam: "bob\x00", want: BadDirectoryName},
		{name: "no name at all is none of IAM's", iam: "", want: BadDirectoryName},
		{name: "a name of which nothing is left without its domain is skipped", iam: "@example.com", want: NameInvalid},
		{name: "an IAM user called root.root is not given root's files by chown", iam: "root.root", want: NameReserved},
		{name: "an IAM user called www-data.www-data is not served", iam: "www-data.www-data", want: NameReserved},
		{name: "an IAM user called Root.Adm is not served", iam: "Root.Adm", want: NameReserved},
		{name: "an IAM user called like an account with its login group is not served", iam: "root.", want: NameReserved},
		{name: "an IAM user called like a local account with a local group is not served", iam: "alice.engine",
			want: HostName},
		{name: "an IAM user called like a local account with a system group is not served", iam: "alice.users",
			want: HostName},
		{name: "an IAM user called like a daemon of Debian is not served", iam: "prometheus", want: NameReserved},
		{name: "an IAM user called like a daemon of RHEL is not served", iam: "radiusd", want: NameReserved},
		{name: "an IAM user called like an agent of AWS is not served", iam: "cwagent", want: NameReserved},
		{name: "an IAM user called as accounts.reserve says is not served", iam: "Backup-Robot", want: NameReserved,
			change: func(p *Policy, _ *directory.User) {
				p.Reserve = []string{"backup-robot"}
			}},
		{name: "an IAM user called like a reserved account with a group is not served", iam: "robot.users",
			want: NameReserved, change: func(p *Policy, _ *directory.User) {
				p.Reserve = []string{"robot"}
			}},
		{name: "a pin below the range is refused", iam: "mallory", want: PinRefused,
			change: func(p *Policy, _ *directory.User) { p.Pins[id] = 65536 }},
		{name: "a pin to 0 is refused", iam: "mallory", want: PinRefused,
			change: func(p *Policy, _ *directory.User) { p.Pins[id] = 0 }},
		{name: "a pin above the range is refused", iam: "mallory", want: PinRefused,
			change: func(p *Policy, _ *directory.User) { p.Pins[id] = 4294967295 }},
		{name: "a pin that another has too is refused", iam: "mallory", want: PinRefused,
			change: func(p *Policy, _ *directory.User) {
				p.Pins[id], p.Pins["AIDASOMEBODYELSE"] = 2001000001, 2001000001
			}},
		{name: "a pin to another user's uid is refused, even to somebody older", iam: "mallory", want: PinRefused,
			change: func(p *Policy, u *directory.User) {
				p.Pins[id] = UserUID("AIDA626F62", p.Range)
				u.Created = at(-1000)
			}},
		{name: "a pin to a group's gid is refused", iam: "mallory", want: PinRefused,
			change: func(p *Policy, _ *directory.User) {
				p.Pins[id] = FixedGID(SudoGroup, p.Range)
			}},
		{name: "a tag with newlines is not taken for a date", iam: "mallory", want: ExpiresTag,
			change: func(_ *Policy, u *directory.User) {
				u.Tags = map[string]string{"end": "2030-01-01\n2031-01-01"}
			}},
		{name: "a tag with a shell fragment is not taken for a date", iam: "mallory", want: ExpiresTag,
			change: func(_ *Policy, u *directory.User) {
				u.Tags = map[string]string{"end": "$(date)"}
			}},
		{name: "a tag in Unicode digits is not taken for a date", iam: "mallory", want: ExpiresTag,
			change: func(_ *Policy, u *directory.User) {
				u.Tags = map[string]string{"END": "２０３０-01-01"}
			}},
		{name: "an empty tag is not taken for a date", iam: "mallory", want: ExpiresTag,
			change: func(_ *Policy, u *directory.User) {
				u.Tags = map[string]string{"end": ""}
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := company([]string{"bob", "carol"}, "dev: bob carol")
			p := policy()
			p.StripDomains, p.ExpiresTag, p.Pins = []string{"example.com"}, "end", map[string]uint32{}
			without := build(t, Input{Directory: d, Policy: p, Host: localHost})

			bad := directory.User{ID: id, Name: test.iam, Created: at(500)}
			if test.change != nil {
				test.change(&p, &bad)
			}
			d.Users = append(slices.Clone(d.Users), bad)
			d.Groups[0].Members = append(slices.Clone(d.Groups[0].Members), id)
			d.Sort()
			got := build(t, Input{Directory: d, Policy: p, Host: localHost})
			if !reflect.DeepEqual(got.Tables, without.Tables) || !reflect.DeepEqual(got.Admitted, without.Admitted) {
				t.Errorf("the tables with the bad user are\n%+v\nnot those without\n%+v", got.Tables, without.Tables)
			}
			f := finding(got.Findings, id)
			if f.Reason != test.want || f.Detail == "" || f.Remedy == "" {
				t.Errorf("got %+v, want the reason %q with detail and remedy", f, test.want)
			}
			for _, c := range f.String() {
				if c < ' ' || c > '~' {
					t.Errorf("%q is shown raw in %q", c, f.String())
				}
			}
			explained, err := Explain(Input{Directory: d, Policy: p, Host: localHost, History: got.History, Now: at(1000)}, id)
			if err != nil || len(explained) != 1 || explained[0].State != StateNot ||
				!slices.ContainsFunc(explained[0].Steps, func(s Step) bool {
					return s.Reason == test.want &&
						s.Detail == f.Detail
				}) {
				t.Errorf("explain says %+v, %v; want the same as the finding %v", explained, err, f)
			}
		})
	}
}

func TestIAMsOddCharactersAreWrittenAsAWSEC2SSHWritesThem(t *testing.T) {
	d := company([]string{"a+b", "a=b", "a,b", "a@b.c", "x_y-z.1"})
	p := everybody()
	got := loginNames(build(t, Input{Directory: d, Policy: p}).Tables)
	if want := []string{"a.at.b.c", "a.comma.b", "a.equal.b", "a.plus.b", "x_y-z.1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDomainsAreStrippedAndCapitalsLoweredOnRequest(t *testing.T) {
	d := company([]string{"Alice@Example.com", "bob@other.org"})
	p := everybody()
	p.StripDomains, p.Lowercase = []string{"example.com"}, true
	r := build(t, Input{Directory: d, Policy: p})
	if got, want := loginNames(r.Tables), []string{"alice", "bob.at.other.org"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := r.Tables.user("alice"); got.Gecos != "Alice@Example.com" || got.UID != UserUID(got.ID, p.Range) {
		t.Errorf("got %+v, want the IAM name in gecos and the number of the id", got)
	}
}

// No name that could be served holds anything but what nameProblem's comment
// says, whatever IAM could send.
func FuzzServedNamesAreHarmless(f *testing.F) {
	for _, s := range []string{"alice", "a,b", "-rf", "0", "x@example.com", "a\nb", "ſ", "former-1", "Ⅷ"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, iam string, lower bool) {
		p := Policy{StripDomains: []string{"example.com"}, Lowercase: lower}
		name, bad, ok := p.userName(iam)
		if !ok {
			if bad.reason == "" || bad.detail == "" || bad.remedy == "" {
				t.Errorf("%q is refused without a reason: %+v", iam, bad)
			}
			return
		}
		if len(name) == 0 || len(name) > 32 ||
			strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") != "" ||
			strings.ContainsAny(name[:1], "0123456789._-") {
			t.Errorf("%q would be served as %q", iam, name)
		}
	})
}

func TestAMalformedDirectoryChangesNothing(t *testing.T) {
	good := company([]string{"alice", "bob"}, "dev: alice bob")
	for name, spoil := range map[string]func(*directory.Directory){
		"a member who is no user":  func(d *directory.Directory) { d.Groups[0].Members = []string{"AIDANOBODY"} },
		"a user who stands twice":  func(d *directory.Directory) { d.Users = append(d.Users, d.Users[len(d.Users)-1]) },
		"users out of order":       func(d *directory.Directory) { slices.Reverse(d.Users) },
		"a user without an id":     func(d *directory.Directory) { d.Users[0].ID = "" },
		"a user with an id of two": func(d *directory.Directory) { d.Users[0].ID = "A B" },
	} {
		d := directory.Directory{Users: slices.Clone(good.Users), Groups: slices.Clone(good.Groups)}
		spoil(&d)
		if _, err := Build(Input{Directory: d, Policy: policy(), Now: at(0), AcceptRemovals: true}); !errors.Is(err,
			directory.ErrMalformed) {
			t.Errorf("%s: got error %v, want ErrMalformed", name, err)
		}
	}
}
