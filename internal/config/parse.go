package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// maxSize is far above any configuration: 5,000 pins are about 200 KiB.
const maxSize = 4 << 20

// Load reads the file at path. See Parse for what it returns.
func Load(path string) (Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("open configuration %q: %w; create it or name another with --config", path,
			errors.Unwrap(err))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return Config{}, fmt.Errorf("read configuration %q: %w", path, errors.Unwrap(err))
	}
	if len(data) > maxSize {
		return Config{}, fmt.Errorf("read configuration %q: larger than %d bytes; it is hardly a configuration", path,
			maxSize)
	}
	return Parse(path, data)
}

// Parse reads a configuration; name stands for it in errors. A file with
// faults gives Errors and no Config. A sound file without any login rule
// gives the Config and Errors that wrap ErrNotConfigured.
func Parse(name string, data []byte) (Config, error) {
	var document map[string]any
	if err := toml.Unmarshal(data, &document); err != nil {
		return Config{}, Errors{syntaxError(name, err)}
	}
	r := reader{file: name, at: findPositions(data), config: Default()}
	r.document(document)
	r.validate()
	if len(r.faults) > 0 {
		r.faults.sort()
		return Config{}, r.faults
	}
	if !r.config.Login.Configured() {
		r.fault("nothing is served until one of groups, groups_tag and all_users is set",
			`name the IAM groups whose members may log in, as in groups = ["developers"]`, "login")
		r.faults[0].cause = ErrNotConfigured
		return r.config, r.faults
	}
	return r.config, nil
}

func syntaxError(name string, err error) *Error {
	fault := &Error{File: name, Line: 1, Column: 1, Problem: strings.TrimPrefix(err.Error(), "toml: "),
		Remedy: "see https://toml.io for how values are written"}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		fault.Line, fault.Column = decode.Position()
		fault.Line, fault.Column = max(fault.Line, 1), max(fault.Column, 1)
	}
	fault.Problem = "not TOML: " + strings.Join(strings.Fields(fault.Problem), " ")
	return fault
}

// A reader goes through a parsed document and collects what is wrong in it.
type reader struct {
	file   string
	at     positions
	config Config
	faults Errors
	given  map[string]bool // keys that the file sets, dotted
}

// fault notes one fault at the place of the key named by parts.
func (r *reader) fault(problem, remedy string, parts ...string) {
	r.faultAt(r.at.of(parts...), problem, remedy, parts...)
}

func (r *reader) faultAt(at position, problem, remedy string, parts ...string) {
	r.faults = append(r.faults, &Error{File: r.file, Line: at.line, Column: at.column,
		Key: strings.Join(parts, "."), Problem: problem, Remedy: remedy})
}

func (r *reader) document(document map[string]any) {
	r.given = map[string]bool{}
	for _, section := range sortedKeys(document) {
		table, isTable := document[section].(map[string]any)
		switch {
		case section != "shared" && sections[section] == nil:
			r.fault("no such section", "known are "+list(append(sortedKeys(sections), "shared"))+nearest(section,
				append(sortedKeys(sections), "shared")), section)
		case !isTable:
			r.fault("is a "+kindOf(document[section])+", not a section",
				"write ["+section+"] on a line of its own and its keys below", section)
		case section == "shared":
			r.shared(table)
		default:
			r.section(section, table)
		}
	}
}

func (r *reader) section(section string, table map[string]any) {
	known := sections[section]
	for _, name := range sortedKeys(table) {
		read := known[name]
		if read == nil {
			r.fault("no such key", "["+section+"] has "+list(sortedKeys(known))+nearest(name, sortedKeys(known)), section, name)
			continue
		}
		r.given[section+"."+name] = true
		read(r, value{reader: r, path: []string{section, name}, any: table[name]})
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func list(names []string) string { return strings.Join(names, ", ") }

// nearest suggests the known name that was most likely meant, if any is close.
func nearest(name string, known []string) string {
	best, distance := "", 3
	for _, candidate := range known {
		if d := edits(name, candidate); d < distance {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return "; perhaps " + best + " was meant"
}

// edits is the Levenshtein distance of two short words; long ones are far apart.
func edits(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return 40
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
