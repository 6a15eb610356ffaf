package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// edBlob is the n-th ed25519 key of the tests.
func edBlob(n byte) []byte {
	pub, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32)).Public())
	if err != nil {
		panic(err)
	}
	return pub.Marshal()
}

func line(blob []byte) string {
	typ, err := blobType(blob)
	if err != nil {
		panic(err)
	}
	return typ + " " + base64.StdEncoding.EncodeToString(blob)
}

// rsaBlob is a key with a modulus of some bits that nobody has the primes of.
func rsaBlob(bits int) []byte {
	sum := sha256.Sum256([]byte{1})
	n := new(big.Int).SetBytes(bytes.Repeat(sum[:], bits/256))
	n.SetBit(n.SetBit(n, bits-1, 1), 0, 1)
	pub, err := ssh.NewPublicKey(&rsa.PublicKey{N: n, E: 65537})
	if err != nil {
		panic(err)
	}
	return pub.Marshal()
}

func ecBlob(curve elliptic.Curve) []byte {
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	pub, err := ssh.NewPublicKey(k.Public())
	if err != nil {
		panic(err)
	}
	return pub.Marshal()
}

func skBlob() []byte {
	return ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, edBlob(9)[19:], "ssh:"})
}

func pkix(blob []byte) string {
	pub, err := ssh.ParsePublicKey(blob)
	if err != nil {
		panic(err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub.(ssh.CryptoPublicKey).CryptoPublicKey())
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func pkcs1(blob []byte) string {
	pub, err := ssh.ParsePublicKey(blob)
	if err != nil {
		panic(err)
	}
	der := x509.MarshalPKCS1PublicKey(pub.(ssh.CryptoPublicKey).CryptoPublicKey().(*rsa.PublicKey))
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der}))
}

func certificate(blob []byte) string {
	pub, err := ssh.ParsePublicKey(blob)
	if err != nil {
		panic(err)
	}
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		panic(err)
	}
	c := &ssh.Certificate{Key: pub, CertType: ssh.UserCert, ValidPrincipals: []string{"alice"}}
	if err := c.SignCert(rand.Reader, signer); err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(c)))
}

// ecBlobWith makes an ecdsa key whose base64 has one of chars.
func ecBlobWith(t *testing.T, chars string) []byte {
	for range 1000 {
		if blob := ecBlob(elliptic.P521()); strings.ContainsAny(base64.StdEncoding.EncodeToString(blob), chars) {
			return blob
		}
	}
	t.Fatalf("no base64 had one of %q", chars)
	return nil
}

// dsaBlob has the form of a DSA key, with no thought for its numbers.
func dsaBlob() []byte {
	p, q := new(big.Int).Lsh(big.NewInt(1), 1023), new(big.Int).Lsh(big.NewInt(1), 159)
	return ssh.Marshal(struct {
		Type       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", p, q, big.NewInt(2), big.NewInt(3)})
}
