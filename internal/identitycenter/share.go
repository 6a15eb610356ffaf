package identitycenter

import "time"

// A Cost is what refreshes of one host take of the rate that the whole
// organization has: calls of each refresh, and calls that come on top once in
// attributesAge.
type Cost struct{ Each, Hourly int }

// Estimate is about what refreshes cost if so many people are in named groups with
// so many members each. It is never below what they cost.
func Estimate(people int, members []int) Cost {
	c := Cost{Each: spareCalls}
	for _, n := range members {
		c.Each += pages(n)
	}
	if people > largestPage {
		c.Hourly = pages(people)
	}
	return c
}

// pages is how many pages so many take: an empty list takes one.
func pages(n int) int { return max(n+largestPage-1, largestPage) / largestPage }

// Calls is how many calls a refresh takes on average, if refreshes are this far apart.
func (c Cost) Calls(between time.Duration) float64 {
	return float64(c.Each) + float64(c.Hourly)*min(1, between.Seconds()/attributesAge.Seconds())
}

// Between is the time between refreshes that together take so many calls a second.
func (c Cost) Between(rate float64) time.Duration {
	hourly := float64(c.Hourly) / attributesAge.Seconds()
	if hourly < rate {
		if seconds := float64(c.Each) / (rate - hourly); seconds < attributesAge.Seconds() {
			return time.Duration(seconds * float64(time.Second))
		}
	}
	return time.Duration(float64(c.Each+c.Hourly) / rate * float64(time.Second))
}

// Hosts is how many hosts use a share of what the whole organization has, if
// refreshes cost this much.
func (c Cost) Hosts(between time.Duration, share float64) int {
	return int(OrganizationRate * share * between.Seconds() / c.Calls(between))
}
