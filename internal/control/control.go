// Package control owns the daemon's Unix socket: the protocol, who may speak,
// and the limits that each side sets the other. It knows nothing of the
// directory or of files: the server is given functions that answer.
//
// The protocol is HTTP/1.1 with small JSON bodies in answers and none in
// questions; every answer is one connection.
//
//	GET  /v1/keys?name=NAME&key=FINGERPRINT
//	                           an Answer; root and the named peers
//	GET  /v1/admission?name=NAME&recent=1
//	                           the same without keys, from memberships alone; with
//	                           recent=1 the last refresh's word will do
//	GET  /v1/status            what the daemon says of itself; root and the named peers
//	GET  /v1/explain?name=NAME why somebody can or cannot log in; root only
//	POST /v1/trial             asks the directory once what the configuration needs
//	                           asked; root only
//	POST /v1/refresh?dry_run=1&confirm=1
//	                           one refresh now; root only
//
// A failure has a status from 400 on and the body {"error":"…"}, and "not_configured":true
// beside it where a daemon idles for want of a configuration.
package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/keys"
)

// Versions of the JSON bodies: the one that is written, and those that a client
// takes. A client refuses an answer of any other version. They rise as those of
// nss.db do (package cache): during an upgrade the daemon and the helpers are of
// two releases for a moment.
const (
	Version       = 1
	OldestVersion = 1
	NewestVersion = 1
)

// Bounds that both sides keep.
const (
	maxHeader = 4 << 10   // bytes of a question
	maxAnswer = 512 << 10 // bytes of an answer about keys: 64 of the longest are 256 KiB
	maxReport = 64 << 20  // bytes of a status or refresh answer: a first refresh lists every user
	maxShared = 1000      // shared accounts of one person
)

// An Answer is what the directory says now about one login name. It is
// authoritative: an Answer without keys means that nothing opens that login.
type Answer struct {
	User   cache.UserKeys // Login is false if the user may not log in
	Shared []string       // the shared accounts that the person may enter as well

	// Limited says that the directory was not asked: the key in question is unknown, and
	// the calls for unknown keys are used up. The Answer is the last listing. It says
	// nothing about a key that is not in it.
	Limited bool
}

// A Question is what one login asks.
type Question struct {
	Name string
	Key  string // the fingerprint of the offered key, as keys.ParseFingerprint takes it; "": not said
}

// A Standing is what is known of a login name before the directory is asked.
type Standing int

const (
	// Unlisted is a name that may be a person's, whose keys are not known.
	Unlisted Standing = iota
	// Listed is the name of a person whose keys are known.
	Listed
	// Nobody is a name under which the last answer of the directory lets nobody
	// in. Earlier answers about the name do not count.
	Nobody
)

// Counts are counts since the server was made.
type Counts struct {
	Limited int64 `json:"limited"` // questions with unknown keys that were answered from the listing: refused for rate
	Older   int64 `json:"older"`   // questions that got an older answer because there was no room for a lookup
	Busy    int64 `json:"busy"`    // lookups that got no turn in time
}

// A RefreshRequest is what a person asked of refresh.
type RefreshRequest struct {
	DryRun       bool // only tell what would change
	Confirm      bool // take a removal that is larger than removal.max_fraction
	AcceptGroups bool // believe groups that were created again
}

type wireAnswer struct {
	Version int       `json:"version"`
	Name    string    `json:"name"`
	UID     uint32    `json:"uid"`
	Login   bool      `json:"login"`
	Checked int64     `json:"checked"` // Unix seconds
	Keys    []wireKey `json:"keys"`
	Shared  []string  `json:"shared,omitempty"`
	Limited bool      `json:"limited,omitempty"`
}

type wireKey struct {
	ID      string `json:"id"`
	Blob    []byte `json:"blob"`              // SSH wire format, as base64
	Expires int64  `json:"expires,omitempty"` // Unix seconds
}

type wireError struct {
	Error         string `json:"error"`
	NotConfigured bool   `json:"not_configured,omitempty"`
}

// A Refusal is why a daemon could not do what it was asked, in its own words.
type Refusal struct{ Said string }

func (r Refusal) Error() string { return fmt.Sprintf("it says %.500q", r.Said) }

// ErrNotConfigured is in the error of a report that a daemon cannot give because its
// configuration says nothing to do, on either side of the socket.
var ErrNotConfigured = errors.New("the daemon is not configured")

func (a Answer) encode() ([]byte, error) {
	w := wireAnswer{
		Version: Version, Name: a.User.Name, UID: a.User.UID, Login: a.User.Login,
		Checked: a.User.Checked.Unix(), Keys: []wireKey{}, Shared: a.Shared, Limited: a.Limited,
	}
	for _, k := range a.User.Keys {
		if err := k.CheckForm(); err != nil {
			return nil, fmt.Errorf("answer for %q: key %.80q: %w", a.User.Name, k.ID, err)
		}
		key := wireKey{ID: k.ID, Blob: k.Blob}
		if !k.Expires.IsZero() {
			key.Expires = k.Expires.Unix()
		}
		w.Keys = append(w.Keys, key)
	}
	return json.Marshal(w)
}

// decodeAnswer reads an answer about name. It refuses one about another name, and
// one that contradicts itself.
func decodeAnswer(body []byte, name string) (Answer, error) {
	var w wireAnswer
	if err := json.Unmarshal(body, &w); err != nil {
		return Answer{}, err
	}
	switch {
	case w.Version < OldestVersion || w.Version > NewestVersion:
		return Answer{}, fmt.Errorf("version %d, this program reads %d to %d", w.Version, OldestVersion, NewestVersion)
	case w.Name != name:
		return Answer{}, fmt.Errorf("it is about %.80q", w.Name)
	case w.Login != (w.UID >= cache.MinID && w.UID <= cache.MaxID), !w.Login && w.UID != 0:
		return Answer{}, fmt.Errorf("uid %d with login %v", w.UID, w.Login)
	case len(w.Keys) > keys.MaxKeys:
		return Answer{}, fmt.Errorf("%d keys are more than %d", len(w.Keys), keys.MaxKeys)
	case len(w.Shared) > maxShared:
		return Answer{}, fmt.Errorf("%d shared accounts are more than %d", len(w.Shared), maxShared)
	}
	a := Answer{
		User:    cache.UserKeys{Name: w.Name, UID: w.UID, Login: w.Login, Checked: time.Unix(w.Checked, 0)},
		Limited: w.Limited,
	}
	if len(w.Shared) > 0 {
		a.Shared = w.Shared
	}
	for _, key := range w.Keys {
		k := keys.Key{ID: key.ID, Blob: key.Blob}
		if key.Expires != 0 {
			k.Expires = time.Unix(key.Expires, 0)
		}
		var err error
		if k.Type, err = keys.TypeOf(k.Blob); err == nil {
			err = k.CheckForm()
		}
		if err != nil {
			return Answer{}, fmt.Errorf("key %.80q: %w", k.ID, err)
		}
		a.User.Keys = append(a.User.Keys, k)
	}
	return a, nil
}
