package hostsetup

import (
	"strings"
	"testing"
)

func TestADropInIsUsedOnlyWhereItComesFirst(t *testing.T) {
	for _, c := range []struct {
		name, config string
		want         bool
	}{
		{"Debian's file", "# x\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n", true},
		{"a relative pattern", "Include sshd_config.d/*.conf\n", true},
		{"several patterns and quotes", "include=\"/etc/other/*.conf\" \"/etc/ssh/sshd_config.d/*.conf\"\n", true},
		{"no Include", "UsePAM yes\n", false},
		{"an Include that is a comment", "#Include /etc/ssh/sshd_config.d/*.conf\n", false},
		{"an Include of another folder", "Include /etc/ssh/other.d/*.conf\n", false},
		{"an Include below a Match", "Match User x\n  Include /etc/ssh/sshd_config.d/*.conf\n", false},
		{"an Include after a key command", "AuthorizedKeysCommand none\nInclude /etc/ssh/sshd_config.d/*.conf\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := includesDropIns(c.config); got != c.want {
				t.Errorf("includesDropIns = %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheBlockIsPutFirstAndTakenOutByteForByte(t *testing.T) {
	for name, config := range map[string]string{
		"a plain file": "UsePAM yes\nMatch User git\n  ForceCommand x\n",
		"no newline at the end (widdix/aws-ec2-ssh#121)": "UsePAM yes\nX11Forwarding yes",
		"an empty file": "",
	} {
		t.Run(name, func(t *testing.T) {
			with := AddBlock(config, keysCommand(9, 2), "")
			if !strings.HasPrefix(with, blockBegin+"AuthorizedKeysCommand "+Helper+" %u %U %f %k %t\n") {
				t.Errorf("the block is not first: %q", with)
			}
			if again := AddBlock(with, keysCommand(9, 2), ""); again != with {
				t.Errorf("a second block: %q", again)
			}
			if got := RemoveBlock(with); got != config {
				t.Errorf("RemoveBlock = %q, want %q", got, config)
			}
		})
	}
}

func TestAMatchIsPutLastAndHoldsNothingElse(t *testing.T) {
	for name, config := range map[string]string{
		"a plain file":              "UsePAM yes\n",
		"a file that ends in Match": "Match User git\n  ForceCommand x\n",
		"an empty file":             "",
	} {
		t.Run(name, func(t *testing.T) {
			with := AddBlock(config, keysCommand(9, 2), ownKeys)
			if want := config + blockBegin + ownKeys + "Match all\n" + blockEnd; !strings.HasSuffix(with, want) {
				t.Errorf("got %q, want it to end with %q", with, want)
			}
			if again := AddBlock(with, keysCommand(9, 2), ownKeys); again != with {
				t.Errorf("a second time: %q", again)
			}
			if without := AddBlock(with, keysCommand(9, 2), ""); without != AddBlock(config, keysCommand(9, 2), "") {
				t.Errorf("without the Match: %q", without)
			}
			if got := RemoveBlock(with); got != config {
				t.Errorf("RemoveBlock = %q, want %q", got, config)
			}
		})
	}
	if got := RemoveBlock(AddBlock("UsePAM yes", "", ownKeys)); got != "UsePAM yes\n" {
		t.Errorf("a file without a last newline: %q", got)
	}
}

func TestOldSSHDIsNotGivenAUid(t *testing.T) {
	if got := keysCommand(7, 4); strings.Contains(got, "%U") {
		t.Errorf("OpenSSH 7.4 would refuse %q", got)
	}
}
