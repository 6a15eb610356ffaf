package integration

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// TestWhatTheConfigurationSaysOfKeysReachesTheHelper follows [keys] and
// [shared] through the daemon and keys.db: the helper reads no configuration.
func TestWhatTheConfigurationSaysOfKeysReachesTheHelper(t *testing.T) {
	t.Parallel()
	testbed.RequireArtifacts(t)
	host := testbed.NewHost(t)
	host.Install()
	iam := host.StartIAM(staff(t))
	other := testbed.NewKey(t, "ed25519", "of another helper").Public
	host.Write("/usr/local/sbin/other-helper", "#!/bin/sh\necho 'restrict "+other+"'\n[ \"$1\" = alice ]\n", 0o755)
	host.Run("useradd", "--system", "ops-account")
	host.Configure(iam.Source() + "[login]\ngroups = [\"developers\"]\n")
	host.Refreshed()
	d := daemon(host)
	alice, carol := host.Run("id", "-u", "alice"), host.Run("id", "-u", "carol")
	rsa := func(owner string) string {
		return strings.Join(strings.Fields(testbed.NewKey(t, "rsa", owner).Public)[:2], " ")
	}

	for _, c := range []struct {
		name, config string // below [login]
		ask          []string
		want         string // of standard output
	}{
		{"nothing", "", []string{"alice", alice}, rsa("alice") + " " + keyID("alice") + "\n"},
		{"options", "[keys]\noptions = [\"no-pty\", \"no-user-rc\"]\n", []string{"alice", alice}, "no-pty,no-user-rc " +
			rsa("alice") + " " + keyID("alice") + "\n"},
		{"types", "[keys]\ntypes = [\"ssh-ed25519\"]\n", []string{"alice", alice}, ""},
		{"bits", "[keys]\nmin_rsa_bits = 4096\n", []string{"alice", alice}, ""},
		{"a chain", "[keys]\nchain = [\"/usr/local/sbin/other-helper\", \"%u\", \"%U\"]\n", []string{"alice", alice},
			rsa("alice") + " " + keyID("alice") + "\nrestrict " + other + "\n"},
		{"a chain that fails", "[keys]\nchain = [\"/usr/local/sbin/other-helper\", \"%u\", \"%U\"]\n",
			[]string{"carol", carol}, rsa("carol") + " " + keyID("carol") + "\n"},
		{"a shared account", "[shared]\nops-account = [\"ops\"]\n",
			[]string{"ops-account", host.Run("id", "-u", "ops-account"), testbed.NewKey(t, "rsa", "oscar").Fingerprint()},
			`environment="NSS_IAM_USER=oscar" ` + rsa("oscar") + " " + keyID("oscar") + " oscar\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			host.Configure(iam.Source() + "[login]\ngroups = [\"developers\"]\n" + c.config)
			d.Signal(unix.SIGHUP)
			var r testbed.Result
			for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
				if r = host.TryAs("nss-iam", append([]string{testbed.Helper}, c.ask...)...); r.Code == 0 && r.Stdout == c.want {
					return
				}
			}
			t.Errorf("want %q: %v\n%s", c.want, r, d.Output())
		})
	}
}
