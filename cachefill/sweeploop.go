package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/refresh"
)

// sweepForEver lists keys a few people at a time, and publishes what logins learned.
func (d *daemon) sweepForEver(ctx context.Context) error {
	publish, sweep := time.NewTicker(publishEvery), time.NewTicker(publishEvery)
	defer publish.Stop()
	defer sweep.Stop()
	news, written := 0, time.Now()
	told := d.files()
	note := func(what, message string, err error) {
		if what == "sweep" && ctx.Err() == nil && !errors.Is(err, refresh.ErrStopped) {
			d.noteSweep(err)
		}
		if ctx.Err() == nil && !errors.Is(err, refresh.ErrStopped) && d.faults.note(what, err, 0) && err != nil {
			d.log.Error(message, "error", err)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-publish.C:
			if r := d.current(); r != nil {
				note("publish", "what was learned since the last refresh is not published", r.PublishChanges())
			}
			if now := d.files(); now != told { // written by a login, damaged, or in order again
				told = now
				d.retell()
			}
		case <-d.newcomers:
			sweep.Reset(time.Millisecond)
		case <-sweep.C:
			next := sweepEvery
			if r := d.current(); r != nil {
				swept, err := r.Logins.Sweep(directory.Background(ctx), sweepAtOnce)
				note("sweep", "keys are not all up to date", err)
				if err == nil && swept.Remaining > 0 {
					next = publishEvery // the first keys of a new host: go on at the rate's pace
				}
				if n := r.Logins.News(); n != news && time.Since(written) >= newsEvery {
					news, written = n, time.Now()
					d.publishNews(ctx, r)
				}
			}
			sweep.Reset(next)
		}
	}
}

// files says which published files are in place: whether they are others than before.
func (d *daemon) files() (seen [2]string) {
	for i, name := range []string{cache.NSSFile, cache.KeysFile} {
		if info, err := os.Lstat(filepath.Join(d.settings().Cache.Dir, name)); err == nil {
			seen[i] = fmt.Sprintf("%v %d %d", info.Mode(), info.Size(), info.ModTime().UnixNano())
		}
	}
	return seen
}
