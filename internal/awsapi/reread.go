package awsapi

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// rereadAfter is how long credentials of a file are used before the file is
// read again. An agent that writes them there (Systems Manager's on hybrid
// nodes: good for an hour, written every 30 minutes) leaves both valid for long.
const rereadAfter = time.Minute

// A rereader is the SDK's credential chain for a process that goes on. The SDK
// reads a credentials file once, and never again when that file was not there
// yet. Its methods may be called from several goroutines.
type rereader struct {
	// load makes the chain again.
	load func(context.Context) (aws.CredentialsProvider, error)
	now  func() time.Time

	mu    sync.Mutex
	chain aws.CredentialsProvider
	read  time.Time // when chain was made; zero: it is to be made again
}

// ofFile reports whether a chain has credentials that stand in a file.
func ofFile(ctx context.Context, chain aws.CredentialsProvider) bool {
	if !aws.IsCredentialsProvider(chain, credentials.StaticCredentialsProvider{}) {
		return false // and asking it may take a network
	}
	c, err := chain.Retrieve(ctx)
	return err == nil && strings.HasPrefix(c.Source, "SharedConfigCredentials")
}

// Retrieve implements aws.CredentialsProvider.
func (r *rereader) Retrieve(ctx context.Context) (aws.Credentials, error) {
	chain := r.current(ctx)
	found, err := chain.Retrieve(ctx)
	if err == nil {
		return found, nil
	}
	// A file may have come since.
	if fresh, loadErr := r.load(ctx); loadErr == nil && ofFile(ctx, fresh) {
		r.take(fresh)
		return fresh.Retrieve(ctx)
	}
	return found, err
}

// current is the chain, made again if it has credentials of a file that were
// read too long ago. A file that cannot be read leaves what was read.
func (r *rereader) current(ctx context.Context) aws.CredentialsProvider {
	r.mu.Lock()
	chain, read := r.chain, r.read
	r.mu.Unlock()
	if r.now().Sub(read) < rereadAfter || !ofFile(ctx, chain) {
		return chain
	}
	fresh, err := r.load(ctx)
	if err != nil || !ofFile(ctx, fresh) {
		return chain
	}
	r.take(fresh)
	return fresh
}

func (r *rereader) take(chain aws.CredentialsProvider) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chain, r.read = chain, r.now()
}

// Invalidate has the next Retrieve look for credentials again.
func (r *rereader) Invalidate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = time.Time{}
	if cache, ok := r.chain.(interface{ Invalidate() }); ok {
		cache.Invalidate()
	}
}
