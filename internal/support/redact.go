package support

import (
	"regexp"
	"sort"
	"strings"
	"unicode"
)

// A Redactor leaves secrets out of texts.
type Redactor struct{ known *strings.Replacer }

// leastSecret is how long a known secret is at least: shorter ones would take parts of words.
const leastSecret = 6

// NewRedactor knows these secrets by their values.
func NewRedactor(secrets []string) *Redactor {
	secrets = append([]string(nil), secrets...)
	sort.Slice(secrets, func(i, j int) bool { return len(secrets[i]) > len(secrets[j]) })
	var pairs []string
	for _, s := range secrets {
		if len(s) >= leastSecret {
			pairs = append(pairs, s, leftOut)
		}
	}
	return &Redactor{strings.NewReplacer(pairs...)}
}

const leftOut = "[left out]"

// looks are how secrets look, with what stands in their place. The order counts: what
// begins with a name is taken before what has no name.
var looks = []struct {
	like *regexp.Regexp
	by   string
}{
	// PEM and OpenSSH private keys, whole; also one whose end was cut off.
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)`),
		"[private key left out]"},
	// Assignments by the name of what is assigned, in TOML, JSON, environments, URLs and logs.
	{regexp.MustCompile(`(?i)([a-z_.-]*(?:secret|token|password|passphrase|external_?id|signature|credential|` +
		`authorization|private_?key)[a-z_.-]*["']?[ \t]*[=:][ \t]*)(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&]+` +
		`(?:[ \t]+Credential=[^\n]*)?)`), "${1}" + leftOut},
	// What a comment says of a secret in its own words, to its end.
	{regexp.MustCompile(`(?im)(#.*?\b(?:secret|token|password|passphrase|passwd)\b[ \t]).+$`), "${1}" + leftOut},
	// A user and password in a URL, as of a proxy.
	{regexp.MustCompile(`(://)[^/\s@"']+@`), "${1}" + leftOut + "@"},
	// Identifiers of access keys: AKIA of users, ASIA of sessions.
	{regexp.MustCompile(`\b(?:AKIA|ASIA)[A-Z0-9]{12,124}\b`), "[access key left out]"},
	// SSH keys: every blob begins with the length of its type's name.
	{regexp.MustCompile(`AAAA[A-Za-z0-9+/]{20,}={0,3}`), "[SSH key left out]"},
	// Session tokens and other long words without a name.
	{regexp.MustCompile(`[A-Za-z0-9+/_=-]{100,}`), "[long word left out]"},
}

// secretWord has the length of AWS's secret access keys.
var secretWord = regexp.MustCompile(`[A-Za-z0-9+/]{40,}`)

// Text returns a text without secrets.
func (r *Redactor) Text(text string) string {
	text = r.known.Replace(text)
	for _, look := range looks {
		text = look.like.ReplaceAllString(text, look.by)
	}
	return secretWord.ReplaceAllStringFunc(text, func(word string) string {
		if len(word) == 40 && mixed(word) {
			return leftOut
		}
		return word
	})
}

// mixed reports whether a word has small and capital letters and digits: digests have not.
func mixed(word string) bool {
	return strings.ContainsFunc(word, unicode.IsUpper) && strings.ContainsFunc(word, unicode.IsLower) &&
		strings.ContainsFunc(word, unicode.IsDigit)
}
