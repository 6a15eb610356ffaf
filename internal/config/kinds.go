package config

import "time"

// The values of source.kind.
const (
	KindIAM            = "iam"
	KindIdentityCenter = "identity-center"
	KindS3             = "s3"   // a snapshot
	KindFile           = "file" // a snapshot
)

// A kind is what package config knows of a value of source.kind. What asks the
// directory is a line in cachefill/sources.go.
type kind struct {
	name    string
	refresh time.Duration // source.refresh where the file says nothing
	asked   string        // what a refresh asks, as people know it; "" for a snapshot
	address string        // an example of source.url; "" for what has no address
	cached  string        // what hosts keep of it for an outage, and what that does
}

// A snapshot is polled by one conditional request, a directory walk is not. The
// Identity Store allows 20 calls a second for a whole organization: at ten minutes,
// ten hosts that read 5,000 people whole each time (106 calls) take 1.8 of them. A
// host that needs more calls stretches this default (cachefill/share.go).
var kinds = []kind{
	{name: KindIAM, refresh: 5 * time.Minute, asked: "IAM", cached: keysOpen},
	{name: KindIdentityCenter, refresh: 10 * time.Minute, asked: "the Identity Store", cached: "answers let people in"},
	{name: KindS3, refresh: 45 * time.Second, address: "s3://bucket/key", cached: keysOpen},
	{name: KindFile, refresh: 45 * time.Second, address: "file:///path", cached: keysOpen},
}

const keysOpen = "keys open a login"

// Cached is what hosts keep for an outage of a source of this kind, and what that does:
// "keys open a login".
func Cached(kind string) string { return sourceKind(kind).cached }

// Kinds are the values of source.kind.
func Kinds() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

// sourceKind returns what is known of a value of source.kind, or the zero kind.
func sourceKind(name string) kind {
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	return kind{}
}
