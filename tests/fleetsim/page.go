package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/identitycenter"
)

// page is docs/scale.md.
func page(w World, results map[string][]Result) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Scale: a day of a fleet")
	line("")
	line("<!-- made by make fleet-sim; change tests/fleetsim, not this page -->")
	line("")
	line("A simulated day of up to %s hosts, %s users and %d changes. It is a model, not a measurement of AWS: what it",
		thousands(sizes[len(sizes)-1]), thousands(w.Users), w.Changes)
	line("assumes is listed below. Made by `make fleet-sim`; the seed is %d.", w.Seed)
	line("")
	line("![IAM calls a second by number of hosts](scale.svg)")
	line("")
	line("## %s hosts", thousands(sizes[len(sizes)-1]))
	line("")
	line("| hosts read | IAM calls/s, mean | worst second | throttled | walks given up | change everywhere: median | " +
		"p99 | worst |")
	line("|---|--:|--:|--:|--:|--:|--:|--:|")
	for _, mode := range Modes {
		r := results[mode][len(sizes)-1]
		line("| %s | %s | %s | %s | %s | %s |", mode, number(r.PerSecond), number(r.Peak), percent(r.Refused),
			percent(r.Failed), arrival(r.Arrival))
	}
	line("")
	line("| hosts read | S3 requests/s, mean | worst second | requests a day | read a day | versions a day | requests, " +
		"$ a month |")
	line("|---|--:|--:|--:|--:|--:|--:|")
	for _, mode := range Modes {
		r := results[mode][len(sizes)-1]
		if r.S3.Requests == 0 {
			continue
		}
		line("| %s | %s | %s | %s million | %s TB | %d | %.0f |", mode, number(r.S3.Requests/w.Day.Seconds()),
			number(r.S3.Peak),
			number(r.S3.Requests/1e6), number(r.S3.Bytes/1e12), r.S3.Versions, r.S3.Requests*30*pricePerRequest)
	}
	line("")
	line("The price counts $0.0004 for a thousand GET requests. AWS names 5,500 GET requests a second as what one " +
		"prefix of a")
	line("bucket bears at the least.")
	line("")
	line("What else may be on the bill:")
	line("")
	snapshots := results["snapshot"][len(sizes)-1].S3
	read := math.Round(snapshots.Bytes / 1e10) // hundredths of a TB, as in the table
	line("- **The way to S3.** Within the region reading is free by a gateway endpoint, which costs nothing either, " +
		"and from public")
	line("  subnets. Hosts in private subnets without one read through a NAT gateway, which takes $%.3f/GB: %s GB a day,",
		natPerGB, thousands(int(read*10)))
	line("  30 days, are **$%s a month** in the row *snapshot*. `packaging/aws/snapshot.yaml` makes the endpoint",
		thousands(int(read*10*30*natPerGB+0.5)))
	line("  (`VpcId`, `RouteTableIds`) and can bind the bucket to it (`BindTo`).")
	line("- **CloudTrail.** Data events of the bucket, if your organization logs them, cost $%.2f for 100,000: $%s a "+
		"month.", eventPrice*100_000, thousands(int(snapshots.Requests*30*eventPrice+0.5)))
	line("  An event selector can leave this bucket out, or its reads. Management events, which the push needs, are " +
		"none of these.")
	line("- **Answers 304.** Hosts ask by If-None-Match, and most answers are 304, without content. They are counted " +
		"here as")
	line("  paid; AWS's page on how S3 bills error codes lists 200 and 4xx and does not name 304.")
	line("")
	line("## By number of hosts")
	line("")
	line("IAM calls asked a second, the share of them throttled, and the slowest change until the last host had it.")
	line("")
	head, rule := "| hosts |", "|--:|"
	for _, mode := range Modes {
		head += " " + mode + " |"
		rule += "--:|"
	}
	line("%s", head)
	line("%s", rule)
	for i, hosts := range sizes {
		row := "| " + thousands(hosts) + " |"
		for _, mode := range Modes {
			r := results[mode][i]
			row += fmt.Sprintf(" %s/s, %s, %s |", number(r.PerSecond), percent(r.Refused), worst(r.Arrival))
		}
		line("%s", row)
	}
	line("")
	line("## Ten hosts that read Identity Center themselves")
	line("")
	line("Everybody is in each of the groups, and the hosts name all of them: the most that memberships can cost. Where " +
		"the file has no")
	line("`source.refresh`, a host stretches it until its refreshes take a hundredth of the %s calls a second that the "+
		"organization", number(identitycenter.OrganizationRate))
	line("has. Two days, without logins.")
	line("")
	line("| people | groups | calls of a refresh | `source.refresh` becomes | ten hosts, calls/s | throttled | " +
		"a change is everywhere after, median |")
	line("|--:|--:|--:|--:|--:|--:|--:|")
	for _, people := range []int{50, 500, 5000} {
		for _, groups := range []int{1, 10, 100} {
			w := tenOfStore(w, people, groups)
			calls, interval := w.readsOfStore()
			r := Simulate(w, "identity center")
			line("| %s | %d | %s | %s | %s | %s | %s |", thousands(people), groups, thousands(int(calls+0.5)), short(interval),
				number(r.PerSecond), percent(r.Refused), short(r.Arrival.Median))
		}
	}
	line("")
	line("## What is assumed")
	line("")
	line("- IAM allows the account %s calls a second and %s at once after a pause, for all callers together. "+
		"AWS publishes", number(w.Rate), number(w.Burst))
	line("  no limits; 5 to 35 a second are what people have seen. `-iam-rate` and `-iam-burst` try others. A " +
		"throttled call")
	line("  costs no token. A change counts from the moment IAM shows it: IAM is eventually consistent.")
	line("- *iam*: a login group of all users, a sudo group and ten published groups, %d calls each %s; *bulk*:",
		pages(w.Users)+11+trial, short(refreshIAM))
	line("  GetAccountAuthorizationDetails for users and 300 groups, %d calls. %d of them try what a login asks.",
		pages(w.Users+300)+trial, trial)
	line("  Both list every user's keys once in %s", short(sweepAge))
	line("  and once at each of %s logins a day, by a rate of 5 calls a second of their own "+
		"that is halved by throttling.", thousands(int(w.Logins)*w.Users))
	calls, interval := w.readsOfStore()
	line("- *identity center*: one group of all users, about %.0f calls each %s on average, and two at each login. The "+
		"Identity", calls, short(interval))
	line("  Store allows %s calls a second for a whole organization, which AWS publishes; what at once is assumed as one",
		number(identitycenter.OrganizationRate))
	line("  second's worth. Names and states of people are read once an hour, memberships each time.")
	line("- *snapshot*: %d publishers read IAM in bulk with `refresh = \"%s\"` and list all keys in %s; hosts poll S3",
		publishers, short(refreshPublic), short(sweepPublic))
	line("  with `refresh = \"%s\"`, which is 30 to 45 seconds with its jitter, and ask IAM nothing. A snapshot is",
		short(refreshHost))
	line("  %s MB (measured: 5,000 users, 7,500 RSA-2048 keys), and is written when something changed or %s old.",
		number(snapshotBytes*float64(w.Users)/5000/1e6), short(renewal))
	line("- *push*: EventBridge acts on a change of IAM after %s, on a new snapshot after %s, and SSM Run Command",
		between(eventTime), between(objectTime))
	line("  starts a program after %s; hosts then wait %s, so as not to ask all at once. Nobody", between(commandTime),
		between(spreadTime))
	line("  promises these delays; polling stays the truth.")
	line("- *classic scripts*: cron on every host at :00, :10 …, one run of the AWS CLI (%s, measured) for every user,",
		short(cliTime))
	line("  five attempts each, and six runs a login. A run that is given up counts as a walk given up; " +
		"what such a script")
	line("  then does to the accounts is not simulated.")
	line("- Jitter and backoff are the daemon's own (`internal/schedule`). A refresh of IAM takes %s a call, "+
		"a publication", short(callTime))
	line("  %s, a host %s from S3's answer to the new cache.", short(publishTime), short(fetchTime))
	return b.String()
}

// tenOfStore is a world of ten hosts that read so many people and groups, long
// enough for the longest interval.
func tenOfStore(w World, people, groups int) World {
	w.Hosts, w.Users, w.Groups, w.Logins, w.Day = 10, people, groups, 0, 48*time.Hour
	return w
}

// List prices of us-east-1, in dollars; docs/unverified.md says how to check them.
// aws.amazon.com/s3/pricing, aws.amazon.com/vpc/pricing, aws.amazon.com/cloudtrail/pricing.
const (
	pricePerRequest = 0.0004 / 1000
	natPerGB        = 0.045
	eventPrice      = 0.10 / 100_000
)

func arrival(a Arrival) string {
	if a.Everywhere < a.Changes {
		return fmt.Sprintf("%d of %d changes arrived everywhere | | ", a.Everywhere, a.Changes)
	}
	return fmt.Sprintf("%s | %s | %s", short(a.Median), short(a.P99), short(a.Worst))
}

func worst(a Arrival) string {
	if a.Everywhere < a.Changes {
		return "never"
	}
	return short(a.Worst)
}

// number prints three digits that matter.
func number(v float64) string {
	switch {
	case v >= 1000:
		return thousands(int(v + 0.5))
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10 && v == float64(int(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func percent(share float64) string {
	if share == 0 {
		return "0"
	}
	return fmt.Sprintf("%.1f%%", 100*share)
}

func between(s span) string { return short(s.low) + " to " + short(s.high) }

// short prints a duration as people say it.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 2*time.Minute && d%time.Second == 0:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 2*time.Hour && d%time.Minute == 0:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%.1fm", d.Minutes())
	}
	return fmt.Sprintf("%gh", float64(int(d.Hours()*10))/10)
}
