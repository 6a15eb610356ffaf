package awsapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// metadataKey is the form of the tag keys that the metadata service has; a key
// goes into a path there, so that nothing else may be asked for.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html
var metadataKey = regexp.MustCompile(`^[A-Za-z0-9+\-=.,_:@]{1,128}$`)

// maxTag bounds a tag's value: 256 characters of UTF-8.
const maxTag = 1024

// InstanceTag reads a tag of the instance that this program runs on: from the
// metadata service, or, where tags are off there, by EC2's DescribeTags. It
// uses the instance's own credentials even if the service is read by an assumed role.
// A tag that is not set is ErrNoTag, a host outside EC2 ErrNoInstance.
func (c *Caller) InstanceTag(ctx context.Context, key string) (string, error) {
	op := fmt.Sprintf("read instance tag %q", key)
	if key == "" {
		return "", fmt.Errorf("%s: the key is empty", op)
	}
	if metadataKey.MatchString(key) && key != "." && key != ".." && key != "_index" {
		value, found, err := c.metadata(ctx, "tags/instance/"+key)
		if err != nil {
			return "", c.noInstance(ctx, op, err)
		}
		if found {
			return value, nil
		}
		// Not found is the answer both for a missing tag and for tags that are off.
		_, on, err := c.metadata(ctx, "tags/instance")
		if err != nil {
			return "", c.noInstance(ctx, op, err)
		}
		if on {
			return "", &Error{Op: op, Kind: ErrNoTag, Remedy: "set the tag on this instance"}
		}
	}
	return c.describeTag(ctx, op, key)
}

// metadata reads one path, and reports false where there is none.
func (c *Caller) metadata(ctx context.Context, path string) (text string, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.AttemptTimeout)
	defer cancel()
	out, err := c.imds.GetMetadata(ctx, &imds.GetMetadataInput{Path: path})
	if err != nil {
		var status interface{ HTTPStatusCode() int }
		if errors.As(err, &status) && status.HTTPStatusCode() == http.StatusNotFound {
			return "", false, nil
		}
		return "", false, err
	}
	defer out.Content.Close()
	body, err := io.ReadAll(io.LimitReader(out.Content, 64*maxTag))
	return string(body), err == nil, err
}

func (c *Caller) noInstance(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return ended(ctx, op, err)
	}
	return &Error{Op: op, Kind: ErrNoInstance, Cause: err, Remedy: "enable the instance metadata service (IMDSv2), or " +
		"do without instance tags on this host"}
}

func (c *Caller) describeTag(ctx context.Context, op, key string) (string, error) {
	document, err := c.identityDocument(ctx)
	if err != nil {
		return "", c.noInstance(ctx, op, err)
	}
	bounded, cancel := context.WithTimeout(ctx, c.options.CallTimeout)
	defer cancel()
	tags, err := c.ec2.tags(bounded, document.InstanceID, key)
	if err != nil {
		if ctx.Err() != nil {
			return "", ended(ctx, op, err)
		}
		failed := explain(op, err)
		if errors.Is(failed.Kind, ErrAccessDenied) {
			if failed.Remedy == "" {
				failed.Remedy = grant("ec2:DescribeTags", "*")
			}
			failed.Remedy += ", or allow tags in the instance's metadata"
		}
		return "", failed
	}
	for _, t := range tags {
		if t.Key == key && t.Resource == document.InstanceID {
			return t.Value, nil
		}
	}
	return "", &Error{Op: op, Kind: ErrNoTag, Remedy: "set the tag on this instance"}
}
