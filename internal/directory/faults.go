package directory

import (
	"errors"
	"regexp"
)

// A fault is an error that knows what it has in common with other errors of the
// same cause.
type fault interface{ Fault() string }

// varying are the parts of an error's text that differ though the cause is the
// same: ports, addresses, times, request ids.
var varying = regexp.MustCompile(`[0-9a-fA-F:.-]*[0-9][0-9a-fA-F:.-]*`)

// FaultOf returns the same text for errors of the same cause: the kind and the
// operation, and neither ports nor which of several questions failed first. It
// is for a log that says each cause once. It is "" for no error.
func FaultOf(err error) string {
	var f fault
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		return f.Fault()
	}
	return varying.ReplaceAllString(err.Error(), "#")
}
