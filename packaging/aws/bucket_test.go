package aws

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v3"

	"github.com/nss-iam/nss-iam/tests/unmet"
)

const (
	publisher = "arn:aws:iam::123456789012:role/publisher"
	admin     = "arn:aws:iam::123456789012:role/admin"
	host      = "arn:aws:iam::123456789012:role/host"
)

// stacked are the values that a stack with its own endpoint has.
var stacked = map[string]string{
	"Bucket.Arn": "arn:aws:s3:::b", "PublisherRole.Arn": publisher, "Administrator": admin, "BindTo": "own",
	"VpcEndpoint": "vpce-1",
}

// resolved is a value of the template as the stack has it, or what it may be: a list.
func resolved(n *yaml.Node) []string {
	var all []string
	for _, v := range choices(n) {
		switch v.Tag {
		case "!Ref", "!GetAtt":
			all = append(all, stacked[v.Value])
		case "!Sub":
			all = append(all, variable.ReplaceAllStringFunc(v.Value, func(s string) string { return stacked[s[2:len(s)-1]] }))
		default:
			all = append(all, v.Value)
		}
	}
	return all
}

// denied reports which statement of the bucket's policy denies a request over TLS.
func denied(t *testing.T, action, principal, endpoint string) string {
	t.Helper()
	text, err := os.ReadFile("snapshot.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var root struct {
		Resources map[string]struct {
			Properties map[string]yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	policy := root.Resources["BucketPolicy"].Properties["PolicyDocument"]
	request := map[string]string{"aws:PrincipalArn": principal, "aws:SourceVpce": endpoint, "aws:SecureTransport": "true"}
	for _, node := range choices(pairs(&policy)["Statement"]) {
		s := pairs(node)
		actions := resolved(s["Action"])
		if plain(s["Effect"]) != "Deny" || !slices.Contains(actions, action) && !slices.Contains(actions, "s3:*") {
			continue
		}
		holds := true
		for operator, keys := range pairs(s["Condition"]) {
			for key, values := range pairs(keys) {
				among := slices.Contains(resolved(values), request[key])
				holds = holds && among != strings.Contains(operator, "Not")
			}
		}
		if holds {
			return plain(s["Sid"])
		}
	}
	return ""
}

func TestTheBucketsPolicyDoesWhatItsWordsSay(t *testing.T) {
	for _, c := range []struct{ name, action, principal, endpoint, want string }{
		{"a host reads through the endpoint", "s3:GetObject", host, "vpce-1", ""},
		{"a host reads through another endpoint", "s3:GetObject", host, "vpce-2", "OnlyThroughTheEndpoint"},
		{"a host reads past the endpoint", "s3:GetObject", host, "", "OnlyThroughTheEndpoint"},
		{"a publisher reads from anywhere", "s3:GetObject", publisher, "", ""},
		{"a publisher writes", "s3:PutObject", publisher, "", ""},
		{"an administrator writes", "s3:PutObject", admin, "vpce-1", "OnlyPublishersWrite"},
		{"a host writes", "s3:PutObject", host, "vpce-1", "OnlyPublishersWrite"},
		{"a publisher removes", "s3:DeleteObject", publisher, "", "OnlyTheAdministratorRemoves"},
		{"a host removes a version", "s3:DeleteObjectVersion", host, "vpce-1", "OnlyTheAdministratorRemoves"},
		{"the administrator removes", "s3:DeleteObject", admin, "", ""},
		{"a publisher changes the policy", "s3:PutBucketPolicy", publisher, "", "OnlyTheAdministratorChangesTheBucket"},
		{"somebody removes the policy", "s3:DeleteBucketPolicy", host, "", "OnlyTheAdministratorChangesTheBucket"},
		{"the administrator changes the policy", "s3:PutBucketPolicy", admin, "", ""},
	} {
		if got := denied(t, c.action, c.principal, c.endpoint); got != c.want {
			t.Errorf("%s: denied by %q, want %q", c.name, got, c.want)
		}
	}
}

// AWS's regions of all partitions, one or two of each: https://docs.aws.amazon.com/general/latest/gr/rande.html
func TestARegionOfEveryPartitionIsTaken(t *testing.T) {
	text, err := os.ReadFile("push-us-east-1.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var push struct {
		Parameters map[string]struct {
			AllowedPattern string `yaml:"AllowedPattern"`
		} `yaml:"Parameters"`
	}
	if err := yaml.Unmarshal(text, &push); err != nil {
		t.Fatal(err)
	}
	pattern := regexp.MustCompile("^(?:" + push.Parameters["Region"].AllowedPattern + ")$")
	for _, region := range []string{
		"us-east-1", "ap-southeast-7", "cn-north-1", "cn-northwest-1", "us-gov-west-1", "eusc-de-east-1", "us-iso-east-1",
		"us-isob-east-1", "eu-isoe-west-1",
	} {
		if !pattern.MatchString(region) {
			t.Errorf("%q is no region by %v", region, pattern)
		}
	}
	for _, region := range []string{"", "us-east-1a", "US-EAST-1", "us east 1", "us-east-1;x"} {
		if pattern.MatchString(region) {
			t.Errorf("%q is a region by %v", region, pattern)
		}
	}
}

// The suffix of AWS's names is another in China and in the European Sovereign Cloud.
func TestNoTemplateWritesTheSuffixOfAwsNames(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	suffixed := regexp.MustCompile(`\$\{AWS::Region\}\.amazonaws\.|arn:aws:`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if found := suffixed.Find(text); found != nil {
			t.Errorf("%s: %q is of one partition; ${AWS::URLSuffix} and ${AWS::Partition} are of the stack's", file, found)
		}
	}
}

// AWS's own linter knows more than the lists here. It is no package of Debian.
func TestTemplatesByCfnLint(t *testing.T) {
	unmet.Long(t, "it begins four times, once for each partition, and takes seconds to begin")
	lint, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Log("cfn-lint is not on this machine: the templates were held against this package's lists only")
		return
	}
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, region := range []string{"us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1"} {
		if out, err := exec.Command(lint, append([]string{"--regions", region, "--"},
			files...)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", region, err, out)
		}
	}
}
