package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/internal/schedule"
)

// A Result is one mode's day.
type Result struct {
	Mode  string
	Hosts int

	Calls     float64 // asked of IAM, refused ones included
	PerSecond float64 // mean
	Peak      float64 // in the worst second
	Refused   float64 // share throttled
	Failed    float64 // share of walks given up

	Arrival Arrival
	S3      S3
}

// S3 is what the hosts ask of S3.
type S3 struct {
	Requests float64
	Peak     float64 // in the worst second
	Bytes    float64
	Versions int
}

// Modes are the names in the order of the table.
var Modes = []string{"classic scripts", "iam", "iam, bulk", "identity center", "snapshot", "snapshot, push"}

// pages is how many answers a list of n has at IAM's 1,000 a page.
func pages(n int) int { return max(1, (n+999)/1000) }

// trial is how many calls a daemon adds to each refresh of IAM, to see whether logins
// would be answered: a person's keys, whose the name is, and the groups.
const trial = 3

// Simulate runs one mode's day.
func Simulate(w World, mode string) Result {
	logins := w.Logins * float64(w.Users) / (24 * time.Hour).Seconds()
	sweep := float64(w.Users) / sweepAge.Seconds() // of one host
	sweepAll := float64(w.Users) / sweepPublic.Seconds()
	hosts := float64(w.Hosts)
	a := newArrivals(w)
	switch mode {
	case "classic scripts":
		// A login starts the AWS CLI six times with two keys.
		return direct(w, mode, classic(w.Users), 6*logins, a)
	case "iam":
		// A login group of everybody, a sudo group, ten published groups.
		return direct(w, mode, daemon(pages(w.Users)+11+trial, refreshIAM), hosts*sweep+logins, a)
	case "iam, bulk":
		return direct(w, mode, daemon(pages(w.Users+300)+trial, refreshIAM), hosts*sweep+logins, a)
	case "identity center":
		// Memberships; names and states once an hour. Nobody has keys to sweep; a
		// login asks twice.
		calls, interval := w.readsOfStore()
		h := daemon(int(calls+0.5), interval)
		h.burst = identitycenter.DefaultBurst
		return direct(w.ofStore(), mode, h, 2*logins, a)
	case "snapshot":
		return distributed(w, mode, publishers*sweepAll, a, false)
	case "snapshot, push":
		return distributed(w, mode, publishers*sweepAll, a, true)
	}
	panic("no such mode: " + mode)
}

// readsOfStore is what a refresh of Identity Center takes where everybody is in so many
// groups, and its interval: stretched until ten hosts take a tenth of the rate, as
// iam-cachefill does.
func (w World) readsOfStore() (calls float64, interval time.Duration) {
	members := make([]int, w.Groups)
	for i := range members {
		members[i] = w.Users
	}
	cost := identitycenter.Estimate(w.Users, members)
	interval = max(refreshStore, schedule.Averaging(cost.Between(identitycenter.OrganizationRate/100)))
	return cost.Calls(schedule.Jittered(interval, 0.5)), interval
}

func direct(w World, mode string, h habit, stream float64, a *arrivals) Result {
	b := newBucket(w, stream)
	held := make([]int, w.Hosts)
	run := walks{finished: func(host int, began, ended time.Duration) {
		held[host] = a.learns(held[host], began, ended)
	}}
	run.run(w, b, w.Hosts, h, nil)
	return result(w, mode, b, run, a)
}

func result(w World, mode string, b *bucket, run walks, a *arrivals) Result {
	r := Result{
		Mode: mode, Hosts: w.Hosts, Calls: b.offered, PerSecond: b.offered / w.Day.Seconds(),
		Peak: float64(slices.Max(b.single)) + b.stream, Arrival: a.summary(),
	}
	if b.offered > 0 {
		r.Refused = b.refused / b.offered
	}
	if all := run.whole + run.failed; all > 0 {
		r.Failed = float64(run.failed) / float64(all)
	}
	return r
}

// A version is one snapshot in S3.
type version struct{ asOf, at time.Duration }

// distributed lets the publishers fill S3 and then every host read from it.
func distributed(w World, mode string, stream float64, a *arrivals, push bool) Result {
	var pushes []time.Duration
	if push {
		r := rand.New(rand.NewPCG(w.Seed, 'p'))
		for _, at := range a.changes {
			arrives := at + eventTime.draw(r)
			for range publishers {
				pushes = append(pushes, arrives+commandTime.draw(r))
			}
		}
	}
	b := newBucket(w, stream)
	var versions []version
	known := 0 // changes in the newest version
	run := walks{finished: func(_ int, began, ended time.Duration) {
		news := countUntil(a.changes, began)
		// A later reading wins; without news only the renewal is due.
		if len(versions) > 0 && versions[len(versions)-1].asOf > began {
			return
		}
		if news > known || len(versions) == 0 || ended-versions[len(versions)-1].at > renewal {
			known = news
			versions = append(versions, version{began, ended + publishTime})
		}
	}}
	run.run(w, b, publishers, daemon(pages(w.Users+300), refreshPublic), pushes)
	slices.SortStableFunc(versions, func(x, y version) int { return int(x.at - y.at) })

	s3 := S3{Versions: len(versions)}
	perSecond := make([]uint32, int(w.Day/time.Second)+1)
	size := snapshotBytes * float64(w.Users) / 5000
	for host := range w.Hosts {
		requests, fetched := pollAll(w, host, versions, a, perSecond, push)
		s3.Requests += float64(requests)
		s3.Bytes += float64(fetched) * size
	}
	s3.Peak = float64(slices.Max(perSecond))
	r := result(w, mode, b, run, a)
	r.S3 = s3
	return r
}

// pollAll is one host's day of conditional reads.
func pollAll(w World, host int, versions []version, a *arrivals, perSecond []uint32, push bool) (requests,
	fetched int) {
	r := rand.New(rand.NewPCG(w.Seed, 'h'+uint64(host)<<8))
	var told []time.Duration
	if push {
		for _, v := range versions {
			told = append(told, v.at+objectTime.draw(r)+commandTime.draw(r)+spreadTime.draw(r))
		}
		slices.Sort(told)
	}
	held, newest := 0, -1
	for now := time.Duration(r.Float64() * float64(refreshHost)); now < w.Day; {
		requests++
		perSecond[int(now/time.Second)]++
		there := newest
		for there+1 < len(versions) && versions[there+1].at <= now {
			there++
		}
		if there > newest {
			newest = there
			fetched++
			held = a.learns(held, versions[newest].asOf, now+fetchTime)
		}
		for len(told) > 0 && told[0] <= now {
			told = told[1:]
		}
		next := now + schedule.Next(refreshHost, 0, r.Float64())
		if len(told) > 0 && told[0] < next {
			next = told[0]
		}
		now = next
	}
	return requests, fetched
}

func countUntil(sorted []time.Duration, t time.Duration) int {
	n, _ := slices.BinarySearch(sorted, t+1)
	return n
}
