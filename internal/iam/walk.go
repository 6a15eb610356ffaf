package iam

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// How many items a page may have at most. IAM puts up to largestPage on one, and
// may put fewer.
const (
	largestPage  = 1000
	smallestPage = 100
)

// slowPages is how often a walk asks again for a page that took too long.
const slowPages = 2

// A pageSize is how many items to ask for: half as many after a page that took
// too long, twice as many after a walk without one. The zero value is
// largestPage.
type pageSize struct{ halvings atomic.Int32 }

func (s *pageSize) items() *int32 {
	return aws.Int32(max(int32(largestPage)>>s.halvings.Load(), smallestPage))
}

func (s *pageSize) halve() {
	if *s.items() > smallestPage {
		s.halvings.Add(1)
	}
}

func (s *pageSize) double() {
	if n := s.halvings.Load(); n > 0 {
		s.halvings.CompareAndSwap(n, n-1)
	}
}

// maxPages ends a walk that a broken endpoint would make endless: IAM's
// largest list has 5,500 items.
const maxPages = 10000

// A page is what IAM says about the rest of a list.
type page struct {
	truncated bool
	marker    *string
}

// walk reads a list to its end, or fails: the SDK's paginators take a page that
// is truncated and has no marker for the last. A page without IsTruncated that
// has a marker is not taken for the last either.
func (c *Client) walk(ctx context.Context, op string, read func(ctx context.Context, marker *string) (page, error)) error {
	var marker *string
	seen := make(map[string]bool)
	slow := 0
	for n := 1; n <= maxPages; n++ {
		p, err := c.page(ctx, op, marker, read)
		if errors.Is(err, ErrTimeout) && ctx.Err() == nil && directory.LaneOf(ctx) != directory.LoginLane && slow < slowPages {
			c.pages.halve()
			slow++
			n--
			continue
		}
		if err != nil {
			return err
		}
		next := aws.ToString(p.marker)
		switch {
		case next == "" && !p.truncated:
			if slow == 0 {
				c.pages.double()
			}
			return nil
		case next == "":
			return incomplete(op, "page %d says that there is more, and has no marker", n)
		case seen[next]:
			return incomplete(op, "page %d has a marker that an earlier page had", n)
		}
		seen[next] = true
		marker = &next
	}
	return incomplete(op, "there is no end after %d pages", maxPages)
}

// page reads one page. If nobody waits for it, one try that takes too long ends
// the call: the next one is for a smaller page.
func (c *Client) page(ctx context.Context, op string, marker *string, read func(ctx context.Context, marker *string) (page, error)) (p page, err error) {
	f := func(ctx context.Context) (err error) {
		p, err = read(ctx, marker)
		return err
	}
	if directory.LaneOf(ctx) == directory.LoginLane {
		err = c.call(ctx, op, f)
		return p, err
	}
	err = c.within(ctx, op, c.options.PageTimeout+c.options.PageTimeout/8, f)
	return p, err
}

func incomplete(op, format string, args ...any) *Error {
	return &Error{Op: op, Kind: ErrIncomplete, Detail: fmt.Sprintf(format, args...)}
}
