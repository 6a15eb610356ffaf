package identitycenter

import "github.com/nss-iam/nss-iam/tests/testbed"

// A directory is who the people are, and the [source] section that reads it.
// alice is in developers and admins, bob in developers, mallory in nothing.
type directory struct{ iam *testbed.IAM }

func newDirectory(h *testbed.Host) directory {
	return directory{h.StartIAM(testbed.Company{
		Groups: []testbed.Group{{Name: "developers"}, {Name: "admins"}},
		Users: []testbed.User{
			{Name: "alice@example.com", Groups: []string{"developers", "admins"}},
			{Name: "bob@example.com", Groups: []string{"developers"}},
			{Name: "ubuntu@example.com", Groups: []string{"developers"}},
			{Name: "mallory@example.com"},
		},
	})}
}

func (d directory) Source() string { return d.iam.Source() }

func (d directory) Leave(person string) { d.iam.RemoveMember("developers", person+"@example.com") }
func (d directory) Join(person string)  { d.iam.AddMember("developers", person+"@example.com") }
