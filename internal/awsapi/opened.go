package awsapi

import (
	"context"
	"sync"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// Opened is the client of a source, opened at the first question. An attempt
// that fails is made again at the next question: at boot the network may come
// after the refresher. Its zero value has no client yet.
type Opened[C interface{ Stats() directory.Stats }] struct {
	mu     sync.Mutex // guards client and there
	client C
	there  bool
}

// Get returns the client, and opens it where that has not succeeded before.
// Questions that come meanwhile wait.
func (o *Opened[C]) Get(ctx context.Context, open func(context.Context) (C, error)) (C, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.there {
		return o.client, nil
	}
	c, err := open(ctx)
	if err != nil {
		var none C
		return none, err
	}
	o.client, o.there = c, true
	return c, nil
}

// Stats are the calls since the first question.
func (o *Opened[C]) Stats() directory.Stats {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.there {
		return directory.Stats{Spare: true}
	}
	return o.client.Stats()
}
