package doctor

import (
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/config"
)

func TestOneCauseIsOneFinding(t *testing.T) {
	denied := `read group "developers": access denied: iam:GetGroup`
	for _, c := range []struct {
		name     string
		findings []Finding
		want     []string // checks
	}{
		{"a refusal of AWS, seen by the refresh, the sweep and a login", []Finding{
			{Check: "sweep", State: Broken, What: "keys are not looked at: " + denied},
			{Check: "logins", State: Broken, What: "one user's keys: " + denied},
			{Check: "refresh", State: Broken, What: "the last refresh failed: " + denied + "; add to the policy"},
			{Check: "source", State: Broken, What: denied, Fix: "add to the policy"},
		}, []string{"source"}},
		{"a refusal of AWS that hits another group first when it is asked again", []Finding{
			{Check: "refresh", State: Broken, What: `the last refresh failed: read group "admins": access denied: ` +
				`the role lacks iam:GetGroup on arn:aws:iam::111122223333:group/admins; grant it`},
			{Check: "source", State: Broken, What: `read group "developers": access denied: the role lacks iam:GetGroup on ` +
				`arn:aws:iam::111122223333:group/developers`, Fix: "grant it"},
		}, []string{"source"}},
		{"a refresh that failed for another reason", []Finding{
			{Check: "refresh", State: Broken, What: "the last refresh failed: disk full"},
			{Check: "source", State: Broken, What: denied},
		}, []string{"refresh", "source"}},
		{"nsswitch.conf without us, and glibc that does not ask us", []Finding{
			{Check: glibc, State: Broken, What: "programs do not see"},
			{Check: "nsswitch", State: Broken, What: "does not name iam"},
		}, []string{"nsswitch"}},
		{"nsswitch.conf without us, so that sshd does not know whose own keys it ignores", []Finding{
			{Check: "nsswitch", State: Broken}, {Check: "own keys", State: Broken, Fix: ignoreOwn},
		}, []string{"nsswitch"}},
		{"sshd without our lines", []Finding{
			{Check: "sshd", State: Broken, Fix: setUp}, {Check: "own keys", State: Broken, Fix: ignoreOwn},
		}, []string{"sshd"}},
		{"sshd with another fault, and own keys", []Finding{
			{Check: "sshd", State: Broken, Fix: "sshd -t"}, {Check: "own keys", State: Broken, Fix: ignoreOwn},
		}, []string{"sshd", "own keys"}},
		{"glibc alone", []Finding{{Check: glibc, State: Broken}, {Check: "nsswitch", State: Good}},
			[]string{"nsswitch", "nsswitch"}},
	} {
		var got []string
		for _, f := range causes(c.findings) {
			got = append(got, f.Check)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestNoRemedyOfDoctorIsDoctor(t *testing.T) {
	for _, fix := range []string{"iam-cachefill doctor", "the message names what is missing; iam-cachefill doctor " +
		"tries it again"} {
		if got := causes([]Finding{{Check: "logins", State: Broken, Fix: fix}}); len(got) != 1 ||
			strings.Contains(got[0].Fix, "doctor") || got[0].Fix == "" {
			t.Errorf("%q becomes %+v", fix, got)
		}
	}
}

func TestTheOrderOfFindingsIsTheSameEachTime(t *testing.T) {
	p, answers := healthy(t)
	p.Served.Name = ""
	answers["getent pa"] = "FAIL exit status 2"
	first := Examine(t.Context(), p)
	for range 10 {
		if again := Examine(t.Context(), p); !slices.Equal(first, again) {
			t.Fatalf("first %+v\nthen %+v", first, again)
		}
	}
}

func TestAWrongConfigurationIsWhyNobodyIsServed(t *testing.T) {
	p, _ := healthy(t)
	p.Served.Name, p.ConfigError = "", config.ErrNotConfigured
	for _, f := range Examine(t.Context(), p) {
		if f.State != Good && f.Check != "configuration" {
			t.Errorf("%+v", f)
		}
	}
}
