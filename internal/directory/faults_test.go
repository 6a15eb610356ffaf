package directory

import (
	"errors"
	"fmt"
	"testing"
)

type kindError struct{ op, object string }

func (e kindError) Error() string { return e.op + " " + e.object }
func (e kindError) Fault() string { return e.op }

func TestAFaultIsTheSameForErrorsOfTheSameCause(t *testing.T) {
	for name, c := range map[string]struct {
		a, b error
		same bool
	}{
		"two ports": {errors.New("read udp 127.0.0.1:60249->10.0.0.2:53: refused"),
			errors.New("read udp 127.0.0.1:60251->10.0.0.2:53: refused"), true},
		"two addresses": {errors.New("dial tcp [fd00:ec2::254]:443: refused"),
			errors.New("dial tcp 10.1.2.3:443: refused"), false},
		"two request ids":   {errors.New("denied, RequestID: 0ad5-77"), errors.New("denied, RequestID: 9c31-12"), true},
		"two words":         {errors.New("permission denied"), errors.New("no space left on device"), false},
		"two objects":       {fmt.Errorf("refresh: %w", kindError{"read group", "a"}), kindError{"read group", "b"}, true},
		"two operations":    {kindError{"read group", "a"}, kindError{"list users", "a"}, false},
		"an error and none": {errors.New("x"), nil, false},
	} {
		if got := FaultOf(c.a) == FaultOf(c.b); got != c.same {
			t.Errorf("%s: %q and %q are the same: %v, want %v", name, FaultOf(c.a), FaultOf(c.b), got, c.same)
		}
	}
}
