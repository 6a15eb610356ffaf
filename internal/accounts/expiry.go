package accounts

import (
	"fmt"
	"strings"
	"time"
)

// expiry reads the account's end from a user's tags: the last day, which ends
// at midnight UTC, or a moment (RFC 3339). The letter case of tag keys does not matter,
// as in IAM.
func expiry(tags map[string]string, key string) (end time.Time, problem string) {
	value, found := tags[key]
	if !found {
		// The least key is taken, so that the order of a map decides nothing.
		least := ""
		for k, v := range tags {
			if fold(k) == fold(key) && (least == "" || k < least) {
				least, value, found = k, v, true
			}
		}
	}
	if !found {
		return time.Time{}, ""
	}
	value = strings.TrimSpace(value)
	if day, err := time.Parse(time.DateOnly, value); err == nil {
		return day.AddDate(0, 0, 1), ""
	}
	if moment, err := time.Parse(time.RFC3339, value); err == nil {
		return moment, ""
	}
	return time.Time{}, fmt.Sprintf("the tag %s holds %s, which is neither a day (2027-03-31) nor a moment "+
		"(2027-03-31T18:00:00Z)", quoted(key), quoted(value))
}
