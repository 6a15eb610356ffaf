package accounts

import (
	"fmt"
	"strconv"
	"strings"
)

// maxName is the longest login or group name, in bytes (utmp, shadow-utils).
const maxName = 32

// unixNames writes in Unix names what IAM allows and Unix does not, as
// aws-ec2-ssh does.
var unixNames = strings.NewReplacer("+", ".plus.", "=", ".equal.", ",", ".comma.", "@", ".at.")

// userName is the login name for an IAM user name. ok is false for a name
// that cannot be served; name is then what it would have been.
func (p Policy) userName(iam string) (name string, bad verdict, ok bool) {
	name = iam
	if at := strings.LastIndexByte(name, '@'); at >= 0 {
		for _, domain := range p.StripDomains {
			if fold(name[at+1:]) == fold(domain) {
				name = name[:at]
				break
			}
		}
	}
	return p.groupName(name)
}

// groupName is the Unix name for an IAM group name, as userName is for users.
func (p Policy) groupName(iam string) (name string, bad verdict, ok bool) {
	name = iam
	if strings.ContainsAny(name, "+=,@") {
		name = unixNames.Replace(name)
	}
	if p.Lowercase {
		name = fold(name)
	}
	if problem := nameProblem(name); problem != "" {
		return name, reject(NameInvalid, fmt.Sprintf("the Unix name would be %.80q, which %s", name, problem),
			"rename it in IAM; the number stays"), false
	}
	if why := reserved(name); why != "" {
		return name, reject(NameReserved, fmt.Sprintf("the Unix name %q is reserved: %s", name, why),
			"rename it in IAM; the number stays"), false
	}
	return name, verdict{}, true
}

// nameProblem says why a name must not be served. What passes begins with a
// letter and goes on with letters, digits, dots, underscores and hyphens:
// nothing that a shell, passwd(5), sudoers(5), an option parser or a program
// that takes names and numbers alike could read as something else.
func nameProblem(name string) string {
	digits := 0
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		case '0' <= c && c <= '9':
			digits++
		case c == '.' || c == '_' || c == '-':
		default:
			return "holds a character that is not a letter, a digit, a dot, an underscore or a hyphen"
		}
	}
	switch {
	case name == "":
		return "is empty"
	case len(name) > maxName:
		return fmt.Sprintf("is longer than %d bytes", maxName)
	case digits == len(name):
		return "is all digits, like a number"
	case !('a' <= name[0] && name[0] <= 'z' || 'A' <= name[0] && name[0] <= 'Z'):
		return "does not begin with a letter"
	}
	return ""
}

// formerName is what the number of somebody gone is called when the name
// belongs to another by now.
func formerName(number uint32) string { return "former-" + strconv.FormatUint(uint64(number), 10) }

// reserved says why no IAM user or group may have a name, or "".
func reserved(name string) string {
	name = fold(name)
	if why := reservedNames[name]; why != "" {
		return why
	}
	if digits, found := strings.CutPrefix(name, "former-"); found && digits != "" && strings.Trim(digits, "0123456789") == "" {
		return "numbers of former users are shown so"
	}
	if strings.HasPrefix(name, "systemd-") {
		return "systemd makes accounts that begin so"
	}
	return ""
}

// reservedNames are names that mean something on some host of a fleet, be it
// not on this one: a sudoers rule for %wheel or for ubuntu outlives the
// account, and the same IAM must give the same names everywhere.
var reservedNames = func() map[string]string {
	all := map[string]string{}
	// The first reason that holds is the one given.
	for _, r := range []struct{ why, names string }{
		{"a system account has it on common distributions", `root toor daemon bin sys sync games man lp mail news uucp proxy www-data
			backup list irc gnats nobody nogroup nfsnobody adm shutdown halt operator ftp sshd dbus messagebus polkitd polkituser
			chrony ntp rpc rpcuser rpcbind statd syslog tss uuidd tcpdump landscape pollinate fwupd-refresh apt avahi
			rtkit usbmux dnsmasq libvirt-qemu libvirt-dbus postfix dovecot bind named unbound mysql mariadb postgres redis
			nginx apache httpd tomcat jenkins gitlab elasticsearch docker-registry munge slurm nslcd sssd nscd nss-iam
			rngd pcp stapusr stapsys stapdev sapadm hacluster squid systemd amazon-ssm-agent ssm-agent`},
		{"machine images have an account of that name, often with sudo rights", `ec2-user ssm-user ubuntu debian admin centos fedora rocky almalinux
			cloud-user cloud-init opc core bitnami arch alpine freebsd vagrant suse opensuse maintuser`},
		{"the group is as good as root, or common sudoers rules name it", strings.Join(privilegedNames, " ")},
		{"it is a group of common distributions", `users tty dialout fax voice cdrom floppy tape audio dip video plugdev netdev input render sgx src utmp sasl crontab ssh ssh_keys nopasswdlogin rdma pipewire lpadmin scanner bluetooth games lock cgred`},
		{"nss-iam serves a group of that name", UsersGroup + " " + SudoGroup},
		{"it is a word with a meaning in sudoers, PAM or sshd settings", `all defaults none any nobody4 noaccess everyone local`},
	} {
		for _, name := range strings.Fields(r.names) {
			if all[name] == "" {
				all[name] = r.why
			}
		}
	}
	return all
}()

// privilegedNames are local groups whose members are root or can become root
// without more ado: by rules of their own, by a socket, by devices, by reading
// what authenticates root, or by writing what root runs.
var privilegedNames = []string{
	"root", "sudo", "wheel", "admin", "adm", "docker", "podman", "containerd", "lxd", "lxc", "incus", "incus-admin",
	"microk8s", "snap_microk8s", "libvirt", "libvirtd", "kvm", "disk", "shadow", "kmem", "mem", "staff", "sys", "bin",
	"daemon", "operator", "backup", "systemd-journal", "systemd-network", "ssl-cert", "google-sudoers", "vboxusers",
	"qubes", "wireshark", "nss-iam",
}

// fold lowers ASCII letters and nothing else.
func fold(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
