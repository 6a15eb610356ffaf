package snapshot

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// ssmScheme begins the name of a signing key that is an SSM parameter:
// ssm://nss-iam-signing, ssm:///nss-iam/signing.
const ssmScheme = "ssm://"

// LoadSigner reads the signing key from where names it: a file, or ssm://NAME,
// a SecureString in SSM's parameter store. The configuration is asked for only
// for the latter.
func LoadSigner(ctx context.Context, where string, configuration func(context.Context) (aws.Config, error)) (*Signer,
	error) {
	name, isSSM := strings.CutPrefix(where, ssmScheme)
	if !isSSM {
		return ReadPrivateKey(where)
	}
	signer, err := readParameter(ctx, name, configuration)
	if err != nil {
		return nil, fmt.Errorf("read signing key %q: %w", where, err)
	}
	return signer, nil
}

func readParameter(ctx context.Context, name string, configuration func(context.Context) (aws.Config, error)) (*Signer,
	error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	c, err := configuration(ctx)
	if err != nil {
		return nil, err
	}
	out, err := ssm.NewFromConfig(c).GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	if err != nil {
		var missing *types.ParameterNotFound
		switch {
		case errors.As(err, &missing):
			return nil, fmt.Errorf("ssm has no parameter %q in region %s", name, c.Region)
		case code(err) == "AccessDeniedException":
			return nil, fmt.Errorf("ssm answers %s; allow ssm:GetParameter on it and kms:Decrypt on its key to this role",
				word(code(err)))
		case errors.Is(err, context.DeadlineExceeded):
			return nil, errors.New("ssm did not answer in time; see the way to it (interface endpoint, NAT, proxy)")
		case code(err) != "":
			return nil, fmt.Errorf("ssm answers %s", word(code(err)))
		}
		return nil, err
	}
	if out.Parameter == nil || out.Parameter.Type != types.ParameterTypeSecureString {
		return nil, errors.New("parameter is not a SecureString, so others may have read it; make a new key and store it " +
			"as one")
	}
	return ParsePrivateKey([]byte(aws.ToString(out.Parameter.Value)))
}
