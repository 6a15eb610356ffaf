// Package page puts what a benchmark measured into its section of a document.
// The rest of the document is others', and stays as it is.
package page

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Replace puts text between the lines "<!-- begin NAME -->" and
// "<!-- end NAME -->" of file. It is an error if these are not there: where a
// section stands in the document is for people to say.
func Replace(file, name, text string) error {
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
	old, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(old), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return fmt.Errorf("%s has no lines %q and %q, between which the figures stand", filepath.Base(file),
			strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return os.WriteFile(file, []byte(before+begin+text+end+after), 0o644)
}
