package page

import (
	"os"
	"path/filepath"
	"testing"
)

func TestASectionIsReplacedAndTheRestStays(t *testing.T) {
	for _, c := range []struct{ name, old, want string }{
		{"between others", "# A\n<!-- begin a -->\nold\n<!-- end a -->\ntext\n<!-- begin b -->\nx\n<!-- end b -->\n",
			"# A\n<!-- begin a -->\nnew\n<!-- end a -->\ntext\n<!-- begin b -->\nx\n<!-- end b -->\n"},
		{"an empty one", "<!-- begin a -->\n<!-- end a -->\n", "<!-- begin a -->\nnew\n<!-- end a -->\n"},
		{"none there", "# A\n", ""},
		{"one that does not end", "<!-- begin a -->\nold\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "page.md")
			if err := os.WriteFile(file, []byte(c.old), 0o644); err != nil {
				t.Fatal(err)
			}
			err := Replace(file, "a", "new")
			want := c.want
			if (err != nil) != (want == "") {
				t.Errorf("error %v, want one: %v", err, want == "")
			}
			if want == "" {
				want = c.old
			}
			if got, _ := os.ReadFile(file); string(got) != want {
				t.Errorf("the page is %q, want %q", got, want)
			}
		})
	}
}
