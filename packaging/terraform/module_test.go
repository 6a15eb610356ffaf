// Package terraform has only tests: it reads the module beside it as far as that
// goes without the AWS provider, and holds it against the templates that it stacks.
package terraform

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	yaml "go.yaml.in/yaml/v3"
)

// A module is the source of a Terraform module, by block.
type module struct {
	text   map[string][]byte           // by file
	blocks map[string]*hclsyntax.Block // by "type label label"
}

func read(files map[string][]byte) (module, error) {
	m := module{text: files, blocks: map[string]*hclsyntax.Block{}}
	parser := hclparse.NewParser()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file, faults := parser.ParseHCL(files[name], name)
		if faults.HasErrors() {
			return m, faults
		}
		for _, block := range file.Body.(*hclsyntax.Body).Blocks {
			key := strings.Join(append([]string{block.Type}, block.Labels...), " ")
			if m.blocks[key] != nil {
				return m, fmt.Errorf("%s: %s is there twice", name, key)
			}
			m.blocks[key] = block
		}
	}
	return m, nil
}

// source is the text of an attribute's value, "" where there is none.
func (m module) source(block *hclsyntax.Block, attribute string) string {
	a := block.Body.Attributes[attribute]
	if a == nil {
		return ""
	}
	r := a.Expr.Range()
	return string(m.text[r.Filename][r.Start.Byte:r.End.Byte])
}

// A template is what Terraform needs to know of a CloudFormation template.
type template struct {
	Parameters map[string]struct {
		Default *string `yaml:"Default"`
	} `yaml:"Parameters"`
	Resources map[string]struct {
		Type string `yaml:"Type"`
	} `yaml:"Resources"`
	Outputs map[string]yaml.Node `yaml:"Outputs"`
}

// attributes are what Terraform and the AWS provider know of each kind of block here. A name
// that is not among them is misspelled: no provider is there to say so.
var attributes = map[string][]string{
	"terraform": {"required_version"},
	"variable":  {"type", "description", "default", "nullable", "sensitive"},
	"output":    {"value", "description", "sensitive"},
	"data":      {},
	"resource": {"count", "provider", "depends_on", "name", "template_body", "capabilities", "parameters", "tags",
		"on_failure", "timeout_in_minutes"},
}

var (
	templateFile = regexp.MustCompile(`^file\("\$\{local\.templates\}/([a-z0-9-]+\.yaml)"\)$`)
	parameter    = regexp.MustCompile(`(?m)^\s+([A-Za-z]+)\s+= `)
	output       = regexp.MustCompile(`aws_cloudformation_stack\.([a-z_]+)\[[0*]\]\.outputs\["([A-Za-z]+)"\]`)
	reference    = regexp.MustCompile(`\b(var|local|data)\.([a-z_0-9]+)`)
)

// faults are what is wrong with a module that stacks the templates of a folder.
func faults(files map[string][]byte, folder string) (all []string) {
	fault := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	m, err := read(files)
	if err != nil {
		return []string{err.Error()}
	}
	stacks := map[string]template{}
	for key, block := range m.blocks {
		if block.Type != "resource" {
			continue
		}
		if block.Labels[0] != "aws_cloudformation_stack" {
			fault("%s: the module stacks templates and makes nothing else", key)
			continue
		}
		at := templateFile.FindStringSubmatch(m.source(block, "template_body"))
		if at == nil {
			fault("%s: template_body is %s", key, m.source(block, "template_body"))
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, at[1]))
		if err != nil {
			fault("%s: %v", key, err)
			continue
		}
		// What a request may hold; a larger one would have to lie in S3.
		if len(text) > 51200 {
			fault("%s: %s has %d bytes", key, at[1], len(text))
		}
		var t template
		if err := yaml.Unmarshal(text, &t); err != nil {
			fault("%s: %v", at[1], err)
			continue
		}
		stacks[block.Labels[1]] = t
		given := map[string]bool{}
		for _, p := range parameter.FindAllStringSubmatch(m.source(block, "parameters"), -1) {
			given[p[1]] = true
			if _, ok := t.Parameters[p[1]]; !ok {
				fault("%s: %s has no parameter %q", key, at[1], p[1])
			}
		}
		for name, p := range t.Parameters {
			if p.Default == nil && !given[name] {
				fault("%s: parameter %q of %s is not given", key, name, at[1])
			}
		}
		for _, r := range t.Resources {
			if strings.HasPrefix(r.Type, "AWS::IAM::") && m.source(block, "capabilities") != `["CAPABILITY_IAM"]` {
				fault("%s: makes %s without the capability", key, r.Type)
			}
		}
	}
	used := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text := string(files[name])
		if !bytes.Equal(hclwrite.Format(files[name]), files[name]) {
			fault("%s is not formatted: terraform fmt", name)
		}
		for _, o := range output.FindAllStringSubmatch(text, -1) {
			t, ok := stacks[o[1]]
			if _, there := t.Outputs[o[2]]; !ok || !there {
				fault("%s: stack %q has no output %q", name, o[1], o[2])
			}
		}
		for _, r := range reference.FindAllStringSubmatch(text, -1) {
			used[r[1]+"."+r[2]] = true
		}
	}
	locals := m.blocks["locals"]
	for name := range used {
		kind, label, _ := strings.Cut(name, ".")
		known := map[string]bool{
			"var":   m.blocks["variable "+label] != nil,
			"local": locals != nil && locals.Body.Attributes[label] != nil,
			"data":  m.blocks["data "+label+" here"] != nil,
		}
		if !known[kind] {
			fault("%s is not defined", name)
		}
	}
	for key, block := range m.blocks {
		for name := range block.Body.Attributes {
			if known, closed := attributes[block.Type]; closed && !slices.Contains(known, name) {
				fault("%s has no attribute %q", key, name)
			}
		}
		switch block.Type {
		case "variable":
			if !used["var."+block.Labels[0]] {
				fault("%s is used nowhere", key)
			}
			if block.Body.Attributes["type"] == nil {
				fault("%s has no type", key)
			}
			fallthrough
		case "output":
			if block.Body.Attributes["description"] == nil {
				fault("%s has no description", key)
			}
		}
	}
	slices.Sort(all)
	return all
}

func sources(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	names, _ := filepath.Glob("*.tf")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = text
	}
	if len(files) < 3 {
		t.Fatalf("found %v", names)
	}
	return files
}

func TestTheModuleFitsTheTemplates(t *testing.T) {
	for _, fault := range faults(sources(t), "../aws") {
		t.Error(fault)
	}
}

// The reader must be able to find something, or the test above says nothing.
func TestFaultsAreFound(t *testing.T) {
	for name, test := range map[string]struct{ old, new, want string }{
		"a parameter there is not":      {"UserTags        = ", "UserTag         = ", `no parameter "UserTag"`},
		"a parameter that is missing":   {"    Region = data.aws_region.here.name\n", "", `"Region" of push-us-east-1.yaml`},
		"an attribute there is not":     {"  tags          = ", "  tag           = ", `has no attribute "tag"`},
		"an output there is not":        {`outputs["BucketName"]`, `outputs["Bucket"]`, `no output "Bucket"`},
		"a template there is not":       {"/push.yaml", "/pull.yaml", "pull.yaml"},
		"a variable there is not":       {"var.kms", "var.kmz", "var.kmz is not defined"},
		"a variable that is not used":   {"var.user_path", `"/"`, "variable user_path is used nowhere"},
		"a stack without the right":     {`["CAPABILITY_IAM"]`, `[]`, "without the capability"},
		"a resource beside the stacks":  {`"aws_cloudformation_stack" "push"`, `"aws_s3_bucket" "push"`, "nothing else"},
		"lines that are not aligned":    {"AllUsers        =", "AllUsers =", "is not formatted"},
		"a text that is no module":      {"data \"aws_region\" \"here\" {}", "data {", "main.tf:"},
		"two blocks with the same name": {`"push" {`, `"reader" {`, "is there twice"},
	} {
		files := sources(t)
		changed := strings.Replace(string(files["main.tf"]), test.old, test.new, 1)
		if changed == string(files["main.tf"]) {
			t.Errorf("%s: %q is not in main.tf", name, test.old)
		}
		files["main.tf"] = []byte(changed)
		got := strings.Join(faults(files, "../aws"), "\n")
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
