package accounts

import (
	"fmt"
	"strconv"
	"strings"
)

// maxName is the longest login or group name, in bytes (utmp, shadow-utils).
const maxName = 32

// unixNames writes in Unix names what directories allow and Unix does not, as
// aws-ec2-ssh does; it knew no spaces.
var unixNames = strings.NewReplacer("+", ".plus.", "=", ".equal.", ",", ".comma.", "@", ".at.", " ", "-")

// userName is the login name for a directory name. ok is false for a name
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

// groupName is the Unix name for the directory name of a group, as userName is for users.
func (p Policy) groupName(iam string) (name string, bad verdict, ok bool) {
	name = iam
	if strings.ContainsAny(name, "+=,@ ") {
		name = unixNames.Replace(name)
	}
	if p.Lowercase {
		name = fold(name)
	}
	if problem := nameProblem(name); problem != "" {
		return name, reject(NameInvalid, fmt.Sprintf("the Unix name would be %.80q, which %s", name, problem),
			"rename it in the directory; the id stays"), false
	}
	if why := p.reserved(name); why != "" {
		return name, reject(NameReserved, fmt.Sprintf("the Unix name %q is reserved: %s", name, why),
			"rename it in the directory; the id stays"), false
	}
	return name, verdict{}, true
}

// nameProblem says why a name must not be served. What passes begins with a
// letter and goes on with letters, digits, dots, underscores and hyphens:
// nothing that a shell, passwd(5), sudoers(5), an option parser or a program
// that takes names and ids alike could read as something else.
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

// formerName is the name of a former id whose last name belongs to another now.
func formerName(id uint32) string { return "former-" + strconv.FormatUint(uint64(id), 10) }

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
