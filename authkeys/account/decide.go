package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/admission"
	"github.com/nss-iam/nss-iam/internal/authlog"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/homes"
)

// withoutPerson are the services that run often and with nobody waiting: the
// last refresh's word is enough for them, so that jobs cost the directory nothing.
var withoutPerson = map[string]bool{"cron": true, "crond": true, "atd": true, "fcron": true, "systemd-user": true}

// errOut is the plain refusal: the answer is no.
var errOut = errors.New("may not log in")

// decide returns why the person may not come in, or nil.
func (h *helper) decide(a attempt) error {
	if h.local(a.name) {
		h.stranger.Store(true)
		return nil
	}
	u, err := h.served(a.name)
	if u == nil && err == nil {
		h.stranger.Store(true)
		return nil
	}
	if err == nil {
		err = h.admit(a, *u)
	}
	if err == nil {
		return nil
	}
	// Before a refusal the host itself is asked whose the name is: where another
	// directory comes before ours, it is another person's.
	uid, found, fault := h.hostUID(a.name)
	switch {
	case fault != nil: // who starts a program can leave it too few files, or too little time, to ask
		return fmt.Errorf("%w; and the host cannot be asked whose the name is: %w", err, fault)
	case found && !h.ids().Contains(uid):
		return nil
	case u == nil && !found: // nss.db is unreadable, and no program knows the name
		return nil
	}
	return err
}

// ids are those that people of ours may have, as far as keys.db knows.
func (h *helper) ids() accounts.Range {
	found, err := cache.LookupKeys(h.cacheDir, "")
	if err != nil {
		return admission.Unpublished.Range
	}
	return found.Policy.Range
}

// local reports whether the host's own passwd file has the name. PAM asks
// pam_localuser before this program; this is for a stack that does not.
func (h *helper) local(name string) bool {
	_, found, err := admission.LocalUID(h.passwd, name)
	return found && err == nil
}

// served returns the user of ours who has the name, or nil. An error says that
// nobody knows.
func (h *helper) served(name string) (*accounts.User, error) {
	if !cache.ValidName(name) {
		return nil, nil
	}
	u, ok, err := cache.LookupUser(h.cacheDir, name)
	switch {
	case errors.Is(err, fs.ErrNotExist): // nothing was ever served here
		return nil, nil
	case err != nil:
		return nil, unusable(err)
	case !ok:
		return nil, nil
	}
	return &u, nil
}

// unusable adds the remedy for a file that cannot be answered from.
func unusable(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w; \"iam-cachefill refresh\" writes the file again", err)
}

// admit asks whether u may come in now.
func (h *helper) admit(a attempt, u accounts.User) error {
	// A program without privileges asks about the person who runs it, as a screen
	// lock does. It may read no keys.db, and grants nothing that it has not.
	if h.uid != 0 && h.uid == u.UID {
		return nil
	}
	if u.Former {
		return fmt.Errorf("%w: a former user", errOut)
	}
	if owner, foreign := homes.Foreign(u.Home, u.UID); foreign {
		return fmt.Errorf("%w: the home %.200q belongs to %s, not to uid %d; the next refresh serves another home", errOut,
			u.Home, homes.Name(owner), u.UID)
	}
	found, err := cache.LookupKeys(h.cacheDir, a.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		found.Policy = admission.Unpublished
	case err != nil:
		return unusable(err)
	}
	rule := admission.Rule{Policy: found.Policy, Now: h.now, Warn: func(err error) {
		h.log.Send(authlog.Warning, fmt.Sprintf("user %.40q: %v, falling back to the cache", a.name, err))
	}}
	rule.Policy.Timeout = min(rule.Policy.Timeout, askTime)
	answer, err := rule.Answer(func(ctx context.Context) (cache.UserKeys, error) {
		return control.Client{Path: h.socket}.Admission(ctx, a.name, withoutPerson[a.service])
	}, found.User)
	switch {
	case err != nil:
		return err
	case answer.User == nil:
		return fmt.Errorf("%w: not in the cache of who may", errOut)
	case !answer.User.Login:
		return fmt.Errorf("%w, says %s", errOut, answer.Source)
	case answer.User.UID != u.UID:
		return fmt.Errorf("uid %d has the name here, and %d in the answer of %s", u.UID, answer.User.UID, answer.Source)
	}
	return nil
}

// hostUID returns the uid that the host gives a name, by all that
// nsswitch.conf lists, and whether it gives one. An error says that it could not be asked.
func (h *helper) hostUID(name string) (uid uint32, found bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), hostTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.getent, "passwd", "--", name)
	cmd.Dir, cmd.Env, cmd.WaitDelay = "/", []string{}, 100*time.Millisecond
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == notFound:
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("run %q: %w", h.getent, err)
	}
	fields := strings.SplitN(string(out), ":", 4)
	if len(fields) < 4 || fields[0] != name {
		return 0, false, nil
	}
	n, err := strconv.ParseUint(fields[2], 10, 32)
	return uint32(n), err == nil, err
}

// notFound is getent's exit status for a name that nobody has: getent(1).
const notFound = 2
