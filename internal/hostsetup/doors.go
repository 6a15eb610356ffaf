package hostsetup

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// An Entrance is how sshd lets one user in, by its effective configuration.
type Entrance struct {
	KeysFile   string // AuthorizedKeysFile: "none", or where own keys are read from
	UserCAs    string // TrustedUserCAKeys, or "none"
	Principals string // AuthorizedPrincipalsFile, or "none"
	UsePAM     bool
}

// EntranceOf asks sshd how it lets a user in.
func (h *Host) EntranceOf(ctx context.Context, user string) (Entrance, error) {
	e, err := h.effectiveFor(ctx, user)
	if err != nil {
		return Entrance{}, err
	}
	return Entrance{
		KeysFile: strings.Join(e["authorizedkeysfile"], " "), UserCAs: e.first("trustedusercakeys"),
		Principals: e.first("authorizedprincipalsfile"), UsePAM: e.first("usepam") == "yes",
	}, nil
}

// A Stack is what PAM's files say of the account phase.
type Stack struct {
	Unasked  []string // services of which no line asks the account helper
	Misjumps []string // services where local accounts are not jumped over it, and why
	Ends     []string // services where a line ends the phase before it, and which
	Broken   []string // services whose pam_unix has broken_shadow
}

// doors are the services by which a person comes in, or becomes another.
var doors = []string{"sshd", "login", "su", "su-l", "sudo", "sudo-i", "cron", "crond", "atd", "systemd-user"}

// LookAtPAM reads the account phase of each service that is installed.
func (h *Host) LookAtPAM() (s Stack) {
	for _, service := range doors {
		if h.pamText(service) == "" {
			continue
		}
		lines := h.accountStack(service, 0)
		at := slices.IndexFunc(lines, pamLine.asksUs)
		if at < 0 {
			s.Unasked = append(s.Unasked, service)
		} else if at == 0 || !lines[at-1].jumpsLocal() {
			s.Misjumps = append(s.Misjumps, service)
		}
		for i, l := range lines {
			if l.endsForAll() && (at < 0 || i < at) {
				s.Ends = append(s.Ends, fmt.Sprintf("%s (%s %s)", service, l.control, l.module))
			}
			if l.module == "pam_unix.so" && slices.Contains(l.arguments, "broken_shadow") {
				s.Broken = append(s.Broken, service)
			}
		}
	}
	return s
}

// A pamLine is one module of a service's account phase.
type pamLine struct {
	control   string // "required", "[success=1 default=ignore]"
	module    string // without its folder
	arguments []string
}

func (l pamLine) asksUs() bool {
	return l.module == "pam_exec.so" && slices.Contains(l.arguments, AccountHelper)
}

func (l pamLine) jumpsLocal() bool {
	return l.module == "pam_localuser.so" && (strings.Contains(l.control, "success=1") || l.control == "sufficient")
}

// endsForAll reports whether a line ends the phase with a success that our
// people have.
func (l pamLine) endsForAll() bool {
	ends := l.control == "sufficient" || strings.Contains(l.control, "success=done")
	return ends && (l.module == "pam_unix.so" || l.module == "pam_permit.so")
}

// maxIncludes is how deep PAM's files may include each other.
const maxIncludes = 16

var (
	pamContinued = regexp.MustCompile(`\\\n[ \t]*`)
	pamModule    = regexp.MustCompile(`^-?account[ \t]+(\[[^\]]*\]|\S+)[ \t]+(\S+)[ \t]*(.*)$`)
)

// accountStack returns the lines of a service's account phase in their order,
// those of the files that it includes in their places.
func (h *Host) accountStack(service string, depth int) (lines []pamLine) {
	if depth > maxIncludes {
		return nil
	}
	for line := range strings.Lines(pamContinued.ReplaceAllString(h.pamText(path.Base(service)), " ")) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		if included, ok := strings.CutPrefix(line, "@include"); ok {
			lines = append(lines, h.accountStack(strings.TrimSpace(included), depth+1)...)
			continue
		}
		m := pamModule.FindStringSubmatch(strings.TrimSpace(line))
		switch {
		case m == nil:
		case m[1] == "include" || m[1] == "substack":
			lines = append(lines, h.accountStack(m[2], depth+1)...)
		default:
			lines = append(lines, pamLine{m[1], path.Base(m[2]), strings.Fields(m[3])})
		}
	}
	return lines
}
