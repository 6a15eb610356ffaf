package awsapi

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// The names are those of the SDK's own client for EC2 (v1.324), in this order:
// plain, dual stack, FIPS, FIPS and dual stack.
var ec2Names = map[string][4]string{
	"us-east-1": {
		"ec2.us-east-1.amazonaws.com",
		"ec2.us-east-1.api.aws",
		"ec2-fips.us-east-1.amazonaws.com",
		"ec2-fips.us-east-1.api.aws",
	},
	"us-west-2": {
		"ec2.us-west-2.amazonaws.com",
		"ec2.us-west-2.api.aws",
		"ec2-fips.us-west-2.amazonaws.com",
		"ec2-fips.us-west-2.api.aws",
	},
	"eu-west-1": {
		"ec2.eu-west-1.amazonaws.com",
		"ec2.eu-west-1.api.aws",
		"ec2-fips.eu-west-1.amazonaws.com",
		"ec2-fips.eu-west-1.api.aws",
	},
	"eu-central-1": {
		"ec2.eu-central-1.amazonaws.com",
		"ec2.eu-central-1.api.aws",
		"ec2-fips.eu-central-1.amazonaws.com",
		"ec2-fips.eu-central-1.api.aws",
	},
	"ap-southeast-2": {
		"ec2.ap-southeast-2.amazonaws.com",
		"ec2.ap-southeast-2.api.aws",
		"ec2-fips.ap-southeast-2.amazonaws.com",
		"ec2-fips.ap-southeast-2.api.aws",
	},
	"il-central-1": {
		"ec2.il-central-1.amazonaws.com",
		"ec2.il-central-1.api.aws",
		"ec2-fips.il-central-1.amazonaws.com",
		"ec2-fips.il-central-1.api.aws",
	},
	"cn-north-1": {
		"ec2.cn-north-1.amazonaws.com.cn",
		"ec2.cn-north-1.api.amazonwebservices.com.cn",
		"ec2-fips.cn-north-1.amazonaws.com.cn",
		"ec2-fips.cn-north-1.api.amazonwebservices.com.cn",
	},
	"cn-northwest-1": {
		"ec2.cn-northwest-1.amazonaws.com.cn",
		"ec2.cn-northwest-1.api.amazonwebservices.com.cn",
		"ec2-fips.cn-northwest-1.amazonaws.com.cn",
		"ec2-fips.cn-northwest-1.api.amazonwebservices.com.cn",
	},
	"us-gov-west-1": {
		"ec2.us-gov-west-1.amazonaws.com",
		"ec2.us-gov-west-1.api.aws",
		"ec2.us-gov-west-1.amazonaws.com",
		"ec2-fips.us-gov-west-1.api.aws",
	},
	"us-gov-east-1": {
		"ec2.us-gov-east-1.amazonaws.com",
		"ec2.us-gov-east-1.api.aws",
		"ec2.us-gov-east-1.amazonaws.com",
		"ec2-fips.us-gov-east-1.api.aws",
	},
	"us-iso-east-1": {
		"ec2.us-iso-east-1.c2s.ic.gov",
		"ec2.us-iso-east-1.api.aws.ic.gov",
		"ec2-fips.us-iso-east-1.c2s.ic.gov",
		"ec2-fips.us-iso-east-1.api.aws.ic.gov",
	},
	"us-isob-east-1": {
		"ec2.us-isob-east-1.sc2s.sgov.gov",
		"ec2.us-isob-east-1.api.aws.scloud",
		"ec2-fips.us-isob-east-1.sc2s.sgov.gov",
		"ec2-fips.us-isob-east-1.api.aws.scloud",
	},
	"eusc-de-east-1": {
		"ec2.eusc-de-east-1.amazonaws.eu",
		"ec2.eusc-de-east-1.api.amazonwebservices.eu",
		"ec2-fips.eusc-de-east-1.amazonaws.eu",
		"ec2-fips.eusc-de-east-1.api.amazonwebservices.eu",
	},
}

func TestEC2HasTheNamesThatTheSDKGivesIt(t *testing.T) {
	isolateEnvironment(t)
	for region, names := range ec2Names {
		for i, want := range names {
			t.Setenv("AWS_USE_DUALSTACK_ENDPOINT", map[bool]string{true: "true", false: "false"}[i&1 != 0])
			t.Setenv("AWS_USE_FIPS_ENDPOINT", map[bool]string{true: "true", false: "false"}[i&2 != 0])
			cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion(region))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := ec2Endpoint(t.Context(), cfg); got != "https://"+want || err != nil {
				t.Errorf("%s, variant %d: %q, %v, want %q", region, i, got, err, "https://"+want)
			}
		}
	}
}

func TestEC2IsAskedWhereTheEnvironmentSays(t *testing.T) {
	for name, c := range map[string]struct {
		environment map[string]string
		base, want  string
	}{
		"nothing is set": {nil, "", "https://ec2.eu-west-1.amazonaws.com"},
		"for EC2 alone": {map[string]string{"AWS_ENDPOINT_URL_EC2": "https://own.test"}, "",
			"https://own.test"},
		"for every service": {map[string]string{"AWS_ENDPOINT_URL": "https://all.test"}, "",
			"https://all.test"},
		"EC2's own before every service's": {map[string]string{"AWS_ENDPOINT_URL": "https://all.test",
			"AWS_ENDPOINT_URL_EC2": "https://own.test"}, "", "https://own.test"},
		"the configured one for another's name": {map[string]string{"AWS_ENDPOINT_URL_IAM": "https://iam.test"},
			"https://configured.test", "https://configured.test"},
		"all of it is to be ignored": {map[string]string{"AWS_ENDPOINT_URL_EC2": "https://own.test",
			"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "", "https://ec2.eu-west-1.amazonaws.com"},
	} {
		t.Run(name, func(t *testing.T) {
			isolateEnvironment(t)
			for key, value := range c.environment {
				t.Setenv(key, value)
			}
			cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("eu-west-1"))
			if err != nil {
				t.Fatal(err)
			}
			if c.base != "" {
				cfg.BaseEndpoint = aws.String(c.base)
			}
			if got, err := ec2Endpoint(t.Context(), cfg); got != c.want || err != nil {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
		})
	}
}

// isolateEnvironment keeps the machine's own AWS configuration away.
func isolateEnvironment(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
}
