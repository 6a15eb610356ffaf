package identitycenter_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// isolate keeps the machine's own AWS environment, files and metadata service
// out of a test, and gives it the emulator's access key.
func isolate(t *testing.T) {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": emulator.AccessKey, "AWS_SECRET_ACCESS_KEY": emulator.SecretKey, "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_CA_BUNDLE": "",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "HOME": t.TempDir(),
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "",
		"HTTP_PROXY": "", "HTTPS_PROXY": "", "http_proxy": "", "https_proxy": "",
	} {
		t.Setenv(name, value)
	}
}

func start(t *testing.T, options emulator.Options) *emulator.Emulator {
	t.Helper()
	isolate(t)
	e, err := emulator.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// quick are options for a test: no waits that only courtesy to AWS asks for.
func quick(e *emulator.Emulator) identitycenter.Options {
	return identitycenter.Options{Options: awsapi.Options{
		Region: "eu-west-1", Endpoint: e.URL, MetadataEndpoint: e.URL, Rate: 10000, Burst: 10000, Backoff: time.Millisecond,
	}}
}

var day = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// company has what an organization has: a person who is disabled, one without a
// creation date, groups with spaces.
func company() emulator.IdentityStore {
	return emulator.IdentityStore{
		Groups: []emulator.PeopleGroup{
			{Name: "Platform Team", Created: day}, {Name: "Platform Admins"}, {Name: "Finance"}, {Name: "empty"},
		},
		People: []emulator.Person{
			{UserName: "alice@example.com", NickName: "alice", Emails: []string{"alice.a@example.com", "a@example.net"},
				Status: "ENABLED", Created: day, Groups: []string{"Platform Team", "Platform Admins"}},
			{UserName: "bob@example.com", NickName: "bob", Status: "DISABLED", Groups: []string{"Platform Team"}},
			{UserName: "carol@example.com", Groups: []string{"Finance"}},
		},
	}
}

func read(t *testing.T, s *identitycenter.Source, q directory.Query) directory.Directory {
	t.Helper()
	a, err := s.Directory(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := directory.Validate(a.Directory); err != nil {
		t.Fatal(err)
	}
	return a.Directory
}

// names are the users of a directory by name, ascending.
func names(d directory.Directory) string {
	var all []string
	for _, u := range d.Users {
		name := u.Name
		if u.Disabled {
			name += " (disabled)"
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestTheGroupsThatAreNamedAreReadWithTheirPeople(t *testing.T) {
	e := start(t, emulator.Options{Store: company()})
	d := read(t, identitycenter.NewSource(quick(e)), directory.Query{Groups: []string{"platform team", "nobody's"}})
	if got := names(d); got != "alice@example.com bob@example.com (disabled)" {
		t.Errorf("people: %s", got)
	}
	if len(d.Groups) != 1 || d.Groups[0].Name != "Platform Team" || len(d.Groups[0].Members) != 2 {
		t.Errorf("groups: %+v", d.Groups)
	}
	if !slices.Equal(d.Missing, []string{"nobody's"}) || !d.Whole || len(d.Others) != 4 {
		t.Errorf("missing %q, whole %v, others %+v", d.Missing, d.Whole, d.Others)
	}
	if d.Account != emulator.DefaultAccount ||
		d.Store != (directory.Store{ID: emulator.DefaultStore, Region: "eu-west-1", NameFrom: "user-name"}) {
		t.Errorf("account %q, store %+v", d.Account, d.Store)
	}
	for _, u := range d.Users {
		if want := (map[bool]time.Time{true: day})[u.Name == "alice@example.com"]; !u.Created.Equal(want) {
			t.Errorf("%s was created %s, want %s", u.Name, u.Created, want)
		}
	}
}

func TestTheWholeStoreIsReadForAPublisher(t *testing.T) {
	e := start(t, emulator.Options{Store: company(), Settings: emulator.Settings{PageSize: 1}})
	d := read(t, identitycenter.NewSource(quick(e)), directory.Query{AllUsers: true, Publish: []string{"*"}})
	if got := names(d); got != "alice@example.com bob@example.com (disabled) carol@example.com" || len(d.Groups) != 4 ||
		len(d.Others) != 0 {
		t.Errorf("people %s, %d groups, others %v", got, len(d.Groups), d.Others)
	}
}

func TestTheNameIsTakenFromTheAttributeThatIsConfigured(t *testing.T) {
	e := start(t, emulator.Options{Store: company()})
	for from, want := range map[string]string{
		"": "alice@example.com", "user-name": "alice@example.com", "nick-name": "alice", "email": "alice.a@example.com",
	} {
		o := quick(e)
		o.NameFrom = from
		if got := names(read(t, identitycenter.NewSource(o),
			directory.Query{Groups: []string{"Platform Admins"}})); got != want {
			t.Errorf("name_from %q: got %s, want %s", from, got, want)
		}
	}
	o := quick(e)
	o.NameFrom = "nick-name"
	d := read(t, identitycenter.NewSource(o), directory.Query{Groups: []string{"Finance"}})
	if len(d.Users) != 0 || len(d.Refused) != 1 ||
		d.Refused[0].Reason != `(user name "carol@example.com") has no nick name, `+
			`from which accounts.name_from takes the name` {
		t.Errorf("without a nick name: %+v", d)
	}
}
