// Authkeys is sshd's AuthorizedKeysCommand: it prints the authorized_keys
// lines that open one login name, from the directory's answer through the daemon or from
// keys.db. With --principals it is sshd's AuthorizedPrincipalsCommand, and
// prints whose certificates open it. See authkeys(8).
//
// It owns the decision whether keys are given for a name at all. It talks to
// nothing but the daemon's socket, the other helper of keys.chain and the
// system log, honors no environment, and prints its lines in one write or not
// at all.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/authlog"
)

// Where things are; a package may set others with -ldflags "-X main.cacheDir=…".
var (
	cacheDir   = "/var/lib/nss-iam"
	socketPath = "/run/nss-iam/cachefill.sock"
)

// wholeRun is how long a run lasts at most, whatever hangs: sshd waits for
// this program, and LoginGraceTime is two minutes.
const wholeRun = 20 * time.Second

func main() {
	os.Clearenv() // sshd passes little; nothing of it, TZ included, may change an answer
	h := helper{cacheDir: cacheDir, socket: socketPath, passwd: "/etc/passwd", log: authlog.New("/dev/log", "authkeys"),
		now: time.Now}
	os.Exit(h.main(os.Args[1:], os.Stdout, os.Stderr))
}

// A helper is one run with the places it looks at.
type helper struct {
	cacheDir string
	socket   string
	passwd   string
	log      *authlog.Log
	now      func() time.Time
}

func (h helper) main(args []string, stdout, stderr io.Writer) int {
	defer time.AfterFunc(wholeRun, func() {
		mode := question{principals: len(args) > 0 && args[0] == principalsMode}
		h.log.Send(authlog.Err, fmt.Sprintf("no end after %s, %s", wholeRun, mode.nothing()))
		os.Exit(1)
	}).Stop()
	lines, err := h.run(args)
	if err == nil && len(lines) > 0 {
		_, err = io.WriteString(stdout, strings.Join(lines, "\n")+"\n")
	}
	if err != nil {
		h.log.Send(authlog.Err, err.Error())
		_, _ = fmt.Fprintf(stderr, "authkeys: %s\n", authlog.Printable(err.Error()))
		return 1
	}
	return 0
}

// run returns the lines to print. Where there are some, no error is returned.
func (h helper) run(args []string) ([]string, error) {
	q, err := parseArguments(args)
	if err != nil {
		return nil, err
	}
	v := h.decide(q)
	if q.principals {
		return h.principalLines(q, v)
	}
	lines := make([]string, 0, len(v.offers))
	for _, o := range v.offers {
		line, err := o.key.Line(o.form)
		if err != nil {
			return nil, fmt.Errorf("user %q: %w, %s", q.name, err, q.nothing())
		}
		lines = append(lines, line)
	}
	for _, o := range v.offers {
		h.log.Send(authlog.Info, o.String(q.name, h.now()))
	}
	// With the offered key known and ours, the other helper cannot add anything.
	if len(v.policy.Chain) > 0 && !v.final && (len(lines) == 0 || !q.hasKey()) {
		others, err := runChain(v.policy.Chain, q)
		if err != nil {
			h.log.Send(authlog.Warning, fmt.Sprintf("user %q: other helper: %v, going on with %d keys of it", q.name, err,
				len(others)))
		}
		lines = append(lines, others...)
	}
	if v.err == nil || len(lines) == 0 {
		return lines, v.err
	}
	h.log.Send(authlog.Err, fmt.Sprintf("%v; giving the other helper's keys only", v.err))
	return lines, nil
}
