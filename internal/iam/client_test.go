package iam_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

func TestOnAnInstanceRegionAndCredentialsAreItsOwn(t *testing.T) {
	isolate(t)
	onEC2(t)
	e := start(t, emulator.Options{Company: company, Instance: emulator.Instance{Role: "host", Region: "ap-southeast-2"}})
	o := quick(e)
	o.Region = ""
	c := open(t, o)
	if c.Region() != "ap-southeast-2" {
		t.Errorf("region %q, want the instance's", c.Region())
	}
	if d := read(t.Context(), t, c, directory.Query{Groups: []string{"developers"}}); len(d.Users) != 3 {
		t.Errorf("%d users, want 3", len(d.Users))
	}
}

func TestTheMetadataServiceIsNeverAskedWithoutAToken(t *testing.T) {
	isolate(t)
	onEC2(t)
	// It would answer version 1, and has no tokens: a client that falls back gets through.
	e := start(t, emulator.Options{Company: company, Instance: emulator.Instance{Role: "host", AllowPlain: true,
		TokensOff: true, Tags: map[string]string{"a": "b"}}})
	o := quick(e)
	o.Region = ""
	if _, err := iam.Open(t.Context(), o); !errors.Is(err, awsapi.ErrNoRegion) {
		t.Errorf("region: %v, want ErrNoRegion", err)
	}
	c := open(t, quick(e))
	if _, err := c.Keys(t.Context(), "alice", nil); !errors.Is(err, awsapi.ErrNoCredentials) {
		t.Errorf("credentials: %v, want ErrNoCredentials", err)
	}
	if _, err := c.InstanceTag(t.Context(), "a"); !errors.Is(err, awsapi.ErrNoInstance) {
		t.Errorf("tag: %v, want ErrNoInstance", err)
	}
}

func TestWithoutARegionTheRemedyIsNamed(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{})
	o := quick(e)
	o.Region = ""
	_, err := iam.Open(t.Context(), o)
	if !errors.Is(err, awsapi.ErrNoRegion) {
		t.Fatalf("got %v, want ErrNoRegion", err)
	}
	wantText(t, err, "find the AWS region: no region", "set source.region", "AWS_REGION")
	t.Setenv("AWS_REGION", "sa-east-1")
	if c := open(t, o); c.Region() != "sa-east-1" {
		t.Errorf("region %q, want the environment's", c.Region())
	}
}

func TestOptionsThatCannotBeAreRefused(t *testing.T) {
	isolate(t)
	for name, o := range map[string]iam.Options{
		"a role that is no ARN": {Options: awsapi.Options{Region: "eu-west-1", AssumeRole: "reader"}},
		"a user in place of a role": {Options: awsapi.Options{Region: "eu-west-1",
			AssumeRole: "arn:aws:iam::111122223333:user/reader"}},
		"an external id without a role": {Options: awsapi.Options{Region: "eu-west-1", ExternalID: "x"}},
		"a negative rate":               {Options: awsapi.Options{Region: "eu-west-1", Rate: -1}},
		"a role's ARN with a line break": {Options: awsapi.Options{Region: "eu-west-1",
			AssumeRole: "arn:aws:iam::111122223333:role/a\nb"}},
	} {
		if _, err := iam.Open(t.Context(), o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestARoleIsAssumedWithItsExternalIDAndTheInstanceInItsSession(t *testing.T) {
	isolate(t)
	onEC2(t)
	const arn = "arn:aws:iam::444455556666:role/readers/reader"
	e := start(t, emulator.Options{Company: company,
		Roles:    []emulator.Role{{ARN: arn, ExternalID: "secret-word", Policy: emulator.AllowAllBut("iam:ListUsers")}},
		Instance: emulator.Instance{Role: "host", ID: "i-0aaaabbbbccccdddd", Policy: emulator.Allow("sts:AssumeRole")}})
	o := quick(e)
	o.AssumeRole, o.ExternalID = arn, "secret-word"
	c := open(t, o)
	read(t.Context(), t, c, directory.Query{Groups: []string{"developers"}})
	_, err := c.Directory(t.Context(), directory.Query{AllUsers: true})
	wantText(t, err, "arn:aws:sts::444455556666:assumed-role/reader/i-0aaaabbbbccccdddd lacks iam:ListUsers")
	if got := c.Stats().Calls["AssumeRole"]; got != 1 {
		t.Errorf("%d times assumed, want once", got)
	}
}

func TestCredentialsThatExpireDuringAWalkAreFetchedAnew(t *testing.T) {
	isolate(t)
	onEC2(t)
	for name, role := range map[string]string{"the instance's": "",
		"an assumed role's": "arn:aws:iam::111122223333:role/reader"} {
		t.Run(name, func(t *testing.T) {
			e := start(t, emulator.Options{Company: company, Settings: emulator.Settings{PageSize: 1},
				Roles: []emulator.Role{{ARN: "arn:aws:iam::111122223333:role/reader"}}, Instance: emulator.Instance{Role: "host"}})
			o := quick(e)
			o.AssumeRole = role
			c := open(t, o)
			q := directory.Query{Groups: []string{"developers"}}
			read(t.Context(), t, c, q)
			e.ExpireTokens()
			read(t.Context(), t, c, q)
			if err := e.SetFaults(emulator.Fault{Kind: emulator.Expire, Action: "GetGroup", Call: 2}); err != nil {
				t.Fatal(err)
			}
			if diff := difference(read(t.Context(), t, c, q), expected(e.Company(), q, "/")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInstanceTags(t *testing.T) {
	isolate(t)
	onEC2(t)
	tags := map[string]string{"nss-iam:login": "developers,ops", "with space": "x", "empty": ""}
	for _, test := range []struct {
		name     string
		instance emulator.Instance
		key      string
		want     string
		kind     error
		calls    []string // besides the metadata service's
	}{
		{"a tag in the metadata", emulator.Instance{Role: "host", Tags: tags}, "nss-iam:login", "developers,ops", nil, nil},
		{"an empty tag", emulator.Instance{Role: "host", Tags: tags}, "empty", "", nil, nil},
		{"a tag that is not set", emulator.Instance{Role: "host", Tags: tags}, "missing", "", awsapi.ErrNoTag, nil},
		{"a tag that EC2 tells", emulator.Instance{Role: "host", Tags: tags, TagsOff: true}, "nss-iam:login",
			"developers,ops", nil, []string{"DescribeTags"}},
		{"a tag that is not set, as EC2 tells", emulator.Instance{Role: "host", Tags: tags, TagsOff: true}, "missing", "",
			awsapi.ErrNoTag, []string{"DescribeTags"}},
		{"a key that the metadata cannot have", emulator.Instance{Role: "host", Tags: tags}, "with space", "x", nil,
			[]string{"DescribeTags"}},
		{"a key that is a path to the credentials", emulator.Instance{Role: "host", Tags: tags},
			"../../iam/security-credentials/host", "", awsapi.ErrNoTag, []string{"DescribeTags"}},
		{"a key that is two dots", emulator.Instance{Role: "host", Tags: tags}, "..", "", awsapi.ErrNoTag,
			[]string{"DescribeTags"}},
		{"no permission", emulator.Instance{Role: "host", Tags: tags, TagsOff: true, Policy: emulator.Allow("iam:*")},
			"nss-iam:login", "", awsapi.ErrAccessDenied, []string{"DescribeTags"}},
		{"no instance", emulator.Instance{Off: true}, "nss-iam:login", "", awsapi.ErrNoInstance, nil},
		{"a slow metadata service", emulator.Instance{Role: "host", Tags: tags,
			Delay: emulator.Duration(100 * time.Millisecond)}, "nss-iam:login", "developers,ops", nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := start(t, emulator.Options{Instance: test.instance})
			got, err := open(t, quick(e)).InstanceTag(t.Context(), test.key)
			if got != test.want || !errors.Is(err, test.kind) {
				t.Errorf("got %q, %v, want %q, %v", got, err, test.want, test.kind)
			}
			calls := slices.DeleteFunc(e.Walk(), func(action string) bool { return action == "imds" })
			if !slices.Equal(calls, test.calls) {
				t.Errorf("calls %q, want %q", calls, test.calls)
			}
			if errors.Is(test.kind, awsapi.ErrAccessDenied) {
				wantText(t, err, `"Action":"ec2:DescribeTags","Resource":"*"`, "or allow tags in the instance's metadata")
			}
		})
	}
}

func TestInstanceTagsAreReadByTheInstanceItselfWhenARoleIsAssumed(t *testing.T) {
	isolate(t)
	onEC2(t)
	const arn = "arn:aws:iam::444455556666:role/reader"
	e := start(t, emulator.Options{
		Roles:    []emulator.Role{{ARN: arn, Policy: emulator.AllowAllBut("ec2:*")}},
		Instance: emulator.Instance{Role: "host", Tags: map[string]string{"login": "ops"}, TagsOff: true}})
	o := quick(e)
	o.AssumeRole = arn
	if got, err := open(t, o).InstanceTag(t.Context(), "login"); got != "ops" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestCallsAndThrottlesAreCountedByAction(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company})
	if err := e.SetFaults(emulator.Fault{Kind: emulator.Throttle, Action: "ListSSHPublicKeys", Times: 2}); err != nil {
		t.Fatal(err)
	}
	c := open(t, quick(e))
	if _, err := c.Keys(t.Context(), "alice", nil); err != nil {
		t.Fatal(err)
	}
	s := c.Stats()
	if s.Calls["ListSSHPublicKeys"] != 3 || s.Calls["GetSSHPublicKey"] != 1 || s.Throttles["ListSSHPublicKeys"] != 2 ||
		s.Total() != 4 {
		t.Errorf("%+v, want 3 listings of which 2 were throttled, and one key", s)
	}
	if s.Rate >= 10000 {
		t.Errorf("rate %v, want less than before", s.Rate)
	}
}

func TestTheRateIsKeptOverAllCalls(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: company, Settings: emulator.Settings{PageSize: 1}})
	o := quick(e)
	o.Rate, o.Burst = 50, 2
	c := open(t, o)
	before := time.Now()
	for range 3 {
		read(t.Context(), t, c, directory.Query{Groups: []string{"developers"}})
	}
	// 9 calls, 2 at once: the last goes out no sooner than 7/50 s after the first.
	if took := time.Since(before); took < 130*time.Millisecond {
		t.Errorf("9 calls in %v are more than 50 a second", took)
	}
}

func TestALoadOfThrottlingEndsWell(t *testing.T) {
	isolate(t)
	e := start(t, emulator.Options{Company: emulator.Generate(emulator.Size{Users: 60, Keys: 1, Groups: 3})})
	if err := e.SetFaults(emulator.Fault{Kind: emulator.Throttle, Times: -1, Every: 3}); err != nil {
		t.Fatal(err)
	}
	o := quick(e)
	o.Rate = 100000 // halved again and again, and still quick
	c := open(t, o)
	for _, u := range e.Company().Users {
		if keys, err := c.Keys(t.Context(), u.Name, nil); err != nil || len(keys) != 1 {
			t.Fatalf("%s: %v, %v", u.Name, keys, err)
		}
	}
}

func TestAFaultOfEC2ThatPassesCostsNoTag(t *testing.T) {
	isolate(t)
	onEC2(t)
	e := start(t, emulator.Options{Instance: emulator.Instance{Role: "host", Tags: map[string]string{"login": "ops"},
		TagsOff: true}})
	for kind, want := range map[string]error{
		emulator.Throttle: nil, emulator.Failure: nil, emulator.Reset: nil, emulator.Empty: nil, emulator.Garbage: nil,
		emulator.Cut:      nil,
		emulator.CutShort: nil, emulator.Slow: nil, emulator.Deny: awsapi.ErrAccessDenied,
		emulator.Expire: awsapi.ErrExpired, emulator.Bare: awsapi.ErrNoTag,
	} {
		if err := e.SetFaults(emulator.Fault{Kind: kind, Action: "DescribeTags",
			Delay: emulator.Duration(time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
		got, err := open(t, quick(e)).InstanceTag(t.Context(), "login")
		if !errors.Is(err, want) || want == nil && got != "ops" {
			t.Errorf("%s: %q, %v, want %v", kind, got, err, want)
		}
	}
}

func TestEC2IsAskedAgainByTheServersClock(t *testing.T) {
	isolate(t)
	onEC2(t)
	e := start(t, emulator.Options{Instance: emulator.Instance{Role: "host", TagsOff: true}})
	var signed []time.Time
	ahead := 2 * time.Hour
	ec2 := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil {
			t.Error(err)
		}
		signed = append(signed, at)
		now := time.Now().Add(ahead)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		if now.Sub(at).Abs() > 5*time.Minute {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<Response><Errors><Error><Code>SignatureDoesNotMatch</Code>`+
				`<Message>Signature expired</Message></Error></Errors><RequestID>r-1</RequestID></Response>`)
			return
		}
		fmt.Fprint(w, `<DescribeTagsResponse><tagSet/></DescribeTagsResponse>`)
	}))
	defer ec2.Close()
	t.Setenv("AWS_ENDPOINT_URL_EC2", ec2.URL)
	o := quick(e)
	if _, err := open(t, o).InstanceTag(t.Context(), "login"); !errors.Is(err, awsapi.ErrNoTag) {
		t.Errorf("%v after attempts signed at %v, want an answer to the second", err, signed)
	}
	if len(signed) != 2 {
		t.Errorf("%d attempts, want 2: one by this clock, one by the server's", len(signed))
	}
}
