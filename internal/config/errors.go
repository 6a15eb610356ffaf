package config

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// ErrNotConfigured is in the error of a file that is sound but sets no login
// rule. The Config returned beside it is complete: a daemon may idle with it,
// a command that is to serve somebody must refuse it.
var ErrNotConfigured = errors.New("no login rule is set")

// An Error is one fault of the file.
type Error struct {
	File         string
	Line, Column int    // from 1
	Key          string // dotted, or "" where the text is not TOML
	Problem      string
	Remedy       string
	cause        error
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Key != "" {
		fmt.Fprintf(&b, "key %s: ", quote(e.Key))
	}
	b.WriteString(e.Problem)
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

// Unwrap lets errors.Is find ErrNotConfigured.
func (e *Error) Unwrap() error { return e.cause }

// Errors are all faults of one file in the order of its lines. As text they
// are one line each.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the single faults for errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

func (e Errors) sort() {
	sort.SliceStable(e, func(i, j int) bool {
		if e[i].Line != e[j].Line {
			return e[i].Line < e[j].Line
		}
		return e[i].Column < e[j].Column
	})
}

// quote shows text from the file in one short line of plain ASCII.
func quote(s string) string {
	const most = 200
	if len(s) > most {
		return fmt.Sprintf("%+q…", s[:most])
	}
	return fmt.Sprintf("%+q", s)
}
