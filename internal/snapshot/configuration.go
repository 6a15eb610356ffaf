package snapshot

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
)

// Configuration returns what S3 and SSM are asked with: the SDK's own chain of
// environment, profile and instance, with version 2 of the metadata service
// only. region and endpoint, where they are not "", stand above it.
func Configuration(ctx context.Context, region, endpoint string) (aws.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	// Loaded twice: the metadata client needs the first, the chain that client.
	first, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("read AWS configuration: %w; correct the AWS_* environment or the profile", err)
	}
	metadata := imds.NewFromConfig(first, func(o *imds.Options) { o.EnableFallback = aws.FalseTernary })
	if region == "" {
		region = first.Region
	}
	if region == "" {
		out, err := metadata.GetRegion(ctx, nil)
		if err != nil {
			return aws.Config{}, errors.New("find the AWS region: neither the configuration nor the environment nor this " +
				"instance's metadata service names one; set source.region to the bucket's")
		}
		region = out.Region
	}
	configuration, err := awsconfig.LoadDefaultConfig(ctx,
		awsconfig.WithRegion(region), awsconfig.WithAppID("nss-iam"),
		awsconfig.WithEC2RoleCredentialOptions(func(o *ec2rolecreds.Options) { o.Client = metadata }),
	)
	if err != nil {
		return aws.Config{}, fmt.Errorf("read AWS configuration: %w; correct the AWS_* environment or the profile", err)
	}
	if endpoint != "" {
		configuration.BaseEndpoint = &endpoint
	}
	return configuration, nil
}

// OpenStore returns the store at an address that ParseURL takes. The
// configuration is asked for only where the address is S3's.
func OpenStore(ctx context.Context, address string, configuration func(context.Context) (aws.Config, error)) (Store,
	error) {
	kind, bucket, path, err := ParseURL(address)
	if err != nil {
		return nil, err
	}
	if kind == "file" {
		return NewFileStore(path), nil
	}
	c, err := configuration(ctx)
	if err != nil {
		return nil, err
	}
	return NewS3Store(c, bucket, path), nil
}
