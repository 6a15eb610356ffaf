package snapshot

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// A PublicKey is a key that may sign snapshots. Its text is OpenSSH's, one
// line "ssh-ed25519 AAAA… comment" as in a .pub file, in source.trusted_keys
// and wherever else it is written.
type PublicKey struct {
	key     ed25519.PublicKey
	comment string
}

// ParsePublicKey reads the line of a .pub file. Only Ed25519 keys are taken,
// without options in front.
func ParsePublicKey(line string) (PublicKey, error) {
	parsed, comment, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil || len(options) > 0 || strings.TrimSpace(string(rest)) != "" ||
		strings.HasPrefix(strings.TrimSpace(line), "#"):
		return PublicKey{}, fmt.Errorf("public key %.100q is not one line \"ssh-ed25519 AAAA… comment\", as in a .pub file",
			line)
	case parsed.Type() != ssh.KeyAlgoED25519:
		return PublicKey{}, fmt.Errorf("public key %.100q is of type %.50q; snapshots are signed with ssh-ed25519", line,
			parsed.Type())
	}
	key, ok := parsed.(ssh.CryptoPublicKey).CryptoPublicKey().(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PublicKeySize {
		return PublicKey{}, fmt.Errorf("public key %.100q is not an Ed25519 key", line)
	}
	return PublicKey{key, comment}, nil
}

// ParsePublicKeys reads the lines of source.trusted_keys. There must be one at
// least; a key that stands there twice counts once.
func ParsePublicKeys(lines []string) ([]PublicKey, error) {
	var keys []PublicKey
	var faults []error
	held := map[string]bool{}
	for _, line := range lines {
		key, err := ParsePublicKey(line)
		switch {
		case err != nil:
			faults = append(faults, err)
		case !held[key.Fingerprint()]:
			held[key.Fingerprint()] = true
			keys = append(keys, key)
		}
	}
	if len(faults) == 0 && len(keys) == 0 {
		faults = append(faults, errors.New("no trusted key is given"))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return keys, nil
}

// String returns the line of the .pub file.
func (k PublicKey) String() string {
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(k.ssh())), "\n")
	if k.comment != "" {
		line += " " + k.comment
	}
	return line
}

// Fingerprint returns what ssh-keygen -l prints, SHA256:….
func (k PublicKey) Fingerprint() string { return ssh.FingerprintSHA256(k.ssh()) }

func (k PublicKey) ssh() ssh.PublicKey {
	key, err := ssh.NewPublicKey(k.key)
	if err != nil {
		panic(err) // not for a key of ParsePublicKey or Signer.Public
	}
	return key
}

// KeyID returns the fingerprint; with Public and Verify it makes a PublicKey a
// verifier of DSSE envelopes.
func (k PublicKey) KeyID() (string, error) { return k.Fingerprint(), nil }

// Public returns the key itself.
func (k PublicKey) Public() crypto.PublicKey { return k.key }

// Verify reports whether signature is the key's over data.
func (k PublicKey) Verify(_ context.Context, data, signature []byte) error {
	if len(k.key) != ed25519.PublicKeySize || !ed25519.Verify(k.key, data, signature) {
		return errors.New("signature does not fit")
	}
	return nil
}

// A Signer holds a private key and signs snapshots.
type Signer struct{ key ed25519.PrivateKey }

// PublicKey returns the half to trust, with the given comment.
func (s *Signer) PublicKey(comment string) PublicKey {
	return PublicKey{s.key.Public().(ed25519.PublicKey), comment}
}

// KeyID returns the fingerprint; with Sign it makes a signer of DSSE envelopes.
func (s *Signer) KeyID() (string, error) { return s.PublicKey("").Fingerprint(), nil }

// Sign returns the Ed25519 signature over data.
func (s *Signer) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(s.key, data), nil
}

// String keeps the private key out of logs.
func (s *Signer) String() string { return "signer " + s.PublicKey("").Fingerprint() }

// GoString does the same for %#v.
func (s *Signer) GoString() string { return s.String() }

// ParsePrivateKey reads an unencrypted Ed25519 private key in PEM: OpenSSH's
// form, as ssh-keygen writes it, or PKCS #8. Errors do not hold any of text.
func ParsePrivateKey(text []byte) (*Signer, error) {
	parsed, err := ssh.ParseRawPrivateKey(text)
	var encrypted *ssh.PassphraseMissingError
	if errors.As(err, &encrypted) {
		return nil, errors.New("private key is encrypted; remove its passphrase (ssh-keygen -p), nobody is there to type it")
	}
	switch key := parsed.(type) {
	case *ed25519.PrivateKey:
		return newSigner(*key)
	case ed25519.PrivateKey:
		return newSigner(key)
	case nil:
		return nil, errors.New("no private key in PEM found; make one with iam-cachefill publish --new-key FILE")
	}
	return nil, errors.New("private key is not Ed25519; make one with iam-cachefill publish --new-key FILE")
}

func newSigner(key ed25519.PrivateKey) (*Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("private key has a wrong length")
	}
	return &Signer{key}, nil
}

// ReadPrivateKey reads a private key file as ParsePrivateKey does, and refuses
// one that anybody but its owner may read or write, or that is somebody's but
// root's and ours.
func ReadPrivateKey(path string) (*Signer, error) {
	signer, err := readPrivateKey(path)
	if err != nil {
		return nil, fmt.Errorf("read signing key %q: %w", path, err)
	}
	return signer, nil
}

const maxPrivateKey = 16 << 10 // bytes; an Ed25519 key has 400

func readPrivateKey(path string) (*Signer, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, cause(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, cause(err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("its mode is %#o, others may use it; chmod 600 it, and replace the key if others had it",
			info.Mode().Perm())
	case stat.Uid != 0 && int(stat.Uid) != os.Geteuid():
		return nil, fmt.Errorf("it belongs to uid %d; chown it to root or to this process's user", stat.Uid)
	case info.Size() > maxPrivateKey:
		return nil, fmt.Errorf("%d bytes are no Ed25519 key", info.Size())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxPrivateKey))
	if err != nil {
		return nil, cause(err)
	}
	return ParsePrivateKey(text)
}

// NewKey makes a key pair and returns the private half as the text of a file.
func NewKey(comment string) (*Signer, []byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return nil, nil, err
	}
	signer, err := newSigner(key)
	return signer, pem.EncodeToMemory(block), err
}

// WriteNewKey makes a key pair and writes path (0600) and path.pub (0644),
// neither of which may exist. It returns the public half.
func WriteNewKey(path, comment string) (PublicKey, error) {
	signer, text, err := NewKey(comment)
	if err != nil {
		return PublicKey{}, err
	}
	public := signer.PublicKey(comment)
	if err := writeNew(path+".pub", []byte(public.String()+"\n"), 0o644); err != nil {
		return PublicKey{}, fmt.Errorf("write public key %q: %w", path+".pub", err)
	}
	if err := writeNew(path, text, 0o600); err != nil {
		return PublicKey{}, errors.Join(fmt.Errorf("write signing key %q: %w", path, err), os.Remove(path+".pub"))
	}
	return public, nil
}

func writeNew(path string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return cause(err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// cause takes the file's name off an error of package os, where the caller
// says it anyway.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
