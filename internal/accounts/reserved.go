package accounts

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed reserved.txt
var systemAccountsText string

// reservedNames are names that mean something on some host of a fleet, if not
// on this one: a sudoers rule for %wheel or for ubuntu outlives the account, a
// package that is installed later wants its daemon's name, and one directory
// must give the same names everywhere. accounts.reserve adds to them.
var reservedNames = func() map[string]string {
	all := map[string]string{}
	// The first reason that holds is the one given.
	for _, r := range []struct{ why, names string }{
		{"a system account or group has it on common distributions", systemAccounts(systemAccountsText)},
		{"machine images have an account of that name, often with sudo rights",
			`ec2-user ssm-user ubuntu debian admin centos fedora rocky almalinux
			cloud-user cloud-init opc core bitnami arch alpine freebsd vagrant suse opensuse maintuser`},
		{"the group is as good as root, or common sudoers rules name it", strings.Join(privilegedNames, " ")},
		{"nss-iam serves a group of that name", UsersGroup + " " + SudoGroup},
		{"it is a word with a meaning in sudoers, PAM or sshd settings",
			`all defaults none any nobody4 noaccess everyone local`},
	} {
		for name := range strings.FieldsSeq(r.names) {
			if all[name] == "" {
				all[name] = r.why
			}
		}
	}
	return all
}()

// systemAccounts are the names in reserved.txt, without its comments.
func systemAccounts(text string) string {
	var names []string
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(line, "#")
		names = append(names, strings.Fields(name)...)
	}
	return strings.Join(names, " ")
}

// privilegedNames are local groups whose members are root or can become root
// at once: by rules of their own, by a socket, by devices, by reading what
// authenticates root, or by writing what root runs.
var privilegedNames = []string{
	"root", "sudo", "wheel", "admin", "adm", "docker", "podman", "containerd", "lxd", "lxc", "incus", "incus-admin",
	"microk8s", "snap_microk8s", "libvirt", "libvirtd", "kvm", "disk", "shadow", "kmem", "mem", "staff", "sys", "bin",
	"daemon", "operator", "backup", "systemd-journal", "systemd-network", "ssl-cert", "google-sudoers", "vboxusers",
	"qubes", "wireshark", "nss-iam",
}

// reserved says why no directory user or group may have a name, or "".
func (p Policy) reserved(name string) string {
	name = fold(name)
	if why := p.systemName(name); why != "" {
		return why
	}
	if digits, found := strings.CutPrefix(name, "former-"); found && digits != "" &&
		strings.Trim(digits, "0123456789") == "" {
		return "ids of former users are shown so"
	}
	if owner, group := chown(name, p.isSystemName, p.isSystemName); owner != "" {
		return chownMeaning(owner, group)
	}
	return ""
}

// systemName says why a name is a system account's or group's, or "".
func (p Policy) systemName(folded string) string {
	if why := reservedNames[folded]; why != "" {
		return why
	}
	if strings.HasPrefix(folded, "systemd-") {
		return "systemd makes accounts that begin so"
	}
	if slices.ContainsFunc(p.Reserve, func(r string) bool { return fold(r) == folded }) {
		return "accounts.reserve lists it"
	}
	return ""
}

func (p Policy) isSystemName(name string) bool { return p.systemName(fold(name)) != "" }

// chown splits a name as the old syntax of chown(1) does, which scripts still
// use: X.Y is the account X with the group Y, and "X." X with its login group.
// A person of that name would be given such files instead. It returns the first
// split of which both halves exist, or "".
func chown(name string, account, group func(string) bool) (owner, ownerGroup string) {
	for i := 0; i < len(name); i++ {
		if name[i] != '.' {
			continue
		}
		if x, y := name[:i], name[i+1:]; account(x) && (y == "" || group(y)) {
			return x, y
		}
	}
	return "", ""
}

func chownMeaning(owner, group string) string {
	if group == "" {
		return `to chown it is the account "` + owner + `" with its login group`
	}
	return `to chown it is the account "` + owner + `" with the group "` + group + `"`
}
