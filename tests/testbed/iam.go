package testbed

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// The access key that every emulated account accepts.
const (
	accessKey = "AKIAEMULATOREXAMPLE1"
	secretKey = "emulator/secret/EXAMPLEKEY"
)

// A Company is what is in an emulated account at the start, as
// tests/emulator's seed files have it.
type Company struct {
	Groups []Group `json:"groups"`
	Users  []User  `json:"users"`
}

// A Group is an IAM group. ID is chosen where it is empty.
type Group struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
	Path string `json:"path,omitempty"`
}

// A User is an IAM user. ID is chosen where it is empty.
type User struct {
	ID     string            `json:"id,omitempty"`
	Name   string            `json:"name"`
	Path   string            `json:"path,omitempty"`
	Groups []string          `json:"groups,omitempty"`
	Keys   []IAMKey          `json:"keys,omitempty"`
	Tags   map[string]string `json:"tags,omitempty"`
}

// An IAMKey is an SSH public key of a user. ID is chosen where it is empty.
type IAMKey struct {
	ID       string     `json:"id,omitempty"`
	Body     string     `json:"body,omitempty"`
	Status   string     `json:"status,omitempty"` // Active when empty
	Uploaded *time.Time `json:"uploaded,omitempty"`
}

// IAM is an emulated AWS account that runs on a host.
type IAM struct {
	h       *Host
	Process *Process
	URL     string
}

// StartIAM starts an account with this company in it. args are further
// arguments of iam-emulator.
func (h *Host) StartIAM(company Company, args ...string) *IAM {
	h.t.Helper()
	RequireArtifacts(h.t)
	seed, err := json.Marshal(company)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Write("/run/testbed/company.json", string(seed), 0o644)
	build, err := filepath.Abs(Build())
	if err != nil {
		h.t.Fatal(err)
	}
	h.Run("rm", "-f", "/run/testbed/iam.url")
	iam := &IAM{h: h}
	iam.Process = h.Start(nil, append([]string{filepath.Join(build, "iam-emulator"),
		"-company", "/run/testbed/company.json", "-address-file", "/run/testbed/iam.url"}, args...)...)
	h.Eventually("the emulator has an address", 5*time.Minute, func() bool {
		r := h.Try("cat", "/run/testbed/iam.url")
		iam.URL = strings.TrimSpace(r.Stdout)
		return r.Code == 0 && iam.URL != ""
	})
	return iam
}

// Stop ends the account: nothing listens at its address any more.
func (iam *IAM) Stop() { iam.Process.Stop() }

// Source is the [source] section of a config.toml that reads this account.
func (iam *IAM) Source() string {
	return "[source]\nkind = \"iam\"\nregion = \"us-east-1\"\nendpoint = \"" + iam.URL + "\"\n"
}

// Credentials are the environment variables with which the AWS SDK is let in.
func Credentials() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey}
}

// Do calls the emulator's /admin API (see tests/emulator, admin.go) and
// reads a JSON answer into out, unless that is nil.
func (iam *IAM) Do(method, path string, in, out any) {
	iam.h.t.Helper()
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			iam.h.t.Fatal(err)
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(context.Background(), method, iam.URL+"/admin/"+path, body)
	if err != nil {
		iam.h.t.Fatal(err)
	}
	response, err := iam.h.Client().Do(request)
	if err != nil {
		iam.h.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		iam.h.t.Fatal(err)
	}
	if response.StatusCode >= 300 {
		iam.h.t.Fatalf("%s /admin/%s: %s: %s", method, path, response.Status, answer)
	}
	if out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			iam.h.t.Fatal(err)
		}
	}
}

func (iam *IAM) create(path string, in any) string {
	iam.h.t.Helper()
	var created struct{ ID string }
	iam.Do(http.MethodPost, path, in, &created)
	return created.ID
}

// AddUser adds a user with groups, tags and keys, and returns its id.
func (iam *IAM) AddUser(u User) string { iam.h.t.Helper(); return iam.create("users", u) }

// RenameUser renames a user.
func (iam *IAM) RenameUser(name, newName string) {
	iam.h.t.Helper()
	iam.Do(http.MethodPatch, "users/"+url.PathEscape(name), User{Name: newName}, nil)
}

// DeleteUser deletes a user with all that it has.
func (iam *IAM) DeleteUser(name string) {
	iam.h.t.Helper()
	iam.Do(http.MethodDelete, "users/"+url.PathEscape(name), nil, nil)
}

// DeleteGroup deletes a group, no matter who is in it.
func (iam *IAM) DeleteGroup(name string) {
	iam.h.t.Helper()
	iam.Do(http.MethodDelete, "groups/"+url.PathEscape(name), nil, nil)
}

// AddMember puts a user into a group.
func (iam *IAM) AddMember(group, user string) {
	iam.h.t.Helper()
	iam.Do(http.MethodPut, "groups/"+url.PathEscape(group)+"/members/"+url.PathEscape(user), nil, nil)
}

// RemoveMember takes a user out of a group.
func (iam *IAM) RemoveMember(group, user string) {
	iam.h.t.Helper()
	iam.Do(http.MethodDelete, "groups/"+url.PathEscape(group)+"/members/"+url.PathEscape(user), nil, nil)
}

// AddKey gives a user a key and returns its id.
func (iam *IAM) AddKey(user string, k IAMKey) string {
	iam.h.t.Helper()
	return iam.create("users/"+url.PathEscape(user)+"/keys", k)
}

// SetKeyStatus makes a key Active or Inactive.
func (iam *IAM) SetKeyStatus(user, id, status string) {
	iam.h.t.Helper()
	iam.Do(http.MethodPatch, "users/"+url.PathEscape(user)+"/keys/"+url.PathEscape(id), IAMKey{Status: status}, nil)
}

// DeleteKey deletes a key.
func (iam *IAM) DeleteKey(user, id string) {
	iam.h.t.Helper()
	iam.Do(http.MethodDelete, "users/"+url.PathEscape(user)+"/keys/"+url.PathEscape(id), nil, nil)
}

// A Fault spoils some of the account's calls: see emulator.Fault.
type Fault struct {
	Kind   string  `json:"kind"`
	Action string  `json:"action,omitempty"`
	Call   int     `json:"call,omitempty"`
	Times  int     `json:"times,omitempty"`
	Every  int     `json:"every,omitempty"`
	Share  float64 `json:"share,omitempty"`
	Delay  string  `json:"delay,omitempty"`
}

// Spoil replaces all faults.
func (iam *IAM) Spoil(faults ...Fault) {
	iam.h.t.Helper()
	if faults == nil {
		faults = []Fault{}
	}
	iam.Do(http.MethodPut, "faults", faults, nil)
}

// Deny takes actions ("iam:GetGroup") from the access key in Credentials;
// without any, everything is allowed again.
func (iam *IAM) Deny(actions ...string) {
	iam.h.t.Helper()
	iam.deny("*", actions)
}

// DenyFor is Deny for what concerns one user.
func (iam *IAM) DenyFor(user string, actions ...string) {
	iam.h.t.Helper()
	iam.deny("arn:aws:iam::*:user/"+user, actions)
}

func (iam *IAM) deny(resource string, actions []string) {
	iam.h.t.Helper()
	policy := map[string]any{"Statement": []map[string]any{{"Effect": "Allow", "Action": "*", "Resource": "*"}}}
	if len(actions) > 0 {
		policy["Statement"] = append(policy["Statement"].([]map[string]any),
			map[string]any{"Effect": "Deny", "Action": actions, "Resource": resource})
	}
	iam.Do(http.MethodPut, "policies/"+accessKey, policy, nil)
}

// Calls counts the calls by action since the last call of Calls.
func (iam *IAM) Calls() map[string]int {
	iam.h.t.Helper()
	var calls struct{ Actions map[string]int }
	iam.Do(http.MethodGet, "calls", nil, &calls)
	iam.Do(http.MethodDelete, "calls", nil, nil)
	return calls.Actions
}

// Refresh runs "iam-cachefill refresh" with the account's credentials.
func (h *Host) Refresh(args ...string) Result {
	h.t.Helper()
	return h.TryInput("", Credentials(), append([]string{Refresh, "refresh", "--config", Config}, args...)...)
}

// Refreshed is Refresh, which must succeed.
func (h *Host) Refreshed() {
	h.t.Helper()
	if r := h.Refresh(); r.Code != 0 {
		h.t.Fatal(r)
	}
}

// StartDaemon starts "iam-cachefill run" with the account's credentials.
func (h *Host) StartDaemon() *Process {
	h.t.Helper()
	return h.Start(Credentials(), Refresh, "run", "--config", Config)
}
