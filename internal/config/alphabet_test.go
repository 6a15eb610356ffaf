package config

import (
	"testing"

	"github.com/nss-iam/nss-iam/internal/directory"
)

func TestAGroupMayHaveTheCharactersThatTheDirectoryGivesAndNoOthers(t *testing.T) {
	for c := rune(0); c < 0x250; c++ {
		if got, want := iamGroupForm.MatchString("a"+string(c)), directory.NameCharacter(c); got != want {
			t.Errorf("%q: the configuration takes it: %v; the directory gives it: %v", c, got, want)
		}
	}
}
