package keys

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// EnvironmentName is the variable that tells a session in a shared account who
// the person is. sshd sets it only under PermitUserEnvironment.
const EnvironmentName = "NSS_IAM_USER"

// A Form says how Line writes keys.
type Form struct {
	// Options stand first in every line; each must be one of Restrictions.
	Options []string
	// Expiry writes expiry-time="…" for keys with an end. OpenSSH knows the
	// option from 7.7 on; an older one refuses every line that has it.
	Expiry bool
	// Zone is sshd's time zone, for Expiry. nil: time.Local.
	Zone *time.Location
	// Person is the login name of the person behind a shared account; "" elsewhere.
	Person string
}

// Restrictions are the authorized_keys options that a Form may hold: those
// that take no value and only concern what a session may do.
func Restrictions() []string {
	return []string{
		"restrict", "agent-forwarding", "no-agent-forwarding", "port-forwarding", "no-port-forwarding",
		"pty", "no-pty", "user-rc", "no-user-rc", "X11-forwarding", "no-X11-forwarding",
		"touch-required", "no-touch-required", "verify-required",
	}
}

// Line writes the authorized_keys(5) line of k, without a line feed: options,
// type, base64, and the key id (with a Person, the person as well) as comment.
func (k Key) Line(f Form) (string, error) {
	if err := k.Check(); err != nil {
		return "", fmt.Errorf("write key %.80q: %w", k.ID, err)
	}
	options := make([]string, 0, len(f.Options)+2)
	for _, o := range f.Options {
		if !slices.Contains(Restrictions(), o) {
			return "", fmt.Errorf("write key %q: option %.40q is not one that may be set", k.ID, o)
		}
		options = append(options, o)
	}
	if f.Expiry && !k.Expires.IsZero() && k.Expires.Year() <= 9999 {
		options = append(options, `expiry-time="`+expiryTime(k.Expires, f.Zone)+`"`)
	}
	comment := k.ID
	if f.Person != "" {
		if !safeID(f.Person) {
			return "", fmt.Errorf("write key %q: person %.40q has unsafe characters", k.ID, f.Person)
		}
		options = append(options, `environment="`+EnvironmentName+`=`+f.Person+`"`)
		comment += " " + f.Person
	}
	line := k.Type + " " + base64.StdEncoding.EncodeToString(k.Blob) + " " + comment
	if len(options) > 0 {
		line = strings.Join(options, ",") + " " + line
	}
	return line, nil
}

// expiryTime writes t so that every OpenSSH reads it as t. A suffix Z for UTC
// is known from 9.1 on only, and makes older ones refuse the key; without it
// the time is sshd's local time. sshd leaves tm_isdst at 0 for mktime(3), so
// it reads the digits as the zone's standard time even in summer; they are
// written as such here.
func expiryTime(t time.Time, zone *time.Location) string {
	if zone == nil {
		zone = time.Local
	}
	t = t.In(zone)
	if t.IsDST() {
		if start, _ := t.ZoneBounds(); !start.IsZero() {
			name, offset := start.Add(-time.Second).Zone()
			t = t.In(time.FixedZone(name, offset))
		}
	}
	return t.Format("20060102150405")
}

// ForeignLine checks one line of another helper's authorized_keys output and
// returns it for printing, or "" for blank lines and comments. The line is the
// other helper's own: its options stay. It must parse as exactly one key or
// certificate authority and hold no control characters.
func ForeignLine(line string) (string, error) {
	line = strings.Trim(line, " \t\r")
	if line == "" || line[0] == '#' {
		return "", nil
	}
	if len(line) > MaxBody {
		return "", ErrTooLong
	}
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "", fmt.Errorf("%w: a control character", ErrFormat)
	}
	if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err != nil {
		return "", fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return line, nil
}
