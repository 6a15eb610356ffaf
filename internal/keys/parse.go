package keys

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

const blanks = " \t\r\n"

// Parse reads a key body as the directory returns it: one line "type base64 [comment]",
// or a PEM public key (PKIX or PKCS #1). Exactly one key may be in it, without
// options; the comment is dropped. Type and Blob of the result are set.
func Parse(body string) (Key, error) {
	if len(body) > MaxBody {
		return Key{}, fmt.Errorf("%w: %d bytes of at most %d", ErrTooLong, len(body), MaxBody)
	}
	body = strings.Trim(body, blanks)
	switch {
	case body == "":
		return Key{}, ErrEmpty
	case strings.HasPrefix(body, "-----BEGIN "):
		return parsePEM(body)
	case strings.ContainsAny(body, "\r\n"):
		return Key{}, ErrLines
	}
	return parseLine(body)
}

// parseLine reads "ssh-ed25519 AAAAC3Nza… somebody@somewhere".
func parseLine(line string) (Key, error) {
	typ, rest := cutField(line)
	if !slices.Contains(Types(), typ) {
		return Key{}, whyNoType(strings.FieldsFunc(line, isBlank))
	}
	text, _ := cutField(rest)
	if text == "" {
		return Key{}, fmt.Errorf("%w: nothing follows %q", ErrBase64, typ)
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrBase64, err)
	}
	k, err := fromBlob(blob)
	if err != nil {
		return Key{}, err
	}
	if k.Type != typ {
		return Key{}, fmt.Errorf("%w: %q before a key of type %q", ErrMismatch, typ, k.Type)
	}
	return k, nil
}

func isBlank(r rune) bool { return r == ' ' || r == '\t' }

// cutField returns the text up to the first blank, and what follows the blanks
// there.
func cutField(line string) (field, rest string) {
	if end := strings.IndexAny(line, " \t"); end >= 0 {
		return line[:end], strings.TrimLeft(line[end:], " \t")
	}
	return line, ""
}

// whyNoType tells why a line does not begin with a key type.
func whyNoType(fields []string) error {
	for i, f := range fields {
		switch {
		case isCertificateType(f):
			return ErrCertificate
		case i > 0 && slices.Contains(Types(), f):
			return ErrOptions
		}
	}
	if len(fields) < 2 {
		return ErrFormat
	}
	return fmt.Errorf("%w: %.40q", ErrType, fields[0])
}

func isCertificateType(typ string) bool {
	return strings.HasSuffix(typ, "-cert-v01@openssh.com") || strings.HasSuffix(typ, "-cert-v00@openssh.com")
}

func parsePEM(body string) (Key, error) {
	block, rest := pem.Decode([]byte(body))
	if block == nil || !strings.HasPrefix(body, "-----BEGIN "+block.Type+"-----") {
		return Key{}, fmt.Errorf("%w: the PEM is damaged", ErrFormat)
	}
	if len(strings.Trim(string(rest), blanks)) > 0 || len(block.Headers) > 0 {
		return Key{}, ErrLines
	}
	var public any
	var err error
	switch {
	case block.Type == "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case block.Type == "CERTIFICATE":
		return Key{}, ErrCertificate
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return Key{}, ErrPrivate
	default:
		return Key{}, fmt.Errorf("%w: PEM of type %.40q", ErrFormat, block.Type)
	}
	if err != nil {
		return Key{}, fmt.Errorf("%w: the PEM holds no public key", ErrFormat)
	}
	pub, err := ssh.NewPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrType, err)
	}
	return fromBlob(pub.Marshal())
}

func fromBlob(blob []byte) (Key, error) {
	if len(blob) > MaxBlob {
		return Key{}, fmt.Errorf("%w: %d bytes", ErrBlob, len(blob))
	}
	typ, err := blobType(blob)
	if err != nil {
		return Key{}, err
	}
	if isCertificateType(typ) {
		return Key{}, ErrCertificate
	}
	if !slices.Contains(Types(), typ) {
		return Key{}, fmt.Errorf("%w: %.40q", ErrType, typ)
	}
	if err := checkBlob(blob); err != nil {
		return Key{}, err
	}
	return Key{Type: typ, Blob: blob}, nil
}
