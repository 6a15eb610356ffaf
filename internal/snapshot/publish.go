package snapshot

import (
	"context"
	"errors"
	"fmt"
	"time"
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

	seen    Manifest
	seenTag Tag
	highest uint64 // generation ever seen
}

// A Result is what Publish did.
type Result struct {
	Published  bool
	Generation uint64 // of what is in the store now
	Bytes      int    // written
	// Replaced is why a file that no host could have used was overwritten, or
	// nil. It is worth a line in the log.
	Replaced error
}

// Publish brings the store up to date with content. Nothing is written while
// the store has the same content and is not due for renewal, or has what a
// publisher read from IAM later than this content. A file that is damaged, cut
// short or from the future is overwritten. One that is of another account, of
// another version or signed by an unknown key is not: it is somebody's
// mistake, and an error.
func (p *Publisher) Publish(ctx context.Context, content Content) (Result, error) {
	b, err := encodeBody(content)
	if err != nil {
		return Result{}, fmt.Errorf("encode snapshot: %w", err)
	}
	for range maxRaces {
		result, err := p.attempt(ctx, b, content)
		if !errors.Is(err, ErrConflict) {
			return result, err
		}
		p.seenTag = ""
	}
	return Result{}, fmt.Errorf("publish %q: lost %d races in a row against other publishers; are there too many?", p.Store, maxRaces)
}

func (p *Publisher) attempt(ctx context.Context, b body, content Content) (Result, error) {
	now := time.Now()
	if p.Now != nil {
		now = p.Now()
	}
	lifetime, renewal := p.Lifetime, p.Renewal
	if lifetime == 0 {
		lifetime = Lifetime
	}
	if renewal == 0 {
		renewal = lifetime / 4
	}
	// A store whose file was lost starts above every generation that came
	// before, and needs to remember none: nobody publishes once a second for
	// long. Hosts that held the lost file go on without noticing.
	generation := uint64(max(now.Unix(), 1))
	replaced, err := p.look(ctx, content.Directory.Account, now)
	switch {
	case err != nil:
		return Result{}, err
	case p.seen.Generation == 0:
		generation = max(generation, p.highest+1)
	case replaced == nil && p.seen.AsOf.After(content.AsOf),
		replaced == nil && p.seen.Content == b.digest && now.Before(p.seen.Written.Add(renewal)):
		return Result{Generation: p.seen.Generation}, nil
	default:
		generation = p.seen.Generation + 1
	}
	data, err := sign(b, content, generation, now, now.Add(lifetime), p.Signer)
	if err != nil {
		return Result{}, err
	}
	previous := p.seenTag
	tag, err := p.Store.Write(ctx, data, previous)
	if err != nil {
		return Result{}, err
	}
	m, _, _, err := verify(data, Trust{Keys: []PublicKey{p.Signer.PublicKey("")}, Now: now})
	if err != nil {
		return Result{}, fmt.Errorf("publish %q: read back: %w", p.Store, err)
	}
	p.seen, p.seenTag, p.highest = m, tag, m.Generation
	return Result{Published: true, Generation: generation, Bytes: len(data), Replaced: replaced}, nil
}

// look brings p.seen and p.seenTag up to date with the store. A seen without a
// generation says that there is nothing whose generation counts.
func (p *Publisher) look(ctx context.Context, account string, now time.Time) (replaced, err error) {
	data, tag, err := p.Store.Read(ctx, p.seenTag)
	switch {
	case errors.Is(err, ErrNotModified):
		return nil, nil
	case errors.Is(err, ErrAbsent):
		p.seen, p.seenTag = Manifest{}, ""
		return nil, nil
	case err != nil:
		return nil, err
	}
	m, _, _, err := verify(data, Trust{
		Now: now, Account: account,
		Keys: append([]PublicKey{p.Signer.PublicKey("")}, dropKey(p.Trusted, p.Signer.PublicKey(""))...),
	})
	p.highest = max(p.highest, m.Generation)
	switch {
	case err == nil:
		p.seen, p.seenTag = m, tag
		return nil, nil
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrTruncated), errors.Is(err, ErrMalformed), errors.Is(err, ErrFuture):
		// What the manifest of a file from the future, or cut short, says is
		// signed: the next generation must be above it.
		p.seen, p.seenTag = Manifest{Generation: m.Generation}, tag
		return err, nil
	}
	return nil, fmt.Errorf("publish over %q: %w; remove it if it is not wanted", p.Store, err)
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
