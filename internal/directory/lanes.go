package directory

import "context"

// A Lane is a kind of question. A source that must keep to a rate has a share of
// it for each.
type Lane int

// The lanes of questions.
const (
	RefreshLane Lane = iota // questions that are not marked
	LoginLane               // a person waits for the answer
	RenewalLane             // of logins, and nobody waits
	SweepLane               // nobody waits
	Lanes
)

type laneKey struct{}

// Urgent marks questions for which a person waits: they have a part of the rate
// for themselves, and little time.
func Urgent(ctx context.Context) context.Context {
	return context.WithValue(ctx, laneKey{}, LoginLane)
}

// Background marks questions for which nobody waits, those of a sweep: they let
// a refresh go first.
func Background(ctx context.Context) context.Context {
	return context.WithValue(ctx, laneKey{}, SweepLane)
}

// Renewal marks questions that ask about a login again without a person who
// waits for the answer: they let other logins go first.
func Renewal(ctx context.Context) context.Context {
	return context.WithValue(ctx, laneKey{}, RenewalLane)
}

// LaneOf returns the lane of a question.
func LaneOf(ctx context.Context) Lane {
	l, _ := ctx.Value(laneKey{}).(Lane)
	return l
}

// Stats are what a source has asked its directory since it was opened.
type Stats struct {
	Calls     map[string]int64 // requests sent by action, retries included
	Throttles map[string]int64 // those that were refused for their rate
	Rate      float64          // calls a second that the directory is asked at most just now
	Spare     bool             // calls for a login go out without a wait, and leave some for the next
}

// Total is the sum of all calls.
func (s Stats) Total() int64 {
	var total int64
	for _, n := range s.Calls {
		total += n
	}
	return total
}
