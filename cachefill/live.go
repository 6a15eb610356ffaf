package main

import (
	"context"
	"errors"
	"time"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/health"
)

// live is what the daemon learned since its last report.
func (d *daemon) live() live {
	d.mu.Lock()
	l := d.learned
	d.mu.Unlock()
	if server := d.server.Load(); server != nil {
		l.Logins = server.Counts()
	}
	return l
}

// learn changes what the daemon knows between reports.
func (d *daemon) learn(change func(*live)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(&d.learned)
}

// noteSweep keeps how the last sweep over keys ended.
func (d *daemon) noteSweep(err error) {
	before := d.live().SweepError
	if textOf(err) != before {
		defer d.retell()
	}
	d.learn(func(l *live) {
		switch l.SweepError = textOf(err); {
		case err == nil:
			l.SweepFailing = time.Time{}
		case l.SweepFailing.IsZero():
			l.SweepFailing = time.Now()
		}
	})
}

// retell reports what was learned since the last report.
func (d *daemon) retell() {
	c := d.settings()
	d.reporting.Lock()
	defer d.reporting.Unlock()
	r, err := readReport(c.Cache.Dir)
	if err != nil {
		return // the next refresh makes one
	}
	r.live = d.live()
	if err := tellReport(r, c); err != nil {
		d.log.Debug("cannot report the status", "error", err)
	}
}

// noteHost has the log say, once for each cause, that glibc or sshd does not ask us.
func (d *daemon) noteHost(c config.Config) {
	r, err := readReport(c.Cache.Dir)
	if err != nil || !servesHost(c) {
		return
	}
	host, _ := watchHost(context.Background(), r.SSHD)
	wrong := map[string]error{}
	if host.SetUp {
		for _, f := range health.Edits(host, health.Wish{ConfigFile: configPath}) {
			if f.State == health.Broken {
				wrong[f.Check] = errors.New(f.What)
			}
		}
	}
	for _, check := range []string{"setup", "nsswitch", "sshd"} {
		if err := wrong[check]; d.faults.note("host: "+check, err, 0) && err != nil {
			d.log.Error("what setup wrote is not in force", "check", check, "error", err)
		}
	}
}

// textOf is an error's text, or "".
func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// reportStart has status and the metrics find a report before the first refresh
// has ended: after a reboot it may take long, or never end well.
func (d *daemon) reportStart() {
	c := d.settings()
	if d.current() == nil {
		return
	}
	d.reporting.Lock()
	defer d.reporting.Unlock()
	r := lastReport(d.state, c)
	r.Version, r.Refresh, r.live = version, interval(c, &r), live{}
	if err := tellReport(r, c); err != nil {
		d.log.Warn("cannot report the status", "error", err)
	}
}

// saveSuccess keeps over a reboot when the last refresh was good.
func (d *daemon) saveSuccess() {
	r, err := readReport(d.settings().Cache.Dir)
	if err == nil {
		err = saveSuccess(d.state, r.Success, 0)
	}
	if err != nil {
		d.log.Debug("cannot save the time of the last good refresh", "error", err)
	}
}
