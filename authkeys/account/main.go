// Account is run by pam_exec in PAM's account phase: it answers whether a
// person of ours may come in now, by its exit status. See nss-iam-account(8).
//
// It owns that decision for every way in that no listed key opens: own keys,
// certificates, passwords, su, cron, at, sudo, the console. It never decides
// about anybody else: local accounts and other directories' people pass. It
// talks to nothing but the daemon's socket and the system log, starts nothing
// but getent, and prints nothing.
package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/nss-iam/nss-iam/internal/authlog"
)

// Where things are; a package may set others with -ldflags "-X main.cacheDir=…".
var (
	cacheDir   = "/var/lib/nss-iam"
	socketPath = "/run/nss-iam/cachefill.sock"
)

// How long things take at most. PAM waits for this program, and a person for PAM.
const (
	wholeRun = 6 * time.Second // whatever hangs
	askTime  = 4 * time.Second // the daemon, where keys.timeout is longer
	hostTime = time.Second     // getent
)

func main() {
	a := attempt{
		name: os.Getenv("PAM_USER"), service: os.Getenv("PAM_SERVICE"),
		kind: os.Getenv("PAM_TYPE"), from: os.Getenv("PAM_RHOST"),
	}
	os.Clearenv() // nothing else of a program's environment may change an answer
	h := &helper{
		cacheDir: cacheDir, socket: socketPath, passwd: "/etc/passwd", getent: "/usr/bin/getent",
		log: authlog.New("/dev/log", "nss-iam-account"), now: time.Now, uid: uint32(os.Geteuid()), patience: wholeRun,
	}
	os.Exit(h.main(a))
}

// An attempt is what PAM says of somebody who wants to come in. Each part is
// anybody's text.
type attempt struct {
	name    string // PAM_USER
	service string // PAM_SERVICE: "sshd"
	kind    string // PAM_TYPE: "account"
	from    string // PAM_RHOST, or ""
}

// A helper is one run with the places it looks at.
type helper struct {
	cacheDir string
	socket   string
	passwd   string
	getent   string
	log      *authlog.Log
	now      func() time.Time
	uid      uint32 // who runs it
	patience time.Duration

	stranger atomic.Bool // it is known that the person is none of ours
}

// main returns the exit status: 0 lets the person in as far as we are
// concerned, 1 does not.
func (h *helper) main(a attempt) int {
	defer time.AfterFunc(h.patience, func() {
		if h.stranger.Load() {
			os.Exit(0)
		}
		h.log.Send(authlog.Err, a.refused(fmt.Errorf("no end after %s", h.patience)))
		os.Exit(1)
	}).Stop()
	if err := h.decide(a); err != nil {
		h.log.Send(authlog.Notice, a.refused(err))
		return 1
	}
	return 0
}

// refused is the one log line of a refusal: who, at what, why.
func (a attempt) refused(why error) string {
	at := fmt.Sprintf("%.40q", a.service)
	if a.kind != "account" {
		at += fmt.Sprintf(" (%.40q)", a.kind)
	}
	if a.from != "" {
		at += fmt.Sprintf(" from %.60q", a.from)
	}
	return fmt.Sprintf("user %.40q refused at %s: %v", a.name, at, why)
}
