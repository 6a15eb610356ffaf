package keys

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// Whatever is accepted is rewritten to exactly one line, in which both parsers
// see the same key, no option that is not ours and our comment.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		line(edBlob(1)) + " x", pkix(rsaBlob(2048)), pkcs1(rsaBlob(2048)), line(skBlob()), `command="x" ` + line(edBlob(1)),
		line(ecBlob(elliptic.P256())), certificate(edBlob(1)), line(edBlob(1)) + "\n" + line(edBlob(2)), "ssh-rsa AAAA", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		k, err := Parse(body)
		if err != nil {
			if !reflect.DeepEqual(k, Key{}) {
				t.Fatalf("error %v with a key %+v", err, k)
			}
			return
		}
		k.ID, k.Expires = "APKAEXAMPLE", now
		text, err := k.Line(Form{Options: []string{"restrict"}, Expiry: true, Zone: time.UTC, Person: "alice"})
		if err != nil {
			t.Fatalf("accepted but not written: %v", err)
		}
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("not one line of plain characters: %q", text)
		}
		pub, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil {
			t.Fatalf("x/crypto does not read %q: %v", text, err)
		}
		wanted := []string{"restrict", `expiry-time="20260701120000"`, `environment="NSS_IAM_USER=alice"`}
		if !bytes.Equal(pub.Marshal(), k.Blob) || comment != "APKAEXAMPLE alice" || !reflect.DeepEqual(options, wanted) ||
			len(rest) != 0 {
			t.Fatalf("%q is read as %q %q %q", text, options, comment, rest)
		}
		again, err := Parse(k.Type + " " + base64.StdEncoding.EncodeToString(k.Blob))
		if err != nil || !bytes.Equal(again.Blob, k.Blob) || again.Type != k.Type {
			t.Fatalf("the rewritten key is read as %+v, %v", again, err)
		}
	})
}

// A line that passes is one line, and a key for OpenSSH's rules as x/crypto keeps them.
func FuzzForeignLine(f *testing.F) {
	f.Add(`from="x" ` + line(edBlob(1)) + " c")
	f.Add("# x")
	f.Fuzz(func(t *testing.T, in string) {
		out, err := ForeignLine(in)
		if err != nil && out != "" || strings.ContainsAny(out, "\n\r\x00") {
			t.Fatalf("%q, %v", out, err)
		}
		if out == "" {
			return
		}
		if _, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(out)); err != nil || len(rest) != 0 {
			t.Fatalf("%q: %v", out, err)
		}
	})
}
