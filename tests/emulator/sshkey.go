package emulator

import (
	"crypto/md5"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"strings"

	"golang.org/x/crypto/ssh"
)

// A keyMaker makes the public halves of RSA keys up: an odd modulus of 2048
// bits that nobody can factor, at a thousandth of the cost of a real one.
type keyMaker struct{ random *rand.ChaCha8 }

func newKeyMaker(seed uint64) *keyMaker {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	copy(key[8:], "nss-iam emulator keys")
	return &keyMaker{rand.NewChaCha8(key)}
}

// line is an authorized_keys line whose comment is the owner's name.
func (k *keyMaker) line(owner string) string {
	modulus := make([]byte, 257) // a leading zero keeps the mpint positive
	k.random.Read(modulus[1:])
	modulus[1] |= 0x80
	modulus[256] |= 1
	var blob []byte
	for _, field := range [][]byte{[]byte("ssh-rsa"), {1, 0, 1}, modulus} {
		blob = binary.BigEndian.AppendUint32(blob, uint32(len(field)))
		blob = append(blob, field...)
	}
	return "ssh-rsa " + base64.StdEncoding.EncodeToString(blob) + " " + owner
}

// RSALine is an authorized_keys line with a made-up RSA key that differs for
// every seed.
func RSALine(seed uint64, owner string) string { return newKeyMaker(seed).line(owner) }

// parseUpload reads a body as UploadSSHPublicKey takes it: one ssh-rsa line or
// a PEM block, RSA of at least 2048 bits.
func parseUpload(body string) (ssh.PublicKey, error) {
	if strings.HasPrefix(strings.TrimSpace(body), "-----BEGIN") {
		block, rest := pem.Decode([]byte(strings.TrimSpace(body)))
		if block == nil || len(rest) > 0 {
			return nil, failure("UnrecognizedPublicKeyEncoding", "The public key encoding is not recognized.")
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, failure("InvalidPublicKey", "The public key is not valid.")
		}
		public, ok := parsed.(*rsa.PublicKey)
		if !ok || public.N.BitLen() < 2048 {
			return nil, failure("InvalidPublicKey", "The public key must be RSA of at least 2048 bits.")
		}
		key, err := ssh.NewPublicKey(public)
		if err != nil {
			return nil, failure("InvalidPublicKey", "The public key is not valid.")
		}
		return key, nil
	}
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(body))
	if err != nil || len(options) > 0 || len(rest) > 0 {
		return nil, failure("UnrecognizedPublicKeyEncoding", "The public key encoding is not recognized.")
	}
	public, ok := rsaOf(key)
	if !ok {
		return nil, failure("UnrecognizedPublicKeyEncoding",
			"The public key must be encoded in ssh-rsa format or PEM format.")
	}
	if public.N.BitLen() < 2048 {
		return nil, failure("InvalidPublicKey", "The public key must have at least 2048 bits.")
	}
	return key, nil
}

func rsaOf(key ssh.PublicKey) (*rsa.PublicKey, bool) {
	crypto, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil, false
	}
	public, ok := crypto.CryptoPublicKey().(*rsa.PublicKey)
	return public, ok
}

// fingerprint is what IAM shows: MD5 of the key, or of the bare body where it
// is no key.
func fingerprint(body string) string {
	sum := md5.Sum([]byte(body))
	if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(body)); err == nil {
		sum = md5.Sum(key.Marshal())
	}
	pairs := make([]string, len(sum))
	for i, b := range sum {
		pairs[i] = fmt.Sprintf("%02x", b)
	}
	return strings.Join(pairs, ":")
}

// pemOf is the body as GetSSHPublicKey gives it for Encoding=PEM.
func pemOf(body string) (string, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(body))
	if err != nil {
		return "", failure("UnrecognizedPublicKeyEncoding", "The public key encoding is not recognized.")
	}
	public, ok := rsaOf(key)
	if !ok {
		return "", failure("UnrecognizedPublicKeyEncoding", "The public key encoding is not recognized.")
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", failure("UnrecognizedPublicKeyEncoding", "The public key encoding is not recognized.")
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}
