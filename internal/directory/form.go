package directory

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Form is what the names of one kind of directory look like. Which one it is
// follows from the id, so that an answer that was stored or handed on needs no
// mark.
type Form struct {
	directory   string // as people call it
	user, group int    // the longest names, in characters
	allowed     func(rune) bool
}

var (
	// IAMForm is IAM's.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
	IAMForm = Form{"IAM", 64, 128, NameCharacter}
	// StoreForm is the Identity Store's. Each name of IAM's form has this one too.
	// https://docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference/API_CreateUser.html
	StoreForm = Form{"Identity Center", 128, 1024, func(c rune) bool {
		return c != utf8.RuneError &&
			!unicode.IsControl(c) && !lineBreak(c)
	}}
)

// lineBreak reports whether the character ends a line and is no control character.
func lineBreak(c rune) bool { return c == '\u2028' || c == '\u2029' }

// formOf returns the form of the directory that gives such an id. IAM's have no
// hyphen, and Identity Center's are UUIDs.
func formOf(id string) Form {
	if strings.Contains(id, "-") {
		return StoreForm
	}
	return IAMForm
}

// GroupProblem says why no group of such a directory has this name, or "".
func (f Form) GroupProblem(name string) string { return f.nameProblem(name, true) }

func (f Form) nameProblem(name string, group bool) string {
	most := f.user
	if group {
		most = f.group
	}
	switch n := utf8.RuneCountInString(name); {
	case name == "":
		return "has no name"
	case n > most:
		return fmt.Sprintf("has a name of %d characters, and %s allows %d", n, f.directory, most)
	case strings.ContainsFunc(name, func(c rune) bool { return !f.allowed(c) }):
		return "has a character in its name that " + f.directory + " does not allow"
	}
	return ""
}
