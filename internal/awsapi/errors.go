package awsapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// The kinds of failure, for errors.Is. Every error of this package has one or one of
// the sources, except for those of a context that ended.
var (
	// ErrAccessDenied: the credentials lack a permission. The error names the
	// action, the resource and the policy statement that grants it.
	ErrAccessDenied = errors.New("access denied")
	// ErrThrottled: AWS refused the call for its rate, in spite of retries.
	ErrThrottled = errors.New("throttled")
	// ErrNoCredentials: no credentials were found or could be fetched.
	ErrNoCredentials = errors.New("no credentials")
	// ErrBadCredentials: AWS does not accept the credentials.
	ErrBadCredentials = errors.New("credentials refused")
	// ErrExpired: the credentials have expired, and new ones have as well.
	ErrExpired = errors.New("credentials expired")
	// ErrNoRegion: no region is configured, and none could be found out.
	ErrNoRegion = errors.New("no region")
	// ErrUnreachable: there was no connection: name, route, TLS.
	ErrUnreachable = errors.New("unreachable")
	// ErrTimeout: no answer came in time, in spite of retries.
	ErrTimeout = errors.New("no answer in time")
	// ErrService: AWS says that it failed, in spite of retries.
	ErrService = errors.New("service failure")
	// ErrIncomplete: an answer is cut, garbled, without an end or at odds with
	// itself. It may be that the directory changed during the walk.
	ErrIncomplete = directory.ErrIncomplete
	// ErrRefused: AWS refused the call for another reason.
	ErrRefused = errors.New("request refused")
	// ErrNoTag: the instance does not have the tag.
	ErrNoTag = errors.New("no such tag")
	// ErrNoInstance: this host has no instance metadata service that answers.
	ErrNoInstance = errors.New("no instance metadata")
)

const namesRemedy = "check this host's name servers and source.endpoint"

// An Error is a failed read. Its text is one line.
type Error struct {
	Op     string // what was tried: `read group "developers"`
	Kind   error  // one of the above, or one of a source
	Cause  error  // as the SDK has it; may be nil
	Detail string // the cause in few words; that of Cause when empty
	Remedy string // what to do; may be empty

	unconnected bool // of an ErrTimeout: there was not even a connection
}

// Error is Op, the kind, the cause and the remedy.
func (e *Error) Error() string {
	text := e.Op + ": " + e.Kind.Error()
	detail := e.Detail
	if detail == "" && e.Cause != nil {
		detail = brief(e.Cause)
	}
	if detail != "" {
		text += ": " + line(detail)
	}
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Unwrap gives errors.Is the kind and errors.As the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

// Is makes every failure to come as far as AWS a directory.ErrNotReached.
func (e *Error) Is(target error) bool {
	return target == directory.ErrNotReached && (e.Kind == ErrUnreachable || e.Kind == ErrNoRegion ||
		e.Kind == ErrNoCredentials ||
		e.Kind == ErrTimeout && e.unconnected)
}

// object is what an operation is about: a name, an id.
var object = regexp.MustCompile(` "[^"]*"| [A-Z0-9]{16,}`)

// Fault is the kind and the operation without what it is about. Of questions that
// were asked at the same time and did not come as far as AWS, any may fail first:
// then it is the kind alone.
func (e *Error) Fault() string {
	if e.Is(directory.ErrNotReached) {
		return e.Kind.Error()
	}
	return object.ReplaceAllString(e.Op, "") + ": " + e.Kind.Error()
}

// explain turns what the SDK returned for op into an Error.
func explain(op string, err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		if own.Op == op {
			return own
		}
		return &Error{Op: op + ": " + own.Op, Kind: own.Kind, Cause: own.Cause, Detail: own.Detail, Remedy: own.Remedy}
	}
	e := &Error{Op: op, Cause: err}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Kind = kindOf(api.ErrorCode(), err)
		e.Detail = api.ErrorMessage()
		is := func(kind error) bool { return errors.Is(e.Kind, kind) }
		if is(ErrRefused) || is(ErrService) || is(ErrBadCredentials) {
			e.Detail = api.ErrorCode() + ": " + e.Detail
		}
		switch {
		case is(ErrAccessDenied):
			e.Detail, e.Remedy = denied(api.ErrorMessage())
		case is(ErrThrottled):
			e.Remedy = "fewer hosts that ask AWS, a longer source.refresh or a lower source.rate help"
		case is(ErrBadCredentials):
			e.Remedy = "correct the access key, the session token and this host's clock"
		case is(ErrExpired):
			e.Remedy = "renew the credentials, and check this host's clock"
		}
		return e
	}
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var unknownAuthority x509.UnknownAuthorityError
	var wrongHost x509.HostnameError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var timeout net.Error
	var garbled *smithy.DeserializationError
	var cut *cutError
	switch {
	case errors.As(err, &dns):
		e.Kind, e.Detail = ErrUnreachable, fmt.Sprintf("look up %q: %s", dns.Name, dns.Err)
		e.Remedy = namesRemedy
	case errors.As(err, &certificate), errors.As(err, &unknownAuthority), errors.As(err, &wrongHost),
		errors.As(err, &record), errors.As(err, &alert):
		e.Kind, e.Detail = ErrUnreachable, "TLS: "+innermost(err).Error()
		e.Remedy = "check this host's clock, its CA certificates and source.endpoint"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		e.Kind, e.Detail = ErrTimeout, "the connection or the answer took too long"
		e.Remedy = "check the route to the endpoint (NAT, VPC endpoint, proxy)"
	case errors.As(err, &garbled):
		e.Kind, e.Detail = ErrIncomplete, "the body cannot be read: "+innermost(garbled).Error()
	case errors.As(err, &cut):
		e.Kind, e.Detail = ErrIncomplete, cut.Error()
	default:
		e.Kind = ErrUnreachable
	}
	return e
}

func kindOf(code string, err error) error {
	switch code {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure":
		return ErrAccessDenied
	case "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
		"TooManyRequestsException", "RequestLimitExceeded", "PriorRequestNotComplete", "SlowDown", "EC2ThrottledException":
		return ErrThrottled
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired":
		return ErrExpired
	case "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "MissingAuthenticationToken",
		"InvalidAccessKeyId", "IncompleteSignature", "OptInRequired":
		return ErrBadCredentials
	}
	var response *awshttp.ResponseError
	if errors.As(err, &response) && response.HTTPStatusCode() >= 500 {
		return ErrService
	}
	return ErrRefused
}

// denial is AWS's sentence: who, what, on what.
var denial = regexp.MustCompile(`(?:User|Principal): (\S+) is not authorized to perform: (\S+)` +
	`(?: on resource: ((?:user|group|role) )?(\S+))?`)

// denied takes AWS's sentence apart into who lacks what, and the statement
// that grants it.
func denied(message string) (detail, remedy string) {
	m := denial.FindStringSubmatch(message)
	if m == nil {
		return message, ""
	}
	who, action, kind, resource := m[1], m[2], strings.TrimSpace(m[3]), m[4]
	partition, account := "aws", "*"
	if fields := strings.Split(who, ":"); len(fields) >= 6 && fields[0] == "arn" {
		partition, account = fields[1], fields[4]
	}
	if kind != "" {
		resource = fmt.Sprintf("arn:%s:iam::%s:%s/%s", partition, account, kind, resource)
	}
	if kinds, ok := storeResources[action]; ok && strings.Contains(resource, ":identitystore/") {
		granted := []string{resource}
		for _, kind := range kinds {
			granted = append(granted, fmt.Sprintf("arn:%s:identitystore:::%s/*", partition, kind))
		}
		return fmt.Sprintf("%s lacks %s on %s", who, action, resource), grant(action, granted...)
	}
	switch granted := grantOn(action, resource); granted {
	case "":
		return fmt.Sprintf("%s lacks %s", who, action), grant(action, "*")
	default:
		if resource == "" {
			resource = granted
		}
		return fmt.Sprintf("%s lacks %s on %s", who, action, resource), grant(action, granted)
	}
}

// storeResources are the kinds of resources that an action of the Identity Store
// needs beside the store itself.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentitystore.html
var storeResources = map[string][]string{
	"identitystore:ListUsers": {"user"}, "identitystore:DescribeUser": {"user"}, "identitystore:ListGroups": {"group"},
	"identitystore:ListGroupMemberships": {"group", "membership"}, "identitystore:IsMemberInGroups": {"user", "group",
		"membership"},
}

// grantOn is the resource to name in a policy for an action that failed on one
// user, group or list: lists know no resources, and what is read of one user
// will be read of all.
func grantOn(action, resource string) string {
	switch action {
	case "iam:ListUsers", "iam:ListGroups", "iam:GetAccountAuthorizationDetails", "ec2:DescribeTags",
		"identitystore:ListIdentityStores":
		return "*"
	case "iam:ListSSHPublicKeys", "iam:GetSSHPublicKey", "iam:ListGroupsForUser", "iam:ListUserTags":
		if arn, _, ok := strings.Cut(resource, ":user/"); ok {
			return arn + ":user/*"
		}
	}
	return resource
}

func grant(action string, resources ...string) string {
	on := fmt.Sprintf("%q", resources[0])
	if len(resources) > 1 {
		quoted := make([]string, len(resources))
		for i, r := range resources {
			quoted[i] = fmt.Sprintf("%q", r)
		}
		on = "[" + strings.Join(quoted, ",") + "]"
	}
	return fmt.Sprintf(`grant it by the policy statement {"Effect":"Allow","Action":%q,"Resource":%s}`, action, on)
}

// brief is the innermost words of an error, without the SDK's layers.
func brief(err error) string { return innermost(err).Error() }

func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || inner.Error() == "" {
			return err
		}
		// A syscall's bare "connection refused" says less than the dial that met it.
		if _, ok := err.(*net.OpError); ok { //nolint:errorlint // each level of the error is looked at alone
			return err
		}
		err = inner
	}
}

// line makes foreign text one printable line of bounded length.
func line(text string) string {
	const longest = 400
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}
