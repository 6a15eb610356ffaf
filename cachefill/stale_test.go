package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/config"
)

func TestAMaxStaleThatTheSweepCannotKeepIsNamed(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name   string
		people int
		change func(c *config.Config)
		bad    bool
	}{
		{"five thousand people and a day", 5000, func(*config.Config) {}, false},
		{"nobody known yet", 0, func(c *config.Config) { c.Keys.MaxStale = time.Minute }, false},
		{"five thousand people and an hour", 5000, func(c *config.Config) { c.Keys.MaxStale = time.Hour }, true},
		{"the same with another rate", 5000, func(c *config.Config) { c.Keys.MaxStale, c.Source.Rate = time.Hour, 20 },
			false},
		{"the same where cached keys open nothing", 5000, func(c *config.Config) {
			c.Keys.MaxStale,
				c.Keys.Online = time.Hour, "require"
		}, false},
		{"the same where keys come with a snapshot", 5000, func(c *config.Config) {
			c.Keys.MaxStale,
				c.Source.Kind = time.Hour, "s3"
		}, false},
		{"no limit", 100000, func(c *config.Config) { c.Keys.MaxStale = 0 }, false},
		{"three hours with keys in IAM alone", 5000, func(c *config.Config) { c.Keys.MaxStale = 3 * time.Hour }, false},
		{"three hours with keys in tags", 5000, func(c *config.Config) {
			c.Keys.MaxStale, c.Keys.TagPrefix = 3*time.Hour,
				"ssh-key"
		}, true},
		{"three hours with keys in tags that come in bulk", 5000, func(c *config.Config) {
			c.Keys.MaxStale, c.Keys.TagPrefix, c.Source.Bulk = 3*time.Hour, "ssh-key", true
		}, false},
		{"shorter than a sweep's own steps", 10, func(c *config.Config) { c.Keys.MaxStale = time.Minute }, true},
		{"two minutes for few", 10, func(c *config.Config) { c.Keys.MaxStale = 2 * time.Minute }, false},
		{"without questions at logins listings are repeated hourly", 20000, func(c *config.Config) {
			c.Keys.MaxStale,
				c.Keys.Online = day, "off"
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := config.Default()
			c.change(&conf)
			f := staleKeys(conf, c.people)
			if (f != nil) != c.bad {
				t.Fatalf("got %v", f)
			}
			if f == nil {
				return
			}
			if !strings.Contains(f.Error(), fmt.Sprint("the keys of ", c.people, " users")) {
				t.Errorf("the text has no figures: %v", f)
			}
			// What it advises is right.
			form := regexp.MustCompile(`set keys.max_stale to "(\w+)"(?:, or source.rate to ([\d.]+))?$`)
			m := form.FindStringSubmatch(f.remedy())
			if m == nil {
				t.Fatalf("the remedy is %q", f.remedy())
			}
			with := conf
			with.Keys.MaxStale, _ = time.ParseDuration(m[1])
			if again := staleKeys(with, c.people); again != nil {
				t.Errorf("%s does not help: %v", m[1], again)
			}
			if m[2] != "" {
				conf.Source.Rate, _ = strconv.ParseFloat(m[2], 64)
				if again := staleKeys(conf, c.people); again != nil {
					t.Errorf("rate %s does not help: %v", m[2], again)
				}
			}
		})
	}
}
