// Package terminal writes text for the person who reads it: wrapped to the width of
// the terminal, with color for what needs attention, and plain where a program or a
// file reads. It decides nothing about what is said.
package terminal

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A Screen is where a command prints. Its zero width means that no person reads:
// lines are as long as they are, and nothing is colored.
type Screen struct {
	w     io.Writer
	width int
	color bool
	err   error
}

// On returns the screen of w. Color needs a terminal that can show it, and no NO_COLOR
// in the environment (https://no-color.org).
func On(w io.Writer) *Screen {
	width, ok := widthOf(w)
	if !ok {
		return &Screen{w: w}
	}
	return &Screen{w: w, width: width, color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// Of returns a screen as a terminal of this width would be, for what has no terminal.
func Of(w io.Writer, width int, color bool) *Screen { return &Screen{w: w, width: width, color: color} }

// wrapped is how a writer says which terminal it writes to.
type wrapped interface{ Terminal() io.Writer }

// usual is the width of a terminal that does not say how wide it is, as one on a serial
// line does not.
const usual = 80

// narrowest is the least width that lines are wrapped to: below it a word a line is no help.
const narrowest = 20

func widthOf(w io.Writer) (int, bool) {
	if under, ok := w.(wrapped); ok {
		w = under.Terminal()
	}
	f, ok := w.(*os.File)
	if !ok {
		return 0, false
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	switch {
	case err != nil:
		return 0, false
	case size.Col == 0:
		return usual, true
	}
	return max(int(size.Col), narrowest), true
}

// Is reports whether w is a terminal.
func Is(w io.Writer) bool {
	_, ok := widthOf(w)
	return ok
}

// Width is the number of columns, or 0 where no person reads.
func (s *Screen) Width() int { return s.width }

// Err is the first error of a write.
func (s *Screen) Err() error { return s.err }

func (s *Screen) write(text string) {
	if s.err == nil {
		_, s.err = io.WriteString(s.w, text)
	}
}

// A Tone is how a label looks on a terminal that has colors.
type Tone string

// The tones: SGR parameters of ECMA-48.
const (
	Plain   Tone = ""
	Good    Tone = "32" // green
	Warning Tone = "33" // yellow
	Bad     Tone = "31" // red
	Quiet   Tone = "2"  // faint
)

// Line writes a label and a text beside it. Further lines of the text begin below its
// first one. Neither has control characters of its own: the caller quotes foreign text.
func (s *Screen) Line(label string, tone Tone, text string) {
	label, lines := s.fit(label, text)
	if s.color && tone != Plain {
		label = "\x1b[" + string(tone) + "m" + label + "\x1b[0m"
	}
	s.write(strings.TrimRight(label+strings.Join(lines, "\n"), " ") + "\n")
}

// least is the indent of text that has no room beside its label.
const least = 4

// fit returns a label and the lines beside it, with what comes before all but the first.
// Where there is no room beside the label, the text begins on the next line.
func (s *Screen) fit(label, text string) (string, []string) {
	if s.width == 0 {
		return label, []string{text}
	}
	if s.width-utf8.RuneCountInString(label) < narrowest {
		if short := strings.TrimLeft(label, " "); len(label)-len(short) > least {
			label = strings.Repeat(" ", least) + short
		}
	}
	indent := utf8.RuneCountInString(label)
	if s.width-indent >= narrowest {
		return label, indented(Wrap(text, s.width-indent, s.width-indent), indent)
	}
	return strings.TrimRight(label, " "), indented(append([]string{""}, Wrap(text, s.width-least, s.width-least)...),
		least)
}

// indented puts spaces before all lines but the first.
func indented(lines []string, indent int) []string {
	for i := range lines[1:] {
		lines[i+1] = strings.Repeat(" ", indent) + lines[i+1]
	}
	return lines
}

// Text writes a text of its own, wrapped.
func (s *Screen) Text(text string) { s.Line("", Plain, text) }

// Table writes rows below each other, columns aligned. The last column is wrapped; where
// there is no room for it, a whole row is.
func (s *Screen) Table(rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row[:max(len(row)-1, 0)] {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	total := 2 * len(widths)
	for _, w := range widths {
		total += w
	}
	aligned := s.width == 0 || s.width-total >= narrowest
	for _, row := range rows {
		var label strings.Builder
		for i, cell := range row[:max(len(row)-1, 0)] {
			label.WriteString(cell)
			if aligned {
				label.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
			}
			label.WriteString("  ")
		}
		last := ""
		if len(row) > 0 {
			last = row[len(row)-1]
		}
		if aligned {
			s.Line(label.String(), Plain, last)
			continue
		}
		s.write(strings.Join(Wrap(label.String()+last, s.width, s.width-2), "\n  ") + "\n")
	}
}
