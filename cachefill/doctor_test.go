package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// aBucket answers every request with this error of S3's.
func aBucket(t *testing.T, status int, code string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>x</Message></Error>`, code)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestTheDoctorTriesTheSnapshotAndNamesWhatIsMissing(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	gone := filepath.Join(t.TempDir(), "gone")
	for _, c := range []struct {
		name      string
		kind, url string
		endpoint  string
		says      string
	}{
		{"no permission", "s3", "s3://fleet/a/snapshot", aBucket(t, 403, "AccessDenied"),
			`403 "AccessDenied" to s3:GetObject; grant it by the policy statement {"Effect":"Allow","Action":"s3:GetObject",` +
				`"Resource":"arn:aws:s3:::fleet/a/snapshot"}`},
		{"no snapshot", "s3", "s3://fleet/a/snapshot", aBucket(t, 404, "NoSuchKey"), "no snapshot"},
		{"no bucket", "s3", "s3://fleet/a/snapshot", aBucket(t, 404, "NoSuchBucket"), "see the bucket's name"},
		{"no file", "file", "file://" + gone, "", gone},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := config.Default()
			k.Source.Kind, k.Source.URL, k.Source.Endpoint, k.Source.Region = c.kind, c.url, c.endpoint, "eu-west-1"
			k.Source.TrustedKeys = []string{"ssh-ed25519 " +
				"AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f publisher"}
			tried := trySources(t.Context(), k)
			if len(tried) != 1 || !strings.Contains(tried[0].Error, c.says) {
				t.Errorf("tried %+v, want an error that says %q", tried, c.says)
			}
		})
	}
}

func TestTheDoctorNamesEveryPermissionThatAReaderOfIdentityCenterLacks(t *testing.T) {
	e, err := emulator.Start(emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	e.SetPolicy(emulator.AccessKey, emulator.Allow("identitystore:ListIdentityStores", "identitystore:ListUsers"))
	t.Setenv("AWS_ACCESS_KEY_ID", emulator.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", emulator.SecretKey)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	k := config.Default()
	k.Source.Kind, k.Source.Endpoint, k.Source.Region = config.KindIdentityCenter, e.URL, "eu-west-1"
	k.Login.Groups = []string{"Developers"}
	for online, want := range map[string][]string{
		"prefer": {"ListGroups", "ListGroupMemberships", "DescribeUser", "IsMemberInGroups"},
		"off":    {"ListGroups", "ListGroupMemberships", "DescribeUser"},
	} {
		k.Keys.Online = online
		tried := trySources(t.Context(), k)
		for i, action := range want {
			if len(tried) != len(want) || !strings.Contains(tried[i].Error, `"Action":"identitystore:`+action+`"`) {
				t.Errorf("keys.online %q: tried %+v, want the statements of %q", online, tried, want)
				break
			}
		}
	}
}
