package refresh

import (
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// settled says under which circumstances an answer, should it come again, has
// nothing new to say: it was computed, and neither the files nor the memory
// changed by it. Most refreshes are that, and to compute 5,000 users costs more
// than to ask for them.
type settled struct {
	until time.Time // when time itself changes something; zero: compute anew
	host  accounts.Host
	file  string // the stamp of nss.db
}

// settledFor is how long an answer is not computed anew at most: nss.db is then
// read whole, and found damaged if it is.
const settledFor = time.Hour

// settle returns what holds after a was computed and published.
func (r *Refresher) settle(a answer, o Outcome, past accounts.History, host accounts.Host) settled {
	if o.Published || r.Everybody || !slices.EqualFunc(past.Entries, a.result.History.Entries, sameRecord) {
		return settled{}
	}
	s := settled{until: a.computed.Add(settledFor), host: host, file: r.stamp(cache.NSSFile)}
	for _, record := range a.result.History.Entries {
		if record.Missed > 0 && a.origin == (directory.Origin{}) {
			return settled{} // the next answer counts; the same one again does not
		}
		if record.Former() {
			s.until = earlier(s.until, record.FormerSince.Add(r.Policy.KeepNames))
		}
	}
	for _, u := range a.result.Tables.Users {
		if !u.Expires.IsZero() && u.Expires.After(a.computed) {
			s.until = earlier(s.until, u.Expires)
		}
	}
	return s
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func sameRecord(a, b accounts.Entry) bool {
	return a.FormerSince.Equal(b.FormerSince) && a.Group == b.Group && a.ID == b.ID && a.DirectoryName == b.DirectoryName &&
		a.UnixName == b.UnixName && a.UnixID == b.UnixID && a.Missed == b.Missed
}

// repeats reports whether a has nothing new to say after last.
func (r *Refresher) repeats(last, a answer, host accounts.Host) bool {
	now := r.Now()
	r.mu.Lock()
	denied := len(r.denied) > 0
	r.mu.Unlock()
	return last.known && !denied && now.Before(last.settled.until) && !now.Before(last.computed) &&
		(r.Mute || r.stamp(cache.NSSFile) == last.settled.file) &&
		a.origin == last.origin && a.tags.equal(last.tags) && maps.Equal(a.pins, last.pins) &&
		reflect.DeepEqual(host, last.settled.host) && a.directory.Equal(last.directory)
}

// repeat takes an answer from the time at for the one in hand. The caller holds
// State.Publish.
func (r *Refresher) repeat(at time.Time) (Outcome, error) {
	if r.retired {
		return Outcome{}, ErrRetired
	}
	r.mu.Lock()
	r.answer.at, r.answer.outcome.At = at, at
	r.admit(at)
	outcome := r.answer.outcome
	r.mu.Unlock()
	if err := r.saveDenied(); err != nil {
		return outcome, err
	}
	return outcome, r.publishKeys()
}
