package jsondoc

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

type embedded struct{ UnixName string }

func TestValuesAreWrittenAsTheInterfaceSays(t *testing.T) {
	when := time.Date(2026, 11, 25, 20, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		found any
		want  string
	}{
		{"names are in snake_case", struct{ UnixID, MinRSABits, GIDs, URL int }{1, 2, 3, 4},
			`"unix_id":1,"min_rsa_bits":2,"gids":3,"url":4`},
		{"a tag names what the rule would not", struct {
			A int `json:"other_name"`
			B int `json:"-"`
		}{1, 2}, `"other_name":1`},
		{"an embedded struct's fields are its own", struct{ embedded }{embedded{"alice"}}, `"unix_name":"alice"`},
		{"what is not exported is not written", struct{ A, b int }{1, 2}, `"a":1`},
		{"times are RFC 3339, and one that never was is left out", struct{ A, B time.Time }{A: when},
			`"a":"2026-11-25T20:00:00Z"`},
		{"durations are seconds", struct{ A, B time.Duration }{5 * time.Minute, 1500 * time.Millisecond}, `"a":300,"b":1.5`},
		{"digests are hex", struct{ Digest [3]byte }{[3]byte{0, 10, 255}}, `"digest":"000aff"`},
		{"lists and maps without elements are no null", struct {
			A []string `json:",omitempty"`
			B map[string]int
		}{}, `"a":[],"b":{}`},
		{"a list in a list", struct{ A []struct{ B []int } }{[]struct{ B []int }{{}, {[]int{1}}}},
			`"a":[{"b":[]},{"b":[1]}]`},
		{"names of others stay as they are", struct{ A map[string]int }{map[string]int{"iam:GetGroup": 2, "B<c": 1}},
			`"a":{"B<c":1,"iam:GetGroup":2}`},
		{"a pointer to nothing is left out, others are followed", struct{ A, B *embedded }{B: &embedded{"x"}},
			`"b":{"unix_name":"x"}`},
		{"texts are written, empty ones unless marked", struct {
			A string
			B string `json:",omitempty"`
		}{}, `"a":""`},
		{"no is an answer", struct {
			A bool `json:",omitempty"`
			B int  `json:",omitempty"`
		}{}, `"a":false,"b":0`},
		{"foreign bytes do no harm", struct{ A string }{"\xff\x1b\""}, `"a":"\ufffd\u001b\""`},
		{"a number that JSON does not have", struct{ A float64 }{math.Inf(1)}, `"a":null`},
	} {
		var b, flat bytes.Buffer
		if err := Write(&b, "test", c.found, nil); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err := json.Compact(&flat, b.Bytes()); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if want := `{"version":1,"command":"test",` + c.want + `}`; flat.String() != want {
			t.Errorf("%s: got %s, want %s", c.name, flat.String(), want)
		}
	}
}

func TestAFailureIsADocumentToo(t *testing.T) {
	var b bytes.Buffer
	if err := Write(&b, "status", nil, &Error{Message: "no", ExitStatus: 2,
		Faults: []Fault{{File: "f", Line: 3, Column: 1, Key: "login", Problem: "p"}}}); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Error struct {
			Message    string
			ExitStatus int `json:"exit_status"`
			Faults     []map[string]any
		}
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got.Error.ExitStatus != 2 ||
		got.Error.Faults[0]["line"] != 3.0 {
		t.Errorf("%v: %s", err, b.String())
	}
}

func TestWhatIsNoStructIsRefused(t *testing.T) {
	if err := Write(&bytes.Buffer{}, "test", []int{1}, nil); err == nil || !strings.Contains(err.Error(), "[]int") {
		t.Errorf("got %v", err)
	}
}
