package hosts

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// Versions of the same programs: what upgrades are made of. The older is one
// package, with the module in it; since 0.2 there are two.
const (
	older  = "0.1.0"
	newer  = "0.2.0~1"
	newest = "0.2.0~2"
)

// The ports of what is played at the fleet's place.
const (
	iamPort = "8000"
	s3Port  = "8001"
)

// A fleet is the hosts and what is around them.
type fleet struct {
	t     *testing.T
	net   *testbed.Net
	iam   *testbed.IAM
	keys  map[string]testbed.Key
	ids   map[string]string // key ids by person
	sites []*site
	trust string // the line of the configuration that trusts the publisher
	key   string // the publisher's

	repositories map[string]testbed.Repository // by version; and strangers, which another key has signed
}

// A site is one host during one step. What is below the host outlives the step.
type site struct {
	*testbed.Host
	t *testing.T
	*lasting
}

type lasting struct {
	f       *fleet
	release string
	address string
	host    *testbed.Host // with the whole test's life
	further map[string][]string

	before, after string // census before the installation, and before setup
	sshd          string // sshd -T before
	carol         string // her number, before she is renamed
}

// each runs a step on all hosts at the same time. A step that fails is the last.
func (f *fleet) each(name string, step func(site)) {
	f.t.Helper()
	start := time.Now()
	ok := f.t.Run(name, func(t *testing.T) {
		for _, s := range f.sites {
			t.Run(s.release, func(t *testing.T) {
				t.Parallel()
				step(site{s.host.On(t), t, s.lasting})
			})
		}
	})
	f.t.Logf("%6.1f s  %s", time.Since(start).Seconds(), name)
	if !ok {
		f.t.FailNow()
	}
}

// newFleet boots the hosts, and meanwhile packs the packages.
func newFleet(t *testing.T) *fleet {
	testbed.RequireArtifacts(t, "debootstrap", "systemd-nspawn", "dpkg-deb")
	start := time.Now()
	f := &fleet{t: t, net: testbed.NewNet(t), keys: map[string]testbed.Key{}, ids: map[string]string{}}
	f.company()
	f.s3()
	var all sync.WaitGroup
	all.Go(func() {
		debs, key := testbed.Pack(t, "deb", newer), testbed.NewSigningKey(t)
		f.repositories = map[string]testbed.Repository{
			older:     key.Repository(t, "file:"+repository, testbed.PackOld(t, older)),
			newer:     key.Repository(t, "file:"+repository, debs...),
			newest:    key.Repository(t, "file:"+repository, testbed.Relabel(t, debs, newer, newest)...),
			strangers: testbed.NewSigningKey(t).Repository(t, "file:"+repository, debs...),
		}
	})
	for _, release := range testbed.Releases {
		b := f.net.NewHost(release)
		s := &site{lasting: &lasting{f: f, release: release, address: b.Address}}
		f.sites = append(f.sites, s)
		all.Go(func() {
			s.further = testbed.Packages(t, release, "nscd", "systemd-userdbd")
			s.host = b.Boot(t)
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("%6.1f s  packed and booted", time.Since(start).Seconds())
	return f
}

// company is the account, its instance profile, and people's keys.
func (f *fleet) company() {
	user := func(name string, groups ...string) testbed.User {
		f.keys[name] = testbed.NewKey(f.t, "rsa", name)
		f.ids[name] = "APKA" + strings.ToUpper(strings.NewReplacer("@", "", ".", "").Replace(name)) + "000000000001"
		return testbed.User{Name: name, Groups: groups, Keys: []testbed.IAMKey{f.iamKey(name)}}
	}
	f.keys["root"] = testbed.NewKey(f.t, "ed25519", "root")
	f.iam = f.net.Place.StartIAM(testbed.Company{
		Groups: []testbed.Group{{Name: "developers"}, {Name: "admins"}, {Name: "team-blue"}, {Name: "guests"}},
		Users: []testbed.User{
			user("alice", "developers", "team-blue"), user("bob", "developers"), user("carol", "developers", "admins"),
			user("eve@example.com", "developers"), user("dave", "developers"), user("mallory", "guests"),
		},
	}, "-listen", testbed.PlaceAddress+":"+iamPort)
	f.iam.Do(http.MethodPut, "instance",
		map[string]any{"role": "host", "tags": map[string]string{"nss-iam:login": "developers"}}, nil)
}

// iamKey is somebody's key as it came with the company.
func (f *fleet) iamKey(person string) testbed.IAMKey {
	return testbed.IAMKey{ID: f.ids[person], Body: f.keys[person].Public}
}

// s3 serves a bucket, and makes the key that signs what is in it.
func (f *fleet) s3() {
	backend := s3mem.New()
	if err := backend.CreateBucket("fleet"); err != nil {
		f.t.Fatal(err)
	}
	server := &http.Server{Handler: gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()}
	listener := f.net.Place.Listen(testbed.PlaceAddress + ":" + s3Port)
	go func() { _ = server.Serve(listener) }() // ends with the listener
	f.t.Cleanup(func() { _ = server.Close() })
	f.net.Place.Run("rm", "-f", "/run/testbed/publisher.key", "/run/testbed/publisher.key.pub")
	said := f.net.Place.Run(testbed.Build()+"/iam-cachefill", "publish", "--new-key", "/run/testbed/publisher.key")
	if f.trust = regexp.MustCompile(`(?m)^trusted_keys = .*$`).FindString(said); f.trust == "" {
		f.t.Fatalf("no key to trust: %s", said)
	}
	f.key = f.net.Place.Read("/run/testbed/publisher.key")
}

// config is a host's configuration. One host reads IAM and publishes what it
// reads, one reads that from S3, and one IAM alone, whose login groups are in a
// tag of the instance.
func (s site) config() string {
	iam := "kind = \"iam\"\nrefresh = \"30s\"\nrate = 100\n"
	login := "groups = [\"developers\"]"
	source := iam
	switch s.release {
	case testbed.Releases[0]:
		source += "bulk = true\n[publish]\nurl = \"s3://fleet/snapshot\"\nkey = \"/etc/nss-iam/publisher.key\"\n"
	case testbed.Releases[1]:
		login = "groups_tag = \"nss-iam:login\""
	default:
		source = fmt.Sprintf("kind = \"s3\"\nrefresh = \"2s\"\nurl = \"s3://fleet/snapshot\"\n%s\n", s.f.trust)
	}
	return "[source]\n" + source + "[login]\n" + login + `
[sudo]
groups = ["admins"]
[accounts]
homes = "create"
publish_groups = ["team-*"]
[keys]
timeout = "30s"
[removal]
confirm = 1
max_fraction = 0.5
end_sessions = true
`
}

// environment is the daemon's: where the account is. Its credentials are the
// instance's.
func (s site) environment() string {
	return "AWS_EC2_METADATA_SERVICE_ENDPOINT=" + s.f.iam.URL + "\nAWS_ENDPOINT_URL=" + s.f.iam.URL +
		"\nAWS_ENDPOINT_URL_S3=http://" + testbed.PlaceAddress + ":" + s3Port + "\nNO_PROXY=*\n"
}

// ssh is a command on this host that logs in to another as this person.
func (s site) ssh(to *lasting, person, user string, command ...string) []string {
	return append([]string{"ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o",
		"UserKnownHostsFile=/dev/null",
		"-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=60", "-i", "/root/.ssh/" + person, "-l",
		user, to.address}, command...)
}

func (s site) login(to *lasting, person, user string, command ...string) testbed.Result {
	s.t.Helper()
	return s.Try(s.ssh(to, person, user, command...)...)
}

// others are the further hosts.
func (s site) others() (all []*lasting) {
	for _, o := range s.f.sites {
		if o.lasting != s.lasting {
			all = append(all, o.lasting)
		}
	}
	return all
}

// refreshed has the daemon refresh now.
func (s site) refreshed() {
	s.t.Helper()
	s.Run("iam-cachefill", "refresh")
}

// status is what "status --json" tells.
func (s site) status() (r struct {
	Daemon bool
	Last   *struct {
		Error    string
		Success  time.Time
		Failures int
	}
}) {
	s.t.Helper()
	said := s.Try("iam-cachefill", "status", "--json")
	if err := json.Unmarshal([]byte(said.Stdout), &r); err != nil {
		s.t.Fatalf("%v\n%v", err, said)
	}
	return r
}

// journal is the end of the host's log, for a failed test.
func (s site) journal() string {
	return s.Try("journalctl", "-n", "60", "--no-pager").Stdout
}
