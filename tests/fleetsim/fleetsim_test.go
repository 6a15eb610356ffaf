package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// small is a world that a test can afford.
func small(hosts int) World {
	w := Assumed
	w.Hosts, w.Users, w.Changes, w.Day = hosts, 2000, 60, 4*time.Hour
	return w
}

func TestSnapshotsAskIAMTheSameWhateverTheNumberOfHosts(t *testing.T) {
	for _, mode := range []string{"snapshot", "snapshot, push"} {
		few, many := Simulate(small(10), mode), Simulate(small(1000), mode)
		if few.Calls != many.Calls || few.Peak != many.Peak || few.Calls == 0 {
			t.Errorf("%s: 10 hosts make %v calls, 1,000 make %v", mode, few.Calls, many.Calls)
		}
		if many.Refused != 0 || many.Failed != 0 {
			t.Errorf("%s: %v of the calls were throttled, %v of the walks failed", mode, many.Refused, many.Failed)
		}
		if many.S3.Requests < 50*few.S3.Requests {
			t.Errorf("%s: the hosts do not seem to ask S3: %v, %v", mode, few.S3, many.S3)
		}
	}
}

func TestAChangeReachesEveryHostInTime(t *testing.T) {
	for seed := range uint64(5) {
		for mode, limit := range map[string]time.Duration{"snapshot": 90 * time.Second, "snapshot, push": 15 * time.Second} {
			w := small(1000)
			w.Seed = seed
			a := Simulate(w, mode).Arrival
			if a.Everywhere != w.Changes || a.Changes != w.Changes || a.Worst > limit {
				t.Errorf("seed %d, %s: %d of %d changes reached every host, the slowest in %v; want all in %v", seed, mode,
					a.Everywhere, w.Changes, a.Worst, limit)
			}
			if a.Worst < limit/10 || a.HostMedian > a.Median || a.Median > a.P99 || a.P99 > a.Worst {
				t.Errorf("seed %d, %s: not to be believed: %+v", seed, mode, a)
			}
		}
	}
}

func TestAskingIAMFromEveryHostEndsInThrottling(t *testing.T) {
	unmet.Long(t, "thousands of hosts are simulated")
	for _, mode := range []string{"classic scripts", "iam", "iam, bulk"} {
		if r := Simulate(small(2000), mode); r.Refused < 0.2 {
			t.Errorf("%s with 2,000 hosts: only %v throttled", mode, r.Refused)
		}
	}
	for _, mode := range []string{"iam", "iam, bulk"} {
		if r := Simulate(small(20), mode); r.Refused != 0 || r.Arrival.Everywhere != r.Arrival.Changes ||
			r.Arrival.Worst > refreshIAM+10*time.Second {
			t.Errorf("%s with 20 hosts: %+v", mode, r)
		}
	}
}

func TestTenHostsMayReadIdentityCenterAndAThousandMayNot(t *testing.T) {
	if r := Simulate(small(10), "identity center"); r.Refused > 0.01 || r.Failed != 0 ||
		r.PerSecond > identitycenter.OrganizationRate/10 || r.Arrival.Everywhere != r.Arrival.Changes {
		t.Errorf("10 hosts: %+v", r)
	}
	if r := Simulate(small(1000), "identity center"); r.Refused < 0.2 {
		t.Errorf("1,000 hosts: only %v throttled", r.Refused)
	}
}

func TestTenHostsTakeATenthOfIdentityCentersRateWhateverTheyRead(t *testing.T) {
	for _, people := range []int{50, 500, 5000} {
		for _, groups := range []int{1, 10, 100} {
			w := tenOfStore(Assumed, people, groups)
			r := Simulate(w, "identity center")
			// The first of two days' refreshes may be few more than the average.
			if r.PerSecond > identitycenter.OrganizationRate/10*1.03 || r.Failed != 0 || r.Calls == 0 {
				t.Errorf("%d people in %d groups: %+v", people, groups, r)
			}
			if _, interval := w.readsOfStore(); interval > refreshStore && r.PerSecond < identitycenter.OrganizationRate/10*0.8 {
				t.Errorf("%d people in %d groups: stretched to %v, and only %v calls a second", people, groups, interval,
					r.PerSecond)
			}
		}
	}
}

func TestADayIsTheSameEveryTime(t *testing.T) {
	for _, mode := range Modes {
		a, b := Simulate(small(50), mode), Simulate(small(50), mode)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: %+v, then %+v", mode, a, b)
		}
		other := small(50)
		other.Seed++
		if reflect.DeepEqual(a, Simulate(other, mode)) {
			t.Errorf("%s: the seed changes nothing", mode)
		}
	}
}

func TestTheBucketGivesWhatItGets(t *testing.T) {
	w := World{Rate: 10, Burst: 50, Day: time.Minute, Seed: 1}
	for name, test := range map[string]struct {
		stream   float64
		every    time.Duration
		low, top int // calls of one minute that succeed
	}{
		"fewer than the rate":         {0, time.Second, 60, 60},
		"more than the rate":          {0, 10 * time.Millisecond, 640, 660},
		"beside a stream":             {5, 10 * time.Millisecond, 340, 360},
		"beside a stream that floods": {1000, time.Second, 0, 5},
	} {
		b := newBucket(w, test.stream)
		got := 0
		for now := time.Duration(0); now < w.Day; now += test.every {
			if b.take(now) {
				got++
			}
		}
		if got < test.low || got > test.top {
			t.Errorf("%s: %d calls succeeded, want %d to %d", name, got, test.low, test.top)
		}
	}
}

func TestTheQueueIsInOrder(t *testing.T) {
	var q queue
	for i := range 1000 {
		q.push(event{at: time.Duration(i * 7919 % 1000), client: int32(i % 3)})
	}
	last := event{at: -1}
	for q.len() > 0 {
		e := q.pop()
		if e.before(last) {
			t.Fatalf("%v after %v", e, last)
		}
		last = e
	}
}
