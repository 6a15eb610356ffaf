package emulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// A Policy is an IAM policy document: what an access key may do. Actions and
// resources may hold * and ?; conditions are not understood and refused.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
type Policy struct{ Statements []Statement }

// A Statement allows or denies actions on resources.
type Statement struct {
	Effect    string
	Actions   []string
	Resources []string
}

// Allow is a policy of one statement that allows actions on everything.
func Allow(actions ...string) *Policy {
	return &Policy{[]Statement{{Effect: "Allow", Actions: actions, Resources: []string{"*"}}}}
}

// AllowAllBut is a policy that denies actions and allows everything else.
func AllowAllBut(actions ...string) *Policy {
	return &Policy{[]Statement{
		{Effect: "Allow", Actions: []string{"*"}, Resources: []string{"*"}},
		{Effect: "Deny", Actions: actions, Resources: []string{"*"}},
	}}
}

// UnmarshalJSON reads a policy document as AWS has it.
func (p *Policy) UnmarshalJSON(data []byte) error {
	var document struct {
		Statement oneOrMany[struct {
			Effect    string
			Action    oneOrMany[string]
			Resource  oneOrMany[string]
			Condition json.RawMessage
		}]
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return err
	}
	p.Statements = nil
	for i, s := range document.Statement {
		if len(s.Condition) > 0 || (s.Effect != "Allow" && s.Effect != "Deny") || len(s.Action) == 0 || len(s.Resource) == 0 {
			return fmt.Errorf("statement %d: want Effect, Action and Resource, and no Condition", i+1)
		}
		p.Statements = append(p.Statements, Statement{s.Effect, s.Action, s.Resource})
	}
	return nil
}

// oneOrMany is a JSON value or a list of such values.
type oneOrMany[T any] []T

func (o *oneOrMany[T]) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]T)(o))
	}
	*o = make([]T, 1)
	return json.Unmarshal(data, &(*o)[0])
}

// allows says whether the policy lets an action on a resource pass, and if
// not, whether a statement denies it.
func (p *Policy) allows(action, resource string) (allowed, denied bool) {
	if p == nil {
		return true, false
	}
	for _, s := range p.Statements {
		if !matchesAny(s.Actions, action) || !matchesAny(s.Resources, resource) {
			continue
		}
		if s.Effect == "Deny" {
			return false, true
		}
		allowed = true
	}
	return allowed, false
}

func matchesAny(patterns []string, s string) bool {
	for _, pattern := range patterns {
		if matches(strings.ToLower(pattern), strings.ToLower(s)) {
			return true
		}
	}
	return false
}

// matches compares with * for any run and ? for any one character, slashes included.
func matches(pattern, s string) bool {
	star, back := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, back = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p, i = p+1, i+1
		case star >= 0:
			back++
			p, i = star+1, back
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// A principal is who an access key belongs to.
type principal struct {
	arn, account string
	secret       string
	token        string // of a temporary key
	expires      time.Time
	policy       *Policy
	role         string // the role's ARN, of a key that AssumeRole or the metadata service gave out
}

// SetPolicy says what the access key may do from now on; nil allows
// everything. An unknown key is created.
func (e *Emulator) SetPolicy(accessKey string, policy *Policy) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p := e.principals[accessKey]; p != nil {
		p.policy = policy
		return
	}
	account := e.options.Company.Account
	e.principals[accessKey] = &principal{arn: fmt.Sprintf("arn:aws:iam::%s:user/%s", account, strings.ToLower(accessKey)),
		account: account, policy: policy}
}

// SetRole adds or replaces a role, also for temporary keys already given out.
func (e *Emulator) SetRole(role Role) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.roles[role.ARN] = role
	for _, p := range e.principals {
		if p.role == role.ARN {
			p.policy = role.Policy
		}
	}
}

// ExpireTokens ends all temporary credentials that were given out.
func (e *Emulator) ExpireTokens() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.principals {
		if p.token != "" {
			p.expires = e.now().Add(-time.Second)
		}
	}
}

// caller finds who signed a request. The caller of caller holds e.mu.
func (e *Emulator) caller(r *http.Request) (*principal, error) {
	header := r.Header.Get("Authorization")
	_, rest, ok := strings.Cut(header, "Credential=")
	if !ok || !strings.HasPrefix(header, "AWS4-HMAC-SHA256 ") {
		return nil, failure("MissingAuthenticationToken", "Request is missing Authentication Token")
	}
	accessKey, _, _ := strings.Cut(rest, "/")
	p := e.principals[accessKey]
	if p == nil || p.token != "" && p.token != r.Header.Get("X-Amz-Security-Token") {
		return nil, failure("InvalidClientTokenId", "The security token included in the request is invalid.")
	}
	if p.token != "" && !e.now().Before(p.expires) {
		return nil, failure("ExpiredToken", "The security token included in the request is expired")
	}
	return p, nil
}

// authorize checks an action against the caller's policy. shown is the
// resource as AWS's sentence has it.
func (p *principal) authorize(action, resource, shown string) error {
	allowed, denied := p.policy.allows(action, resource)
	if allowed {
		return nil
	}
	why := fmt.Sprintf("because no identity-based policy allows the %s action", action)
	if denied {
		why = "with an explicit deny in an identity-based policy"
	}
	return failure("AccessDenied", "User: %s is not authorized to perform: %s on resource: %s %s", p.arn, action, shown,
		why)
}

// issue gives out a temporary key. The caller holds e.mu.
func (e *Emulator) issue(p principal, lifetime time.Duration) (accessKey string, issued *principal) {
	accessKey = e.id("ASIA")
	p.secret, p.token = e.id("secret/"), e.id("token/")
	p.expires = e.now().Add(lifetime)
	e.principals[accessKey] = &p
	return accessKey, &p
}
