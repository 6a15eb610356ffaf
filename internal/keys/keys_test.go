package keys

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zone that a test is about

	"golang.org/x/crypto/ssh"

	"github.com/nss-iam/nss-iam/internal/directory"
)

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func TestABodyIsOneKeyOrRefusedWithItsReason(t *testing.T) {
	ed, rsa2048 := edBlob(1), rsaBlob(2048)
	edLine := line(ed)
	b64 := base64.StdEncoding.EncodeToString(ed)
	signed := certificate(ed)
	for _, c := range []struct {
		name string
		body string
		blob []byte
		err  error
	}{
		{"an SSH line", edLine, ed, nil},
		{"an SSH line with a comment", edLine + " alice@laptop with, \"anything\" = in it", ed, nil},
		{"an SSH line with blanks around it", "\n\t " + edLine + " x \r\n\n", ed, nil},
		{"a tab between the fields", strings.Replace(edLine, " ", "\t ", 1), ed, nil},
		{"RSA as an SSH line", line(rsa2048), rsa2048, nil},
		{"RSA of 16384 bits", line(rsaBlob(16384)), rsaBlob(16384), nil},
		{"RSA as PKIX", pkix(rsa2048), rsa2048, nil},
		{"RSA as PKCS #1", pkcs1(rsa2048), rsa2048, nil},
		{"RSA as PKIX with CRLF", strings.ReplaceAll(pkix(rsa2048), "\n", "\r\n"), rsa2048, nil},
		{"a security key", line(skBlob()), skBlob(), nil},

		{"nothing", "", nil, ErrEmpty},
		{"only blanks", " \t\r\n", nil, ErrEmpty},
		{"megabytes", edLine + strings.Repeat(" x", 1<<20), nil, ErrTooLong},
		{"megabytes of blanks", strings.Repeat(" ", 1<<20), nil, ErrTooLong},
		{"two keys", edLine + "\n" + line(edBlob(2)), nil, ErrLines},
		{"two keys with CR alone", edLine + "\r" + line(edBlob(2)), nil, ErrLines},
		{"a comment line before the key", "# mine\n" + edLine, nil, ErrLines},
		{"a key broken over lines", edLine[:40] + "\n" + edLine[40:], nil, ErrLines},
		{"two PEM keys", pkix(rsa2048) + pkix(rsa2048), nil, ErrLines},
		{"a line behind the PEM", pkix(rsa2048) + edLine, nil, ErrLines},
		{"a PEM header", strings.Replace(pkix(rsa2048), "KEY-----\n", "KEY-----\nA: b\n\n", 1), nil, ErrLines},
		{"a command option", `command="/bin/sh" ` + edLine, nil, ErrOptions},
		{"a quoted option with blanks", `from="a b",environment="A=ssh-rsa" ` + edLine, nil, ErrOptions},
		{"restrict", "restrict " + edLine, nil, ErrOptions},
		{"cert-authority", "cert-authority " + edLine, nil, ErrOptions},
		{"a certificate", signed, nil, ErrCertificate},
		{"a certificate behind the bare type", ssh.KeyAlgoED25519 + signed[strings.Index(signed, " "):], nil, ErrCertificate},
		{"an X.509 certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", nil, ErrCertificate},
		{"a private key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", nil, ErrPrivate},
		{"another PEM", "-----BEGIN PGP MESSAGE-----\nAAAA\n-----END PGP MESSAGE-----\n", nil, ErrFormat},
		{"a PEM without end", strings.Split(pkix(rsa2048), "-----END")[0], nil, ErrFormat},
		{"a PEM of other bytes", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", nil, ErrFormat},
		{"one word", "hello", nil, ErrFormat},
		{"words", "hello to you", nil, ErrType},
		{"only the type", "ssh-ed25519", nil, ErrBase64},
		{"only the base64", b64, nil, ErrFormat},
		{"wrong base64", "ssh-ed25519 AAAA!" + b64, nil, ErrBase64},
		{"base64 cut short", edLine[:len(edLine)-1], nil, ErrBase64},
		{"base64 without padding", strings.TrimRight(line(rsaBlob(3072)), "="), nil, ErrBase64},
		{"base64 of another alphabet", strings.NewReplacer("+", "-", "/", "_").Replace(line(ecBlobWith(t, "+/"))), nil,
			ErrBase64},
		{"another type named", "ssh-rsa " + b64, nil, ErrMismatch},
		{"another type named, of the same family", ssh.KeyAlgoSKED25519 + " " + b64, nil, ErrMismatch},
		{"bytes cut short", line(ed[:40]), nil, ErrBlob},
		{"bytes too many", line(append(bytes.Clone(ed), 0)), nil, ErrBlob},
		{"no bytes", "ssh-ed25519 AAAA", nil, ErrBlob},
		{"an RSA modulus with zeros before it", line(ssh.Marshal(struct {
			Type string
			E    []byte
			N    []byte
		}{"ssh-rsa", []byte{0, 0, 1, 0, 1}, append([]byte{0}, bytes.Repeat([]byte{0x7f}, 256)...)})), nil, ErrBlob},
		{"an RSA exponent of one", line(ssh.Marshal(struct {
			Type string
			E, N *big.Int
		}{"ssh-rsa", big.NewInt(1), new(big.Int).Lsh(big.NewInt(1), 2047)})), nil, ErrBlob},
		{"a point that is not on the curve",
			line(append(bytes.Clone(ecBlob(elliptic.P256())[:len(ecBlob(elliptic.P256()))-4]), 1, 2, 3, 4)), nil, ErrBlob},
		{"DSA", line(dsaBlob()), nil, ErrType},
		{"an unknown type", "ssh-quantum AAAAC3NzaC1xdWFudHVt", nil, ErrType},
		{"NUL behind the key", edLine + "\x00" + edLine, nil, ErrBase64},
	} {
		t.Run(c.name, func(t *testing.T) {
			k, err := Parse(c.body)
			if !errors.Is(err, c.err) || err != nil && c.err == nil {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if !bytes.Equal(k.Blob, c.blob) {
				t.Errorf("blob %x, want %x", k.Blob, c.blob)
			}
			if len(fmt.Sprint(err)) > 300 {
				t.Errorf("the reason quotes too much: %.400s", err)
			}
		})
	}
}

func TestThePolicySelects(t *testing.T) {
	ed, other, weak, strong := edBlob(1), edBlob(2), rsaBlob(1024), rsaBlob(3072)
	day := 24 * time.Hour
	iam := func(id string, blob []byte, age time.Duration) directory.Key {
		return directory.Key{ID: id, Active: true, Uploaded: now.Add(-age), Body: line(blob) + " comment"}
	}
	off := iam("APKA1", ed, 0)
	off.Active = false
	undated := iam("APKA1", ed, 0)
	undated.Uploaded = time.Time{}
	for _, c := range []struct {
		name     string
		policy   Policy
		from     Source
		keys     []string // ids
		refused  map[string]error
		expiring []string
		expires  time.Time // of the first key
	}{
		{name: "no keys at all"},
		{name: "any type and age by default",
			from: Source{Keys: []directory.Key{iam("APKA2", strong, 4000*day), iam("APKA1", ed, 0)}},
			keys: []string{"APKA1", "APKA2"}},
		{name: "an inactive key", from: Source{Keys: []directory.Key{off}}, refused: map[string]error{"APKA1": ErrInactive}},
		{name: "a body that is no key beside one that is",
			from: Source{Keys: []directory.Key{{ID: "APKA1", Active: true, Body: "x"}, iam("APKA2", ed, 0)}},
			keys: []string{"APKA2"}, refused: map[string]error{"APKA1": ErrFormat}},
		{name: "RSA shorter than IAM's least", from: Source{Keys: []directory.Key{iam("APKA1", weak, 0)}},
			refused: map[string]error{"APKA1": ErrRSABits}},
		{name: "RSA shorter than the configured least", policy: Policy{MinRSABits: 4096},
			from: Source{Keys: []directory.Key{iam("APKA1", strong, 0), iam("APKA2", ed, 0)}},
			keys: []string{"APKA2"}, refused: map[string]error{"APKA1": ErrRSABits}},
		{name: "a type that is not allowed", policy: Policy{Allowed: []string{ssh.KeyAlgoED25519}},
			from: Source{Keys: []directory.Key{iam("APKA1", strong, 0), iam("APKA2", ed, 0)}},
			keys: []string{"APKA2"}, refused: map[string]error{"APKA1": ErrType}},
		{name: "the same key under two ids", from: Source{Keys: []directory.Key{iam("APKA2", ed, 0), iam("APKA1", ed, 0)}},
			keys: []string{"APKA1"}, refused: map[string]error{"APKA2": ErrDuplicate}},
		{name: "the same key, the first of them too old", policy: Policy{MaxAge: 90 * day},
			from: Source{Keys: []directory.Key{iam("APKA2", ed, day), iam("APKA1", ed, 91*day)}},
			keys: []string{"APKA2"}, refused: map[string]error{"APKA1": ErrExpired}, expires: now.Add(89 * day)},
		{name: "a key a moment before its end", policy: Policy{MaxAge: 90 * day},
			from: Source{Keys: []directory.Key{iam("APKA1", ed, 90*day-time.Second)}},
			keys: []string{"APKA1"}, expiring: []string{"APKA1"}, expires: now.Add(time.Second)},
		{name: "a key at its end", policy: Policy{MaxAge: 90 * day},
			from:    Source{Keys: []directory.Key{iam("APKA1", ed, 90*day)}},
			refused: map[string]error{"APKA1": ErrExpired}},
		{name: "a key two weeks before its end", policy: Policy{MaxAge: 90 * day},
			from: Source{Keys: []directory.Key{iam("APKA1", ed, 76*day)}},
			keys: []string{"APKA1"}, expiring: []string{"APKA1"}, expires: now.Add(14 * day)},
		{name: "a key more than two weeks before its end", policy: Policy{MaxAge: 90 * day},
			from: Source{Keys: []directory.Key{iam("APKA1", ed, 76*day-time.Second)}},
			keys: []string{"APKA1"}, expires: now.Add(14*day + time.Second)},
		{name: "no upload date under an age limit", policy: Policy{MaxAge: day},
			from: Source{Keys: []directory.Key{undated}}, refused: map[string]error{"APKA1": ErrUndated}},
		{name: "an account that ends before the key", policy: Policy{MaxAge: 90 * day},
			from: Source{Keys: []directory.Key{iam("APKA1", ed, 0)}, End: now.Add(day)},
			keys: []string{"APKA1"}, expiring: []string{"APKA1"}, expires: now.Add(day)},
		{name: "an account that has ended", from: Source{Keys: []directory.Key{iam("APKA1", ed, 0)}, Tags: nil, End: now},
			refused: map[string]error{"APKA1": ErrExpired}},
		{name: "an id that IAM does not make", from: Source{Keys: []directory.Key{iam("A\" B\n", ed, 0)}},
			refused: map[string]error{`"A\" B\n"`: ErrID}},
		{name: "tags without a prefix", from: Source{Tags: map[string]string{"ssh-key": line(ed)}}},
		{name: "tags in the order of their numbers", policy: Policy{TagPrefix: "ssh-key"},
			from: Source{Tags: map[string]string{
				"ssh-key-10": line(edBlob(10)), "SSH-Key-2": line(edBlob(22)), "ssh-key": line(other) + " x",
				"ssh-key-02": line(ed), "ssh-keys": line(ed), "ssh-key-": line(ed),
				"ssh-key-x": line(ed), "ssh-key--1": line(ed), "ssh-key-99999": line(ed), "other": line(ed),
			}, Keys: []directory.Key{iam("APKA1", strong, 0)}},
			keys: []string{"APKA1", "tag:ssh-key", "tag:SSH-Key-2", "tag:ssh-key-10"}},
		{name: "a tag with a key that IAM has too", policy: Policy{TagPrefix: "k"},
			from: Source{Tags: map[string]string{"k": line(ed)}, Keys: []directory.Key{iam("APKA1", ed, 0)}},
			keys: []string{"APKA1"}, refused: map[string]error{"tag:k": ErrDuplicate}},
		{name: "RSA in a tag", policy: Policy{TagPrefix: "k"}, from: Source{Tags: map[string]string{"k": line(strong)}},
			refused: map[string]error{"tag:k": ErrType}},
		{name: "an age limit does not reach tags, the account's end does", policy: Policy{TagPrefix: "k", MaxAge: day},
			from: Source{Tags: map[string]string{"k": line(ed)}, End: now.Add(time.Hour)},
			keys: []string{"tag:k"}, expiring: []string{"tag:k"}, expires: now.Add(time.Hour)},
		{name: "a tag name with a blank", policy: Policy{TagPrefix: "my key"},
			from: Source{Tags: map[string]string{"my key": line(ed)}}, refused: map[string]error{`"tag:my key"`: ErrID}},
		{name: "an option in a tag", policy: Policy{TagPrefix: "k"},
			from: Source{Tags: map[string]string{"k": "no-pty " + line(ed)}}, refused: map[string]error{"tag:k": ErrOptions}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.policy.Select(c.from, now)
			if ids := idsOf(got.Keys); !reflect.DeepEqual(ids, c.keys) {
				t.Errorf("keys %q, want %q; refused %v", ids, c.keys, got.Refused)
			}
			if ids := idsOf(got.Expiring); !reflect.DeepEqual(ids, c.expiring) {
				t.Errorf("expiring %q, want %q", ids, c.expiring)
			}
			for _, r := range got.Refused {
				if c.refused[r.ID] == nil || !errors.Is(r.Err, c.refused[r.ID]) {
					t.Errorf("%s refused: %v, want %v", r.ID, r.Err, c.refused[r.ID])
				}
			}
			if len(got.Refused) != len(c.refused) {
				t.Errorf("%d refused, want %d", len(got.Refused), len(c.refused))
			}
			if len(got.Keys) > 0 && !got.Keys[0].Expires.Equal(c.expires) {
				t.Errorf("first key ends %v, want %v", got.Keys[0].Expires, c.expires)
			}
		})
	}
}

func TestAUserCannotHaveKeysWithoutBound(t *testing.T) {
	from := Source{Tags: map[string]string{}}
	for i := range MaxKeys + 3 {
		from.Tags[fmt.Sprintf("k-%d", i)] = line(edBlob(byte(i)))
	}
	got := Policy{TagPrefix: "k"}.Select(from, now)
	if len(got.Keys) != MaxKeys || len(got.Refused) != 3 || !errors.Is(got.Refused[0].Err, ErrTooMany) {
		t.Errorf("%d keys, %d refused: %v", len(got.Keys), len(got.Refused), got.Refused)
	}
}

func idsOf(list []Key) (ids []string) {
	for _, k := range list {
		ids = append(ids, k.ID)
	}
	return ids
}

func TestALineIsWrittenFromTheParsedKey(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	k := Key{ID: "APKAEXAMPLE", Type: ssh.KeyAlgoED25519, Blob: edBlob(1)}
	bare := line(edBlob(1)) + " APKAEXAMPLE"
	summer, winter := k, k
	summer.Expires, winter.Expires = time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC),
		time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	bad := k
	bad.ID = "A\nssh-rsa"
	for _, c := range []struct {
		name string
		key  Key
		form Form
		want string
		ok   bool
	}{
		{"bare", k, Form{}, bare, true},
		{"no end", k, Form{Expiry: true, Zone: berlin}, bare, true},
		{"an end that is not to be written", summer, Form{Zone: berlin}, bare, true},
		{"an end in winter, in sshd's zone", winter, Form{Expiry: true, Zone: berlin}, `expiry-time="20260101110000" ` +
			bare, true},
		{"an end in summer, in the zone's standard time", summer, Form{Expiry: true, Zone: berlin},
			`expiry-time="20260701110000" ` + bare, true},
		{"an end in UTC", summer, Form{Expiry: true, Zone: time.UTC}, `expiry-time="20260701100000" ` + bare, true},
		{"options and a person", winter, Form{Options: []string{"restrict", "pty"}, Expiry: true, Zone: time.UTC,
			Person: "alice"},
			`restrict,pty,expiry-time="20260101100000",environment="NSS_IAM_USER=alice" ` + bare + " alice", true},
		{"an option with a value", k, Form{Options: []string{`command="x"`}}, "", false},
		{"two options in one", k, Form{Options: []string{"restrict,pty"}}, "", false},
		{"a person with a quote", k, Form{Person: `a"b`}, "", false},
		{"a person with a line feed", k, Form{Person: "a\nb"}, "", false},
		{"an id with a line feed", bad, Form{}, "", false},
		{"another type", Key{ID: "A", Type: "ssh-rsa", Blob: edBlob(1)}, Form{}, "", false},
		{"bytes cut short", Key{ID: "A", Type: k.Type, Blob: k.Blob[:30]}, Form{}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.key.Line(c.form)
			if got != c.want || (err == nil) != c.ok {
				t.Errorf("Line = %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// An sshd's word on our lines: ssh-keygen reads authorized_keys lines with the
// same parser.
func TestOpenSSHReadsEveryType(t *testing.T) {
	for _, blob := range [][]byte{edBlob(1), rsaBlob(2048), rsaBlob(16384), ecBlob(elliptic.P256()),
		ecBlob(elliptic.P384()), ecBlob(elliptic.P521()), skBlob()} {
		k, err := Parse(line(blob))
		if err != nil {
			t.Fatal(err)
		}
		k.ID, k.Expires = "APKAEXAMPLE", now
		text, err := k.Line(Form{Options: []string{"restrict"}, Expiry: true, Person: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "authorized_keys")
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("ssh-keygen", "-lf", file).CombinedOutput()
		if err != nil || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), k.SHA256()+" APKAEXAMPLE "+
			"alice") {
			t.Errorf("ssh-keygen -l on %.60q: %v\n%s", text, err, out)
		}
	}
}

func TestFingerprintsAreThoseOfSSHKeygen(t *testing.T) {
	k := Key{Blob: edBlob(3)}
	file := filepath.Join(t.TempDir(), "key.pub")
	if err := os.WriteFile(file, []byte(line(k.Blob)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, hash := range []string{"sha256", "md5"} {
		out, err := exec.Command("ssh-keygen", "-E", hash, "-lf", file).Output()
		fields := strings.Fields(string(out))
		if err != nil || len(fields) < 2 || !k.MatchesFingerprint(fields[1]) {
			t.Errorf("%s: %q, %v is not the fingerprint of the key", hash, out, err)
		}
	}
	for _, fp := range []string{"", "SHA256:", "MD5:", "MD5", k.SHA256() + "=",
		strings.TrimPrefix(k.SHA256(), "SHA256:")} {
		if k.MatchesFingerprint(fp) {
			t.Errorf("%q matches", fp)
		}
	}
}

func TestForeignLinesAreKeysOrRefused(t *testing.T) {
	ed := line(edBlob(1))
	for _, c := range []struct {
		name, line, want string
		ok               bool
	}{
		{"a key", ed + " x", ed + " x", true},
		{"options stay", `from="10.0.0.0/8",no-pty ` + ed, `from="10.0.0.0/8",no-pty ` + ed, true},
		{"a certificate authority", "cert-authority " + ed, "cert-authority " + ed, true},
		{"CR at the end", ed + "\r", ed, true},
		{"an empty line", " \t", "", true},
		{"a comment", "# " + ed, "", true},
		{"CR inside", ed + "\r" + ed, "", false},
		{"an escape sequence", ed + " \x1b[2J", "", false},
		{"words", "no such user", "", false},
		{"half a key", ed[:30], "", false},
		{"a key longer than any", ed + strings.Repeat("x", MaxBody), "", false},
	} {
		if got, err := ForeignLine(c.line); got != c.want || (err == nil) != c.ok {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}
