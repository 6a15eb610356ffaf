// Opkssh is a stand-in for the program of that name, which sshd runs as
//
//	opkssh verify USER CERTIFICATE KEYTYPE
//
// and which its documents have run as AuthorizedKeysCommand. It does what these
// say of the host's side: the certificate holds a token in the extension
// openpubkey-pkt, that an OpenID provider of /etc/opk/providers signed; if a line
// of /etc/opk/auth_id lets the token's e-mail address in as USER, it prints the
// key that signed the certificate as an authority, for the certificate's
// principals. Its files are readable by root and a group of their own only.
//
// The token is not openpubkey's: a stand-in signs it, and that one's key lies in
// a file where the real program asks the provider.
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

func main() {
	line, err := verify(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "opkssh:", err)
		os.Exit(1)
	}
	fmt.Println(line)
}

type token struct {
	Issuer  string `json:"iss"`
	Email   string `json:"email"`
	Expires int64  `json:"exp"`
}

func verify(args []string) (string, error) {
	if len(args) != 4 || args[0] != "verify" {
		return "", errors.New("usage: opkssh verify USER CERTIFICATE KEYTYPE")
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(args[3] + " " + args[2]))
	if err != nil {
		return "", err
	}
	certificate, ok := public.(*ssh.Certificate)
	if !ok {
		return "", errors.New("not a certificate")
	}
	who, err := readToken(certificate.Extensions["openpubkey-pkt"])
	if err != nil {
		return "", err
	}
	if err := listed("/etc/opk/auth_id", args[1], who.Email, who.Issuer); err != nil {
		return "", err
	}
	return fmt.Sprintf("cert-authority,principals=%q %s", strings.Join(certificate.ValidPrincipals, ","),
		strings.TrimSpace(string(ssh.MarshalAuthorizedKey(certificate.SignatureKey)))), nil
}

// readToken checks a token: "PAYLOAD.SIGNATURE" in base64.
func readToken(text string) (t token, err error) {
	payload, signature, _ := strings.Cut(text, ".")
	body, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return t, err
	}
	sum, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		return t, err
	}
	key, err := os.ReadFile("/etc/opk/provider-key")
	if err != nil {
		return t, err
	}
	public, err := base64.StdEncoding.DecodeString(string(key))
	if err != nil {
		return t, err
	}
	if len(public) != ed25519.PublicKeySize || !ed25519.Verify(public, body, sum) {
		return t, errors.New("the provider did not sign this token")
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return t, err
	}
	if time.Now().Unix() >= t.Expires {
		return t, errors.New("the token has expired")
	}
	return t, listed("/etc/opk/providers", t.Issuer)
}

// listed reports whether a line of a file begins with these words.
func listed(name string, words ...string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	want := strings.Join(words, " ")
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == want || strings.HasPrefix(line, want+" ") {
			return nil
		}
	}
	return fmt.Errorf("%s has no line %q", name, want)
}
