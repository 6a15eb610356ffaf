package iam_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// BenchmarkDirectory reads 5,000 users from an emulator in the same process:
// its time and memory are both sides'.
func BenchmarkDirectory(b *testing.B) {
	for name, q := range map[string]directory.Query{
		"OneGroupOf5000": {Groups: []string{"everyone"}},
		"ListOf5000":     {AllUsers: true},
		"BulkOf5000":     {AllUsers: true, Publish: []string{"*"}, Tags: true},
		"200Groups":      {Groups: []string{"everyone"}, Publish: []string{"group-*"}},
	} {
		b.Run(name, func(b *testing.B) {
			c := benchClient(b, emulator.Size{Users: 5000, Groups: 200}, name == "BulkOf5000")
			for b.Loop() {
				d, err := c.Directory(b.Context(), q)
				if err != nil || len(d.Users) != 5000 {
					b.Fatal(len(d.Users), err)
				}
			}
		})
	}
}

// BenchmarkKeys lists one user's two keys, with their bodies known and unknown.
func BenchmarkKeys(b *testing.B) {
	c := benchClient(b, emulator.Size{Users: 10, Keys: 2}, false)
	for name, known := range map[string]func(string) (string, bool){
		"Unknown": nil,
		"Known":   func(string) (string, bool) { return "ssh-rsa", true },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if keys, err := c.Keys(b.Context(), "user-00001", known); err != nil || len(keys) != 2 {
					b.Fatal(keys, err)
				}
			}
		})
	}
}

func benchClient(b *testing.B, size emulator.Size, bulk bool) *iam.Client {
	b.Helper()
	none := filepath.Join(b.TempDir(), "none")
	b.Setenv("AWS_ACCESS_KEY_ID", emulator.AccessKey)
	b.Setenv("AWS_SECRET_ACCESS_KEY", emulator.SecretKey)
	b.Setenv("AWS_CA_BUNDLE", "")
	b.Setenv("AWS_CONFIG_FILE", none)
	b.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	e, err := emulator.Start(emulator.Options{Company: emulator.Generate(size)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.Close() })
	c, err := iam.Open(context.Background(), iam.Options{Options: awsapi.Options{Region: "eu-west-1", Endpoint: e.URL,
		Rate: 1e6, Burst: 1e6}, Bulk: bulk})
	if err != nil {
		b.Fatal(err)
	}
	return c
}
