package aws

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

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
