// Package aws has only tests: it reads the CloudFormation templates beside it
// as far as that goes without AWS. Names of resource types, properties,
// attributes and actions are held against lists in vocabulary_test.go; what
// only AWS can say is listed in docs/unverified.md.
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
)

func TestTemplatesAreSound(t *testing.T) {
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range lint(text) {
			t.Errorf("%s: %s", file, fault)
		}
	}
}

// The reader must be able to find something, or the test above says nothing.
func TestFaultsAreFound(t *testing.T) {
	text, err := os.ReadFile("snapshot.yaml")
	if err != nil {
		t.Fatal(err)
	}
	push, err := os.ReadFile("push.yaml")
	if err != nil {
		t.Fatal(err)
	}
	center, err := os.ReadFile("identity-center-publisher.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ in, old, new, want string }{
		"a name that a text brings along": {string(center), "${Owner}", "${Owners}", `reference to "Owners"`},
		"an output's condition there is not": {string(center), "    Condition: Online\n    Description: To",
			"    Condition: Offline\n    Description: To", `condition "Offline"`},
		"another's key, for every service": {string(center), "kms:ViaService", "kms:ViaServices",
			`condition key "kms:ViaServices"`},
		"an Identity Store action of writing": {string(center), "identitystore:ListUsers", "identitystore:CreateUser",
			`action "identitystore:CreateUser"`},
		"a misspelled reference": {string(text), "!Ref ObjectKey\n", "!Ref ObjectKye\n", `reference to "ObjectKye"`},
		"a misspelled substitution": {string(text), "parameter${SigningParameter}", "parameter${Signing}",
			`reference to "Signing"`},
		"an attribute there is not": {string(text), "!GetAtt PublisherRole.Arn", "!GetAtt PublisherRole.Name",
			`no attribute "Name"`},
		"a property there is not": {string(text), "BlockPublicAcls", "BlockPublicACLs", `no property "BlockPublicACLs"`},
		"an action there is not": {string(text), "iam:GetSSHPublicKey", "iam:GetSshPublicKey",
			`action "iam:GetSshPublicKey"`},
		"a wildcard action": {string(text), "Action: ssm:GetParameter\n", "Action: ssm:*\n", `action "ssm:*"`},
		"any resource": {string(text), "Resource: !Sub ${Bucket.Arn}/${ObjectKey}\n", "Resource: \"*\"\n",
			`on every resource`},
		"everybody": {string(text), "Sid: OnlyTLS\n            Effect: Deny",
			"Sid: OnlyTLS\n            Effect: Allow", "everybody"},
		"a condition there is not": {string(text), "Condition: Kms\n", "Condition: KMS\n", `condition "KMS"`},
		"a condition used nowhere": {string(text), "Conditions:\n", "Conditions:\n  Spare: !Equals [a, b]\n",
			`condition "Spare" is used nowhere`},
		"a type there is not": {string(text), "AWS::KMS::Key", "AWS::KMS::Keys", `type "AWS::KMS::Keys"`},
		"an open bucket": {string(text), "BlockPublicPolicy: true", "BlockPublicPolicy: false",
			"BlockPublicPolicy"},
		"a parameter used nowhere": {string(text), "parameter${SigningParameter}", "parameter/x",
			`parameter "SigningParameter" is used nowhere`},
		"a state machine not JSON":   {string(push), `"End": true`, `"End": true,`, "DefinitionString"},
		"an event there is not":      {string(push), "- UntagUser", "- UnTagUser", `event "UnTagUser"`},
		"a tag there is not":         {string(push), "!GetAtt RuleRole.Arn", "!Getatt RuleRole.Arn", `tag "!Getatt"`},
		"a key given twice":          {string(push), "Outputs:", "Resources: {}\nOutputs:", "already defined"},
		"a trust without an account": {string(push), "aws:SourceAccount", "aws:SourceAcount", "condition key"},
	} {
		if !strings.Contains(test.in, test.old) {
			t.Errorf("%s: %q is not in the template any more", name, test.old)
			continue
		}
		faults := lint([]byte(strings.ReplaceAll(test.in, test.old, test.new)))
		if !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, test.want) }) {
			t.Errorf("%s: got %q, want %q", name, faults, test.want)
		}
	}
}

// What the publisher's role and the hosts' policies may do, word by word: a
// publisher of Identity Center needs nothing of IAM, and no right to write.
func TestAnIdentityCenterPublisherMayOnlyReadOneStore(t *testing.T) {
	text, err := os.ReadFile("identity-center-publisher.yaml")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string][]string{}
	var read func(name string, n *yaml.Node)
	read = func(name string, n *yaml.Node) {
		if s := pairs(n); s["Action"] != nil && plain(s["Effect"]) == "Allow" {
			for _, a := range choices(s["Action"]) {
				allowed[name] = append(allowed[name], a.Value)
			}
		}
		for _, child := range n.Content {
			read(name, child)
		}
	}
	var root struct {
		Resources map[string]yaml.Node `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	for name, n := range root.Resources {
		read(name, &n)
	}
	for name, want := range map[string]string{
		"PublisherRole": "identitystore:DescribeUser identitystore:IsMemberInGroups identitystore:ListGroupMemberships " +
			"identitystore:ListGroups " +
			"identitystore:ListUsers kms:Decrypt s3:GetObject s3:ListBucket s3:PutObject ssm:GetParameter sts:AssumeRole",
		"HostPolicy":   "s3:GetObject s3:ListBucket",
		"OnlinePolicy": "identitystore:DescribeUser identitystore:IsMemberInGroups kms:Decrypt",
		"BucketPolicy": "s3:GetObject",
	} {
		slices.Sort(allowed[name])
		if got := strings.Join(allowed[name], " "); got != want {
			t.Errorf("%s may %s\nwant %s", name, got, want)
		}
	}
}

func TestBothPushTemplatesListenToTheSameEvents(t *testing.T) {
	lists := map[string]string{}
	for _, file := range []string{"push.yaml", "push-us-east-1.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lists[file] = strings.Join(regexp.MustCompile(`(?m)^ +- ([A-Z][A-Za-z]+)$`).FindAllString(string(text), -1), "\n")
	}
	if lists["push.yaml"] != lists["push-us-east-1.yaml"] || lists["push.yaml"] == "" {
		t.Errorf("got %q and %q", lists["push.yaml"], lists["push-us-east-1.yaml"])
	}
}

// The script that SSM runs, with a stand-in for the program.
func TestTheCommandRefreshesAndReportsFailure(t *testing.T) {
	text, err := os.ReadFile("push.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var push struct {
		Resources struct {
			RefreshDocument struct {
				Properties struct {
					Content struct {
						MainSteps []struct {
							Inputs struct {
								RunCommand []string `yaml:"runCommand"`
							}
						} `yaml:"mainSteps"`
					} `yaml:"Content"`
				} `yaml:"Properties"`
			} `yaml:"RefreshDocument"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &push); err != nil {
		t.Fatal(err)
	}
	script := strings.Join(push.Resources.RefreshDocument.Properties.Content.MainSteps[0].Inputs.RunCommand, "\n")
	for name, test := range map[string]struct {
		again, program, want string
	}{
		"once":                        {"0", "echo \"$1\"", "refresh\n"},
		"twice":                       {"1", "echo \"$1\"", "refresh\nrefresh\n"},
		"failing, and twice the same": {"1", "echo \"$1\"; exit 3", "refresh\nrefresh\nexit status 3"},
	} {
		program := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+test.program+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		filled := strings.NewReplacer("{{ spread }}", "20", "{{ again }}", test.again, "/usr/sbin/iam-cachefill",
			program).Replace(script)
		out, err := exec.Command("sh", "-c", filled).CombinedOutput()
		got := string(out)
		if err != nil {
			got += err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
