package faults

import (
	"regexp"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// A host that only knows people, or is built as an image, is not broken for that: what
// setup recorded decides.
func TestStatusSaysNothingOfFilesThatSetupHasNotChanged(t *testing.T) {
	t.Parallel()
	const dropIn = "/etc/ssh/sshd_config.d/10-nss-iam.conf"
	s := newSite(t)
	s.serve()
	says := func(check string) bool {
		t.Helper()
		s.refresh()
		status, text := s.Try(testbed.Refresh, "status"), s.Read(figures)
		counted := strings.Contains(text, `nss_iam_problems{check="`+check+`",state="broken"} 1`)
		said := regexp.MustCompile(`broken +` + check).MatchString(status.Stdout)
		if said != counted || said != (status.Code == 1) {
			t.Errorf("status and the figures differ about %s: %v\n%s", check, status, text)
		}
		return counted
	}
	s.Run("rm", dropIn)
	if !says("sshd") {
		t.Error("sshd does not ask us, and status does not say it")
	}
	s.Run(testbed.Refresh, "setup", "--offline")
	if says("sshd") {
		t.Error("setup wrote sshd's lines again, and status calls them broken")
	}
	s.Run(testbed.Refresh, "setup", "--undo", "--offline")
	if says("sshd") || says("nsswitch") {
		t.Error("setup was undone, and status calls the host broken")
	}
	s.Write("/etc/nsswitch.conf", "passwd: files iam\ngroup: files\n", 0o644)
	if says("nsswitch") {
		t.Error("nobody ran setup, and status asks for its lines")
	}
	if r := s.Try(testbed.Refresh, "doctor"); !regexp.MustCompile(`broken +nsswitch .*for group`).MatchString(r.Stdout) {
		t.Errorf("doctor does not say it: %v", r)
	}
}
