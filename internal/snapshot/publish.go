package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// Defaults of a Publisher.
const (
	// Lifetime is how long a snapshot is valid: as long as keys.max_stale,
	// after which hosts open nothing by its keys anyway.
	Lifetime = 24 * time.Hour
	// Renewal is the age at which an unchanged snapshot is written again, with
	// a new expiry and the newer times of its keys: a quarter of the lifetime,
	// so that hosts learn of freshly checked keys, and a publisher that died
	// is missed, long before anything is stale.
	Renewal = Lifetime / 4

	maxRaces = 8 // lost in a row before Publish gives up
)

// A Publisher keeps one store up to date. Several may share a store, on
// several hosts, without knowing of each other. It remembers what it last saw,
// and is not for concurrent use.
type Publisher struct {
	Store   Store
	Signer  *Signer
	Trusted []PublicKey      // whose snapshots it may replace, besides its own
	Now     func() time.Time // nil: time.Now

	Lifetime time.Duration // 0: the default
	Renewal  time.Duration // 0: the default

	// Highest is the highest generation that a trusted key ever signed at
	// Store, as far as known. Note, which may be nil, keeps it over restarts.
	Highest Mark
	Note    func(Mark) error

	seen    Manifest
	seenTag Tag
	fault   error // why the version seenTag must be replaced whatever the content, or nil
	noted   Mark
}

// A Mark names one published snapshot. It survives JSON.
type Mark struct {
	Generation uint64 `json:"generation"`
	Digest     string `json:"digest,omitempty"` // Manifest.Digest; "": not known
}

// A Result is what Publish did.
type Result struct {
	Published  bool
	Generation uint64 // of what is in the store now
	Bytes      int    // written
	// Replaced is why what was there was overwritten: no host could have used
	// it, or somebody put it there who must not. It is an error for the log.
	Replaced error
}

// Publish brings the store up to date with content. Nothing is written while
// the store has the same content and is not due for renewal, or has what a
// publisher read from the directory later than this content. Everything else is
// overwritten: also a file that is damaged, from the future or signed by an
// unknown key, a generation below one that was there before, and another
// file of the same generation. Three things are left alone and are an error: a
// file of another version, a file of another account where this publisher never
// published before, and a newer file of another directory than content's. They
// are somebody's mistake. What this publisher saw at the store before it may
// replace: so a fleet moves to another directory.
//
// The generation written is above every generation that was seen here, and at
// least the Unix time: a publisher that forgot everything is above what was
// published before it too, since nobody publishes once a second for long.
func (p *Publisher) Publish(ctx context.Context, content directory.Answer) (Result, error) {
	b, err := encodeBody(content)
	if err != nil {
		return Result{}, fmt.Errorf("encode snapshot: %w", err)
	}
	for range maxRaces {
		result, err := p.attempt(ctx, b, content)
		if errors.Is(err, ErrConflict) {
			p.seenTag = ""
			continue
		}
		return result, errors.Join(err, p.note())
	}
	return Result{}, fmt.Errorf("publish %q: lost %d races in a row against other publishers; are there too many?",
		p.Store, maxRaces)
}

func (p *Publisher) attempt(ctx context.Context, b body, content directory.Answer) (Result, error) {
	now := time.Now()
	if p.Now != nil {
		now = p.Now()
	}
	if err := p.look(ctx, content.Directory, now); err != nil {
		return Result{}, err
	}
	if p.upToDate(b, content, now) {
		return Result{Generation: p.seen.Generation}, nil
	}
	generation := max(uint64(max(now.Unix(), 1)), p.Highest.Generation+1)
	data, err := sign(b, content, generation, now, now.Add(cmp.Or(p.Lifetime, Lifetime)), p.Signer)
	if err != nil {
		return Result{}, err
	}
	replaced := p.fault
	tag, err := p.Store.Write(ctx, data, p.seenTag)
	if err != nil {
		return Result{}, err
	}
	m, _, _, err := verify(data, Trust{Keys: []PublicKey{p.Signer.PublicKey("")}, Now: now})
	if err != nil {
		return Result{}, fmt.Errorf("publish %q: read back: %w", p.Store, err)
	}
	p.seen, p.seenTag, p.fault, p.Highest = m, tag, nil, m.mark()
	return Result{Published: true, Generation: generation, Bytes: len(data), Replaced: replaced}, nil
}

// upToDate reports whether what look found need not be replaced.
func (p *Publisher) upToDate(b body, content directory.Answer, now time.Time) bool {
	if p.fault != nil || p.seen.Generation == 0 {
		return false
	}
	renewal := cmp.Or(p.Renewal, cmp.Or(p.Lifetime, Lifetime)/4)
	if p.seen.Store != content.Directory.Store {
		return false
	}
	return p.seen.AsOf.After(content.AsOf) ||
		p.seen.Content == b.digest && now.Before(p.seen.Written.Add(renewal))
}

// look brings seen, seenTag, fault and Highest up to date with the store.
func (p *Publisher) look(ctx context.Context, of directory.Directory, now time.Time) error {
	data, tag, err := p.Store.Read(ctx, p.seenTag)
	switch {
	case errors.Is(err, ErrNotModified):
		return nil
	case errors.Is(err, ErrAbsent):
		p.seen, p.seenTag, p.fault = Manifest{}, "", nil
		return nil
	case errors.Is(err, ErrTooLarge) && tag != "":
		p.seen, p.seenTag, p.fault = Manifest{}, tag, err
		return nil
	case err != nil:
		return err
	}
	m, _, _, err := verify(data, Trust{
		Now: now, Account: of.Account, Generation: p.Highest.Generation, Digest: p.Highest.Digest,
		Keys: append([]PublicKey{p.Signer.PublicKey("")}, dropKey(p.Trusted, p.Signer.PublicKey(""))...),
	})
	if errors.Is(err, ErrVersion) || errors.Is(err, ErrAccount) && p.Highest.Generation == 0 {
		return fmt.Errorf("publish over %q: %w; remove it if it is not wanted", p.Store, err)
	}
	if err == nil && m.Store.ID != of.Store.ID && m.Generation > p.Highest.Generation {
		return fmt.Errorf("publish over %q: %w: it has the people of %s, and this publisher reads %s; choose another "+
			"publish.url for one of them, or, if hosts are to move, stop the other publisher and remove the snapshot",
			p.Store, ErrDirectory, m.of(), Manifest{Account: of.Account, Store: of.Store}.of())
	}
	p.seen, p.seenTag, p.fault = m, tag, err
	// m is empty unless a trusted key signed it. What is cut short or from the
	// future has a generation too, and the next one must be above it.
	if m.Generation > p.Highest.Generation {
		p.Highest = m.mark()
	}
	return nil
}

// note has Highest kept.
func (p *Publisher) note() error {
	if p.Note == nil || p.Highest == p.noted {
		return nil
	}
	if err := p.Note(p.Highest); err != nil {
		return fmt.Errorf("publish %q: remember generation %d: %w", p.Store, p.Highest.Generation, err)
	}
	p.noted = p.Highest
	return nil
}

func dropKey(keys []PublicKey, unwanted PublicKey) []PublicKey {
	var rest []PublicKey
	for _, k := range keys {
		if k.Fingerprint() != unwanted.Fingerprint() {
			rest = append(rest, k)
		}
	}
	return rest
}
