package support

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The secrets that are planted on the host, each in the places where it may stand.
var planted = map[string]string{
	"an external id":           "Zebra-of-both-accounts",
	"an access key":            "AKIA" + "Z7EXAMPLEZEBRA12",
	"a session's access key":   "ASIA" + "Z7EXAMPLEZEBRA12",
	"a secret access key":      "wJalrXUtnFEMI/K7MDENG/bPxRfiCYZEBRAKEY12",
	"a session token":          strings.Repeat("IQoJb3JpZ2luX2VjZebra", 8),
	"a proxy's password":       "zebra-proxy-password",
	"an SSH key":               "AAAAB3NzaC1yc2EAAAADAQABAAABgQDZebra0123456789abcdefZEBRA",
	"a private key":            "b3BlbnNzaC1rZXktdjEAAAAAzebra",
	"a parameter's credential": "zebra-signed",
	"a word in a comment":      "zebra-in-words",
	"another in it":            "zebra-in-more-words",
}

func host(t *testing.T) Host {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("etc/nsswitch.conf", "passwd: files iam\ngroup: files iam\n")
	write("etc/nss-iam/environment", "AWS_ACCESS_KEY_ID="+planted["an access key"]+"\nAWS_SECRET_ACCESS_KEY='"+
		planted["a secret access key"]+"'\nAWS_SESSION_TOKEN="+planted["a session token"]+
		"\nHTTPS_PROXY=http://me:"+planted["a proxy's password"]+"@proxy:3128\n")
	write("etc/ssh/sshd_config", "# -----BEGIN OPENSSH PRIVATE KEY-----\n"+planted["a private key"]+
		"\n-----END OPENSSH PRIVATE KEY-----\nUsePAM yes\n")
	write("config.toml", "[source]\nexternal_id = \""+planted["an external id"]+"\"\nrefresh = \"5m\" # the token "+
		planted["a word in a comment"]+", and the password "+planted["another in it"]+"\n")
	log := "refresh failed: GET https://s3/x?X-Amz-Credential=" + planted["a parameter's credential"] +
		"&X-Amz-Signature=" + planted["a parameter's credential"] + "\n" +
		"assume role with " + planted["an external id"] + "\n" + "bare " + planted["a secret access key"] + " and " +
		planted["a session's access key"] + " and " + planted["a session token"] + "\n" +
		"offered ssh-rsa " + planted["an SSH key"] + " alice@laptop\nAuthorization: AWS4-HMAC-SHA256 Credential=" +
		planted["a parameter's credential"] + "/20261125\n"
	return Host{Root: root, Now: time.Now(), Run: func(_ context.Context, name string, args ...string) (string, error) {
		if name == "journalctl" {
			return log, nil
		}
		return "", errors.New("no " + name + " here, token=" + planted["a parameter's credential"])
	}}
}

// unpacked are the files of an archive.
func unpacked(t *testing.T, archive io.Reader) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(archive)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for r := tar.NewReader(zip); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(header.Name, "nss-iam-support/")] = string(text)
	}
}

func TestNoSecretIsInABundle(t *testing.T) {
	h := host(t)
	b := New(t.Context(), h, []string{planted["an external id"]})
	b.AddFile(filepath.Join(h.Root, "config.toml"), "config.toml")
	var archive bytes.Buffer
	if err := b.Write(&archive); err != nil {
		t.Fatal(err)
	}
	all := unpacked(t, &archive)
	for name, text := range all {
		for what, secret := range planted {
			if strings.Contains(text, secret) {
				t.Errorf("%s has %s: %q", name, what, text)
			}
		}
		if strings.Contains(strings.ToLower(text), "zebra") {
			t.Errorf("%s has a part of a secret: %q", name, text)
		}
	}
	for name, want := range map[string]string{
		"etc/nsswitch.conf": "passwd: files iam", "config.toml": `refresh = "5m"`, "daemon.log": "refresh failed",
		"etc/nss-iam/environment": "HTTPS_PROXY=http://[left out]@proxy:3128",
		"etc/ssh/sshd_config":     "UsePAM yes", "README.txt": "uname.txt: no uname here",
		"authkeys.log": "offered ssh-rsa [SSH key left out] alice@laptop",
	} {
		if !strings.Contains(all[name], want) {
			t.Errorf("%s lacks %q: %q", name, want, all[name])
		}
	}
}

func TestWhatIsNoSecretStays(t *testing.T) {
	r := NewRedactor([]string{"", "ab"})
	for _, text := range []string{
		"passwd: files iam", "password requisite pam_pwquality.so", "uid=2049520388(alice)",
		"arn:aws:iam::111122223333:user/staff/alice",
		"SHA256:Nh0Me49Zh9fDw/VYUfq43IJmI1T+XrjiYONPND8GzaM", "AIDACKCEVSQ6C2EXAMPLE", "APKAALICE00000000001",
		"da39a3ee5e6b4b0d3255bfef95601890afd80709", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"an about table",
	} {
		if got := r.Text(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestALongLogIsCutAtItsBeginning(t *testing.T) {
	b := New(t.Context(), Host{Root: t.TempDir(), Run: func(context.Context, string, ...string) (string,
		error) {
		return "", nil
	}}, nil)
	b.Add("x", strings.Repeat("a b\n", mostBytes)+"the end")
	if text := b.files["x"]; len(text) > mostBytes+100 || !strings.HasSuffix(text, "the end") {
		t.Errorf("%d bytes", len(text))
	}
}
