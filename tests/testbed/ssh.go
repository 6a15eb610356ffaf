package testbed

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Key is a key pair of a person.
type Key struct {
	Private     string // OpenSSH's file format
	Public      string // an authorized_keys line without newline
	Certificate string // as a file of ssh-keygen -s has it; "" for a bare key
}

// Certified is the key with a certificate of it that this authority signed:
// valid for an hour for these principals, with further extensions.
func (k Key) Certified(t testing.TB, authority Key, extensions map[string]string, principals ...string) Key {
	t.Helper()
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k.Public))
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey([]byte(authority.Private))
	if err != nil {
		t.Fatal(err)
	}
	c := &ssh.Certificate{
		Key: public, CertType: ssh.UserCert, KeyId: strings.Join(principals, " "), ValidPrincipals: principals,
		ValidAfter: uint64(time.Now().Add(-time.Minute).Unix()), ValidBefore: uint64(time.Now().Add(time.Hour).Unix()),
	}
	c.Extensions = map[string]string{"permit-pty": ""}
	maps.Copy(c.Extensions, extensions)
	if err := c.SignCert(rand.Reader, signer); err != nil {
		t.Fatal(err)
	}
	k.Certificate = string(ssh.MarshalAuthorizedKey(c))
	return k
}

// Fingerprint is the key's SHA256 fingerprint, as sshd logs it.
func (k Key) Fingerprint() string {
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(k.Public))
	if err != nil {
		return err.Error()
	}
	return ssh.FingerprintSHA256(public)
}

var keys struct {
	sync.Mutex
	made map[string]Key
}

// NewKey is a key of a type: "rsa", "rsa-1024", "rsa-4096", "ed25519" or "ecdsa". The
// same owner has the same key of a type for the life of the process, since
// making RSA keys is slow.
func NewKey(t testing.TB, kind, owner string) Key {
	t.Helper()
	keys.Lock()
	defer keys.Unlock()
	if k, ok := keys.made[kind+" "+owner]; ok {
		return k
	}
	k, err := makeKey(kind, owner)
	if err != nil {
		t.Fatalf("make %s key of %q: %v", kind, owner, err)
	}
	if keys.made == nil {
		keys.made = make(map[string]Key)
	}
	keys.made[kind+" "+owner] = k
	return k
}

func makeKey(kind, owner string) (k Key, err error) {
	var private crypto.Signer
	switch name, bits, _ := strings.Cut(kind, "-"); name {
	case "rsa":
		size := 2048
		if bits != "" {
			if size, err = strconv.Atoi(bits); err != nil {
				return k, err
			}
		}
		private, err = rsa.GenerateKey(rand.Reader, size)
	case "ed25519":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case "ecdsa":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		err = fmt.Errorf("no such type")
	}
	if err != nil {
		return k, err
	}
	block, err := ssh.MarshalPrivateKey(private, owner)
	if err != nil {
		return k, err
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		return k, err
	}
	k.Private = string(pem.EncodeToMemory(block))
	k.Public = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(public))) + " " + owner
	return k, nil
}

// SSHD is a real sshd on a host.
type SSHD struct {
	h       *Host
	Process *Process
	Port    int
}

// StartSSHD starts the host's sshd with the key helper configured. options
// are further lines of sshd_config; of a keyword that stands twice, sshd takes
// the first, which is theirs.
func (h *Host) StartSSHD(options ...string) *SSHD {
	h.t.Helper()
	s := &SSHD{h: h, Port: h.FreePort()}
	host := NewKey(h.t, "ed25519", "host")
	h.Write("/etc/ssh/testbed_key", host.Private, 0o600)
	config := append(options,
		"Port "+strconv.Itoa(s.Port),
		"ListenAddress 127.0.0.1",
		"HostKey /etc/ssh/testbed_key",
		"PidFile none",
		"LogLevel VERBOSE",
		"UsePAM yes",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"AuthorizedKeysCommand "+Helper+" %u %U %f %k %t",
		"AuthorizedKeysCommandUser nss-iam",
		"Subsystem sftp /usr/lib/openssh/sftp-server",
		// A storm of logins is to be the helper's matter, not sshd's.
		"MaxStartups 1000",
	)
	// From 9.8 on sshd turns an address away for a while after refused logins,
	// and all logins here come from one. Older ones do not know the option.
	if h.Try("grep", "-qi", "persourcepenalties", "/usr/sbin/sshd").Code == 0 {
		config = append(config, "PerSourcePenalties no")
	}
	h.Write("/etc/ssh/sshd_config", strings.Join(config, "\n")+"\n", 0o644)
	h.Run("mkdir", "-p", "/run/sshd")
	s.Process = h.Start(nil, "/usr/sbin/sshd", "-D", "-e", "-f", "/etc/ssh/sshd_config")
	h.Eventually("sshd answers", 5*time.Minute, func() bool {
		select {
		case <-s.Process.done:
			h.t.Fatalf("sshd has ended:\n%s", s.Process.Output())
		default:
		}
		conn, err := h.Dial(context.Background(), "tcp", "127.0.0.1:"+strconv.Itoa(s.Port))
		if err != nil {
			return false
		}
		defer conn.Close()
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		banner := make([]byte, 4)
		n, _ := conn.Read(banner)
		return string(banner[:n]) == "SSH-"
	})
	return s
}

// Log is what sshd has logged so far.
func (s *SSHD) Log() string { return s.Process.Output() }

// Login runs a command through ssh as this user, with this key and no other.
// Exit status 255 is ssh's own: no login.
func (s *SSHD) Login(user string, key Key, command ...string) Result {
	s.h.t.Helper()
	return s.h.Try(append(s.client("ssh", user, key), command...)...)
}

// SFTP runs a batch of sftp commands as this user.
func (s *SSHD) SFTP(user string, key Key, batch string) Result {
	s.h.t.Helper()
	command := s.client("sftp", user, key)
	last := len(command) - 1
	return s.h.TryInput(batch, nil, append(command[:last:last], "-b", "-", command[last])...)
}

func (s *SSHD) client(program, user string, key Key) []string {
	s.h.t.Helper()
	arguments := s.Client(key)
	last := len(arguments) - 1
	return append(append([]string{program}, arguments[:last]...), "-o", "User="+user, arguments[last])
}

// Client is the arguments of an ssh on the host that logs in here with this
// key; the user is to be added before them, as -o User=….
func (s *SSHD) Client(key Key) []string {
	s.h.t.Helper()
	name := "/run/testbed/key-" + strings.NewReplacer("/", "_", ":", "_", "+", "_").Replace(key.Fingerprint())
	s.h.Write(name, key.Private, 0o600)
	arguments := []string{"-F", "none"}
	if key.Certificate != "" {
		certificate := fmt.Sprintf("/run/testbed/certificate-%x", sha256.Sum256([]byte(key.Certificate)))
		s.h.Write(certificate, key.Certificate, 0o644)
		arguments = append(arguments, "-o", "CertificateFile="+certificate)
	}
	return append(arguments, "-o", "Port="+strconv.Itoa(s.Port), "-i", name,
		"-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "PreferredAuthentications=publickey",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"-o", "ConnectTimeout=30", "127.0.0.1")
}
