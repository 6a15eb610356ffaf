package documents

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// A block is a piece of a document that a reader would type or copy.
type block struct {
	document string
	line     int // of its first line
	language string
	lines    []string
	// What a comment before the block says of it; in Markdown <!-- … -->, in
	// mdoc .\" …
	notRun string // "not run: REASON"
	status int    // "exit status N": of its last command
	where  string // "on the publisher"; "": as place says
	outage bool   // "while IAM is down"
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.document, b.line) }
func (b block) text() string   { return strings.Join(b.lines, "\n") + "\n" }

// Languages of blocks that are run or checked; the others are named here too,
// so that a misspelled one is found.
var languages = map[string]bool{
	"sh": true, "console": true, "toml": true, "yaml": true, "json": true,
	"text": false, "ini": false, "": false,
}

var (
	fence    = regexp.MustCompile("^( *)```([a-z]*)$")
	comment  = regexp.MustCompile(`^ *<!-- (.*) -->$`)
	exits    = regexp.MustCompile(`^exit status ([0-9]+)$`)
	roff     = regexp.MustCompile(`^\.\\" (.*)$`)
	commands = regexp.MustCompile(`^[#$] `)
)

// markdown returns the fenced blocks of a document.
func markdown(document, text string) (blocks []block, err error) {
	var open *block
	var indent, before string
	for i, line := range strings.Split(text, "\n") {
		match := fence.FindStringSubmatch(line)
		switch {
		case open == nil && match != nil:
			indent = match[1]
			open = &block{document: document, line: i + 2, language: match[2]}
			if m := comment.FindStringSubmatch(before); m != nil {
				if err := open.remark(m[1]); err != nil {
					return nil, fmt.Errorf("%s:%d: %w", document, i, err)
				}
			}
		case open == nil && strings.Contains(line, "```"):
			return nil, fmt.Errorf("%s:%d: a fence that this test does not understand: %q", document, i+1, line)
		case open == nil:
		case match != nil:
			blocks = append(blocks, *open)
			open = nil
		default:
			open.lines = append(open.lines, strings.TrimPrefix(line, indent))
		}
		before = line
	}
	if open != nil {
		return nil, fmt.Errorf("%v: the fence is not closed", *open)
	}
	return blocks, nil
}

// remark takes up what a comment before a block says.
func (b *block) remark(said string) error {
	for _, part := range strings.Split(said, "; ") {
		reason, notRun := strings.CutPrefix(part, "not run: ")
		place, elsewhere := strings.CutPrefix(part, "on ")
		code := exits.FindStringSubmatch(part)
		switch {
		case notRun && reason != "":
			b.notRun = reason
		case elsewhere && (place == instance || others[place] != ""):
			b.where = place
		case part == "while IAM is down":
			b.outage = true
		case code != nil:
			b.status, _ = strconv.Atoi(code[1]) // digits, says the expression
		default:
			return fmt.Errorf("a remark that this test does not understand: %q", part)
		}
	}
	return nil
}

var escapes = strings.NewReplacer(`\&`, "", `\-`, "-", `\e`, `\`, `\(dq`, `"`, `\(aq`, "'")

// manual returns the literal lines of a man page's EXAMPLES.
func manual(document, text string) (blocks []block, err error) {
	examples, literal := false, false
	before := ""
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, ".Sh "):
			examples = line == ".Sh EXAMPLES"
		case !examples:
		case strings.HasPrefix(line, ".Bd -literal"):
			literal = true
			blocks = append(blocks, block{document: document, line: i + 2})
			err = blocks[len(blocks)-1].remarkOf(before)
		case line == ".Ed":
			literal = false
		case literal:
			b := &blocks[len(blocks)-1]
			b.lines = append(b.lines, escapes.Replace(line))
		case strings.HasPrefix(line, ".Dl "):
			blocks = append(blocks, block{document: document, line: i + 1,
				lines: []string{escapes.Replace(strings.TrimPrefix(line, ".Dl "))}})
			err = blocks[len(blocks)-1].remarkOf(before)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", document, i, err)
		}
		before = line
	}
	for i := range blocks {
		switch b := &blocks[i]; {
		case commands.MatchString(b.lines[0]):
			b.language = "console"
		case strings.HasPrefix(b.lines[0], "["):
			b.language = "toml"
		default:
			b.language = "text"
		}
	}
	return blocks, nil
}

func (b *block) remarkOf(line string) error {
	if m := roff.FindStringSubmatch(line); m != nil {
		return b.remark(m[1])
	}
	return nil
}

// documents are all documents in the order in which they are run: README
// begins with a host on which nothing is installed, and leaves one on which all is.
func readAll() (map[string]string, []string, error) {
	names := []string{"README.md"}
	for _, pattern := range []string{"docs/*.md", "docs/man/*"} {
		found, err := filepath.Glob(filepath.Join(testbed.Root(), pattern))
		if err != nil {
			return nil, nil, err
		}
		for _, name := range found {
			relative, err := filepath.Rel(testbed.Root(), name)
			if err != nil {
				return nil, nil, err
			}
			names = append(names, relative)
		}
	}
	texts := make(map[string]string)
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(testbed.Root(), name))
		if err != nil {
			return nil, nil, err
		}
		texts[name] = string(text)
	}
	return texts, names, nil
}

func allBlocks() (blocks []block, err error) {
	texts, names, err := readAll()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		read := manual
		if strings.HasSuffix(name, ".md") {
			read = markdown
		}
		found, err := read(name, texts[name])
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, found...)
	}
	return blocks, nil
}

// A step is a command of a console block with the output that is shown.
type step struct {
	line    int
	prompt  string // "$" or "#"
	command string
	output  []string
}

// steps takes a console block apart.
func (b block) steps() (all []step) {
	for i, line := range b.lines {
		switch last := len(all) - 1; {
		case commands.MatchString(line):
			all = append(all, step{line: b.line + i, prompt: line[:1], command: line[2:]})
		case last < 0:
			return nil
		case len(all[last].output) == 0 && strings.HasSuffix(all[last].command, `\`):
			all[last].command += "\n" + line
		case line != "":
			all[last].output = append(all[last].output, line)
		}
	}
	return all
}

// shows reports whether got has the shown lines, in their order; "…" and
// "..." stand for anything, and runs of spaces are equal.
func shows(got string, shown []string) (missing string, ok bool) {
	lines := strings.Split(got, "\n")
next:
	for _, want := range shown {
		expression := regexp.QuoteMeta(strings.Join(strings.Fields(want), " "))
		expression = strings.NewReplacer("…", ".*", `\.\.\.`, ".*").Replace(expression)
		compiled := regexp.MustCompile("^" + expression + "$")
		for i, line := range lines {
			if compiled.MatchString(strings.Join(strings.Fields(line), " ")) {
				lines = lines[i+1:]
				continue next
			}
		}
		return want, false
	}
	return "", true
}

var readersOwn = regexp.MustCompile(`(?m)^(?:[a-z0-9]+=\$\()?(?:aws|ssh-keygen) `)

// place is where a reader runs a script: what asks AWS or makes keys is the reader's own.
func (b block) place() string {
	switch {
	case b.where != "":
		return b.where
	case readersOwn.MatchString(b.text()):
		return ownMachine
	}
	return instance
}

// place is where a reader types a command. A manual is read on the instance.
func (s step) place(b block) string {
	switch {
	case b.where != "":
		return b.where
	case s.prompt == "$" && strings.HasSuffix(b.document, ".md"):
		return ownMachine
	}
	return instance
}
