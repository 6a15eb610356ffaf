package doctor

import (
	"regexp"
	"strings"
)

// causes leaves out findings that another one explains, so that each cause is told once, with
// the remedy of the cause: what a person does about it also ends the others.
func causes(findings []Finding) []Finding {
	var missing []string // what AWS refuses now
	nsswitch := false
	unmatched := false // sshd does not know our group, or has lost our lines: its exceptions for our users go with that
	for _, f := range findings {
		switch {
		case f.State != Broken:
		case f.Check == "source":
			missing = append(missing, f.What)
		case f.Check == "nsswitch":
			nsswitch, unmatched = true, true
		case f.Check == "library", f.Check == "sshd" && f.Fix == setUp:
			unmatched = true
		}
	}
	var kept []Finding
	for _, f := range findings {
		if f.State != Good && explained(f, missing) || nsswitch && f.Check == glibc || unmatched && f.Fix == ignoreOwn {
			continue
		}
		if f.Check == glibc {
			f.Check = "nsswitch"
		}
		f.Fix = withoutCircle(f.Fix)
		kept = append(kept, f)
	}
	return kept
}

// glibc is the check whether programs see what the module answers, until it is known
// whether nsswitch.conf is why they do not.
const glibc = "glibc"

// ignoreOwn is the remedy where sshd reads people's own keys.
const ignoreOwn = setUp + "; or set keys.own_file = \"allow\""

// Groups are read at the same time, and any of them may fail first.
var groupNamed = regexp.MustCompile(`( group) "[^"]*"|(:group/)[^\s"]+`)

// nameless is a message without the group that failed first.
func nameless(what string) string { return groupNamed.ReplaceAllString(what, "$1$2") }

// explained reports whether a failed refresh, sweep or login is what AWS refuses now, too.
func explained(f Finding, missing []string) bool {
	if f.Check != "refresh" && f.Check != "sweep" && f.Check != "logins" {
		return false
	}
	for _, what := range missing {
		if strings.Contains(nameless(f.What), nameless(what)) {
			return true
		}
	}
	return false
}

// withoutCircle takes doctor out of its own remedies: status names it, and doctor prints
// status's findings.
func withoutCircle(fix string) string {
	const again = "if it lasts, journalctl -u nss-iam says more"
	if fix == "iam-cachefill doctor" {
		return again
	}
	return strings.ReplaceAll(fix, "iam-cachefill doctor tries it again", again)
}
