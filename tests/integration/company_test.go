package integration

import (
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// everywhere runs a test on a copy of this machine and on each Debian release,
// several at a time, and returns when all have ended.
func everywhere(t *testing.T, test func(t *testing.T, host *testbed.Host)) {
	t.Run("on", func(t *testing.T) {
		for _, way := range ways {
			t.Run("this machine "+way.name, func(t *testing.T) {
				t.Parallel()
				testbed.RequireArtifacts(t)
				test(t, testbed.NewHost(t, way.options...))
			})
		}
		for _, release := range testbed.Releases {
			t.Run(release, func(t *testing.T) {
				t.Parallel()
				testbed.RequireArtifacts(t, "debootstrap")
				test(t, testbed.NewDebianHost(t, release))
			})
		}
	})
}

// company is who is in IAM at the start of most tests. Each has an RSA key of
// the name's own.
func company(t testing.TB) testbed.Company {
	key := func(owner string) []testbed.IAMKey {
		return []testbed.IAMKey{{ID: keyID(owner), Body: testbed.NewKey(t, "rsa", owner).Public}}
	}
	return testbed.Company{
		Groups: []testbed.Group{{Name: "developers"}, {Name: "admins"}, {Name: "team-web"}},
		Users: []testbed.User{
			{Name: "alice", Groups: []string{"developers", "team-web"}, Keys: key("alice")},
			{Name: "bob", Groups: []string{"developers"}, Keys: key("bob")},
			{Name: "carol@example.com", Groups: []string{"developers", "admins"}, Keys: key("carol")},
			{Name: "root", Groups: []string{"developers", "admins"}, Keys: key("root")},
			{Name: "mallory", Groups: []string{"team-web"}, Keys: key("mallory")},
		},
	}
}

// keyID is the id of a company member's key.
func keyID(owner string) string {
	id := "APKA"
	for _, c := range owner {
		id += string(c - 'a' + 'A')
	}
	return (id + "EXAMPLEEXAMPLEEXAMPLE")[:20]
}

// rules is a config.toml but for [source].
const rules = `
[login]
groups = ["developers"]

[sudo]
groups = ["admins"]

[accounts]
strip_domains = ["example.com"]
publish_groups = ["team-*"]
`

// serving is a host that serves the company: installed, configured and
// refreshed once.
func serving(t *testing.T, host *testbed.Host) *testbed.IAM {
	t.Helper()
	host.Install()
	iam := host.StartIAM(company(t))
	host.Configure(iam.Source() + rules)
	host.Refreshed()
	return iam
}
