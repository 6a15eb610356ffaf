package refresh_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

func TestWhatLocalFilesGrantANamesakeIsFound(t *testing.T) {
	h := newHost(t)
	asked := 0
	h.Grants = func(names []string) ([]accounts.Grant, error) {
		asked++
		if !slices.Equal(names, []string{"bob"}) {
			t.Errorf("asked for %q", names)
		}
		return []accounts.Grant{{LoginName: "bob", File: "/etc/sudoers:3", What: "a sudo rule"}}, nil
	}
	h.refresh()
	h.does(h.e.DeleteUser("bob"))
	h.refresh()
	h.refresh()
	_, err := h.e.CreateUser(emulator.User{Name: "bob", Groups: []string{"developers"}})
	h.does(err)
	if asked > 0 {
		t.Errorf("files were read %d times before a name changed hands", asked)
	}
	o := h.refresh()
	h.same("findings", accounts.Count(o.Findings)[accounts.NameHandedOver], 1)
	x, err := h.Explain("bob")
	if err != nil || !slices.ContainsFunc(x[0].Steps,
		func(s accounts.Step) bool { return strings.Contains(s.Detail, "/etc/sudoers:3") }) {
		t.Errorf("explain says %+v, %v", x, err)
	}
}
