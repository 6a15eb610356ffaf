// Package jsondoc owns the JSON that commands print with --json: an interface for
// scripts, described in iam-cachefill(8) and held by docs/json-schema. It knows how Go
// values are named and written there, and no value itself.
//
// Names are in snake_case. Times are RFC 3339, durations are seconds, digests are hex. A
// list without elements is [], a map {}. What is not known is left out: a time that never
// was, a text marked omitempty that is empty, a pointer to nothing.
package jsondoc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Version is the version of the interface. New names may come within a version; what is
// there keeps its name, its kind and its meaning.
const Version = 1

// An Error is why a command failed.
type Error struct {
	Message    string
	ExitStatus int
	Faults     []Fault // of the configuration, each with its place
}

// A Fault is one of a configuration.
type Fault struct {
	File         string
	Line, Column int
	Key          string `json:",omitempty"`
	Problem      string
	Remedy       string `json:",omitempty"`
}

// Write writes one document: which command it is of, what the command found (nil or a
// struct), and why it failed, nil for well.
func Write(w io.Writer, command string, found any, failed *Error) error {
	d := document{}
	d.add("version", Version)
	d.add("command", command)
	if found != nil {
		d.fields(reflect.ValueOf(found))
	}
	if failed != nil {
		d.add("error", *failed)
	}
	if d.err != nil {
		return fmt.Errorf("write JSON: %w", d.err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, d.close(), "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err := w.Write(out.Bytes())
	return err
}

// A document is an object as it is written.
type document struct {
	text bytes.Buffer
	err  error
}

func (d *document) add(name string, v any) { d.put(name, encode(reflect.ValueOf(v))) }

func (d *document) put(name string, text []byte) {
	if d.text.Len() > 0 {
		d.text.WriteByte(',')
	}
	fmt.Fprintf(&d.text, "%q:%s", name, text)
}

func (d *document) close() []byte { return []byte("{" + d.text.String() + "}") }

// fields adds the exported fields of a struct, those of embedded structs as its own.
func (d *document) fields(v reflect.Value) {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct {
		d.err = fmt.Errorf("a document is made of a struct, not of %s", v.Type())
		return
	}
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "" && value.Kind() == reflect.Struct:
			d.fields(value)
			continue
		case !field.IsExported(), name == "-", unknown(value, options):
			continue
		case name == "":
			name = snake(field.Name)
		}
		d.put(name, encode(value))
	}
}

// unknown reports whether a value says that nothing is known.
func unknown(v reflect.Value, options string) bool {
	switch {
	case v.Type() == reflect.TypeFor[time.Time](), v.Kind() == reflect.Pointer, v.Kind() == reflect.Interface:
		return v.IsZero()
	case v.Kind() == reflect.String:
		return v.Len() == 0 && strings.Contains(options, "omit")
	}
	return false
}

func encode(v reflect.Value) []byte {
	if !v.IsValid() {
		return []byte("null")
	}
	switch x := v.Interface().(type) {
	case time.Time:
		return leaf(x.Format(time.RFC3339))
	case time.Duration:
		return leaf(x.Seconds())
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return encode(v.Elem())
	case reflect.Struct:
		var d document
		d.fields(v)
		return d.close()
	case reflect.Slice, reflect.Array:
		return encodeList(v)
	case reflect.Map:
		return encodeMap(v)
	}
	return leaf(v.Interface())
}

func encodeList(v reflect.Value) []byte {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		digest := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(digest), v)
		return leaf(hex.EncodeToString(digest))
	}
	parts := make([][]byte, v.Len())
	for i := range parts {
		parts[i] = encode(v.Index(i))
	}
	return slices.Concat([]byte("["), bytes.Join(parts, []byte(",")), []byte("]"))
}

// encodeMap writes a map with its keys as they are: they are names of somebody's.
func encodeMap(v reflect.Value) []byte {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	var d document
	for _, key := range keys {
		d.text.Write(map[bool][]byte{true: []byte(","), false: nil}[d.text.Len() > 0])
		d.text.Write(slices.Concat(leaf(key.String()), []byte(":"), encode(v.MapIndex(key))))
	}
	return d.close()
}

// leaf is a text, number or truth value. < and > stay readable.
func leaf(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return []byte("null") // of a number that JSON does not have
	}
	return bytes.TrimSpace(b.Bytes())
}

// snake is a Go name in snake_case: UnixID is unix_id, NSSError nss_error, GIDs gids.
func snake(name string) string {
	letters := []rune(strings.NewReplacer("UIDs", "Uids", "GIDs", "Gids", "IDs", "Ids").Replace(name))
	var b strings.Builder
	for i, r := range letters {
		if i > 0 && unicode.IsUpper(r) {
			after := i+1 < len(letters) && unicode.IsLower(letters[i+1])
			if !unicode.IsUpper(letters[i-1]) || after {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
