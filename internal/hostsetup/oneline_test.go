package hostsetup

import "testing"

func TestWhatVisudoSaysIsOneLineAboutTheFault(t *testing.T) {
	const said = "/etc/sudoers.d/90: bad permissions, should be mode 0440\n\n/etc/sudoers: parsed OK\n"
	if got, want := oneLine(said), "/etc/sudoers.d/90: bad permissions, should be mode 0440"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := oneLine("a\n b \n\n"), "a; b"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
