// Package aws has only tests: it reads the CloudFormation templates beside it
// as far as that goes without AWS. Names of resource types, properties,
// attributes and actions are held against lists in vocabulary_test.go; what
// only AWS can say is listed in docs/unverified.md.
package aws

import (
	"encoding/json"
	"fmt"
	"maps"
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
		"a misspelt reference": {string(text), "!Ref ObjectKey\n", "!Ref ObjectKye\n", `reference to "ObjectKye"`},
		"a misspelt substitution": {string(text), "parameter${SigningParameter}", "parameter${Signing}",
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

// A template is one file being read.
type template struct {
	faults     []string
	parameters map[string]bool   // used?
	conditions map[string]bool   // used?
	resources  map[string]string // type
}

func (t *template) fault(format string, args ...any) {
	t.faults = append(t.faults, fmt.Sprintf(format, args...))
}

// lint returns the faults of a template.
func lint(text []byte) []string {
	var root map[string]yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return []string{err.Error()}
	}
	t := &template{parameters: map[string]bool{}, conditions: map[string]bool{}, resources: map[string]string{}}
	sections := map[string]map[string]*yaml.Node{}
	for name, node := range root {
		switch name {
		case "AWSTemplateFormatVersion", "Description":
		case "Parameters", "Conditions", "Rules", "Resources", "Outputs":
			sections[name] = pairs(&node)
		default:
			t.fault("no section %q in a template", name)
		}
	}
	for name := range sections["Parameters"] {
		t.parameters[name] = false
	}
	for name := range sections["Conditions"] {
		t.conditions[name] = false
	}
	for name, node := range sections["Resources"] {
		t.resources[name] = plain(pairs(node)["Type"])
	}
	for _, name := range []string{"Conditions", "Rules", "Resources", "Outputs"} {
		for _, key := range sorted(sections[name]) {
			t.references(name+"."+key, sections[name][key])
		}
	}
	for _, name := range sorted(sections["Outputs"]) {
		if c := pairs(sections["Outputs"][name])["Condition"]; c != nil {
			t.condition("Outputs."+name, c.Value)
		}
	}
	for _, name := range sorted(sections["Resources"]) {
		t.resource(name, pairs(sections["Resources"][name]))
	}
	for _, name := range sorted(t.parameters) {
		if !t.parameters[name] {
			t.fault("parameter %q is used nowhere", name)
		}
	}
	for _, name := range sorted(t.conditions) {
		if !t.conditions[name] {
			t.fault("condition %q is used nowhere", name)
		}
	}
	return t.faults
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// pairs returns a mapping's values by their keys.
func pairs(n *yaml.Node) map[string]*yaml.Node {
	m := map[string]*yaml.Node{}
	if n != nil && n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = n.Content[i+1]
		}
	}
	return m
}

func plain(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

var variable = regexp.MustCompile(`\$\{([^}!]+)\}`)

// references resolves what a node and all below it refer to.
func (t *template) references(at string, n *yaml.Node) {
	switch {
	case !strings.HasPrefix(n.Tag, "!") || strings.HasPrefix(n.Tag, "!!"):
	case n.Tag == "!Ref":
		t.reference(at, n.Value)
	case n.Tag == "!GetAtt":
		t.attribute(at, n.Value)
	case n.Tag == "!Sub" && n.Kind == yaml.ScalarNode:
		t.substitutions(at, n.Value, nil)
	case n.Tag == "!Sub" && len(n.Content) == 2 && n.Content[1].Kind == yaml.MappingNode:
		t.substitutions(at, n.Content[0].Value, pairs(n.Content[1]))
	case n.Tag == "!Condition":
		t.condition(at, n.Value)
	case n.Tag == "!If" && len(n.Content) == 3:
		t.condition(at, n.Content[0].Value)
	case n.Tag == "!Equals" && len(n.Content) == 2, n.Tag == "!Not" && len(n.Content) == 1, n.Tag == "!And" &&
		len(n.Content) >= 2:
	default:
		t.fault("%s: line %d: tag %q with %d values is not known", at, n.Line, n.Tag, len(n.Content))
	}
	for _, child := range n.Content {
		t.references(at, child)
	}
}

// substitutions resolves the ${…} of a text but for the names that it brings along.
func (t *template) substitutions(at, text string, own map[string]*yaml.Node) {
	for _, m := range variable.FindAllStringSubmatch(text, -1) {
		switch {
		case own[m[1]] != nil:
		case strings.Contains(m[1], "."):
			t.attribute(at, m[1])
		default:
			t.reference(at, m[1])
		}
	}
}

func (t *template) reference(at, name string) {
	if _, ok := t.parameters[name]; ok {
		t.parameters[name] = true
		return
	}
	if _, ok := t.resources[name]; !ok && !slices.Contains(pseudo, name) {
		t.fault("%s: reference to %q, which is no parameter and no resource", at, name)
	}
}

func (t *template) attribute(at, name string) {
	resource, attribute, _ := strings.Cut(name, ".")
	kind, ok := t.resources[resource]
	if !ok {
		t.fault("%s: attribute of %q, which is no resource", at, resource)
	} else if !slices.Contains(types[kind].attributes, attribute) {
		t.fault("%s: %s has no attribute %q", at, kind, attribute)
	}
}

func (t *template) condition(at, name string) {
	if _, ok := t.conditions[name]; !ok {
		t.fault("%s: condition %q is not defined", at, name)
		return
	}
	t.conditions[name] = true
}

func (t *template) resource(name string, r map[string]*yaml.Node) {
	kind := t.resources[name]
	known, ok := types[kind]
	if !ok {
		t.fault("%s: type %q is not known", name, kind)
		return
	}
	for key, n := range r {
		switch key {
		case "Type", "Properties":
		case "DeletionPolicy", "UpdateReplacePolicy":
			if n.Value != "Retain" && n.Value != "Delete" {
				t.fault("%s: %s is %q", name, key, n.Value)
			}
		case "Condition":
			t.condition(name, n.Value)
		default:
			t.fault("%s: no %q in a resource", name, key)
		}
	}
	t.shape(name, r["Properties"], known.properties)
	switch kind {
	case "AWS::S3::Bucket":
		for _, p := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
			if plain(pairs(pairs(r["Properties"])["PublicAccessBlockConfiguration"])[p]) != "true" {
				t.fault("%s: %s is not true", name, p)
			}
		}
	case "AWS::StepFunctions::StateMachine":
		filled := variable.ReplaceAllString(plain(pairs(r["Properties"])["DefinitionString"]), "x")
		var definition struct {
			StartAt string
			States  map[string]any
		}
		if err := json.Unmarshal([]byte(filled), &definition); err != nil || definition.States[definition.StartAt] == nil {
			t.fault("%s: DefinitionString has no state to start at: %v", name, err)
		}
	case "AWS::Events::Rule":
		events := pairs(pairs(pairs(r["Properties"])["EventPattern"])["detail"])["eventName"]
		if events != nil {
			for _, e := range events.Content {
				if !slices.Contains(iamEvents, e.Value) {
					t.fault("%s: event %q is not one of IAM's that concern us", name, e.Value)
				}
			}
		}
	}
}

// shape holds the names in a node against the known ones, all the way down.
func (t *template) shape(at string, n *yaml.Node, known shape) {
	if n == nil || n.Tag == "!Ref" || n.Tag == "!Sub" || n.Tag == "!GetAtt" {
		return
	}
	if n.Tag == "!If" && len(n.Content) == 3 {
		t.shape(at, n.Content[1], known)
		t.shape(at, n.Content[2], known)
		return
	}
	if n.Kind == yaml.SequenceNode {
		for _, child := range n.Content {
			t.shape(at, child, known)
		}
		return
	}
	for key, child := range pairs(n) {
		below, ok := known[key]
		switch {
		case !ok:
			t.fault("%s: no property %q", at, key)
		case below == nil:
		case below["policy"] != nil:
			t.policy(at+"."+key, child)
		default:
			t.shape(at+"."+key, child, below)
		}
	}
}

// policy reads a policy document.
func (t *template) policy(at string, n *yaml.Node) {
	document := pairs(n)
	if plain(document["Version"]) != "2012-10-17" || document["Statement"] == nil {
		t.fault("%s: not a policy of version 2012-10-17", at)
		return
	}
	for _, s := range choices(document["Statement"]) {
		t.statement(at, pairs(s))
	}
}

// choices returns a list's elements, both branches of an !If included, and a
// single value as a list of one.
func choices(n *yaml.Node) []*yaml.Node {
	switch {
	case n == nil || n.Tag == "!Ref" && n.Value == "AWS::NoValue":
		return nil
	case n.Tag == "!If" && len(n.Content) == 3:
		return append(choices(n.Content[1]), choices(n.Content[2])...)
	case n.Kind == yaml.SequenceNode:
		var all []*yaml.Node
		for _, child := range n.Content {
			all = append(all, choices(child)...)
		}
		return all
	}
	return []*yaml.Node{n}
}

func (t *template) statement(at string, s map[string]*yaml.Node) {
	at += "." + plain(s["Sid"])
	for key := range s {
		if !slices.Contains([]string{"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}, key) {
			t.fault("%s: no %q in a statement", at, key)
		}
	}
	allow := plain(s["Effect"]) == "Allow"
	if !allow && plain(s["Effect"]) != "Deny" || s["Action"] == nil {
		t.fault("%s: neither allows nor denies an action", at)
	}
	conditions := map[string]bool{}
	for operator, keys := range pairs(s["Condition"]) {
		for key := range pairs(keys) {
			conditions[key] = true
			if !slices.Contains(conditionKeys[operator], key) {
				t.fault("%s: condition key %q with %s is not known", at, key, operator)
			}
		}
	}
	principal := plain(s["Principal"])
	if principal == "" {
		principal = plain(pairs(s["Principal"])["AWS"])
	}
	if allow && principal == "*" && !conditions["aws:PrincipalOrgID"] {
		t.fault("%s: allows everybody", at)
	}
	inKeyPolicy := s["Principal"] != nil && strings.Contains(at, ".KeyPolicy")
	for _, action := range choices(s["Action"]) {
		name := action.Value
		resourceless, known := actions[name]
		switch {
		case !allow && name == "s3:*", inKeyPolicy && name == "kms:*":
			continue
		case !known:
			t.fault("%s: action %q is not one that nss-iam needs", at, name)
		}
		for _, resource := range choices(s["Resource"]) {
			if allow && plain(resource) == "*" && !resourceless && !inKeyPolicy {
				t.fault("%s: allows %q on every resource", at, name)
			}
		}
		if s["Resource"] == nil && name != "sts:AssumeRole" {
			t.fault("%s: %q has no resource", at, name)
		}
	}
}
