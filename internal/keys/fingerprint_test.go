package keys

import (
	"strings"
	"testing"
)

func TestOnlyWhatSshdWritesIsAFingerprint(t *testing.T) {
	const sum = "+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
	const pairs = "16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48"
	for _, test := range []struct {
		name, text string
		want       bool
	}{
		{"SHA256", "SHA256:" + sum, true},
		{"MD5", "MD5:" + pairs, true},
		{"nothing", "", false},
		{"a name alone", "SHA256:", false},
		{"another name alone", "MD5:", false},
		{"no name", sum, false},
		{"another hash", "SHA1:" + sum, false},
		{"a byte too few", "SHA256:" + sum[1:], false},
		{"a byte too many", "SHA256:A" + sum, false},
		{"padding", "SHA256:" + sum + "=", false},
		{"bits beyond the sum", "SHA256:" + sum[:42] + "V", false},
		{"base64 of URLs", "SHA256:" + strings.ReplaceAll(sum, "+", "-"), false},
		{"a line end within", "SHA256:" + sum[:20] + "\n" + sum[20:], false},
		{"a line end behind", "SHA256:" + sum + "\n", false},
		{"capital digits", "MD5:" + strings.ToUpper(pairs), false},
		{"no colons", "MD5:" + strings.ReplaceAll(pairs, ":", "0"), false},
		{"a colon for a digit", "MD5::" + pairs[1:], false},
		{"a pair too few", "MD5:" + pairs[3:], false},
		{"a pair too many", "MD5:16:" + pairs, false},
		{"the digit after nine", "MD5::" + strings.Repeat(":", 46), false},
		{"the letter after f", "MD5:g" + pairs[1:], false},
		{"the character before 0", "MD5:/" + pairs[1:], false},
		{"the character before a", "MD5:`" + pairs[1:], false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := IsFingerprint(test.text); got != test.want {
				t.Errorf("IsFingerprint(%q) = %v", test.text, got)
			}
		})
	}
}

// FuzzFingerprint: what matches a key is a fingerprint, and every fingerprint is
// safe in a query and in a log.
func FuzzFingerprint(f *testing.F) {
	f.Add([]byte("key"), "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU")
	f.Add([]byte{}, "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48")
	f.Fuzz(func(t *testing.T, blob []byte, text string) {
		k := Key{Blob: blob}
		if !IsFingerprint(k.SHA256()) || !k.MatchesFingerprint(k.SHA256()) {
			t.Fatalf("%q is no fingerprint", k.SHA256())
		}
		if k.MatchesFingerprint(text) && !IsFingerprint(text) {
			t.Fatalf("%q matches a key and is no fingerprint", text)
		}
		if IsFingerprint(text) &&
			(len(text) > 51 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f })) {
			t.Fatalf("%q is taken for a fingerprint", text)
		}
	})
}
