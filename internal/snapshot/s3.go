package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// An S3Store is a snapshot in an object of S3. Writes are conditional, so any
// number of publishers may share it.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
type S3Store struct {
	client      *s3.Client
	bucket, key string
}

// NewS3Store returns the store at s3://bucket/key. The configuration's region
// must be the bucket's. An endpoint in it or in the environment
// (AWS_ENDPOINT_URL_S3), for tests and S3's relatives, is addressed with the
// bucket in the path.
func NewS3Store(configuration aws.Config, bucket, key string) *S3Store {
	client := s3.NewFromConfig(configuration, func(o *s3.Options) {
		o.UsePathStyle = o.BaseEndpoint != nil
		// What is read is held against its own signed digest.
		o.DisableLogOutputChecksumValidationSkipped = true
	})
	return &S3Store{client, bucket, key}
}

// String returns s3://bucket/key.
func (s *S3Store) String() string { return "s3://" + s.bucket + "/" + s.key }

// Read implements Store by GetObject with If-None-Match.
func (s *S3Store) Read(ctx context.Context, known Tag) ([]byte, Tag, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	input := &s3.GetObjectInput{Bucket: &s.bucket, Key: &s.key}
	if known != "" {
		input.IfNoneMatch = aws.String(string(known))
	}
	out, err := s.client.GetObject(ctx, input)
	switch {
	case err == nil:
	case status(err) == http.StatusNotModified && known != "":
		return nil, known, ErrNotModified
	case code(err) == "NoSuchKey":
		return nil, "", fmt.Errorf("read %q: %w", s, ErrAbsent)
	default:
		return nil, "", fmt.Errorf("read %q: %w", s, s.explain(err, "s3:GetObject"))
	}
	defer func() { _ = out.Body.Close() }()
	length, tag := aws.ToInt64(out.ContentLength), Tag(aws.ToString(out.ETag))
	if length > MaxSize {
		return nil, tag, fmt.Errorf("read %q: %w: %d bytes, %d allowed", s, ErrTooLarge, length, MaxSize)
	}
	data, err := readAll(out.Body, length)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		err = s.explain(err, "s3:GetObject")
	}
	if err != nil {
		return nil, tag, fmt.Errorf("read %q: after %d bytes: %w", s, len(data), err)
	}
	return data, tag, nil
}

// Write implements Store by PutObject with If-Match or If-None-Match.
func (s *S3Store) Write(ctx context.Context, data []byte, previous Tag) (Tag, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	input := &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &s.key, Body: bytes.NewReader(data),
		ContentType: aws.String("application/vnd.nss-iam.snapshot"),
	}
	if previous == "" {
		input.IfNoneMatch = aws.String("*")
	} else {
		input.IfMatch = aws.String(string(previous))
	}
	out, err := s.client.PutObject(ctx, input)
	if err == nil {
		return Tag(aws.ToString(out.ETag)), nil
	}
	// 409 is a write or deletion at the same moment; 404 with If-Match is an
	// object deleted meanwhile.
	switch status(err) {
	case http.StatusPreconditionFailed, http.StatusConflict:
		err = ErrConflict
	case http.StatusNotFound:
		if code(err) == "NoSuchKey" {
			err = ErrConflict
			break
		}
		fallthrough
	default:
		err = s.explain(err, "s3:PutObject", "s3:GetObject")
	}
	return "", fmt.Errorf("write %q: %w", s, err)
}

func status(err error) int {
	var response interface{ HTTPStatusCode() int }
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// explain turns what the SDK says in ten parts into one line with the remedy.
func (s *S3Store) explain(err error, actions ...string) error {
	var timeout net.Error
	var body *awshttp.ResponseTimeoutError
	switch st := status(err); {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &body), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("s3 did not answer in time; see the way to it (gateway endpoint, NAT, proxy): %w",
			context.DeadlineExceeded)
	case st == http.StatusForbidden:
		return fmt.Errorf("s3 answers %d %s to %s; grant it by the policy statement %s, and, where the bucket has a KMS "+
			"key of its own, the use of that; s3:ListBucket on the bucket tells a missing object from a forbidden one",
			st, word(code(err)), strings.Join(actions, " or "), s.statement(actions))
	case st == http.StatusNotFound:
		return fmt.Errorf("s3 answers %d %s; see the bucket's name in the url", st, word(code(err)))
	case st == http.StatusMovedPermanently, st == http.StatusTemporaryRedirect, st == http.StatusBadRequest &&
		code(err) == "AuthorizationHeaderMalformed":
		return fmt.Errorf("s3 answers %d %s; the bucket is in another region, set source.region to it", st, word(code(err)))
	case st >= 500 || st == http.StatusTooManyRequests:
		return fmt.Errorf("s3 answers %d %s after retries; it is s3's fault and will be tried again", st, word(code(err)))
	case st >= 300:
		return fmt.Errorf("s3 answers %d %s", st, word(code(err)))
	}
	// The innermost cause alone: above it stand operation names and request ids.
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return fmt.Errorf("cannot talk to s3: %.300s", strings.ReplaceAll(err.Error(), "\n", " "))
}

// statement is what a policy needs for the actions on the object.
func (s *S3Store) statement(actions []string) string {
	quoted := make([]string, len(actions))
	for i, action := range actions {
		quoted[i] = fmt.Sprintf("%q", action)
	}
	list := strings.Join(quoted, ",")
	if len(actions) > 1 {
		list = "[" + list + "]"
	}
	return fmt.Sprintf(`{"Effect":"Allow","Action":%s,"Resource":"arn:aws:s3:::%s/%s"}`, list, s.bucket, s.key)
}

// word keeps an error code from a server apart from the words of the line.
func word(code string) string {
	if code == "" {
		return "without a reason"
	}
	return fmt.Sprintf("%.60q", code)
}
