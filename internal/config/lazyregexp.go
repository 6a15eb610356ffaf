package config

import (
	"regexp"
	"sync"
)

// A form is a regular expression that is compiled when it is first used. All
// of them take 11 ms, and a configuration needs a few.
type form struct{ compiled func() *regexp.Regexp }

func newForm(pattern string) form {
	return form{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })}
}

// MatchString reports whether s holds a match.
func (f form) MatchString(s string) bool { return f.compiled().MatchString(s) }
