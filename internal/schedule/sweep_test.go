package schedule

import (
	"testing"
	"time"
)

func TestHowOldASweepLetsListingsBecome(t *testing.T) {
	for _, c := range []struct {
		name          string
		sweep         Sweep
		takes, oldest time.Duration
	}{
		{"nobody", Sweep{Calls: 1, Rate: 3, Age: time.Hour, Lag: time.Minute}, 0, time.Hour + time.Minute},
		{"three people, one call each", Sweep{3, 1, 3, time.Hour, time.Minute}, time.Second, time.Hour + time.Minute +
			time.Second},
		{"five thousand people, three calls each", Sweep{5000, 3, 2.5, time.Hour, 0}, 100 * time.Minute, 160 * time.Minute},
	} {
		if takes, oldest := c.sweep.Takes(), c.sweep.Oldest(); takes != c.takes || oldest != c.oldest {
			t.Errorf("%s: %v and %v, want %v and %v", c.name, takes, oldest, c.takes, c.oldest)
		}
	}
}
