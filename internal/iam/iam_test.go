package iam_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/iam"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// isolate keeps the machine's own AWS environment, files and metadata service
// out of a test, and gives it the emulator's access key.
func isolate(t *testing.T) {
	t.Helper()
	none := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": emulator.AccessKey, "AWS_SECRET_ACCESS_KEY": emulator.SecretKey, "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_CA_BUNDLE": "",
		"AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none, "HOME": t.TempDir(),
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_ROLE_ARN": "",
		"HTTP_PROXY": "", "HTTPS_PROXY": "", "http_proxy": "", "https_proxy": "",
	} {
		t.Setenv(name, value)
	}
}

// onEC2 makes the emulator this host's metadata service, with no other credentials.
func onEC2(t *testing.T) {
	t.Helper()
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
}

func start(t *testing.T, options emulator.Options) *emulator.Emulator {
	t.Helper()
	e, err := emulator.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// quick are options for a test: no waits that only courtesy to AWS asks for.
func quick(e *emulator.Emulator) iam.Options {
	return iam.Options{
		Options: awsapi.Options{
			Region:           "eu-west-1",
			Endpoint:         e.URL,
			MetadataEndpoint: e.URL,
			Rate:             10000,
			Burst:            10000,
			Backoff:          time.Millisecond,
		},
	}
}

func open(t *testing.T, o iam.Options) *iam.Client {
	t.Helper()
	c, err := iam.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var company = emulator.Company{
	Groups: []emulator.Group{{Name: "developers"}, {Name: "Admins", Path: "/ops/"}, {Name: "team-red"},
		{Name: "team-blue"}, {Name: "empty"}},
	Users: []emulator.User{
		{Name: "alice", Groups: []string{"developers", "Admins", "team-red"},
			Tags: map[string]string{"ssh-key": "ssh-ed25519 AAAA", "team": "red"}, Keys: []emulator.Key{
				{ID: "APKAALICE000000000001", Body: emulator.RSALine(1, "alice")},
				{ID: "APKAALICE000000000002", Body: emulator.RSALine(2, "alice"), Status: "Inactive"},
			}},
		{Name: "Bob", Path: "/staff/", Groups: []string{"developers", "team-blue"},
			Keys: []emulator.Key{{ID: "APKABOB00000000000001", Body: emulator.RSALine(3, "bob")}}},
		{Name: "carol", Path: "/staff/ops/", Groups: []string{"developers"}},
		{Name: "dave", Path: "/staff/"},
		{Name: "eve+x@example.com", Groups: []string{"team-blue"}},
	},
}

// expected is what a directory read must be, computed from the emulator's own
// state and not from any answer.
func expected(c emulator.Company, q directory.Query, prefix string) directory.Directory {
	d := directory.Directory{Account: emulator.DefaultAccount}
	wantedGroup := make(map[string]bool)
	for _, g := range c.Groups {
		fold := strings.ToLower(g.Name)
		for _, name := range q.Groups {
			wantedGroup[fold] = wantedGroup[fold] || fold == strings.ToLower(name)
		}
		for _, pattern := range q.Publish {
			ok, _ := filepath.Match(strings.ToLower(pattern), fold)
			wantedGroup[fold] = wantedGroup[fold] || ok
		}
	}
	members := make(map[string][]string)
	for _, u := range c.Users {
		wanted := q.AllUsers && strings.HasPrefix(u.Path, prefix)
		for _, g := range u.Groups {
			wanted = wanted || !q.AllUsers && wantedGroup[strings.ToLower(g)]
		}
		if !wanted {
			continue
		}
		user := directory.User{ID: u.ID, Name: u.Name, Path: u.Path, Created: u.Created}
		if q.Tags {
			user.Tags = u.Tags
			if user.Tags == nil {
				user.Tags = map[string]string{}
			}
		}
		d.Users = append(d.Users, user)
		for _, g := range u.Groups {
			members[g] = append(members[g], u.ID)
		}
	}
	for _, g := range c.Groups {
		if wantedGroup[strings.ToLower(g.Name)] {
			d.Groups = append(d.Groups, directory.Group{ID: g.ID, Name: g.Name, Path: g.Path, Created: g.Created,
				Members: sorted(members[g.Name])})
		}
	}
	sortByID(&d)
	return d
}

func read(ctx context.Context, t *testing.T, c *iam.Client, q directory.Query) directory.Directory {
	t.Helper()
	d, err := c.Directory(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
