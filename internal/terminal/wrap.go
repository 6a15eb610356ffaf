package terminal

import (
	"strings"
	"unicode/utf8"
)

// Wrap breaks a text between words into lines of at most first and then rest columns.
// Line ends in the text stay. What is in double quotes is one word, since people copy it:
// commands, names, statements of a policy. A word that is too long has a line of its own
// and is longer than that.
func Wrap(text string, first, rest int) []string {
	var lines []string
	room := first
	for paragraph := range strings.SplitSeq(text, "\n") {
		line := ""
		for _, word := range words(paragraph) {
			switch {
			case line == "":
				line = word
			case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= room:
				line += " " + word
			default:
				lines, line, room = append(lines, line), word, rest
			}
		}
		lines, room = append(lines, line), rest
	}
	return lines
}

// quotedMost is the longest piece in quotes that is kept on one line.
const quotedMost = 60

// words takes a line apart at its spaces, but for those in quotes. Spaces at its begin stay.
func words(line string) []string {
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	var all []string
	rest := line[len(indent):]
	for rest != "" {
		end := wordEnd(rest)
		if rest[:end] != "" {
			all = append(all, rest[:end])
		}
		rest = strings.TrimLeft(rest[end:], " ")
	}
	if len(all) > 0 {
		all[0] = indent + all[0]
	}
	return all
}

// wordEnd is where the first word of text ends.
func wordEnd(text string) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ' ':
			return i
		case '"':
			if n := strings.IndexByte(text[i+1:], '"'); n >= 0 && n <= quotedMost {
				i += n + 1
			}
		}
	}
	return len(text)
}
