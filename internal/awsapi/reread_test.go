package awsapi

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A process that goes on must follow an agent that writes short-lived
// credentials into a file, as Systems Manager's does on hybrid nodes.
func TestCredentialsOfAFileAreReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	write := func(key string) {
		t.Helper()
		text := "[default]\naws_access_key_id = " + key + "\naws_secret_access_key = x\naws_session_token = y\n"
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"AWS_SHARED_CREDENTIALS_FILE": file, "AWS_CONFIG_FILE": "/nonexistent", "AWS_ACCESS_KEY_ID": "",
		"AWS_SECRET_ACCESS_KEY": "",
		"AWS_PROFILE":           "", "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "eu-west-1",
	} {
		t.Setenv(name, value)
	}
	ctx := context.Background()
	c, err := Open(ctx, Options{Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	want := func(key string) {
		t.Helper()
		got, err := c.service.Credentials.Retrieve(ctx)
		if err != nil || got.AccessKeyID != key {
			t.Errorf("%q, %v; want %q", got.AccessKeyID, err, key)
		}
	}
	if _, err := c.service.Credentials.Retrieve(ctx); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("without a file: %v", err)
	}
	write("FIRST") // the agent starts after the daemon
	want("FIRST")
	write("SECOND")
	want("FIRST") // a minute has not passed
	c.own.now = func() time.Time { return time.Now().Add(rereadAfter) }
	want("SECOND")
	write("THIRD")
	c.own.now = time.Now
	c.expire() // AWS says that they have expired
	want("THIRD")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	c.expire()
	want("THIRD") // what was read may still be good
}
