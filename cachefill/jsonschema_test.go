package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

const schemaFile = "../docs/json-schema.json"

// A schema is the part of JSON Schema (2020-12) that docs/json-schema.json is written in.
type schema struct {
	Schema      string             `json:"$schema"`
	ID          string             `json:"$id"`
	Ref         string             `json:"$ref"`
	Defs        map[string]*schema `json:"$defs"`
	Title       string
	Description string
	Type        string
	Format      string
	Pattern     string
	Const       any
	Enum        []any
	Properties  map[string]*schema
	Required    []string
	Items       *schema
	// Additional is false, or what values of any name are.
	Additional json.RawMessage `json:"additionalProperties"`
}

func readSchema() (*schema, error) {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // a word that check does not know would hold nothing
	var s schema
	return &s, d.Decode(&s)
}

// check returns everything about a value that its schema does not allow.
func (root *schema) check(s *schema, path string, v any) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, path+": "+fmt.Sprintf(format, args...)) }
	if s.Ref != "" {
		of := root.Defs[strings.TrimPrefix(s.Ref, "#/$defs/")]
		if of == nil {
			fault("no definition %q", s.Ref)
			return faults
		}
		return root.check(of, path, v)
	}
	if s.Const != nil && s.Const != v {
		fault("is %v, not %v", v, s.Const)
	}
	if s.Enum != nil && !slices.Contains(s.Enum, v) {
		fault("%v is none of %v", v, s.Enum)
	}
	switch x := v.(type) {
	case map[string]any:
		if s.Type != "object" {
			fault("is an object, not %q", s.Type)
			return faults
		}
		for _, name := range s.Required {
			if _, ok := x[name]; !ok {
				fault("has no %q", name)
			}
		}
		for name, value := range x {
			of := s.Properties[name]
			if of == nil && string(s.Additional) != "false" && s.Additional != nil {
				of = new(schema)
				if err := json.Unmarshal(s.Additional, of); err != nil {
					fault("%v", err)
				}
			}
			if of == nil {
				fault("has %q, which is not described", name)
				continue
			}
			faults = append(faults, root.check(of, path+"."+name, value)...)
		}
	case []any:
		if s.Type != "array" {
			fault("is an array, not %q", s.Type)
			return faults
		}
		for i, value := range x {
			faults = append(faults, root.check(s.Items, fmt.Sprintf("%s[%d]", path, i), value)...)
		}
	case string:
		if s.Type != "string" && s.Const == nil && s.Enum == nil {
			fault("is a string, not %q", s.Type)
		}
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(x) {
			fault("%q is not like %s", x, s.Pattern)
		}
		if s.Format == "date-time" {
			if _, err := time.Parse(time.RFC3339, x); err != nil {
				fault("%v", err)
			}
		}
	case float64:
		if s.Type != "number" && (s.Type != "integer" || x != float64(int64(x))) && s.Const == nil {
			fault("is the number %v, not %q", x, s.Type)
		}
	case bool:
		if s.Type != "boolean" {
			fault("is a boolean, not %q", s.Type)
		}
	default:
		fault("is %v", v)
	}
	return faults
}

func jsonDocument(ts *testscript.TestScript, neg bool, args []string) {
	root, err := readSchema()
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Check(err)
	}
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	var document any
	ts.Check(d.Decode(&document))
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		ts.Fatalf("more than one document")
	}
	of := root.Defs[args[0]]
	if of == nil {
		ts.Fatalf("docs/json-schema.json describes no %q", args[0])
	}
	if faults := root.check(of, args[0], document); len(faults) > 0 {
		ts.Fatalf("%s", strings.Join(faults, "\n"))
	}
	if _, failed := document.(map[string]any)["error"]; failed && err == nil {
		ts.Fatalf("an error and exit status 0")
	}
}

// What the schema does not allow is found: else the scripts above would hold nothing.
func TestTheSchemaRefusesWhatIsNotDescribed(t *testing.T) {
	root, err := readSchema()
	if err != nil {
		t.Fatal(err)
	}
	sound := `{"version":1,"command":"version","program_version":"1"}`
	for name, c := range map[string]struct {
		document string
		faults   int
	}{
		"a sound document":         {sound, 0},
		"another version":          {strings.Replace(sound, "1", "2", 1), 1},
		"a name not described":     {strings.Replace(sound, "{", `{"Program":1,`, 1), 1},
		"a name that is missing":   {`{"version":1,"command":"version"}`, 1},
		"a kind that is another's": {strings.Replace(sound, `"1"`, "1", 1), 1},
		"null":                     {strings.Replace(sound, `"1"`, "null", 1), 1},
	} {
		var v any
		if err := json.Unmarshal([]byte(c.document), &v); err != nil {
			t.Fatal(err)
		}
		if faults := root.check(root.Defs["version"], "", v); len(faults) != c.faults {
			t.Errorf("%s: %q", name, faults)
		}
	}
}
