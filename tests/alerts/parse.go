package alerts

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var tokenForm = regexp.MustCompile(`^\s*("(?:[^"\\]|\\.)*"|[0-9]+(?:\.[0-9]+)?[smhd]?|[a-zA-Z_:][a-zA-Z0-9_:]*|=~|` +
	`!=|!~|==|>=|<=|[-+*/<>(){}\[\],=])`)

// A parser holds what is left of an expression.
type parser struct {
	tokens []string
	err    error
}

func parse(text string) (expr, error) {
	var p parser
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		m := tokenForm.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("unreadable: %q", rest)
		}
		p.tokens = append(p.tokens, m[1])
		rest = rest[len(m[0]):]
	}
	e := p.binary(0)
	if p.err == nil && len(p.tokens) > 0 {
		p.fail("unexpected %q", p.tokens[0])
	}
	return e, p.err
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, args...)
	}
	p.tokens = nil
}

func (p *parser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *parser) next() string {
	t := p.peek()
	if t == "" {
		p.fail("it ends too early")
		return ""
	}
	p.tokens = p.tokens[1:]
	return t
}

func (p *parser) want(token string) {
	if got := p.next(); got != token && p.err == nil {
		p.fail("%q where %q should be", got, token)
	}
}

// levels are the operators, the weakest first.
var levels = [][]string{{"or"}, {"and", "unless"}, {"==", "!=", ">", "<", ">=", "<="}, {"+", "-"}, {"*", "/"}}

func (p *parser) binary(level int) expr {
	if level == len(levels) {
		return p.operand()
	}
	left := p.binary(level + 1)
	for p.err == nil && slices.Contains(levels[level], p.peek()) {
		b := binary{op: p.next(), left: left}
		if p.peek() == "on" {
			p.next()
			b.on = p.names()
		}
		b.right = p.binary(level + 1)
		left = b
	}
	return left
}

func (p *parser) names() []string {
	names := []string{}
	p.want("(")
	for p.err == nil && p.peek() != ")" {
		names = append(names, p.next())
		if p.peek() == "," {
			p.next()
		}
	}
	p.want(")")
	return names
}

func (p *parser) operand() expr {
	switch t := p.next(); {
	case p.err != nil:
		return nil
	case t == "(":
		e := p.binary(0)
		p.want(")")
		return e
	case t[0] >= '0' && t[0] <= '9':
		n, err := strconv.ParseFloat(t, 64)
		if err != nil {
			p.fail("%q is no number", t)
		}
		return number(n)
	case t == "time":
		p.want("(")
		p.want(")")
		return clock{}
	case t == "sum" || t == "max":
		p.want("by")
		a := aggregate{name: t, by: p.names()}
		p.want("(")
		a.of = p.binary(0)
		p.want(")")
		return a
	case t == "rate" || t == "increase" || t == "max_over_time":
		p.want("(")
		s := p.selector(p.next())
		p.want(")")
		if s.span == 0 {
			p.fail("%s of a vector, not of a range", t)
		}
		return call{t, s}
	case p.peek() == "(":
		p.fail("function %q is not known here", t)
		return nil
	default:
		return p.selector(t)
	}
}

func (p *parser) selector(name string) selector {
	s := selector{name: name}
	if !regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`).MatchString(name) {
		p.fail("%q is no name", name)
	}
	if p.peek() == "{" {
		p.next()
		for p.err == nil && p.peek() != "}" {
			label, op, text := p.next(), p.next(), p.next()
			value, err := strconv.Unquote(text)
			if err != nil {
				p.fail("label %q: %q is no string", label, text)
				break
			}
			form, err := regexp.Compile("^(?:" + value + ")$")
			switch {
			case op == "=":
				s.matchers = append(s.matchers, func(l map[string]string) bool { return l[label] == value })
			case op == "!=":
				s.matchers = append(s.matchers, func(l map[string]string) bool { return l[label] != value })
			case op == "=~" && err == nil:
				s.matchers = append(s.matchers, func(l map[string]string) bool { return form.MatchString(l[label]) })
			default:
				p.fail("label %q: %q", label, op)
			}
			if p.peek() == "," {
				p.next()
			}
		}
		p.want("}")
	}
	if p.peek() == "[" {
		p.next()
		span, err := parseDuration(p.next())
		if err != nil {
			p.fail("%v", err)
		}
		s.span = span
		p.want("]")
	}
	return s
}
