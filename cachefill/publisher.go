package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nss-iam/nss-iam/internal/config"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/internal/snapshot"
	"github.com/nss-iam/nss-iam/internal/state"
)

// publisherSweepAge is how old a listing of keys may be that hosts open doors
// by: they ask nobody else.
const publisherSweepAge = time.Hour

// A publisher writes what a refresher read as a snapshot.
type publisher struct {
	publish config.Publish
	region  string
	renewal time.Duration

	mu   sync.Mutex // package snapshot's publisher is for one at a time
	open *snapshot.Publisher
}

// newPublisher makes the publisher of a configuration with [publish]. The key
// and the store are opened by the first publication.
func newPublisher(c config.Config) (*publisher, error) {
	if err := checkKeys(c); err != nil {
		return nil, err
	}
	// Hosts must hear of keys that were looked at again before these are stale.
	renewal := c.Publish.Expires / 4
	if c.Keys.MaxStale > 0 {
		renewal = min(renewal, c.Keys.MaxStale/4)
	}
	return &publisher{publish: c.Publish, region: c.Source.Region, renewal: renewal}, nil
}

// A publication is what became of one. It survives JSON.
type publication struct {
	Address    string
	Published  bool   // written, or the store had it already
	Generation uint64 // of what is there now
	Bytes      int    `json:",omitempty"` // written
	Users      int
	KeysOf     int    // users whose keys are known
	Replaced   string `json:",omitempty"` // why what was there was overwritten: no host should use it
}

func (p publication) String() string {
	what := "is unchanged"
	if p.Published {
		what = fmt.Sprintf("is written, %d bytes", p.Bytes)
	}
	text := fmt.Sprintf("%s %s: generation %d, %d users, the keys of %d", p.Address, what, p.Generation, p.Users, p.KeysOf)
	if p.Replaced != "" {
		text += "; it replaced what no host should use: " + p.Replaced
	}
	return text
}

// write publishes the last answer of r. confirm says that an answer is a new
// one from the directory, which may be worth publishing though nothing changed.
func (p *publisher) write(ctx context.Context, r *refresh.Refresher, confirm bool) (publication, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		if err := p.prepare(ctx, r.State); err != nil {
			return publication{}, err
		}
	}
	all, repeat, err := r.All()
	if err != nil {
		return publication{}, err
	}
	p.open.Renewal = p.renewal
	if confirm && repeat {
		p.open.Renewal = time.Nanosecond
	}
	result, err := p.open.Publish(ctx, all)
	if err != nil {
		return publication{}, err
	}
	done := publication{
		Address: p.publish.URL, Published: result.Published, Generation: result.Generation, Bytes: result.Bytes,
		Users: len(all.Directory.Users), KeysOf: len(all.Listings),
	}
	if result.Replaced != nil {
		done.Replaced = result.Replaced.Error()
	}
	return done, nil
}

func (p *publisher) prepare(ctx context.Context, s *state.Store) error {
	// The endpoint of [source] is IAM's; S3's and SSM's are the environment's.
	configuration := awsOf(p.region, "")
	signer, err := snapshot.LoadSigner(ctx, p.publish.Key, configuration)
	if err != nil {
		return err
	}
	store, err := snapshot.OpenStore(ctx, p.publish.URL, configuration)
	if err != nil {
		return err
	}
	open := &snapshot.Publisher{Store: store, Signer: signer, Lifetime: p.publish.Expires}
	if len(p.publish.TrustedKeys) > 0 {
		if open.Trusted, err = snapshot.ParsePublicKeys(p.publish.TrustedKeys); err != nil {
			return err
		}
	}
	if open.Highest, open.Note, err = rememberPublished(s, p.publish.URL); err != nil {
		return err
	}
	p.open = open
	return nil
}

// savedPublished is the name under which the state keeps the highest
// generation of every address that was ever published to.
const savedPublished = "published"

// rememberPublished returns the highest generation known of an address, and
// what keeps a higher one.
func rememberPublished(s *state.Store, address string) (snapshot.Mark, func(snapshot.Mark) error, error) {
	var known map[string]snapshot.Mark
	if err := s.Load(savedPublished, &known); err != nil {
		return snapshot.Mark{}, nil, err
	}
	return known[address], func(m snapshot.Mark) error {
		known := map[string]snapshot.Mark{} // a publication elsewhere may have been noted meanwhile
		if err := s.Load(savedPublished, &known); err != nil {
			return err
		}
		known[address] = m
		return s.Save(map[string]any{savedPublished: known})
	}, nil
}

// publish writes the snapshot again if there is something new, and logs a
// failure once. What hosts hold goes on serving them.
func (d *daemon) publish(ctx context.Context, r *refresh.Refresher, writer *publisher, report *report) {
	done, err := writer.write(ctx, r, true)
	if err == nil {
		done.tell(d.log)
		report.Published, report.Unwritten = &done, ""
		return
	}
	if report.Unwritten != err.Error() {
		d.log.Error("publish failed, hosts keep the snapshot before", "error", err)
	}
	report.Unwritten = err.Error()
}

// publishNews is publish for what was learned between refreshes.
func (d *daemon) publishNews(ctx context.Context, r *refresh.Refresher) {
	d.mu.Lock()
	writer := d.publisher
	d.mu.Unlock()
	if writer == nil {
		return
	}
	done, err := writer.write(ctx, r, false)
	if err != nil {
		d.log.Debug("cannot publish new key listings; the next refresh tries again", "error", err)
		return
	}
	done.tell(d.log)
}
