package identitycenter

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// eic is a stand-in for the helper of EC2 Instance Connect, at the path where
// Debian's and Ubuntu's package has it. The real one asks the instance's metadata
// for the keys that were pushed for a user within the last minute, and checks AWS's
// signature of them; here they lie in a file each.
const eic = `#!/bin/sh
# eic_run_authorized_keys USER FINGERPRINT
now=$(date +%s)
while read -r expires key; do
	[ "$expires" -gt "$now" ] || continue
	case $(echo "$key" | ssh-keygen -l -f /dev/stdin) in *" $2 "*) echo "$key" ;; esac
done <"/run/testbed/active-keys/$1" 2>/dev/null
exit 0
`

// push is ec2-instance-connect:SendSSHPublicKey by somebody whose session has the
// tag SSMSessionRunAs, under a policy whose condition is
// ec2:osuser = ${aws:PrincipalTag/SSMSessionRunAs}.
func (s *site) push(tag, osUser string, key testbed.Key, seconds int) bool {
	if tag != osUser {
		return false // AccessDeniedException
	}
	s.Write("/run/testbed/active-keys/"+osUser, fmt.Sprintf("%d %s\n", time.Now().Unix()+int64(seconds), key.Public),
		0o644)
	return true
}

func (s *site) instanceConnect() {
	const helper = "/usr/share/ec2-instance-connect/eic_run_authorized_keys"
	s.Write(helper, eic, 0o755)
	s.Run("mkdir", "-p", "/run/testbed/active-keys")
	s.serve("chain = [" + strconv.Quote(helper) + `, "%u", "%f"]` + "\n")
	s.doctor("way in", "good", helper)
	key := testbed.NewKey(s.t, "ed25519", "pushed")
	s.stays("nothing was pushed", "alice", key)
	if s.push("alice", "bob", key, 60) || s.push("alice", "root", key, 60) {
		s.t.Error("the policy lets alice push a key for another")
	}
	if !s.push("alice", "alice", key, 60) {
		s.t.Error("the policy refuses alice")
	}
	s.enters("alice", key, "alice 0", `echo $(id -un) $(sudo -n id -u)`)
	s.stays("another's key", "alice", testbed.NewKey(s.t, "ed25519", "other"))
	s.without("alice", func() { s.stays("out, with a good pushed key", "alice", key) })
	s.push("alice", "alice", key, -1)
	s.stays("the minute is over", "alice", key)
	// Who may push for mallory pushes in vain: no such user.
	s.push("mallory", "mallory", key, 60)
	s.stays("in no login group", "mallory", key)
}

var standIn string // the stand-in's binary, made once

func buildStandIn(t *testing.T) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "opkssh")
	build := exec.Command("go", "build", "-o", name, "./opkssh")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	standIn = string(content)
}

// opkssh is set up as its documents say: the program in /usr/local/bin, its files
// in /etc/opk for root and the group opksshuser, and the user that runs it, here
// ours, in that group.
func (s *site) opkssh() {
	const issuer = "https://example.awsapps.com/start"
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Write("/usr/local/bin/opkssh", standIn, 0o755)
	s.Run("groupadd", "--system", "opksshuser")
	s.Run("usermod", "-a", "-G", "opksshuser", "nss-iam")
	s.Write("/etc/opk/providers", issuer+" client 24h\n", 0o640)
	s.Write("/etc/opk/auth_id", "alice alice@example.com "+issuer+"\nroot mallory@example.com "+issuer+"\n", 0o640)
	s.Write("/etc/opk/provider-key", base64.StdEncoding.EncodeToString(public), 0o640)
	s.Run("chown", "-R", "root:opksshuser", "/etc/opk")
	s.Run("chmod", "0750", "/etc/opk")
	s.serve(`chain = ["/usr/local/bin/opkssh", "verify", "%u", "%k", "%t"]` + "\n")

	// login is what "opkssh login" leaves: a key with a certificate that it signed
	// itself, and in it the provider's word.
	login := func(email string, by ed25519.PrivateKey, expires time.Duration) testbed.Key {
		body, err := json.Marshal(map[string]any{"iss": issuer, "email": email, "exp": time.Now().Add(expires).Unix()})
		if err != nil {
			s.t.Fatal(err)
		}
		token := base64.RawURLEncoding.EncodeToString(body) + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(by,
			body))
		key := testbed.NewKey(s.t, "ed25519", "of "+email)
		return key.Certified(s.t, key, map[string]string{"openpubkey-pkt": token}, "alice", "bob", "root")
	}
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	alice := login("alice@example.com", private, time.Hour)
	s.enters("alice", alice, "alice 0", `echo $(id -un) $(sudo -n id -u)`)
	s.stays("not on the list for bob", "bob", alice)
	s.stays("not on the list", "alice", login("bob@example.com", private, time.Hour))
	s.stays("another provider's word", "alice", login("alice@example.com", stranger, time.Hour))
	s.stays("an old token", "alice", login("alice@example.com", private, -time.Hour))
	s.without("alice", func() { s.stays("out, with a good token", "alice", alice) })
}

// certificates: sshd trusts an authority, and lets anybody in whose login name is
// among the certificate's principals. Only the account phase knows who is out.
func (s *site) certificates() {
	authority, key := testbed.NewKey(s.t, "ed25519", "authority"), testbed.NewKey(s.t, "ed25519", "alice's")
	s.Write("/etc/ssh/user_ca.pub", authority.Public+"\n", 0o644)
	s.serve("", "TrustedUserCAKeys /etc/ssh/user_ca.pub")
	s.doctor("way in", "good", "certificates of /etc/ssh/user_ca.pub")
	alice := key.Certified(s.t, authority, nil, "alice")
	s.enters("alice", alice, "alice 0", `echo $(id -un) $(sudo -n id -u)`)
	s.stays("another's principal", "bob", alice)
	s.stays("the bare key", "alice", key)
	s.stays("another authority", "alice", key.Certified(s.t, testbed.NewKey(s.t, "ed25519", "stranger"), nil, "alice"))
	s.without("alice", func() {
		s.stays("out, with a good certificate", "alice", alice)
		if len(s.log.Lines(`user "alice" refused at "sshd"`, "may not log in")) == 0 {
			s.t.Errorf("the account phase says nothing:\n%s", strings.Join(s.log.Lines("account"), "\n"))
		}
	})
	s.enters("alice", alice, "alice", "id", "-un")
}

func (s *site) sharedAccount() {
	authority, key := testbed.NewKey(s.t, "ed25519", "authority"), testbed.NewKey(s.t, "ed25519", "alice's")
	s.Write("/etc/ssh/user_ca.pub", authority.Public+"\n", 0o644)
	s.serve("options = [\"no-agent-forwarding\"]\n", "TrustedUserCAKeys /etc/ssh/user_ca.pub",
		"AuthorizedPrincipalsCommand "+testbed.Helper+" --principals %u %U %k", "AuthorizedPrincipalsCommandUser nss-iam")
	alice := key.Certified(s.t, authority, nil, "alice")
	s.enters("ec2-user", alice, "ec2-user alice", `echo $(id -un) $NSS_IAM_USER`)
	if len(s.log.Lines(`user "ec2-user"`, `certificate of principal "alice" accepted`)) == 0 {
		s.t.Errorf("the log does not say who came in:\n%s", strings.Join(s.log.Lines("authkeys"), "\n"))
	}
	s.enters("alice", alice, "alice", "id", "-un")
	s.stays("in no group", "ec2-user", key.Certified(s.t, authority, nil, "mallory"))
	// ubuntu is a person of the directory, and a local account.
	namesake := key.Certified(s.t, authority, nil, "ubuntu")
	s.stays("a namesake of a local account", "ubuntu", namesake)
	s.stays("root, whatever the certificate says", "root", key.Certified(s.t, authority, nil, "root"))
	s.without("alice", func() { s.stays("out, with a good certificate", "ec2-user", alice) })
}
