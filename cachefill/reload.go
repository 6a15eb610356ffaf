package main

import (
	"errors"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/refresh"
)

// load reads the configuration and makes a refresher of it. A file without a
// login rule is no fault: the daemon waits for one.
func (d *daemon) load() error {
	c, err := loadConfig(d.configFile)
	if errors.Is(err, config.ErrNotConfigured) {
		d.log.Warn("not configured: nothing is served until [login] says who may log in", "config", d.configFile)
		if c.Publish.URL == "" {
			d.replace(c, nil, sources{}, nil)
			return nil
		}
		err = nil
	}
	if err != nil {
		return err
	}
	var writer *publisher
	if c.Publish.URL != "" {
		if writer, err = newPublisher(c); err != nil {
			return err
		}
	}
	r, a, err := newRefresher(c, d.state, d.log)
	if err != nil {
		return err
	}
	r.Changed = d.noteChange
	d.replace(c, r, a, writer)
	return nil
}

// replace puts another refresher in the place of the one at work. That one
// first ends what it publishes, and publishes nothing more: two must not write
// the same files.
func (d *daemon) replace(c config.Config, r *refresh.Refresher, a sources, writer *publisher) {
	if before := d.current(); before != nil {
		before.Stop()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.config, d.refresher, d.sources, d.publisher = c, r, a, writer
}

// reload takes up a changed configuration; a faulty one changes nothing.
func (d *daemon) reload() {
	_, _ = systemd.SdNotify(false, systemd.SdNotifyReloading)
	defer d.ready()
	dir := d.settings().Cache.Dir
	if c, err := loadConfig(d.configFile); err == nil && c.Cache.Dir != dir {
		d.log.Error("reload: cache.dir cannot change while the daemon runs, keeping the previous configuration", "from", dir,
			"to", c.Cache.Dir)
		return
	}
	if err := d.load(); err != nil {
		d.log.Error("reload failed, keeping the previous configuration", "error", err)
		return
	}
	d.log.Info("configuration read again", "config", d.configFile)
	d.learn(func(l *live) { *l = live{} })
	if d.current() != nil {
		d.restore()
		d.soon()
	}
}

// restore answers from what is remembered until the directory has been asked, and puts
// files in order that were damaged, or that the host's accounts outdated.
func (d *daemon) restore() {
	r := d.current()
	err := r.Restore()
	if err == nil {
		_, err = r.Rebuild()
	}
	if err != nil {
		d.log.Warn("the last answer of the previous run cannot be used; waiting for the directory", "error", err)
	}
}

func (d *daemon) current() *refresh.Refresher {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refresher
}

func (d *daemon) settings() config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.config
}
