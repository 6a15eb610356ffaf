package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/doctor"
	"github.com/nss-iam/nss-iam/internal/health"
)

// trialPatience is what doctor waits for a trial.
const trialPatience = time.Minute

// attempts tries what the configuration needs of the directory. A daemon that
// answers does it: what counts are its environment, its credentials and the files
// that it sees, and not those of the person who asks.
func attempts(ctx context.Context, c config.Config, d health.Daemon) []doctor.Attempt {
	ctx, cancel := context.WithTimeout(ctx, trialPatience)
	defer cancel()
	tried, here := []health.Trial(nil), true
	if d == health.Answers {
		if body, err := (control.Client{Path: socketPath}).Try(ctx); err == nil {
			here = json.Unmarshal(body, &tried) != nil
		} // an older daemon cannot
	}
	if here {
		tried = trySources(ctx, c)
	}
	all := make([]doctor.Attempt, len(tried))
	for i, t := range tried {
		all[i].What = t.What
		if d == health.Answers && !here {
			all[i].What += ", asked by the daemon"
		}
		if t.Error != "" {
			all[i].Err = errors.New(t.Error)
		}
	}
	return all
}

// trySources makes each kind of request that the configuration needs once.
func trySources(ctx context.Context, c config.Config) []health.Trial {
	var t trial
	a, err := openSources(c, directory.Origin{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.try("the source", err)
		return t.tried
	}
	var tagged [2][]string
	for i, key := range []string{c.Login.GroupsTag, c.Sudo.GroupsTag} {
		if key == "" {
			continue
		}
		value, err := a.instanceTag(ctx, key)
		if err == nil {
			tagged[i], err = accounts.ParseGroupsTag(value, a.form)
		}
		t.try(fmt.Sprintf("the instance's tag %q", key), err)
	}
	query := policyFrom(c).WithTags(tagged[0], tagged[1]).Query()
	answer, err := a.directory.Directory(ctx, query)
	if errors.Is(err, awsapi.ErrAccessDenied) && a.alsoDenied != nil {
		t.try(a.what, err)
		for _, err := range a.alsoDenied(ctx, err, c.Keys.Online != "off") {
			t.try(a.what, err)
		}
		return t.tried
	}
	if !t.try(a.what, err) || len(answer.Directory.Users) == 0 || a.whole && c.Keys.Online == "off" {
		return t.tried
	}
	t.login(ctx, c, a.users, answer.Directory.Users, func(string) (string, bool) { return "", false })
	return t.tried
}

// A trial collects what came of questions.
type trial struct {
	tried     []health.Trial
	throttled bool // a question had no turn
}

func (t *trial) try(what string, err error) (ok bool) {
	t.throttled = t.throttled || errors.Is(err, awsapi.ErrThrottled)
	t.tried = append(t.tried, health.Trial{What: what, Error: textOf(err)})
	return err == nil
}

// mostTried is the number of people that a trial asks about until the directory answers.
const mostTried = 3

// login asks what a login asks. That a user is gone is an answer. A question that is
// refused about one person is asked about the next: only what is refused about all of
// them is everybody's fault.
func (t *trial) login(ctx context.Context, c config.Config, users directory.UserSource, people []directory.User,
	body func(keyID string) (string, bool)) {
	ask := func(what string, question func(directory.User) error) {
		var err error
		for _, u := range people[:min(len(people), mostTried)] {
			if err = question(u); !errors.Is(err, directory.ErrUserRefused) {
				break
			}
		}
		if errors.Is(err, directory.ErrNoSuchUser) {
			err = nil
		}
		t.try(what, err)
	}
	ask("one user's keys", func(u directory.User) error {
		_, err := users.Keys(ctx, u, directory.KeyQuery{Body: body, TagPrefix: c.Keys.TagPrefix, AllUsers: c.Login.AllUsers})
		return err
	})
	if !c.Login.AllUsers || len(c.Shared) > 0 {
		ask("one user's groups", func(u directory.User) error {
			_, err := users.Groups(ctx, u, c.Login.Groups)
			return err
		})
	}
}

// trialEvery is how often the daemon tries what logins need while nothing hints at
// a fault. Each trial costs three calls, so that a permission which is taken away
// shows after one refresh. Hosts that read a snapshot are too many for this, and
// those of an Identity Store share one rate: they try once an hour.
func trialEvery(c config.Config) time.Duration {
	if c.Source.Kind == config.KindIAM {
		return 0
	}
	return time.Hour
}

// trialAgain is the least time between two trials of such a host where logins are
// refused: it may be one person's matter, and stay so.
const trialAgain = 5 * time.Minute

// tryLogins asks what a login asks, so that a permission that is missing is known
// before somebody cannot log in: after refreshes as often as trialEvery says, after
// each refresh while questions are not answered, and after a refresh if a login was
// refused before it. The caller chooses the lane, since a person may be waiting.
func (d *daemon) tryLogins(ctx context.Context) {
	d.mu.Lock()
	r, a, c := d.refresher, d.sources, d.config
	d.mu.Unlock()
	if r == nil || c.Keys.Online == "off" {
		return
	}
	d.tryWith(ctx, c, a.users, r.Logins.Some(mostTried), r.State.Body)
}

// tryWith is tryLogins with these people, if it is time.
func (d *daemon) tryWith(ctx context.Context, c config.Config, users directory.UserSource, people []directory.User,
	body func(keyID string) (string, bool)) {
	before := d.live()
	age := trialEvery(c)
	if d.refused.Load() {
		age = min(age, trialAgain)
	}
	if !health.Answered(before.Trials) || before.LoginError != "" {
		age = 0
	}
	if len(people) == 0 || time.Since(before.Tried) < age {
		return
	}
	hint := d.refused.Swap(false)
	var t trial
	t.login(ctx, c, users, people, body)
	if ctx.Err() != nil || t.throttled { // throttled calls are told of by their number
		if hint {
			d.refused.Store(true)
		}
		return
	}
	d.learn(func(l *live) {
		l.Tried, l.Trials = time.Now(), t.tried
		if health.Answered(t.tried) {
			l.LoginError = ""
		}
	})
	d.retell()
	for _, x := range t.tried {
		var err error
		if x.Error != "" {
			err = errors.New(x.Error)
		}
		if d.faults.note("trial of "+x.What, err, 0) && err != nil {
			d.log.Error("the directory does not answer what logins ask", "question", x.What, "error", err)
		}
	}
}
