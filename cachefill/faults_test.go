package main

import (
	"errors"
	"testing"
	"time"
)

func TestEachCauseIsNewsOnce(t *testing.T) {
	refused := func(port string) error { return errors.New("read udp 127.0.0.1:" + port + "->10.0.0.2:53: refused") }
	full := errors.New("no space left on device")
	for name, c := range map[string]struct {
		quiet time.Duration
		ends  []error
		want  []bool
	}{
		"all is well": {0, []error{nil, nil}, []bool{false, false}},
		"the same cause from other ports": {0, []error{refused("60249"), refused("60251"), refused("60300")},
			[]bool{true, false, false}},
		"another cause":                {0, []error{refused("60249"), full}, []bool{true, true}},
		"well again, and failed again": {0, []error{full, nil, nil, full}, []bool{true, true, false, true}},
		"some of many questions fail": {time.Hour, []error{full, nil, full, nil, full},
			[]bool{true, false, false, false, false}},
		"some of many, now for another cause": {time.Hour, []error{full, nil, refused("1"), full},
			[]bool{true, false, true, true}},
		"long after the last failure": {1, []error{full, full}, []bool{true, true}},
	} {
		var f faults
		for i, err := range c.ends {
			if got := f.note("job", err, c.quiet); got != c.want[i] {
				t.Errorf("%s: end %d is news: %v, want %v", name, i, got, c.want[i])
			}
			time.Sleep(2 * time.Nanosecond)
		}
	}
}
