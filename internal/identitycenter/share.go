package identitycenter

import "time"

// RefreshCalls is about how many calls a refresh takes on average, where so many
// people are in named groups with so many members each, and refreshes are so far
// apart.
func RefreshCalls(people int, members []int, between time.Duration) float64 {
	calls := float64(spareCalls)
	for _, n := range members {
		calls += pages(n)
	}
	if people <= largestPage {
		return calls
	}
	again := min(1, between.Seconds()/attributesAge.Seconds()) // names and states
	return calls + pages(people)*again
}

// pages is how many pages so many take: an empty list takes one.
func pages(n int) float64 { return float64(max(n+largestPage-1, largestPage) / largestPage) }

// Hosts is how many hosts use a share of what the whole organization has, if a
// refresh takes so many calls.
func Hosts(calls float64, between time.Duration, share float64) int {
	return int(OrganizationRate * share * between.Seconds() / calls)
}
