package main

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestTheOtherHelpersOutputIsTakenUpToItsBounds(t *testing.T) {
	b := &boundedBuffer{limit: 10}
	for _, c := range []struct {
		text string
		full bool
	}{{"0123", false}, {"456789", false}, {"", false}, {"x", true}} {
		n, err := b.Write([]byte(c.text))
		if c.full && (n != 0 || !errors.Is(err, errFull)) || !c.full && (n != len(c.text) || err != nil) || b.full != c.full {
			t.Errorf("after %q: took %d, %v, full %v; want full %v", c.text, n, err, b.full, c.full)
		}
	}
	if string(b.text) != "0123456789" {
		t.Errorf("it holds %q", b.text)
	}
	line := func(i int) string {
		k := key("x", fmt.Sprint("w", i))
		text, err := k.Line(offer{}.form)
		if err != nil {
			t.Fatal(err)
		}
		return text + "\n"
	}
	var output bytes.Buffer
	for i := range chainLines {
		output.WriteString(line(i))
	}
	if lines, err := chainKeys(output.Bytes()); err != nil || len(lines) != chainLines {
		t.Errorf("the most lines: %d, %v", len(lines), err)
	}
	output.WriteString("# a comment is no key\n\n")
	if lines, err := chainKeys(output.Bytes()); err != nil || len(lines) != chainLines {
		t.Errorf("the most lines and a comment: %d, %v", len(lines), err)
	}
	output.WriteString(line(chainLines))
	if lines, err := chainKeys(output.Bytes()); err == nil || len(lines) != chainLines ||
		!strings.Contains(err.Error(), "the rest left out") {
		t.Errorf("one line more: %d, %v", len(lines), err)
	}
}

func TestTheOtherHelpersArgumentsAreSshdsOwn(t *testing.T) {
	q := question{name: "alice", uid: 7, hasUID: true, fingerprint: "SHA256:x", keyType: "ssh-rsa"}
	for _, c := range []struct {
		name string
		argv []string
		want []string // nil: refused
	}{
		{"tokens", []string{"/x", "%u", "%U", "%f", "%t"}, []string{"/x", "alice", "7", "SHA256:x", "ssh-rsa"}},
		{"what is no token alone", []string{"/x", "user=%u", "100%%", "%%u", "plain"},
			[]string{"/x", "user=%u", "100%", "%u", "plain"}},
		{"a program named as a token", []string{"/%u"}, []string{"/%u"}},
		{"what sshd did not say", []string{"/x", "%k"}, nil},
		{"a relative path", []string{"x", "%u"}, nil},
		{"no path", []string{"%u"}, nil},
	} {
		if got, err := expand(c.argv, q); !reflect.DeepEqual(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
	q.hasUID = false
	if got, err := expand([]string{"/x", "%U"}, q); err == nil {
		t.Errorf("a uid that sshd did not say: %q", got)
	}
	q.uid, q.hasUID = 0, true
	if got, err := expand([]string{"/x", "%U"}, q); err != nil || got[1] != "0" {
		t.Errorf("uid 0: %q, %v", got, err)
	}
}
