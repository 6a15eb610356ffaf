package identitycenter

import "time"

// RefreshCalls is about how many calls a refresh takes on average, where so many
// people are in one named group and refreshes are so far apart.
func RefreshCalls(people int, between time.Duration) float64 {
	pages := float64(max(people+largestPage-1, largestPage) / largestPage)
	if pages <= 1 {
		return pages + spareCalls
	}
	again := min(1, between.Seconds()/attributesAge.Seconds()) // names and states
	return pages + spareCalls + pages*again
}

// Hosts is how many hosts that read the store like this one use a share of what
// the whole organization has.
func Hosts(people int, between time.Duration, share float64) int {
	return int(OrganizationRate * share * between.Seconds() / RefreshCalls(people, between))
}
