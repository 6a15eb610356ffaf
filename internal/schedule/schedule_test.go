package schedule

import (
	"math"
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	for name, test := range map[string]struct {
		interval time.Duration
		failures int
		u        float64
		want     time.Duration
	}{
		"the longest wait is the interval":          {45 * time.Second, 0, 0, 45 * time.Second},
		"the shortest is two thirds of it":          {45 * time.Second, 0, 1, 30 * time.Second},
		"half way":                                  {6 * time.Minute, 0, 0.5, 5 * time.Minute},
		"a negative count is none":                  {45 * time.Second, -3, 0, 45 * time.Second},
		"after one failure":                         {5 * time.Minute, 1, 0, 10 * time.Second},
		"after one failure, at the least":           {5 * time.Minute, 1, 1, 5 * time.Second},
		"after three":                               {5 * time.Minute, 3, 0, 40 * time.Second},
		"after very many it is four intervals":      {5 * time.Minute, math.MaxInt, 0, 20 * time.Minute},
		"a short interval is retried no slower":     {time.Second, 1, 0, time.Second},
		"a short interval after many":               {time.Second, 100, 0, 4 * time.Second},
		"chance that is none":                       {45 * time.Second, 0, math.NaN(), 45 * time.Second},
		"chance out of bounds":                      {45 * time.Second, 0, 17, 30 * time.Second},
		"the longest interval there is, after many": {math.MaxInt64 / 4, 1000, 0, math.MaxInt64 / 4 * 4},
	} {
		if got := Next(test.interval, test.failures, test.u); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func TestBackoffNeverShrinksAndNeverPassesTheLongest(t *testing.T) {
	last := time.Duration(0)
	for failures := 1; failures < 100; failures++ {
		got := Backoff(3*time.Second, 100*time.Second, failures, 0)
		if got < last || got > 100*time.Second {
			t.Fatalf("after %d failures: got %v after %v", failures, got, last)
		}
		last = got
	}
	if last != 100*time.Second {
		t.Errorf("in the end: got %v", last)
	}
}

func TestAnIntervalIsFoundByItsAverage(t *testing.T) {
	for _, wait := range []time.Duration{0, 45 * time.Second, time.Hour, 7*time.Hour + time.Second} {
		if got := Jittered(Averaging(wait), 0.5); got < wait-time.Second || got > wait+time.Second {
			t.Errorf("waits of %v are %v on average", wait, got)
		}
	}
}

func TestHostsThatStartTogetherDriftApart(t *testing.T) {
	// Two hosts with different luck are a whole interval apart after a few.
	fast, slow := time.Duration(0), time.Duration(0)
	for range 3 {
		fast += Next(time.Minute, 0, 0.99)
		slow += Next(time.Minute, 0, 0)
	}
	if slow-fast < 50*time.Second {
		t.Errorf("only %v apart", slow-fast)
	}
}

func TestAHostThatServesNobodyAsksAgainWithinSeconds(t *testing.T) {
	var all time.Duration
	for failures := 1; failures <= 100; failures++ {
		wait := Unreached(failures)
		if all < 50*time.Second && wait > time.Second || wait <= 0 || wait > firstRetry {
			t.Errorf("after %d failures and %v the wait is %v", failures, all, wait)
		}
		all += wait
	}
	if Unreached(1000) != firstRetry {
		t.Error("a host without a network asks every second for ever")
	}
}
