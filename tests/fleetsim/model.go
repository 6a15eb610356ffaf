package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nss-iam/nss-iam/internal/identitycenter"
)

// A World is what all modes are measured in.
type World struct {
	Hosts, Users int
	Groups       int           // of Identity Center that a host names, with everybody in each
	Changes      int           // of users, groups and memberships, spread over the day at random
	Day          time.Duration // how long is simulated
	Logins       float64       // per user and day
	Rate, Burst  float64       // IAM's token bucket for the account: calls a second, calls at once
	Seed         uint64
}

// Assumed is the world of docs/scale.md.
var Assumed = World{
	Hosts: 10000, Users: 5000, Groups: 1, Changes: 300, Day: 24 * time.Hour, Logins: 10,
	// AWS publishes neither. 5 to 35 calls a second an account are what people
	// have seen; the bucket's size is a guess of ten seconds' worth.
	Rate: 20, Burst: 200,
	Seed: 1,
}

// ofStore is the world in which Identity Center answers: AWS says what it allows a
// whole organization, and not what at once.
func (w World) ofStore() World {
	w.Rate, w.Burst = identitycenter.OrganizationRate, identitycenter.OrganizationRate
	return w
}

// What one part takes. Delays of AWS are assumptions; nobody promises them.
const (
	callTime    = 50 * time.Millisecond   // one IAM call through the SDK, on a warm connection
	cliTime     = 1070 * time.Millisecond // one run of the AWS CLI, measured
	publishTime = 300 * time.Millisecond  // encode, sign and write; encoding is measured at 65 ms of CPU
	fetchTime   = 300 * time.Millisecond  // read 2.3 MB from S3, verify, publish the caches

	snapshotBytes = 2310817          // of 5,000 users with 7,500 RSA-2048 keys, measured
	sweepAge      = 12 * time.Hour   // of hosts that ask IAM: half of keys.max_stale
	sweepPublic   = time.Hour        // of publishers
	refreshIAM    = 5 * time.Minute  // source.refresh of hosts that ask IAM
	refreshStore  = 10 * time.Minute // source.refresh of hosts that ask Identity Center
	refreshPublic = 30 * time.Second // source.refresh of publishers, the shortest there is
	refreshHost   = 45 * time.Second // source.refresh of hosts that read a snapshot
	renewal       = 6 * time.Hour    // snapshot.Renewal
	publishers    = 2
)

// A span is a delay between two bounds, any as likely as any other.
type span struct{ low, high time.Duration }

func (s span) draw(r *rand.Rand) time.Duration {
	return s.low + time.Duration(r.Float64()*float64(s.high-s.low))
}

var (
	eventTime   = span{1 * time.Second, 4 * time.Second}        // IAM's change until EventBridge acts on it
	commandTime = span{500 * time.Millisecond, 3 * time.Second} // SSM Run Command until the program starts
	objectTime  = span{300 * time.Millisecond, 2 * time.Second} // S3's write until EventBridge acts on it
	// A pushed host waits a little, so that a fleet does not ask S3 in one
	// second: as the command in packaging/aws/push.yaml does.
	spreadTime = span{0, 1500 * time.Millisecond}
)

// changes returns the moments of the changes, ascending. The last quarter of
// the day, four hours at most, has none: a change needs time to arrive, and a
// script's walk through 5,000 users takes an hour and a half.
func (w World) changes() []time.Duration {
	r := rand.New(rand.NewPCG(w.Seed, 'c'))
	at := make([]time.Duration, w.Changes)
	for i := range at {
		at[i] = time.Duration(r.Float64() * float64(w.Day-min(4*time.Hour, w.Day/4)))
	}
	slices.Sort(at)
	return at
}

// A bucket is IAM's token bucket. Beside the calls that take from it one by
// one flows a steady stream of further calls: keys listed in sweeps and at
// logins, which are too many to follow singly.
type bucket struct {
	rate, burst float64
	stream      float64 // calls a second
	random      *rand.Rand

	tokens           float64
	at               time.Duration
	offered, refused float64
	single           []uint32 // calls taken one by one, by second
}

func newBucket(w World, stream float64) *bucket {
	return &bucket{
		rate: w.Rate, burst: w.Burst, stream: stream, random: rand.New(rand.NewPCG(w.Seed, 'b')),
		tokens: w.Burst, single: make([]uint32, int(w.Day/time.Second)+1),
	}
}

// flow brings the bucket to now.
func (b *bucket) flow(now time.Duration) {
	dt := (now - b.at).Seconds()
	if dt <= 0 {
		return
	}
	b.at = now
	b.offered += b.stream * dt
	if b.stream <= b.rate {
		b.tokens = min(b.burst, b.tokens+(b.rate-b.stream)*dt)
		return
	}
	// The stream drains what is left and is then refused in part.
	drained := min(dt, b.tokens/(b.stream-b.rate))
	b.tokens -= drained * (b.stream - b.rate)
	b.refused += (dt - drained) * (b.stream - b.rate)
}

// take asks for one call.
func (b *bucket) take(now time.Duration) bool {
	b.flow(now)
	b.offered++
	if i := int(now / time.Second); i < len(b.single) {
		b.single[i]++
	}
	if b.tokens >= 1 {
		b.tokens--
		return true
	}
	// In an empty bucket every new token goes to one of the many who want it.
	if b.stream > b.rate && b.random.Float64() < b.rate/b.stream {
		return true
	}
	b.refused++
	return false
}
