package emulator_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"golang.org/x/crypto/ssh"

	"github.com/nss-iam/nss-iam/tests/emulator"
)

func start(t *testing.T, options emulator.Options) *emulator.Emulator {
	t.Helper()
	e, err := emulator.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func configOf(e *emulator.Emulator, accessKey, secret, token string) aws.Config {
	return aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(e.URL),
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secret, token),
		HTTPClient:   plainBodies{},
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// plainBodies keeps smithy-go from cutting connections whose answer is quicker
// than net/http's look for the end of the request: see package iam.
type plainBodies struct{}

func (plainBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return http.DefaultClient.Do(r)
}

func client(e *emulator.Emulator) *iam.Client {
	return iam.NewFromConfig(configOf(e, emulator.AccessKey, emulator.SecretKey, ""))
}

func code(err error) string {
	var known smithy.APIError
	if errors.As(err, &known) {
		return known.ErrorCode()
	}
	return ""
}

var company = emulator.Company{
	Groups: []emulator.Group{{Name: "developers"}, {Name: "Admins", Path: "/ops/"}},
	Users: []emulator.User{
		{Name: "alice", Groups: []string{"developers", "Admins"}, Tags: map[string]string{"team": "core"},
			Keys: []emulator.Key{{Body: emulator.RSALine(1, "alice")}}},
		{Name: "Bob", Path: "/staff/", Groups: []string{"developers"}},
	},
}

func rsaLine(t *testing.T, bits int) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(public))
}

func TestWritesAreRefusedAsIAMRefusesThem(t *testing.T) {
	_, ed25519Key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(ed25519Key)
	if err != nil {
		t.Fatal(err)
	}
	upload := func(body string) func(context.Context, *iam.Client) error {
		return func(ctx context.Context, c *iam.Client) error {
			_, err := c.UploadSSHPublicKey(ctx, &iam.UploadSSHPublicKeyInput{UserName: aws.String("alice"),
				SSHPublicKeyBody: &body})
			return err
		}
	}
	for _, test := range []struct {
		name string
		call func(context.Context, *iam.Client) error
		want string
	}{
		{"a second user whose name differs only in case", func(ctx context.Context, c *iam.Client) error {
			_, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("ALICE")})
			return err
		}, "EntityAlreadyExists"},
		{"a second group whose name differs only in case", func(ctx context.Context, c *iam.Client) error {
			_, err := c.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("admins")})
			return err
		}, "EntityAlreadyExists"},
		{"a user renamed to another's name", func(ctx context.Context, c *iam.Client) error {
			_, err := c.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("alice"), NewUserName: aws.String("BOB")})
			return err
		}, "EntityAlreadyExists"},
		{"a user deleted while in a group", func(ctx context.Context, c *iam.Client) error {
			_, err := c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("Bob")})
			return err
		}, "DeleteConflict"},
		{"a group of nobody's", func(ctx context.Context, c *iam.Client) error {
			_, err := c.GetGroup(ctx, &iam.GetGroupInput{GroupName: aws.String("nobody")})
			return err
		}, "NoSuchEntity"},
		{"a page of 1001 items", func(ctx context.Context, c *iam.Client) error {
			_, err := c.ListUsers(ctx, &iam.ListUsersInput{MaxItems: aws.Int32(1001)})
			return err
		}, "ValidationError"},
		{"a marker of another list", func(ctx context.Context, c *iam.Client) error {
			_, err := c.ListUsers(ctx, &iam.ListUsersInput{Marker: aws.String("bm9uc2Vuc2U=")})
			return err
		}, "ValidationError"},
		{"an ed25519 key", upload(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), "UnrecognizedPublicKeyEncoding"},
		{"an RSA key of 1024 bits", upload(rsaLine(t, 1024)), "InvalidPublicKey"},
		{"the same key twice", upload(emulator.RSALine(1, "other comment")), "DuplicateSSHPublicKey"},
		{"a tag of the reserved prefix", func(ctx context.Context, c *iam.Client) error {
			_, err := c.TagUser(ctx, &iam.TagUserInput{UserName: aws.String("alice"),
				Tags: []types.Tag{{Key: aws.String("aws:x"), Value: aws.String("y")}}})
			return err
		}, "InvalidInput"},
		{"a sixth key", func(ctx context.Context, c *iam.Client) error {
			for i := range 5 {
				if err := upload(emulator.RSALine(uint64(100+i), ""))(ctx, c); err != nil {
					return err
				}
			}
			return nil
		}, "LimitExceeded"},
		{"an eleventh group of one user", func(ctx context.Context, c *iam.Client) error {
			for i := range 10 {
				name := aws.String(fmt.Sprintf("g%d", i))
				if _, err := c.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: name}); err != nil {
					return fmt.Errorf("not this: %w", err)
				}
				if _, err := c.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: name,
					UserName: aws.String("Bob")}); err != nil {
					return err
				}
			}
			return nil
		}, "LimitExceeded"},
		{"a fifty-first tag", func(ctx context.Context, c *iam.Client) error {
			for i := range 51 {
				if _, err := c.TagUser(ctx, &iam.TagUserInput{UserName: aws.String("Bob"),
					Tags: []types.Tag{{Key: aws.String(fmt.Sprint(i)), Value: aws.String("")}}}); err != nil {
					return err
				}
			}
			return nil
		}, "LimitExceeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.call(t.Context(), client(start(t, emulator.Options{Company: company})))
			if got := code(err); got != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestAnAccountIsChangedAndReadThroughTheSDK(t *testing.T) {
	e := start(t, emulator.Options{})
	c, ctx := client(e), t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	created, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("carol"), Path: aws.String("/staff/")})
	must(err)
	id := aws.ToString(created.User.UserId)
	if !strings.HasPrefix(id, "AIDA") || len(id) != 21 {
		t.Errorf("user id %q, want AIDA and 17 more", id)
	}
	group, err := c.CreateGroup(ctx, &iam.CreateGroupInput{GroupName: aws.String("ops")})
	must(err)
	if got := aws.ToString(group.Group.GroupId); !strings.HasPrefix(got, "AGPA") {
		t.Errorf("group id %q, want AGPA…", got)
	}
	_, err = c.AddUserToGroup(ctx, &iam.AddUserToGroupInput{GroupName: aws.String("OPS"), UserName: aws.String("Carol")})
	must(err)
	line := rsaLine(t, 2048)
	uploaded, err := c.UploadSSHPublicKey(ctx, &iam.UploadSSHPublicKeyInput{UserName: aws.String("carol"),
		SSHPublicKeyBody: &line})
	must(err)
	keyID := uploaded.SSHPublicKey.SSHPublicKeyId
	_, err = c.UpdateSSHPublicKey(ctx, &iam.UpdateSSHPublicKeyInput{UserName: aws.String("carol"), SSHPublicKeyId: keyID,
		Status: types.StatusTypeInactive})
	must(err)
	_, err = c.TagUser(ctx, &iam.TagUserInput{UserName: aws.String("carol"),
		Tags: []types.Tag{{Key: aws.String("Team"), Value: aws.String("a b")}}})
	must(err)
	_, err = c.UpdateUser(ctx, &iam.UpdateUserInput{UserName: aws.String("carol"), NewUserName: aws.String("Caroline")})
	must(err)

	user, err := c.GetUser(ctx, &iam.GetUserInput{UserName: aws.String("caroline")})
	must(err)
	if got := aws.ToString(user.User.UserId); got != id {
		t.Errorf("after the rename the id is %q, want %q", got, id)
	}
	if len(user.User.Tags) != 1 || aws.ToString(user.User.Tags[0].Value) != "a b" {
		t.Errorf("tags %v, want the one set", user.User.Tags)
	}
	keys, err := c.ListSSHPublicKeys(ctx, &iam.ListSSHPublicKeysInput{UserName: aws.String("caroline")})
	must(err)
	if len(keys.SSHPublicKeys) != 1 || keys.SSHPublicKeys[0].Status != types.StatusTypeInactive {
		t.Errorf("keys %v, want one that is Inactive", keys.SSHPublicKeys)
	}
	key, err := c.GetSSHPublicKey(ctx, &iam.GetSSHPublicKeyInput{UserName: aws.String("caroline"), SSHPublicKeyId: keyID,
		Encoding: types.EncodingTypeSsh})
	must(err)
	if got := aws.ToString(key.SSHPublicKey.SSHPublicKeyBody); got != line {
		t.Errorf("body %q, want %q", got, line)
	}
	pem, err := c.GetSSHPublicKey(ctx, &iam.GetSSHPublicKeyInput{UserName: aws.String("caroline"), SSHPublicKeyId: keyID,
		Encoding: types.EncodingTypePem})
	must(err)
	if got := aws.ToString(pem.SSHPublicKey.SSHPublicKeyBody); !strings.HasPrefix(got, "-----BEGIN PUBLIC KEY-----") {
		t.Errorf("PEM body %q", got)
	}
	bulk, err := c.GetAccountAuthorizationDetails(ctx,
		&iam.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{types.EntityTypeUser, types.EntityTypeGroup}})
	must(err)
	if len(bulk.UserDetailList) != 1 || !slices.Equal(bulk.UserDetailList[0].GroupList, []string{"ops"}) ||
		len(bulk.GroupDetailList) != 1 {
		t.Errorf("bulk answer %+v, want the user in ops, and ops", bulk)
	}
	_, err = c.RemoveUserFromGroup(ctx, &iam.RemoveUserFromGroupInput{GroupName: aws.String("ops"),
		UserName: aws.String("caroline")})
	must(err)
	_, err = c.DeleteSSHPublicKey(ctx, &iam.DeleteSSHPublicKeyInput{UserName: aws.String("caroline"),
		SSHPublicKeyId: keyID})
	must(err)
	_, err = c.UntagUser(ctx, &iam.UntagUserInput{UserName: aws.String("caroline"), TagKeys: []string{"team"}})
	must(err)
	_, err = c.DeleteUser(ctx, &iam.DeleteUserInput{UserName: aws.String("caroline")})
	must(err)
	_, err = c.DeleteGroup(ctx, &iam.DeleteGroupInput{GroupName: aws.String("ops")})
	must(err)
	if left := e.Company(); len(left.Users)+len(left.Groups) != 0 {
		t.Errorf("left over: %+v", left)
	}
}

func TestPagesAreCompleteHoweverShort(t *testing.T) {
	for _, settings := range []emulator.Settings{{}, {PageSize: 1}, {PageSize: 7}, {RaggedPage: true}} {
		t.Run(fmt.Sprintf("%+v", settings), func(t *testing.T) {
			e := start(t, emulator.Options{Company: emulator.Generate(emulator.Size{Users: 50, Groups: 8}), Settings: settings,
				Seed: 7})
			seen := make(map[string]bool)
			pages := iam.NewGetGroupPaginator(client(e), &iam.GetGroupInput{GroupName: aws.String("everyone"),
				MaxItems: aws.Int32(20)})
			for pages.HasMorePages() {
				page, err := pages.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, u := range page.Users {
					if seen[*u.UserId] {
						t.Errorf("%s twice", *u.UserName)
					}
					seen[*u.UserId] = true
				}
			}
			if len(seen) != 50 {
				t.Errorf("%d users, want 50", len(seen))
			}
			users, groups := 0, 0
			bulk := iam.NewGetAccountAuthorizationDetailsPaginator(client(e),
				&iam.GetAccountAuthorizationDetailsInput{MaxItems: aws.Int32(9)})
			for bulk.HasMorePages() {
				page, err := bulk.NextPage(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				users += len(page.UserDetailList)
				groups += len(page.GroupDetailList)
			}
			if users != 50 || groups != 9 {
				t.Errorf("bulk: %d users and %d groups, want 50 and 9", users, groups)
			}
		})
	}
}

func TestAccessIsCheckedAsAWSDoes(t *testing.T) {
	e := start(t, emulator.Options{Company: company,
		Roles: []emulator.Role{{ARN: "arn:aws:iam::444455556666:role/readers", ExternalID: "secret-word",
			Policy: emulator.Allow("iam:ListUsers")}}})
	ctx := t.Context()

	if _, err := iam.NewFromConfig(configOf(e, "AKIAUNKNOWN", "x", "")).ListUsers(ctx,
		nil); code(err) != "InvalidClientTokenId" {
		t.Errorf("unknown access key: %v", err)
	}
	e.SetPolicy(emulator.AccessKey, emulator.AllowAllBut("iam:GetGroup"))
	_, err := client(e).GetGroup(ctx, &iam.GetGroupInput{GroupName: aws.String("developers")})
	want := "User: arn:aws:iam::111122223333:user/emulator is not authorized to perform: iam:GetGroup on resource: " +
		"group developers with an explicit deny"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q in it", err, want)
	}

	assume := func(externalID *string) (*sts.AssumeRoleOutput, error) {
		return sts.NewFromConfig(configOf(e, emulator.AccessKey, emulator.SecretKey, "")).AssumeRole(ctx,
			&sts.AssumeRoleInput{
				RoleArn: aws.String("arn:aws:iam::444455556666:role/readers"), RoleSessionName: aws.String("host"),
				ExternalId: externalID})
	}
	if _, err := assume(nil); code(err) != "AccessDenied" {
		t.Errorf("without the external id: %v", err)
	}
	out, err := assume(aws.String("secret-word"))
	if err != nil {
		t.Fatal(err)
	}
	temporary := iam.NewFromConfig(configOf(e, *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey,
		*out.Credentials.SessionToken))
	if _, err := temporary.ListUsers(ctx, nil); err != nil {
		t.Errorf("with the role: %v", err)
	}
	if _, err := temporary.ListGroups(ctx, nil); code(err) != "AccessDenied" {
		t.Errorf("beyond the role's policy: %v", err)
	}
	e.ExpireTokens()
	if _, err := temporary.ListUsers(ctx, nil); code(err) != "ExpiredToken" {
		t.Errorf("after the end: %v", err)
	}
}

func TestFaultsHitTheCallsTheyName(t *testing.T) {
	e := start(t, emulator.Options{Company: company})
	if err := e.SetFaults(emulator.Fault{Kind: emulator.Throttle, Action: "ListUsers", Call: 2, Times: 2}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 4 {
		_, err := client(e).ListGroups(t.Context(), nil)
		got = append(got, code(err))
		_, err = client(e).ListUsers(t.Context(), nil)
		got = append(got, code(err))
	}
	if want := []string{"", "", "", "Throttling", "", "Throttling", "", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := e.Calls(); got["ListUsers"] != 4 || got["ListGroups"] != 4 || e.Throttled() != 2 {
		t.Errorf("counted %v and %d throttles", got, e.Throttled())
	}
}

func TestAChangeIsSeenLater(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	e := start(t, emulator.Options{Company: company,
		Settings: emulator.Settings{Visible: emulator.Duration(10 * time.Second)}, Now: func() time.Time { return now }})
	if err := e.DeleteUser("alice"); err != nil {
		t.Fatal(err)
	}
	count := func() int {
		out, err := client(e).ListUsers(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return len(out.Users)
	}
	if got := count(); got != 2 {
		t.Errorf("at once %d users are seen, want 2 as before", got)
	}
	now = now.Add(10 * time.Second)
	if got := count(); got != 1 {
		t.Errorf("after the time %d users are seen, want 1", got)
	}
}

func TestTheSameSeedIsTheSameAccount(t *testing.T) {
	a := start(t, emulator.Options{Company: emulator.Generate(emulator.Size{Users: 30, Keys: 2, Groups: 5, Seed: 9}),
		Seed: 9})
	b := start(t, emulator.Options{Company: emulator.Generate(emulator.Size{Users: 30, Keys: 2, Groups: 5, Seed: 9}),
		Seed: 9})
	for i, u := range a.Company().Users {
		other := b.Company().Users[i]
		if u.ID != other.ID || u.Keys[1].ID != other.Keys[1].ID || u.Keys[1].Body != other.Keys[1].Body {
			t.Fatalf("user %d differs: %+v, %+v", i, u, other)
		}
		if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(u.Keys[0].Body)); err != nil {
			t.Fatalf("key of %s: %v", u.Name, err)
		}
	}
}

func TestTheAdministrationWorksOverHTTP(t *testing.T) {
	e := start(t, emulator.Options{Company: company})
	for _, step := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/admin/users", `{"name":"dave","groups":["developers"],"tags":{"team":"x"}}`, 200},
		{"POST", "/admin/users", `{"name":"DAVE"}`, 409},
		{"PATCH", "/admin/users/dave", `{"name":"david"}`, 204},
		{"PUT", "/admin/groups/Admins/members/david", ``, 204},
		{"DELETE", "/admin/groups/developers/members/david", ``, 204},
		{"POST", "/admin/users/david/keys", `{"id":"APKAOFTHETESTFORDAVID","body":"no key at all"}`, 200},
		{"PATCH", "/admin/users/david/keys/APKAOFTHETESTFORDAVID", `{"status":"Inactive"}`, 204},
		{"PUT", "/admin/users/david/tags/ssh-key", `"a/b"`, 204},
		{"DELETE", "/admin/users/david/tags/team", ``, 204},
		{"PUT", "/admin/faults", `[{"kind":"nonsense"}]`, 400},
		{"PUT", "/admin/faults", `[{"kind":"slow","delay":"10ms","times":-1}]`, 204},
		{"PUT", "/admin/settings", `{"page_size":1,"visible":"0s"}`, 204},
		{"PUT", "/admin/policies/" + emulator.AccessKey,
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:Get*","Resource":"*"}}`, 204},
		{"GET", "/admin/calls", ``, 200},
		{"DELETE", "/admin/users/nobody", ``, 404},
	} {
		request, err := http.NewRequestWithContext(t.Context(), step.method, e.URL+step.path, strings.NewReader(step.body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != step.want {
			t.Errorf("%s %s: status %d, want %d", step.method, step.path, response.StatusCode, step.want)
		}
	}
	david := e.Company().Users[2]
	if david.Name != "david" || !slices.Equal(david.Groups, []string{"Admins"}) || david.Keys[0].Status != "Inactive" ||
		david.Tags["ssh-key"] != "a/b" || len(david.Tags) != 1 {
		t.Errorf("after all of it: %+v", david)
	}
}
