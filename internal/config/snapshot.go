package config

import (
	"net/url"
	"path"
	"strings"
)

// signingParameterForm is the address of a key in SSM's parameter store, whose
// names are letters, digits and . - _; a name with a slash begins with one.
var signingParameterForm = newForm(`^ssm://([A-Za-z0-9_.-]+|(/[A-Za-z0-9_.-]+)+)$`)

// readURL accepts the address of a snapshot.
func readURL(v value) (string, bool) {
	const example = `"s3://bucket/key" or "file:///path"`
	s, ok := v.text(example)
	if !ok {
		return "", false
	}
	u, err := url.Parse(s)
	sound := err == nil && u.User == nil && u.RawQuery == "" && u.Fragment == "" && !hasControl(s)
	switch {
	case sound && u.Scheme == "s3" && bucketForm.MatchString(u.Host) && len(u.Path) > 1:
	case sound && u.Scheme == "file" && u.Host == "" && len(u.Path) > 1 && path.Clean(u.Path) == u.Path:
	default:
		v.fault(quote(s)+" is not the address of a snapshot", "write it as "+example)
		return "", false
	}
	return s, true
}

func readTrustedKeys(v value) ([]string, bool) {
	return v.list(trustedKeyForm, "a public key", `["ssh-ed25519 AAAA… name"], as "iam-cachefill publish" prints them`)
}

// readSigningKey accepts the place of a private key.
func readSigningKey(v value) (string, bool) {
	const example = `"/etc/nss-iam/signing.key" or "ssm:///nss-iam/signing-key"`
	s, ok := v.text(example)
	switch {
	case !ok:
		return "", false
	case signingParameterForm.MatchString(s):
	case strings.HasPrefix(s, "/") && path.Clean(s) == s && !hasControl(s):
	default:
		v.fault(quote(s)+" is not the place of a private key", "write it as "+example)
		return "", false
	}
	return s, true
}

// checkPublish checks [publish] once all keys are read.
func (r *reader) checkPublish() {
	if !r.given["publish.url"] {
		for _, key := range []string{"key", "trusted_keys", "expires"} {
			if r.given["publish."+key] {
				r.fault("has no effect without publish.url", `add url = "s3://bucket/key" to [publish], or remove it`, "publish",
					key)
			}
		}
		return
	}
	if !r.given["publish.key"] {
		r.fault("needs the key that signs the snapshot",
			`add key = "/etc/nss-iam/signing.key", which "iam-cachefill publish --new-key" writes`, "publish", "url")
	}
	if r.config.Source.Snapshot() && !r.faulty("source.kind") {
		r.fault("a host that reads a snapshot does not write one",
			`set source.kind to "iam" or "identity-center", or remove [publish]`, "publish", "url")
	}
}
