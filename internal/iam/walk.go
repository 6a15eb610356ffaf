package iam

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// pageSize is the most items that IAM puts on a page. It may put fewer.
const pageSize = 1000

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
	for n := 1; n <= maxPages; n++ {
		var p page
		err := c.call(ctx, op, func(ctx context.Context) (err error) {
			p, err = read(ctx, marker)
			return err
		})
		if err != nil {
			return err
		}
		next := aws.ToString(p.marker)
		switch {
		case next == "" && !p.truncated:
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

func incomplete(op, format string, args ...any) *Error {
	return &Error{Op: op, Kind: ErrIncomplete, Detail: fmt.Sprintf(format, args...)}
}
