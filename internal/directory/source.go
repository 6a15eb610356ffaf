package directory

import (
	"context"
	"errors"
)

// ErrNoSuchUser is in the error of a question about a user that the directory
// does not have, or no longer has under this name.
var ErrNoSuchUser = errors.New("no such user")

// ErrUserRefused is in the error of a question that the directory refused to
// answer about this user. It may answer about others: a permission can be
// limited to a path.
var ErrUserRefused = errors.New("the directory does not answer about this user")

// ErrNotReached is in the error of a question that did not come as far as the
// directory: there is no network, no name server, no region or no credentials
// yet.
var ErrNotReached = errors.New("the directory was not reached")

// ErrIncomplete is in the error for an answer that is cut, garbled, without an
// end or at odds with itself. The directory may have changed meanwhile.
var ErrIncomplete = errors.New("incomplete answer")

// A Source answers for a whole directory at once: it asks the directory, or reads a snapshot of it.
type Source interface {
	// Directory answers a query. The answer is complete, or an error.
	Directory(ctx context.Context, q Query) (Answer, error)
}

// A UserSource answers about one user, at a login and in the sweep over keys. A
// source that cannot do so, such as a snapshot, is only a Source.
//
// Users are given with the id and the name that the last answer had. A name may
// belong to somebody else by now: then the user is not there, ErrNoSuchUser.
type UserSource interface {
	// Keys lists a user's keys. The error is ErrNoSuchUser if the user is not
	// there, and ErrUserRefused if the directory refuses to answer about this
	// user.
	Keys(ctx context.Context, u User, q KeyQuery) (KeyListing, error)
	// Exists returns ErrNoSuchUser if the user is not there, or if allUsers is
	// set and the user is outside of the source's path prefix.
	Exists(ctx context.Context, u User, allUsers bool) error
	// Groups returns the names of those of the groups among that a user is in. It may
	// return further groups of the user. The error is ErrNoSuchUser or ErrUserRefused,
	// as with Keys.
	Groups(ctx context.Context, u User, among []string) ([]string, error)
}

// A KeyQuery is what is known about a user's keys before the question, and what
// is asked.
type KeyQuery struct {
	// Body returns the body of a key that was fetched before. It never changes
	// under one key id.
	Body func(keyID string) (body string, ok bool)
	// Own are the ids of the keys that this user had in the last listing. A key
	// never moves to another user, so a listing of these alone is certainly
	// this user's.
	Own map[string]bool
	// TagPrefix asks for those of the user's tags whose keys begin with it in
	// any case; "" asks for none.
	TagPrefix string
	// AllUsers says that the user is served because every user of the source's
	// path prefix is: a user outside it is ErrNoSuchUser.
	AllUsers bool
}
