package accounts

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// A policy that reads a user's tag and does not ask for tags works in no test
// that hands Build the tags, and on no host.
func TestEachKeyOfAPolicyThatReadsAUsersTagAsksForTags(t *testing.T) {
	if (Policy{}).Query().Tags {
		t.Error("a policy that reads no tag asks for tags")
	}
	found := 0
	policy := reflect.TypeFor[Policy]()
	for i := range policy.NumField() {
		field := policy.Field(i)
		if field.Type.Kind() != reflect.String || !strings.HasSuffix(field.Name, "Tag") {
			continue
		}
		found++
		var p Policy
		reflect.ValueOf(&p).Elem().Field(i).SetString("key")
		if !p.Query().Tags {
			t.Errorf("a policy with %s does not ask for the users' tags", field.Name)
		}
	}
	if found == 0 {
		t.Error("no field of Policy is the key of a tag: this test finds none by its name")
	}
}

func TestAQueryAsksForEachGroupThatThePolicyNamesOnce(t *testing.T) {
	got := Policy{
		Login: []string{"developers", "Ops"}, Sudo: []string{"admins", "ops"},
		MapGroups: map[string]string{"docker-users": "docker", "DEVELOPERS": "dev"},
		Shared:    map[string][]string{"ec2-user": {"ops", "guests"}}, Publish: []string{"team-*"},
	}.Query()
	folded := []string{}
	for _, name := range got.Groups {
		folded = append(folded, directory.FoldName(name))
	}
	if want := []string{"admins", "developers", "docker-users", "guests", "ops"}; !slices.Equal(folded, want) {
		t.Errorf("groups %q, want %q", folded, want)
	}
	if !slices.Equal(got.Publish, []string{"team-*"}) || got.AllUsers {
		t.Errorf("got %+v", got)
	}
}
