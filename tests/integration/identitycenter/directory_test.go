package identitycenter

import (
	"slices"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// A directory is the people of an Identity Store. alice is in Developers and in
// Platform Admins, bob in Developers, mallory in nothing. None of them is an IAM
// user, and none has a key anywhere.
type directory struct{ iam *testbed.IAM }

var people = testbed.IdentityStore{
	Groups: []testbed.PeopleGroup{{Name: "Developers"}, {Name: "Platform Admins"}},
	People: []testbed.Person{
		{UserName: "alice@example.com", Status: "ENABLED", Groups: []string{"Developers", "Platform Admins"}},
		{UserName: "bob@example.com", Groups: []string{"Developers"}},
		{UserName: "ubuntu@example.com", Groups: []string{"Developers"}},
		{UserName: "mallory@example.com"},
	},
}

func newDirectory(h *testbed.Host) directory {
	d := directory{h.StartIAM(testbed.Company{})}
	d.iam.SetPeople(people)
	return d
}

func (d directory) Source() string { return d.iam.PeopleSource() }

// Leave takes a person out of the login group, and Join puts the person back.
func (d directory) Leave(person string) {
	d.iam.ChangePerson(person+"@example.com", func(p *testbed.Person) {
		p.Groups = slices.DeleteFunc(p.Groups, func(name string) bool { return name == "Developers" })
	})
}

func (d directory) Join(person string) {
	d.iam.ChangePerson(person+"@example.com", func(p *testbed.Person) { p.Groups = append(p.Groups, "Developers") })
}

// Disable suspends a person, and Enable ends that.
func (d directory) Disable(person string) { d.status(person, "DISABLED") }
func (d directory) Enable(person string)  { d.status(person, "ENABLED") }

func (d directory) status(person, status string) {
	d.iam.ChangePerson(person+"@example.com", func(p *testbed.Person) { p.Status = status })
}
