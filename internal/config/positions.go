package config

import (
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// A position is a place in the file; both numbers count from 1.
type position struct{ line, column int }

// positions remembers where each key and each element of an array stands.
// Paths are joined by NUL, which no TOML key holds unescaped; a key that does
// hold one can at worst be reported at another's line.
type positions map[string]position

func joined(parts ...string) string { return strings.Join(parts, "\x00") }

// of returns the place of the path or of the nearest thing around it.
func (p positions) of(parts ...string) position {
	for n := len(parts); n > 0; n-- {
		if at, ok := p[joined(parts[:n]...)]; ok {
			return at
		}
	}
	return position{1, 1}
}

// findPositions reads a document that is already known to be TOML.
func findPositions(data []byte) positions {
	found := positions{}
	lines := newLines(data)
	var parser unstable.Parser
	parser.Reset(data)
	var table []string
	for parser.NextExpression() {
		node := parser.Expression()
		switch node.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = found.key(lines, nil, node.Key())
		case unstable.KeyValue:
			found.keyValue(lines, table, node)
		}
	}
	return found
}

// key notes each part of a dotted key below prefix and returns the whole.
func (p positions) key(lines lines, prefix []string, parts unstable.Iterator) []string {
	whole := append([]string(nil), prefix...)
	for parts.Next() {
		whole = append(whole, string(parts.Node().Data))
		if _, known := p[joined(whole...)]; !known {
			p[joined(whole...)] = lines.at(parts.Node().Raw)
		}
	}
	return whole
}

func (p positions) keyValue(lines lines, prefix []string, node *unstable.Node) {
	p.value(lines, p.key(lines, prefix, node.Key()), node.Value())
}

func (p positions) value(lines lines, name []string, node *unstable.Node) {
	switch node.Kind {
	case unstable.InlineTable:
		for entries := node.Children(); entries.Next(); {
			p.keyValue(lines, name, entries.Node())
		}
	case unstable.Array:
		elements := node.Children()
		for i := 0; elements.Next(); i++ {
			element := append(append([]string(nil), name...), strconv.Itoa(i))
			if raw := elements.Node().Raw; raw.Length > 0 {
				p[joined(element...)] = lines.at(raw)
			}
		}
	}
}

// lines holds the offset of each line's first byte.
type lines []int

func newLines(data []byte) lines {
	starts := lines{0}
	for i, c := range data {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}

func (l lines) at(r unstable.Range) position {
	low, high := 0, len(l)
	for high-low > 1 {
		if middle := (low + high) / 2; l[middle] <= int(r.Offset) {
			low = middle
		} else {
			high = middle
		}
	}
	return position{low + 1, int(r.Offset) - l[low] + 1}
}
