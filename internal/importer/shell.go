package importer

import "strings"

// The old configuration is shell: the old tool sourced it. This file reads the
// part of shell that assigns constants, as bash would, and names what it does
// not read. It runs nothing.

// A command is one simple command of the file.
type command struct {
	line  int // where it begins
	words []word
	// expanded are the names inside of "${…}" that are more than a name: such
	// an expansion can also assign.
	expanded []string
	// odd says why the command is not read, or is "".
	odd string
	// lost reports that not even the end of the command was found, so that
	// nothing after it can be told from its inside.
	lost bool
}

// A word is what the shell would pass on: text between blanks, quotes removed.
type word struct {
	text string
	// plain is how much of the beginning of text was written without quotes
	// or escapes. A name and its "=" must be.
	plain int
	// cr reports that text is followed by the carriage return of a line that
	// ends as DOS ends it.
	cr bool
}

// A lexer cuts text into commands.
type lexer struct {
	text string
	at   int
	line int
	// lookup gives the value of a variable that the file has assigned.
	lookup func(name string) (string, bool)
	cmd    command
}

const blanks = " \t"

// next returns the next command, or false at the end of the text.
func (l *lexer) next() (command, bool) {
	l.cmd = command{}
	for l.at < len(l.text) {
		switch c := l.text[l.at]; {
		case strings.IndexByte(blanks, c) >= 0 || l.skipsContinuation():
			l.at += l.width()
		case l.atLineEnd(): // an empty line, or the end of the command
			l.at = strings.IndexByte(l.text[l.at:]+"\n", '\n') + l.at + 1
			l.line++
			if l.cmd.line != 0 {
				return l.cmd, true
			}
		case c == '#':
			l.at += strings.IndexByte(l.text[l.at:]+"\n", '\n')
		case c == ';':
			l.at++
			if l.cmd.line != 0 {
				return l.cmd, true
			}
		default:
			if l.cmd.line == 0 {
				l.cmd.line = l.line
			}
			l.word()
			if l.cmd.lost {
				l.at = len(l.text)
				return l.cmd, true
			}
		}
	}
	return l.cmd, l.cmd.line != 0
}

// atLineEnd reports whether the line ends here, as Unix or as DOS ends it.
func (l *lexer) atLineEnd() bool {
	rest := l.text[l.at:]
	return rest == "" || rest[0] == '\n' || rest == "\r" || strings.HasPrefix(rest, "\r\n")
}

// skipsContinuation reports a backslash at the end of a line, and counts the line.
func (l *lexer) skipsContinuation() bool {
	if l.width() < 2 {
		return false
	}
	l.line++
	return true
}

// width is the length of a continuation here, or 1.
func (l *lexer) width() int {
	switch rest := l.text[l.at:]; {
	case strings.HasPrefix(rest, "\\\n"):
		return 2
	case strings.HasPrefix(rest, "\\\r\n"):
		return 3
	}
	return 1
}

// word reads one word into l.cmd.
func (l *lexer) word() {
	var w word
	var text strings.Builder
	plain := true
	for l.at < len(l.text) && !l.cmd.lost {
		c := l.text[l.at]
		switch {
		case l.atLineEnd():
			w.cr = c == '\r'
			l.endWord(w, text.String(), plain)
			return
		case strings.IndexByte(blanks, c) >= 0 || c == ';':
			l.endWord(w, text.String(), plain)
			return
		case l.skipsContinuation():
			l.at += l.width()
			continue
		case strings.IndexByte("'\"\\$`", c) >= 0:
			if plain {
				w.plain, plain = text.Len(), false
			}
			l.special(&text)
			continue
		case strings.IndexByte("&|<>(){}", c) >= 0:
			l.refuse("it is more than an assignment")
			if end := closing[c]; end != 0 {
				l.at++
				l.skipTo(end)
				continue
			}
		}
		_ = text.WriteByte(c)
		l.at++
	}
	l.endWord(w, text.String(), plain)
}

func (l *lexer) endWord(w word, text string, plain bool) {
	w.text = text
	if plain {
		w.plain = len(text)
	}
	l.cmd.words = append(l.cmd.words, w)
}

var closing = map[byte]byte{'(': ')', '{': '}'}

// special reads a quoted part, an escape or a substitution.
func (l *lexer) special(text *strings.Builder) {
	c := l.text[l.at]
	l.at++
	switch c {
	case '\'':
		end := strings.IndexByte(l.text[l.at:], '\'')
		if end < 0 {
			l.lose("a quote is not closed")
			return
		}
		_, _ = text.WriteString(l.text[l.at : l.at+end])
		l.line += strings.Count(l.text[l.at:l.at+end], "\n")
		l.at += end + 1
	case '"':
		l.doubleQuoted(text)
	case '\\':
		if l.at < len(l.text) {
			_ = text.WriteByte(l.text[l.at])
			l.at++
		}
	default:
		l.substitution(c, text)
	}
}

func (l *lexer) doubleQuoted(text *strings.Builder) {
	for l.at < len(l.text) && !l.cmd.lost {
		c := l.text[l.at]
		switch {
		case c == '"':
			l.at++
			return
		case l.width() > 1:
			l.line++
			l.at += l.width()
			continue
		case c == '$' || c == '`':
			l.at++
			l.substitution(c, text)
			continue
		case c == '\\' && l.at+1 < len(l.text) && strings.IndexByte("$`\"\\", l.text[l.at+1]) >= 0:
			l.at++
			c = l.text[l.at]
		case c == '\n':
			l.line++
		}
		_ = text.WriteByte(c)
		l.at++
	}
	l.lose("a quote is not closed")
}

// substitution reads what follows a "$" or a "`". A variable that the file has
// assigned has its value; everything else makes the command odd.
func (l *lexer) substitution(c byte, text *strings.Builder) {
	rest := l.text[l.at:]
	braced := c == '$' && strings.HasPrefix(rest, "{")
	name := identifier(strings.TrimPrefix(rest, "{"))
	switch {
	case c == '`':
		l.refuse("it runs a command")
		l.skipTo('`')
	case strings.HasPrefix(rest, "("):
		l.refuse("it runs a command")
		l.at++
		l.skipTo(')')
	case braced && !strings.HasPrefix(rest[1+len(name):], "}"):
		l.refuse("it expands a variable")
		l.cmd.expanded = append(l.cmd.expanded, name)
		l.at++
		l.skipTo('}')
	case strings.HasPrefix(rest, "'"):
		l.lose("it has a quote with escapes")
	case name == "":
		l.refuse("it expands a variable")
	default:
		l.at += len(name)
		if braced {
			l.at += 2
		}
		value, ok := l.lookup(name)
		if !ok {
			l.refuse("it expands $" + name + ", which has no value here")
		}
		_, _ = text.WriteString(value)
	}
}

// skipTo passes over what is inside of a substitution. Its end must be on the
// same line, without any quote before it: otherwise nobody can say where it is.
func (l *lexer) skipTo(end byte) {
	line, _, _ := strings.Cut(l.text[l.at:], "\n")
	i := strings.IndexByte(line, end)
	if i < 0 || strings.ContainsAny(line[:i], "'\"\\`$({") {
		l.lose("")
		return
	}
	l.at += i + 1
}

func (l *lexer) refuse(why string) {
	if l.cmd.odd == "" {
		l.cmd.odd = why
	}
}

func (l *lexer) lose(why string) {
	l.refuse(why)
	l.cmd.lost = true
}

// identifier is the name of a variable at the beginning of text, or "".
func identifier(text string) string {
	n := 0
	for n < len(text) {
		c := text[n]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (n == 0 || c < '0' || c > '9') {
			break
		}
		n++
	}
	return text[:n]
}
