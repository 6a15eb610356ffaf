package awsapi

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// slowPages is how often a walk asks again for a page that took too long.
const slowPages = 2

// A pageSize is how many items to ask for: half as many after a page that took
// too long, twice as many after a walk without one.
type pageSize struct {
	largest, smallest int32
	halvings          atomic.Int32
}

func (s *pageSize) items() int32 { return max(s.largest>>s.halvings.Load(), s.smallest) }

func (s *pageSize) halve() {
	if s.items() > s.smallest {
		s.halvings.Add(1)
	}
}

func (s *pageSize) double() {
	if n := s.halvings.Load(); n > 0 {
		s.halvings.CompareAndSwap(n, n-1)
	}
}

// maxPages ends a walk that a broken endpoint would make endless: a
// large company has some hundred pages.
const maxPages = 10000

// PageItems is how many items to ask for on a page.
func (c *Caller) PageItems() *int32 { return aws.Int32(c.pages.items()) }

// A Page is what AWS says about the rest of a list.
type Page struct {
	Truncated bool
	Marker    *string
}

// Walk reads a list to its end, or fails: the SDK's paginators take a page that
// is truncated and has no marker for the last. A page without IsTruncated that
// has a marker is not taken for the last either.
func (c *Caller) Walk(ctx context.Context, op string, read func(ctx context.Context, marker *string) (Page,
	error)) error {
	var marker *string
	seen := make(map[string]bool)
	slow := 0
	for n := 1; n <= maxPages; n++ {
		p, err := c.page(ctx, op, marker, read)
		if errors.Is(err, ErrTimeout) && ctx.Err() == nil && directory.LaneOf(ctx) != directory.LoginLane &&
			slow < slowPages {
			c.pages.halve()
			slow++
			n--
			continue
		}
		if err != nil {
			return err
		}
		next := aws.ToString(p.Marker)
		switch {
		case next == "" && !p.Truncated:
			if slow == 0 {
				c.pages.double()
			}
			return nil
		case next == "":
			return Incomplete(op, "page %d says that there is more, and has no marker", n)
		case seen[next]:
			return Incomplete(op, "page %d has a marker that an earlier page had", n)
		}
		seen[next] = true
		marker = &next
	}
	return Incomplete(op, "there is no end after %d pages", maxPages)
}

// page reads one page. If nobody waits for it, one try that takes too long ends
// the call: the next one is for a smaller page.
func (c *Caller) page(ctx context.Context, op string, marker *string,
	read func(ctx context.Context, marker *string) (Page, error)) (p Page, err error) {
	f := func(ctx context.Context) (err error) {
		p, err = read(ctx, marker)
		return err
	}
	if directory.LaneOf(ctx) == directory.LoginLane {
		err = c.Call(ctx, op, f)
		return p, err
	}
	err = c.within(ctx, op, c.options.PageTimeout+c.options.PageTimeout/8, f)
	return p, err
}

// Incomplete is the error for an answer that cannot be whole.
func Incomplete(op, format string, args ...any) *Error {
	return &Error{Op: op, Kind: ErrIncomplete, Detail: fmt.Sprintf(format, args...)}
}
