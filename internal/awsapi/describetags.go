package awsapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/ec2query"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// This file is all of EC2's API that is needed: one operation. The SDK's own
// package for EC2 takes 3.4 GB of memory to compile. What is here is that
// operation's request and answer; the signer, the retries, the clock, the error
// types and the HTTP client are the SDK's.

// describeTags is the operation's name; ec2Version the API's.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeTags.html
const (
	describeTags = "DescribeTags"
	ec2Version   = "2016-11-15"
)

// An instanceTag is one tag of one resource.
type instanceTag struct {
	Resource string `xml:"resourceId"`
	Key      string `xml:"key"`
	Value    string `xml:"value"`
}

// An ec2Client asks EC2 about tags. It uses what the SDK's clients would use of
// the same aws.Config.
type ec2Client struct {
	config   aws.Config
	endpoint string
}

func newEC2(ctx context.Context, cfg aws.Config) (*ec2Client, error) {
	endpoint, err := ec2Endpoint(ctx, cfg)
	return &ec2Client{cfg, endpoint}, err
}

// tags returns the tags of a resource that have the key. The errors are those
// of the SDK's clients.
func (e *ec2Client) tags(ctx context.Context, resource, key string) ([]instanceTag, error) {
	form := url.Values{
		"Action": {describeTags}, "Version": {ec2Version},
		"Filter.1.Name": {"resource-id"}, "Filter.1.Value.1": {resource},
		"Filter.2.Name": {"key"}, "Filter.2.Value.1": {key},
	}.Encode()
	stack := middleware.NewStack(describeTags, smithyhttp.NewStackRequest)
	var tags []instanceTag
	for _, step := range []func(*middleware.Stack) error{
		func(s *middleware.Stack) error { return s.Serialize.Add(e.serialize(form), middleware.After) },
		func(s *middleware.Stack) error { return s.Finalize.Add(e.sign(form), middleware.After) },
		func(s *middleware.Stack) error { return s.Deserialize.Add(readTags(&tags), middleware.After) },
		func(s *middleware.Stack) error {
			return retry.AddRetryMiddlewares(s, retry.AddRetryMiddlewaresOptions{Retryer: e.config.Retryer()})
		},
		awsmiddleware.AddClientRequestIDMiddleware, awsmiddleware.AddRequestIDRetrieverMiddleware,
		awsmiddleware.AddRecordResponseTiming, awshttp.AddResponseErrorMiddleware,
		awsmiddleware.AddRequestUserAgentMiddleware, awsmiddleware.AddUserAgentKey("app/" + e.config.AppID),
	} {
		if err := step(stack); err != nil {
			return nil, err
		}
	}
	for _, option := range e.config.APIOptions {
		if err := option(stack); err != nil {
			return nil, err
		}
	}
	ctx = middleware.WithOperationName(middleware.WithServiceID(middleware.ClearStackValues(ctx), "EC2"), describeTags)
	ctx = awsmiddleware.SetOperationName(awsmiddleware.SetServiceID(ctx, "EC2"), describeTags)
	_, _, err := middleware.DecorateHandler(smithyhttp.NewClientHandlerWithOptions(e.config.HTTPClient),
		stack).Handle(ctx, nil)
	if err != nil {
		return nil, &smithy.OperationError{ServiceID: "EC2", OperationName: describeTags, Err: err}
	}
	return tags, nil
}

// serialize makes the request out of its form.
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-requests.html
func (e *ec2Client) serialize(form string) middleware.SerializeMiddleware {
	return middleware.SerializeMiddlewareFunc("OperationSerializer",
		func(ctx context.Context, in middleware.SerializeInput,
			next middleware.SerializeHandler) (out middleware.SerializeOutput, metadata middleware.Metadata, err error) {
			request := in.Request.(*smithyhttp.Request)
			target, err := url.Parse(e.endpoint)
			if err != nil {
				return out, metadata, &smithy.SerializationError{Err: err}
			}
			if target.Path == "" {
				target.Path = "/"
			}
			request.Method, request.URL = http.MethodPost, target
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.ContentLength = int64(len(form))
			if in.Request, err = request.SetStream(strings.NewReader(form)); err != nil {
				return out, metadata, &smithy.SerializationError{Err: err}
			}
			return next.HandleSerialize(ctx, in)
		})
}

// sign signs every attempt, by the server's clock once an attempt has shown
// that it differs from this host's.
func (e *ec2Client) sign(form string) middleware.FinalizeMiddleware {
	sum := sha256.Sum256([]byte(form))
	hash := hex.EncodeToString(sum[:])
	var skew time.Duration
	return middleware.FinalizeMiddlewareFunc("Signing",
		func(ctx context.Context, in middleware.FinalizeInput,
			next middleware.FinalizeHandler) (out middleware.FinalizeOutput, metadata middleware.Metadata, err error) {
			credentials, err := e.config.Credentials.Retrieve(ctx)
			if err != nil {
				return out, metadata, &v4.SigningError{Err: err}
			}
			request := in.Request.(*smithyhttp.Request)
			if err := v4.NewSigner().SignHTTP(ctx, credentials, request.Request, hash, "ec2", e.config.Region,
				time.Now().Add(skew)); err != nil {
				return out, metadata, &v4.SigningError{Err: err}
			}
			out, metadata, err = next.HandleFinalize(ctx, in)
			if seen, ok := awsmiddleware.GetAttemptSkew(metadata); ok {
				skew = seen
			}
			return out, metadata, err
		})
}

// readTags reads the answer into tags.
func readTags(tags *[]instanceTag) middleware.DeserializeMiddleware {
	return middleware.DeserializeMiddlewareFunc("OperationDeserializer",
		func(ctx context.Context, in middleware.DeserializeInput,
			next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			if err != nil {
				return out, metadata, err
			}
			response, ok := out.RawResponse.(*smithyhttp.Response)
			if !ok {
				return out, metadata, &smithy.DeserializationError{Err: fmt.Errorf("unknown transport type %T", out.RawResponse)}
			}
			defer smithyhttp.CloseResponseBody(ctx, response, false, nil)
			if response.StatusCode < 200 || response.StatusCode >= 300 {
				// Of a body that holds no error the status remains, which awshttp adds.
				failed, _ := ec2query.GetErrorResponseComponents(http.MaxBytesReader(nil, response.Body, maxError))
				if failed.RequestID != "" {
					awsmiddleware.SetRequestIDMetadata(&metadata, failed.RequestID)
				}
				if failed.Code == "" {
					failed.Code, failed.Message = "UnknownError", response.Status
				}
				return out, metadata, &smithy.GenericAPIError{Code: failed.Code, Message: failed.Message}
			}
			var answer struct {
				Tags []instanceTag `xml:"tagSet>item"`
			}
			if err := xml.NewDecoder(response.Body).Decode(&answer); err != nil {
				return out, metadata, &smithy.DeserializationError{Err: err}
			}
			*tags = answer.Tags
			return out, metadata, nil
		})
}

// maxError bounds the body of an error.
const maxError = 1 << 20

// ec2Endpoint is the URL that the SDK's client for EC2 would ask: a configured
// one, else the name that EC2 has where STS has its own. Both services follow
// the same rules for partitions, FIPS and dual stack, so that STS's rules, which
// the SDK brings along, are enough.
// https://docs.aws.amazon.com/general/latest/gr/ec2-service.html
func ec2Endpoint(ctx context.Context, cfg aws.Config) (string, error) {
	if configured, err := configuredEndpoint(ctx, cfg); configured != "" || err != nil {
		return configured, err
	}
	fips, dualStack, err := variants(ctx, cfg)
	if err != nil {
		return "", err
	}
	resolved, err := sts.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, sts.EndpointParameters{
		Region: aws.String(cfg.Region), UseFIPS: aws.Bool(fips), UseDualStack: aws.Bool(dualStack),
		UseGlobalEndpoint: aws.Bool(false),
	})
	if err != nil {
		return "", fmt.Errorf("find EC2's endpoint for region %q: %w", cfg.Region, err)
	}
	host, ok := strings.CutPrefix(resolved.URI.Host, "sts")
	if !ok {
		return "", fmt.Errorf("find EC2's endpoint for region %q: STS's is %q, which does not begin with \"sts\"",
			cfg.Region, resolved.URI.Host)
	}
	resolved.URI.Host = "ec2" + host
	return resolved.URI.String(), nil
}

// configuredEndpoint is the endpoint that the configuration, the environment or
// the profile names for EC2, or for all services; "" where none does.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
func configuredEndpoint(ctx context.Context, cfg aws.Config) (string, error) {
	base := aws.ToString(cfg.BaseEndpoint)
	_, all := os.LookupEnv("AWS_ENDPOINT_URL")
	_, own := os.LookupEnv("AWS_ENDPOINT_URL_EC2")
	if all && !own {
		return base, nil
	}
	for _, source := range cfg.ConfigSources {
		if s, ok := source.(interface {
			GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error)
		}); ok {
			if ignored, found, err := s.GetIgnoreConfiguredEndpoints(ctx); found && ignored || err != nil {
				return base, err
			}
		}
	}
	for _, source := range cfg.ConfigSources {
		if s, ok := source.(interface {
			GetServiceBaseEndpoint(context.Context, string) (string, bool, error)
		}); ok {
			if value, found, err := s.GetServiceBaseEndpoint(ctx, "EC2"); found || err != nil {
				return value, err
			}
		}
	}
	return base, nil
}

// variants are the kinds of endpoint that the environment or the profile asks for.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-endpoints.html
func variants(ctx context.Context, cfg aws.Config) (fips, dualStack bool, err error) {
	type fipsSource interface {
		GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error)
	}
	type dualStackSource interface {
		GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error)
	}
	useFIPS, err := firstSetting(ctx, cfg, fipsSource.GetUseFIPSEndpoint)
	if err != nil {
		return false, false, err
	}
	useDualStack, err := firstSetting(ctx, cfg, dualStackSource.GetUseDualStackEndpoint)
	return useFIPS == aws.FIPSEndpointStateEnabled, useDualStack == aws.DualStackEndpointStateEnabled, err
}

// firstSetting is what the first source that has a setting says; zero where none has it.
func firstSetting[S, V any](ctx context.Context, cfg aws.Config,
	get func(S, context.Context) (V, bool, error)) (v V, err error) {
	for _, source := range cfg.ConfigSources {
		if s, ok := source.(S); ok {
			if value, found, err := get(s, ctx); found || err != nil {
				return value, err
			}
		}
	}
	return v, nil
}
