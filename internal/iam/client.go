// Package iam reads users, groups, memberships, tags and public keys from AWS
// IAM. It owns what is IAM's own: the operations, what makes an answer whole,
// what a name stands for.
//
// What it returns is complete or an error; it judges nothing else. It keeps no
// state but the caller's and the list of everybody, and it writes nothing to AWS.
package iam

import (
	"context"
	"errors"

	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/nss-iam/nss-iam/internal/awsapi"
)

// ErrNoSuchGroup is in the error of a read of a group that does not exist.
var ErrNoSuchGroup = errors.New("no such group")

// Options are where and how to read IAM. The zero value is this instance's own
// account and region, by its own credentials.
type Options struct {
	awsapi.Options // whose Service and Title are set by Open

	// PathPrefix limits a query for all users to those whose path begins with
	// it; "" is every path.
	PathPrefix string

	// Bulk reads directories by GetAccountAuthorizationDetails: a few calls,
	// whatever the number of groups, with tags, for a permission that shows
	// every policy of the account. BulkTags keeps the tags, which come with it
	// anyway, although a query did not ask for them.
	Bulk, BulkTags bool
}

// The defaults of Options.
const (
	// DefaultRate is at the lower end of the 5 to 35 calls a second that
	// people have seen IAM allow a whole account.
	DefaultRate = 5.0

	// DefaultBurst lets a usual refresh (two login groups of 5,000 users are
	// ten pages, ten published groups as many calls) through without a wait,
	// and is a fraction of what IAM's own buckets have been seen to hold.
	DefaultBurst = 20
)

// How many items a page may have at most. IAM puts up to largestPage on one, and
// may put fewer.
const (
	largestPage  = 1000
	smallestPage = 100
)

// A Client reads one IAM account. Its methods may be called from several
// goroutines, which share its rate.
type Client struct {
	*awsapi.Caller
	options Options
	iam     *awsiam.Client
}

// Open prepares a client, as awsapi.Open does a caller.
func Open(ctx context.Context, o Options) (*Client, error) {
	o.Service, o.Title, o.LargestPage, o.SmallestPage = "IAM", "IAM", largestPage, smallestPage
	if o.PathPrefix == "" {
		o.PathPrefix = "/"
	}
	if o.Rate == 0 {
		o.Rate = DefaultRate
	}
	if o.Burst == 0 {
		o.Burst = DefaultBurst
	}
	caller, err := awsapi.Open(ctx, o.Options)
	if err != nil {
		return nil, err
	}
	return &Client{Caller: caller, options: o, iam: awsiam.NewFromConfig(caller.Config())}, nil
}
