// Package keys owns what an SSH public key is here: it reads key bodies that
// anybody may have put into the directory, decides by policy which of them open a login,
// and writes authorized_keys lines from the parsed key. It does no I/O,
// reads no clock and passes nothing through: a line holds only bytes that this
// package wrote.
package keys

import (
	"bytes"
	"crypto/md5" // sshd's FingerprintHash may be md5
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Key is a public key that the policy lets in.
type Key struct {
	ID       string    // the directory's key id (APKA…), or "tag:" and the name of the tag
	Type     string    // the key's type, the first string in Blob: "ssh-rsa", "ssh-ed25519" …
	Blob     []byte    // the key in SSH wire format, RFC 4253 section 6.6
	Uploaded time.Time // zero for a key from a tag without the word added=: IAM keeps no date of tags
	Expires  time.Time // from this moment the key opens nothing; zero: no end
}

// Why a key is refused. Errors of this package wrap one of these.
var (
	// ErrEmpty is returned for a body of blanks only.
	ErrEmpty = errors.New("the body is empty")
	// ErrTooLong is returned for a body longer than MaxBody, before it is looked at.
	ErrTooLong = errors.New("the body is longer than IAM allows")
	// ErrLines is returned where anything stands behind the first key.
	ErrLines = errors.New("the body has more than one line; it must be exactly one key")
	// ErrOptions is returned for a body with authorized_keys options before the key.
	ErrOptions = errors.New("options stand before the key; upload the bare key")
	// ErrCertificate is returned for OpenSSH and X.509 certificates.
	ErrCertificate = errors.New("a certificate is not a key; upload the bare key")
	// ErrPrivate is returned for a private key.
	ErrPrivate = errors.New("this is a private key; delete it, it is no longer secret")
	// ErrFormat is returned for a body that is in none of the forms that the directory takes.
	ErrFormat = errors.New("the body is neither an SSH public key line nor a PEM public key")
	// ErrBase64 is returned where the second field is not the base64 of a key.
	ErrBase64 = errors.New("the key's base64 is wrong")
	// ErrMismatch is returned where the line names another type than the key has.
	ErrMismatch = errors.New("the line names another key type than the key has")
	// ErrBlob is returned for wire bytes that are not a key, or not in the one form a key has.
	ErrBlob = errors.New("the key's bytes are wrong")
	// ErrType is returned for a type that no policy knows, or that this policy does not allow.
	ErrType = errors.New("keys of this type are not allowed")
	// ErrRSABits is returned for an RSA key shorter than Policy.MinRSABits.
	ErrRSABits = errors.New("the RSA key is too short")
	// ErrInactive is returned for a key that is not Active in the directory.
	ErrInactive = errors.New("the key is not active in the directory")
	// ErrExpired is returned for a key older than Policy.MaxAge, or whose account has ended.
	ErrExpired = errors.New("the key has expired")
	// ErrUndated is returned for a key without upload date where Policy.MaxAge is set.
	ErrUndated = errors.New("the key has no upload date, which keys.max_age needs")
	// ErrAdded is returned for a key in a tag whose word added= is no day, or a day to come.
	ErrAdded = errors.New("the word added= in the tag is not a day that has been; write it as added=2026-11-25")
	// ErrDuplicate is returned for a key that the user has under another id as well.
	ErrDuplicate = errors.New("the same key is there under another id")
	// ErrID is returned for a key id that the directory does not make.
	ErrID = errors.New("the key id is not one that the directory makes")
	// ErrTooMany is returned for keys beyond MaxKeys.
	ErrTooMany = errors.New("the user has more keys than can be served")
)

// Bounds.
const (
	MaxBody = 16384     // bytes of a body: IAM's own limit for an upload (API_UploadSSHPublicKey)
	MaxBlob = 8192      // bytes of a key: an RSA key of 16384 bits, OpenSSH's largest, has 2071
	MaxKeys = 64        // keys of one user: IAM's five, and its fifty tags
	MaxID   = 128 + 127 // bytes of a key id: "tag:" and an IAM tag name, or an IAM key id
)

// Types are the key types that can be allowed, in the order of authorized_keys(5).
func Types() []string {
	return []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519,
		ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKECDSA256,
		ssh.KeyAlgoRSA,
	}
}

// SHA256 returns the fingerprint as ssh-keygen -l prints it: "SHA256:" and
// unpadded base64.
func (k Key) SHA256() string {
	sum := sha256.Sum256(k.Blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// MatchesFingerprint reports whether fp, as sshd's %f writes it under either
// FingerprintHash, is the fingerprint of k.
func (k Key) MatchesFingerprint(fp string) bool {
	if sum, ok := strings.CutPrefix(fp, "MD5:"); ok {
		own := md5.Sum(k.Blob)
		return strings.ReplaceAll(sum, ":", "") == hex.EncodeToString(own[:])
	}
	return fp == k.SHA256()
}

// IsFingerprint reports whether fp has the one form that the fingerprint of a
// key has in sshd's %f, under either FingerprintHash.
//
//	SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU
//	MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48
func IsFingerprint(fp string) bool {
	if sum, ok := strings.CutPrefix(fp, "SHA256:"); ok {
		raw, err := base64.RawStdEncoding.Strict().DecodeString(sum)
		return err == nil && len(raw) == sha256.Size && !strings.ContainsAny(sum, "\r\n")
	}
	pairs, ok := strings.CutPrefix(fp, "MD5:")
	if !ok || len(pairs) != 3*md5.Size-1 {
		return false
	}
	for i := range len(pairs) {
		c := pairs[i]
		if i%3 == 2 && c != ':' || i%3 != 2 && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Check reports what is wrong with a key that was stored or sent: an id with
// unsafe characters, or bytes that are not one whole key of the type it names.
// It knows nothing of any policy.
func (k Key) Check() error {
	if err := k.CheckForm(); err != nil {
		return err
	}
	return checkBlob(k.Blob)
}

// CheckForm reports what is wrong with a key's id and with the framing of its
// bytes: a row of strings, RFC 4251 section 5, the first of which is the type.
// It is Check without the arithmetic, for callers with thousands of keys.
func (k Key) CheckForm() error {
	if !safeID(k.ID) {
		return ErrID
	}
	typ, err := blobType(k.Blob)
	if err != nil || len(k.Blob) > MaxBlob {
		return ErrBlob
	}
	if typ != k.Type {
		return ErrMismatch
	}
	for rest := k.Blob; len(rest) > 0; {
		if len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest)) > uint64(len(rest)-4) {
			return ErrBlob
		}
		rest = rest[4+binary.BigEndian.Uint32(rest):]
	}
	return nil
}

// TypeOf returns the type that the wire bytes of a key name.
func TypeOf(blob []byte) (string, error) { return blobType(blob) }

// blobType reads the first string of a key's wire bytes.
func blobType(blob []byte) (string, error) {
	if len(blob) < 4 {
		return "", ErrBlob
	}
	n := binary.BigEndian.Uint32(blob)
	if n == 0 || n > 64 || uint64(n) > uint64(len(blob)-4) {
		return "", ErrBlob
	}
	return string(blob[4 : 4+n]), nil
}

// checkBlob parses wire bytes and refuses all but the one form that this key has.
func checkBlob(blob []byte) error {
	pub, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return ErrBlob
	}
	if _, ok := pub.(*ssh.Certificate); ok {
		return ErrCertificate
	}
	if !bytes.Equal(pub.Marshal(), blob) {
		return ErrBlob
	}
	return nil
}

// safeID reports whether id can stand in a line, in a log and in a terminal.
func safeID(id string) bool {
	if id == "" || len(id) > MaxID {
		return false
	}
	for i := range len(id) {
		if !safeByte(id[i]) {
			return false
		}
	}
	return true
}

func safeByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_.:@+=/-", c) >= 0
}
