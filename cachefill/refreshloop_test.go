package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/config"
)

func TestADaemonThatWaitsLongTellsMeanwhileHowTheHostDoes(t *testing.T) {
	before := socketPath
	socketPath = filepath.Join(t.TempDir(), "sock")
	t.Cleanup(func() { socketPath = before })
	d := &daemon{kick: make(chan struct{}, 1), config: direct(t), log: slog.New(slog.DiscardHandler)}
	d.config.Metrics.TextFile = filepath.Join(t.TempDir(), "iam.prom")
	if err := writeReport(d.config.Cache.Dir, report{Version: "1", Success: time.Now()}); err != nil {
		t.Fatal(err)
	}
	if !d.rest(t.Context(), 200*time.Millisecond, 10*time.Millisecond) {
		t.Error("the wait is over, and the daemon ends")
	}
	if text, err := os.ReadFile(d.config.Metrics.TextFile); err != nil || !strings.Contains(string(text),
		`nss_iam_cache_sound{file="nss.db"} 0`) {
		t.Errorf("the figures are not those of a host without nss.db: %s, %v", text, err)
	}
	d.soon()
	if began := time.Now(); !d.rest(t.Context(), time.Hour, time.Hour) || time.Since(began) > time.Minute {
		t.Error("a refresh that is asked for is not made")
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	if d.rest(ctx, time.Hour, time.Hour) {
		t.Error("the daemon does not end")
	}
}

func TestALargeIdentityStoreIsReadToItsEnd(t *testing.T) {
	for _, test := range []struct {
		kind  string
		every time.Duration
		want  time.Duration
	}{
		{config.KindIAM, 5 * time.Minute, 5 * time.Minute},
		{config.KindS3, 45 * time.Second, 2 * time.Minute},
		{config.KindIdentityCenter, 10 * time.Minute, time.Hour}, // 5,000 calls at five a second are 17 minutes
		{config.KindIdentityCenter, 2 * time.Hour, 2 * time.Hour},
	} {
		if got := refreshDeadline(config.Config{Source: config.Source{Kind: test.kind, Refresh: test.every}}); got !=
			test.want {
			t.Errorf("%s every %v: %v, want %v", test.kind, test.every, got, test.want)
		}
	}
}
