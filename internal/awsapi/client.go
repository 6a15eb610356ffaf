// Package awsapi is how the project talks with AWS: the region and credentials
// of this host or of an assumed role, the call rate, retries, time limits, walks
// over pages, errors that name what is missing, and the tags of the instance
// that it runs on.
//
// It knows no directory. Each source of package directory that AWS answers
// brings its own client and hands it Caller.Config.
package awsapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Options are where and how to ask. The zero value but for Service and Title is
// this instance's own account and region, by its own credentials.
type Options struct {
	// Service is the service that is asked, as the SDK names it, and Title what
	// people call it. Its calls alone are kept to the rate. JSON says that it
	// answers in JSON, and not in XML.
	Service, Title string
	JSON           bool

	// ThrottledRemedy is what to do where the service refuses calls for their
	// rate; "" is what helps with any service.
	ThrottledRemedy string

	// LargestPage is how many items a page may have at most, and SmallestPage
	// how few are asked for after pages that took too long.
	LargestPage, SmallestPage int32

	// Region is of STS and EC2, and says which partition is asked. When
	// empty it is the environment's or the profile's, else the instance's.
	Region string

	// Endpoint is a URL that is asked in place of the service, STS and EC2 alike. A
	// single service's endpoint is set by the SDK's AWS_ENDPOINT_URL_IAM and
	// its like.
	Endpoint string

	// AssumeRole is the ARN of a role through which the service is read, and
	// ExternalID what its trust policy asks for.
	AssumeRole string
	ExternalID string

	// Rate is how many calls a second the service is asked at most, retries
	// included, and Burst how many at once after a pause: so many for logins,
	// and as many for everything else.
	Rate  float64
	Burst int

	// AttemptTimeout bounds one try of a call for which a person waits (see
	// directory.Urgent), and CallTimeout the call with its retries, but not its wait for
	// the rate. PageTimeout bounds one try of any other call: a page of a
	// thousand users takes seconds, from another continent more. The defaults are
	// DefaultAttemptTimeout, DefaultCallTimeout and DefaultPageTimeout.
	AttemptTimeout time.Duration
	CallTimeout    time.Duration
	PageTimeout    time.Duration

	// Attempts is how often one call is tried, and Backoff the longest pause
	// between two tries. The defaults are DefaultAttempts and DefaultBackoff.
	Attempts int
	Backoff  time.Duration

	// MetadataEndpoint is a URL that is asked in place of the instance
	// metadata service. When empty it is AWS_EC2_METADATA_SERVICE_ENDPOINT,
	// else the link-local address.
	MetadataEndpoint string
}

// The defaults of Options.
const (
	DefaultAttemptTimeout = 4 * time.Second
	DefaultCallTimeout    = 12 * time.Second
	DefaultPageTimeout    = 30 * time.Second
	DefaultAttempts       = 6
	DefaultBackoff        = 3 * time.Second
)

// Parallel is how many calls of one read are under way at a time.
const Parallel = 4

// dialTimeout bounds one try to connect. A network that has just come up lost
// what was sent before, and TCP repeats that later and later.
const dialTimeout = 3 * time.Second

// metadataTimeout bounds the questions to the metadata service that Open asks,
// so that hosts outside EC2 do not wait for an address that nobody answers.
const metadataTimeout = 2 * time.Second

// A Caller asks one service of AWS, and EC2 about this instance. Its methods may
// be called from several goroutines, which share its rate.
type Caller struct {
	options  Options
	region   string
	endpoint string // as error messages name it
	service  aws.Config

	ec2  *ec2Client
	imds *imds.Client

	limiter *limiter
	names   unresolved
	counter counter
	pages   pageSize
	own     *rereader // this host's credentials
	expire  func()    // forget cached credentials

	identity sync.Mutex // guards instance
	instance *imds.InstanceIdentityDocument
}

// Open prepares a caller. It asks nobody but the metadata service, and that
// only for the region where none is configured and for the instance id that
// names the session of an assumed role. Its ErrNoRegion may pass: the metadata
// service may come up later.
func Open(ctx context.Context, o Options) (*Caller, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	c := &Caller{options: o, limiter: newLimiter(o.Rate, o.Burst), endpoint: o.Endpoint,
		pages: pageSize{largest: o.LargestPage, smallest: o.SmallestPage}}
	if c.endpoint == "" {
		c.endpoint = o.Title
	}

	// Loaded twice: the metadata client needs the environment's and the
	// profile's word on its endpoint, and the credential chain needs that
	// client, because its own would fall back to version 1.
	first, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, &Error{Op: "read AWS configuration", Kind: ErrNoCredentials, Cause: err,
			Remedy: "correct the AWS_* environment or the profile"}
	}
	c.imds = imds.NewFromConfig(first, func(m *imds.Options) {
		m.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.Proxy = nil })
		m.EnableFallback = aws.FalseTernary
		if o.MetadataEndpoint != "" {
			m.Endpoint = o.MetadataEndpoint
		}
	})
	c.region = o.Region
	if c.region == "" {
		c.region = first.Region
	}
	if c.region == "" {
		document, err := c.identityDocument(ctx)
		if err != nil || document.Region == "" {
			return nil, &Error{Op: "find the AWS region", Kind: ErrNoRegion, Cause: err,
				Remedy: "set source.region in the configuration, or AWS_REGION, or enable this instance's " +
					"metadata service (IMDSv2)"}
		}
		c.region = document.Region
	}

	settings := []func(*config.LoadOptions) error{
		config.WithRegion(c.region),
		config.WithAppID("nss-iam"),
		// Given here so that the SDK adds the certificates of AWS_CA_BUNDLE to it.
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(o.AttemptTimeout).
			WithTransportOptions(func(t *http.Transport) {
				t.MaxIdleConnsPerHost = 2 * Parallel
				t.Proxy = proxy
			}).WithDialerOptions(func(d *net.Dialer) { d.Timeout = dialTimeout })),
		config.WithEC2RoleCredentialOptions(func(r *ec2rolecreds.Options) { r.Client = c.imds }),
	}
	cfg, err := config.LoadDefaultConfig(ctx, settings...)
	if err != nil {
		return nil, &Error{Op: "read AWS configuration", Kind: ErrNoCredentials, Cause: err,
			Remedy: "correct the AWS_* environment or the profile"}
	}
	if o.Endpoint != "" {
		cfg.BaseEndpoint = aws.String(o.Endpoint)
	}
	// What follows applies to the clients below only: the credential chain's own
	// are made by now.
	patient := cfg.HTTPClient
	if b, ok := patient.(*awshttp.BuildableClient); ok {
		patient = b.WithTimeout(o.PageTimeout)
	}
	cfg.HTTPClient = plainBodies{byLane{urgent: cfg.HTTPClient, other: patient, names: &c.names}}
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(s *retry.StandardOptions) {
			s.MaxAttempts, s.MaxBackoff = o.Attempts, o.Backoff
		})
	}
	cfg.APIOptions = append(cfg.APIOptions, c.counting, c.wholeAnswers)
	c.own = &rereader{chain: cfg.Credentials, read: time.Now(), now: time.Now,
		load: func(ctx context.Context) (aws.CredentialsProvider, error) {
			again, err := config.LoadDefaultConfig(ctx, settings...)
			return again.Credentials, err
		}}
	cfg.Credentials = named{c.own, "find AWS credentials", noCredentialsRemedy, true}
	c.expire = c.own.Invalidate
	// The instance's own, whatever role the service is read by: the tags of an
	// instance are in its own account.
	if c.ec2, err = newEC2(ctx, cfg); err != nil {
		return nil, &Error{Op: "read AWS configuration", Kind: ErrNoRegion, Cause: err,
			Remedy: "correct source.region or the AWS_* environment"}
	}

	if o.AssumeRole != "" {
		session := c.sessionName(ctx)
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), o.AssumeRole, func(a *stscreds.AssumeRoleOptions) {
			a.RoleSessionName = session
			a.Duration = time.Hour
			if o.ExternalID != "" {
				a.ExternalID = aws.String(o.ExternalID)
			}
		})
		cached := aws.NewCredentialsCache(role, func(k *aws.CredentialsCacheOptions) {
			k.ExpiryWindow = 5 * time.Minute
			k.ExpiryWindowJitterFrac = 0.5
		})
		forgetOwn := c.expire
		c.expire = func() { forgetOwn(); cached.Invalidate() }
		cfg.Credentials = named{cached, fmt.Sprintf("assume role %q", o.AssumeRole),
			"let these credentials sts:AssumeRole it, and its trust policy name them and the configured external_id", false}
	}
	cfg.APIOptions = append(slices.Clip(cfg.APIOptions), c.limiting)
	c.service = cfg
	return c, nil
}

func (o Options) withDefaults() Options {
	if o.AttemptTimeout == 0 {
		o.AttemptTimeout = DefaultAttemptTimeout
	}
	if o.CallTimeout == 0 {
		o.CallTimeout = DefaultCallTimeout
	}
	if o.PageTimeout == 0 {
		o.PageTimeout = DefaultPageTimeout
	}
	if o.Attempts == 0 {
		o.Attempts = DefaultAttempts
	}
	if o.Backoff == 0 {
		o.Backoff = DefaultBackoff
	}
	return o
}

// roleARN is the form of a role's ARN.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
var roleARN = regexp.MustCompile(`^arn:aws[a-z0-9-]*:iam::[0-9]{12}:role/[!-~]{1,576}$`)

func (o Options) check() error {
	switch {
	case o.Rate < 0 || o.Burst < 0:
		return fmt.Errorf("open %s client: rate %v and burst %d must not be negative", o.Title, o.Rate, o.Burst)
	case o.AssumeRole != "" && !roleARN.MatchString(o.AssumeRole):
		return fmt.Errorf("open %s client: assume_role %q is no role's ARN, as arn:aws:iam::111122223333:role/name is",
			o.Title, o.AssumeRole)
	case o.AssumeRole == "" && o.ExternalID != "":
		return fmt.Errorf("open %s client: external_id is set and assume_role is not", o.Title)
	}
	return nil
}

// Config is for a client of the service: the credentials, retries and limits of
// the caller are in it.
func (c *Caller) Config() aws.Config { return c.service.Copy() }

// Region is the region in use.
func (c *Caller) Region() string { return c.region }

// identityDocument asks the metadata service once and remembers the answer.
func (c *Caller) identityDocument(ctx context.Context) (*imds.InstanceIdentityDocument, error) {
	c.identity.Lock()
	defer c.identity.Unlock()
	if c.instance != nil {
		return c.instance, nil
	}
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	out, err := c.imds.GetInstanceIdentityDocument(ctx, nil)
	if err != nil {
		return nil, err
	}
	c.instance = &out.InstanceIdentityDocument
	return c.instance, nil
}

// notInSession are the characters that no role session name has.
var notInSession = regexp.MustCompile(`[^\w+=,.@-]+`)

// sessionName is what CloudTrail shows for the calls of this host.
func (c *Caller) sessionName(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	name := ""
	if document, err := c.identityDocument(ctx); err == nil {
		name = document.InstanceID
	}
	if name == "" {
		name, _ = os.Hostname() // without one the program's name has to do
	}
	name = notInSession.ReplaceAllString(name, "-")
	if len(name) < 2 {
		name = "nss-iam"
	}
	return name[:min(len(name), 64)]
}

const noCredentialsRemedy = "attach an instance profile to this instance, or set AWS_ACCESS_KEY_ID and " +
	"AWS_SECRET_ACCESS_KEY or AWS_SHARED_CREDENTIALS_FILE in /etc/nss-iam/environment; " +
	"the service does not see files in /root or /home (ProtectHome)"

// named is a credentials provider whose failures say what failed.
type named struct {
	aws.CredentialsProvider
	op, remedy string
	search     bool // it looks in several places
}

func (n named) Retrieve(ctx context.Context) (aws.Credentials, error) {
	credentials, err := n.CredentialsProvider.Retrieve(ctx)
	if err == nil {
		return credentials, nil
	}
	var inner *Error
	if errors.As(err, &inner) {
		return credentials, err
	}
	failed := explain(n.op, err)
	switch is := func(kind error) bool { return errors.Is(failed.Kind, kind) }; {
	case is(ErrUnreachable) || is(ErrTimeout) || is(ErrIncomplete):
		// Of the chain's own search: nothing that it tried was there.
		if n.search {
			failed.Kind, failed.Detail, failed.Remedy = ErrNoCredentials, "", n.remedy
		}
	case is(ErrAccessDenied):
		failed.Remedy = n.remedy
	}
	return credentials, failed
}
