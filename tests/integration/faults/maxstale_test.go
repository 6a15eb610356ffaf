package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// docs/operations.md says what to do when keys grow too old while IAM is down: raise
// keys.max_stale and start the daemon. It is down too, here.
func TestRaisingMaxStaleOpensLoginsAgainWhileIAMIsDown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.configure(plain + "[keys]\nmax_stale = \"1m\"\n")
	s.serve()
	s.kill()
	s.iam.Stop()
	s.Eventually("the cached keys are too old", 3*time.Minute, func() bool {
		r := s.Try(testbed.Refresh, "explain", "alice")
		return r.Code == 1 && strings.Contains(r.Stdout, "NO   cached keys")
	})
	if r := s.Try(testbed.Refresh, "status"); r.Code != 1 {
		t.Errorf("nobody gets in, and status is content: %v", r)
	}
	key := func() testbed.Result { return s.Try("/usr/libexec/nss-iam/authkeys", "alice") }
	if r := key(); strings.Contains(r.Stdout, "ssh-rsa") {
		t.Errorf("a key that is too old is given: %v", r)
	}

	s.configure(plain + "[keys]\nmax_stale = \"24h\"\n")
	s.start()
	s.Eventually("cached keys open logins again", time.Minute, func() bool {
		return strings.Contains(s.Try(testbed.Refresh, "explain", "alice").Stdout, "yes  cached keys") &&
			strings.Contains(key().Stdout, "ssh-rsa")
	})
	if r := s.Try(testbed.Refresh, "status"); r.Code != 1 || !strings.Contains(r.Stdout, "unreachable") {
		t.Errorf("IAM is down still: %v", r)
	}
}
