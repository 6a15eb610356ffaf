package documents

import (
	"strings"
	"testing"
)

// What this package cannot read it must say, or blocks would be passed over.
func TestBlocksThatCannotBeReadAreFaults(t *testing.T) {
	for name, text := range map[string]string{
		"a remark of an unknown kind":    "<!-- not tested: dull -->\n```sh\ntrue\n```\n",
		"no reason for not running":      "<!-- not run: -->\n```sh\ntrue\n```\n",
		"a fence that is not closed":     "```sh\ntrue\n",
		"a fence with more than letters": "```sh title=x\ntrue\n```\n",
		"a place that there is not":      "<!-- on the moon -->\n```sh\ntrue\n```\n",
	} {
		if blocks, err := markdown("x.md", text); err == nil {
			t.Errorf("%s: read as %+v", name, blocks)
		}
	}
}

func TestABlockIsReadWithItsRemarks(t *testing.T) {
	blocks, err := markdown("x.md", "1. text\n\n   <!-- on the publisher; while IAM is down; exit status 3 -->\n   "+
		"```console\n   # one \\\n     two\n   said\n   $ three\n   ```\n")
	if err != nil || len(blocks) != 1 {
		t.Fatalf("%+v, %v", blocks, err)
	}
	b := blocks[0]
	if b.where != "the publisher" || !b.outage || b.status != 3 || b.line != 5 {
		t.Errorf("%+v", b)
	}
	steps := b.steps()
	if len(steps) != 2 || steps[0].command != "one \\\n  two" || strings.Join(steps[0].output, "") != "said" ||
		steps[1].command != "three" {
		t.Errorf("%+v", steps)
	}
}

func TestShownOutputIsFoundInItsOrder(t *testing.T) {
	got := "a  1\nb 2\nc 3\n"
	for _, c := range []struct {
		name  string
		shown []string
		want  bool
	}{
		{"nothing", nil, true},
		{"all of it, with other spaces", []string{"a 1", "b   2", "c 3"}, true},
		{"some of it", []string{"b 2"}, true},
		{"anything in between", []string{"a …", "c ..."}, true},
		{"another order", []string{"b 2", "a 1"}, false},
		{"half a line", []string{"a"}, false},
		{"a line that is not there", []string{"d 4"}, false},
	} {
		if missing, ok := shows(got, c.shown); ok != c.want {
			t.Errorf("%s: %v, missing %q", c.name, ok, missing)
		}
	}
}

func TestExamplesOfAManualAreRead(t *testing.T) {
	blocks, err := manual("x.8", ".Sh DESCRIPTION\n.Dl # not an example\n.Sh EXAMPLES\n.\\\" exit status 1\n.Dl # run "+
		"\\(dqthis\\(dq\n.Bd -literal\n[login]\nall_users = true\n.Ed\n.Bd -literal\nany \\&%u\n.Ed\n.Sh SEE ALSO\n")
	if err != nil || len(blocks) != 3 {
		t.Fatalf("%+v, %v", blocks, err)
	}
	for i, want := range []block{
		{language: "console", lines: []string{`# run "this"`}, status: 1},
		{language: "toml", lines: []string{"[login]", "all_users = true"}},
		{language: "text", lines: []string{"any %u"}},
	} {
		if b := blocks[i]; b.language != want.language || b.text() != want.text() || b.status != want.status {
			t.Errorf("got %+v, want %+v", b, want)
		}
	}
}

func TestCommandsAreRunWhereAReaderWouldRunThem(t *testing.T) {
	for _, c := range []struct{ name, document, text, want string }{
		{"a user's prompt is the reader's own machine", "x.md", "```console\n$ ssh alice@web-1\n```\n", ownMachine},
		{"root's prompt is the instance", "x.md", "```console\n# id alice\n```\n", instance},
		{"a script that asks AWS is the reader's own", "x.md", "```sh\nprofile=$(aws iam get-user)\n```\n", ownMachine},
		{"another script is the instance's", "x.md", "```sh\ncat >/etc/x </dev/null\n```\n", instance},
		{"a remark has the last word", "x.md", "<!-- on the publisher -->\n```console\n$ true\n```\n", "the publisher"},
		{"a manual is read on the instance", "x.8", ".Sh EXAMPLES\n.Dl $ getent passwd\n", instance},
	} {
		read := markdown
		if strings.HasSuffix(c.document, ".8") {
			read = manual
		}
		blocks, err := read(c.document, c.text)
		if err != nil || len(blocks) != 1 {
			t.Fatalf("%s: %+v, %v", c.name, blocks, err)
		}
		got := blocks[0].place()
		if steps := blocks[0].steps(); len(steps) > 0 {
			got = steps[0].place(blocks[0])
		}
		if got != c.want {
			t.Errorf("%s: on %q, want %q", c.name, got, c.want)
		}
	}
}
