package keys

import (
	"errors"
	"testing"
	"time"
)

// IAM keeps no date of a tag: the key's comment can give one.
func TestAKeyInATagIsAsOldAsItsCommentSays(t *testing.T) {
	const ed = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		comment string
		maxAge  time.Duration
		end     time.Time
		want    error
		expires time.Time
	}{
		"no day":                  {"", 90 * 24 * time.Hour, time.Time{}, nil, time.Time{}},
		"a comment without a day": {" alice@laptop", 90 * 24 * time.Hour, time.Time{}, nil, time.Time{}},
		"a day, and no limit":     {" added=2026-01-01", 0, time.Time{}, nil, time.Time{}},
		"a day within the limit": {" alice added=2026-11-01", 90 * 24 * time.Hour, time.Time{}, nil,
			time.Date(2027, 1, 30, 0, 0, 0, 0, time.UTC)},
		"a day beyond the limit": {" added=2026-08-01 alice", 90 * 24 * time.Hour, time.Time{}, ErrExpired,
			time.Time{}},
		"the last of two days counts": {" added=2026-01-01 added=2026-11-01", 90 * 24 * time.Hour, time.Time{},
			nil, time.Date(2027, 1, 30, 0, 0, 0, 0, time.UTC)},
		"an account that ends before": {" added=2026-11-01", 90 * 24 * time.Hour, now.Add(time.Hour), nil,
			now.Add(time.Hour)},
		"a day to come, elsewhere": {" added=2026-11-26", 90 * 24 * time.Hour, time.Time{}, nil,
			time.Date(2027, 2, 24, 0, 0, 0, 0, time.UTC)},
		"a day to come": {" added=2026-11-27", 90 * 24 * time.Hour, time.Time{}, ErrAdded,
			time.Time{}},
		"a day to come, without a limit": {" added=2126-11-25", 0, time.Time{}, ErrAdded, time.Time{}},
		"a day that is none": {" added=2026-02-30", 90 * 24 * time.Hour, time.Time{}, ErrAdded,
			time.Time{}},
		"an empty day":                          {" added=", 90 * 24 * time.Hour, time.Time{}, ErrAdded, time.Time{}},
		"a word that only ends like it is none": {" xadded=2020-01-01", 90 * 24 * time.Hour, time.Time{}, nil, time.Time{}},
	} {
		p := Policy{TagPrefix: "k", MaxAge: c.maxAge}
		s := p.Select(Source{Tags: map[string]string{"k": ed + c.comment}, End: c.end}, now)
		switch {
		case c.want == nil && (len(s.Keys) != 1 || !s.Keys[0].Expires.Equal(c.expires)):
			t.Errorf("%s: got %+v, refused %v; want it until %v", name, s.Keys, s.Refused, c.expires)
		case c.want != nil && (len(s.Refused) != 1 || !errors.Is(s.Refused[0].Err, c.want)):
			t.Errorf("%s: got %+v, refused %v; want %v", name, s.Keys, s.Refused, c.want)
		}
	}
}
