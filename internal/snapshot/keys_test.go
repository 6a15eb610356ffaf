package snapshot

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestANewKeyPairSignsAndIsTrusted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signing")
	public, err := WriteNewKey(path, "publisher of 2026")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ReadPrivateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := ParsePublicKeys([]string{string(line), public.String()})
	if err != nil {
		t.Fatal(err)
	}
	if len(trusted) != 1 || trusted[0].String() != strings.TrimSpace(string(line)) || !strings.HasSuffix(public.String(),
		" publisher of 2026") {
		t.Errorf("got %v from %q", trusted, line)
	}
	if _, err := Open(signed(t, sample(2, 2), 1, signer), Trust{Keys: trusted, Now: start}); err != nil {
		t.Error(err)
	}
	if _, err := WriteNewKey(path, ""); err == nil {
		t.Error("an existing key was written over")
	}
	if again, err := ReadPrivateKey(path); err != nil || again.String() != signer.String() {
		t.Errorf("the refused second key changed the first: %v, %v", again, err)
	}
}

func TestPublicKeysThatAreRefused(t *testing.T) {
	signer := newSignerFor(t)
	good := signer.PublicKey("x").String()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ssh.NewPublicKey(&other.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ line, says string }{
		"nothing":       {"", "is not one line"},
		"a comment":     {"# " + good, "is not one line"},
		"two lines":     {good + "\n" + good, "is not one line"},
		"options":       {`command="x" ` + good, "is not one line"},
		"cut base64":    {good[:30], "is not one line"},
		"another type":  {string(ssh.MarshalAuthorizedKey(curve)), "ecdsa-sha2-nistp256"},
		"a private key": {"-----BEGIN PRIVATE KEY-----", "is not one line"},
	} {
		if k, err := ParsePublicKey(test.line); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, %v", name, k, err)
		}
	}
	if _, err := ParsePublicKeys(nil); err == nil {
		t.Error("no key at all is trusted")
	}
	if _, err := ParsePublicKeys([]string{good, "rubbish", "more"}); err == nil || !strings.Contains(err.Error(), "more") {
		t.Errorf("not every bad key is reported: %v", err)
	}
}

func TestPrivateKeyFilesThatAreRefused(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ssh.MarshalPrivateKey(curve, "")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text []byte
		mode os.FileMode
		says string // "": accepted
	}{
		"PKCS 8":                {pkcs8, 0o600, ""},
		"read only":             {pkcs8, 0o400, ""},
		"readable by the group": {pkcs8, 0o640, "its mode is 0640"},
		"writable by all":       {pkcs8, 0o602, "its mode is 0602"},
		"encrypted":             {pem.EncodeToMemory(locked), 0o600, "passphrase"},
		"of another type":       {pem.EncodeToMemory(other), 0o600, "not Ed25519"},
		"not a key":             {[]byte("hello"), 0o600, "no private key"},
		"empty":                 {nil, 0o600, "no private key"},
		"far too large":         {make([]byte, maxPrivateKey+1), 0o600, "no Ed25519 key"},
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, test.text, test.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		_, err := ReadPrivateKey(path)
		if test.says == "" && err != nil || test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)) {
			t.Errorf("%s: got %v, want %q", name, err, test.says)
		}
	}
	for _, path := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing"), "/dev/zero"} {
		if _, err := ReadPrivateKey(path); err == nil || !strings.HasPrefix(err.Error(), "read signing key ") {
			t.Errorf("%s: got %v", path, err)
		}
	}
}

func TestASignerDoesNotShowItsKey(t *testing.T) {
	signer := newSignerFor(t)
	for _, text := range []string{fmt.Sprint(signer), fmt.Sprintf("%+v", signer), fmt.Sprintf("%#v", signer),
		fmt.Sprintf("%s %d", signer, 1)} {
		if !strings.HasPrefix(text, "signer SHA256:") {
			t.Errorf("printed as %q", text)
		}
	}
}

func TestDSSEAcceptsTheKeysAsTheyAre(t *testing.T) {
	signer := newSignerFor(t)
	signature, err := signer.Sign(context.Background(), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	public := signer.PublicKey("")
	if err := public.Verify(context.Background(), []byte("x"), signature); err != nil {
		t.Error(err)
	}
	if err := public.Verify(context.Background(), []byte("y"), signature); err == nil {
		t.Error("a signature fits another text")
	}
	if err := (PublicKey{}).Verify(context.Background(), []byte("x"), signature); err == nil {
		t.Error("an empty key verifies")
	}
}
