package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/keys"
)

// maxName is longer than any login name of Linux (LOGIN_NAME_MAX is 256 with its NUL).
const maxName = 255

// principalsMode as the first argument asks for principals in place of keys. No
// login name begins with a hyphen.
const principalsMode = "--principals"

// A question is what sshd asks: sshd_config's %u, and any of %U, %f, %k and %t.
type question struct {
	principals  bool     // sshd's AuthorizedPrincipalsCommand asks
	certified   []string // the principals of the certificate in question; nil where sshd did not say
	name        string
	uid         uint32
	hasUID      bool
	fingerprint string // "SHA256:…" or "MD5:…"
	keyText     string // the offered key in base64
	blob        []byte // the same in wire format
	keyType     string // "ssh-ed25519"
}

// hasKey reports whether sshd said which key the client offers.
func (q question) hasKey() bool { return q.blob != nil || q.fingerprint != "" }

// nothing is what is said of a question that opens nothing.
func (q question) nothing() string {
	if q.principals {
		return "giving no principals"
	}
	return "giving no keys"
}

// asks is the question for the daemon about one login name.
func (q question) asks(name string) control.Question {
	if q.blob != nil {
		return control.Question{Name: name, Key: keys.Key{Blob: q.blob}.SHA256()}
	}
	return control.Question{Name: name, Key: q.fingerprint}
}

// offersKey reports whether k is the key that the client offers, or may be
// where sshd did not say.
func (q question) offersKey(k keys.Key) bool {
	switch {
	case q.blob != nil && string(q.blob) != string(k.Blob):
		return false
	case q.fingerprint != "" && !k.MatchesFingerprint(q.fingerprint):
		return false
	case q.keyType != "" && q.keyType != k.Type:
		return false
	}
	return true
}

// parseArguments reads the login name, which is always the first argument
// whatever it looks like, unless it is principalsMode, and the others in any order: their forms exclude
// each other.
//
//	alice 2001000001 SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU AAAAC3Nza… ssh-ed25519
func parseArguments(args []string) (question, error) {
	var q question
	if len(args) > 0 && args[0] == principalsMode {
		q.principals, args = true, args[1:]
	}
	if len(args) == 0 && q.principals {
		return question{}, errors.New(`no login name given; in sshd_config write "AuthorizedPrincipalsCommand PATH ` +
			`--principals %u %U %k"`)
	}
	if len(args) == 0 {
		return question{}, errors.New(`no login name given; in sshd_config write "AuthorizedKeysCommand PATH %u %U %f %k %t"`)
	}
	q.name = args[0]
	if err := checkName(q.name); err != nil {
		return question{}, fmt.Errorf("%w, %s", err, q.nothing())
	}
	for _, a := range args[1:] {
		if err := q.take(a); err != nil {
			return question{}, fmt.Errorf("user %q: %w, %s", q.name, err, q.nothing())
		}
	}
	if q.principals && q.blob != nil {
		return q.ofCertificate()
	}
	return q, nil
}

// ofCertificate is the question about a certificate: its principals say about
// which the directory is asked, and its key opens nothing by itself.
func (q question) ofCertificate() (question, error) {
	public, err := ssh.ParsePublicKey(q.blob)
	certificate, ok := public.(*ssh.Certificate)
	if err != nil || !ok {
		return question{}, fmt.Errorf("user %q: the argument after the name is not the base64 of a certificate, %s",
			q.name, q.nothing())
	}
	q.certified = append([]string{}, certificate.ValidPrincipals...)
	q.blob, q.keyText, q.keyType, q.fingerprint = nil, "", "", ""
	return q, nil
}

func checkName(name string) error {
	var what string
	switch {
	case name == "":
		what = "it is empty"
	case len(name) > maxName:
		what = fmt.Sprintf("it has %d bytes", len(name))
	case name[0] == '-':
		what = "it looks like an option"
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '/' || r == ':' }):
		what = "it has a character that no served login name has"
	default:
		return nil
	}
	return fmt.Errorf("login name %.40q refused: %s", name, what)
}

func (q *question) take(a string) error {
	var again bool
	switch {
	case keys.IsFingerprint(a):
		again, q.fingerprint = q.fingerprint != "", a
	case strings.HasPrefix(a, "AAAA"):
		blob, err := base64.StdEncoding.DecodeString(a)
		if err != nil {
			return fmt.Errorf("argument %.40q is not the base64 of a key", a)
		}
		again, q.blob, q.keyText = q.blob != nil, blob, a
	case a != "" && strings.Trim(a, "0123456789") == "":
		uid, err := strconv.ParseUint(a, 10, 32)
		if err != nil {
			return fmt.Errorf("argument %.40q is not a uid", a)
		}
		again, q.uid, q.hasUID = q.hasUID, uint32(uid), true
	case isKeyType(a):
		again, q.keyType = q.keyType != "", a
	default:
		return fmt.Errorf("argument %.40q is none of sshd's %%U, %%f, %%k and %%t", a)
	}
	if again {
		return fmt.Errorf("argument %.40q is the second of its kind", a)
	}
	return nil
}

// isKeyType reports whether a has the form of an SSH algorithm name, RFC 4251
// section 6, as OpenSSH writes them: "sk-ssh-ed25519@openssh.com".
func isKeyType(a string) bool {
	if len(a) > 64 || !strings.Contains(a, "-") || a[0] < 'a' || a[0] > 'z' {
		return false
	}
	return !strings.ContainsFunc(a, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '@'
	})
}
