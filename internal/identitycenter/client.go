// Package identitycenter reads people, groups and memberships from the Identity
// Store of IAM Identity Center. It owns what is that store's own: the
// operations, what makes an answer whole, and how to ask little of a rate that a
// whole organization shares.
//
// What it returns is complete or an error; it judges nothing else. The store
// holds no SSH keys. It writes nothing to AWS.
package identitycenter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	"github.com/aws/aws-sdk-go-v2/service/identitystore/types"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// OrganizationRate is how many calls a second the Identity Store allows all
// readers of an organization together.
// https://docs.aws.amazon.com/singlesignon/latest/userguide/limits.html
const OrganizationRate = 20.0

// DefaultBurst lets a usual refresh through without a wait. It is less than the
// calls of one second, because a store may allow no more than those at once, and counts
// a call when it arrives: a call that is late, and on its way together with the
// next ones, must not be one too many.
const DefaultBurst = OrganizationRate - awsapi.Parallel

// How many items a page may have at most.
const (
	largestPage  = 100
	smallestPage = 25
)

// ErrNoStore is in the error of a read for which no identity store was found, or
// not the one that the configuration names.
var ErrNoStore = errors.New("no such identity store")

// Options are where and how to read. The zero value is the store that this
// instance's own credentials find in its own region, with the user names.
type Options struct {
	awsapi.Options // whose Service and Title are set by open

	Store    string // d-…; "": the one that ListIdentityStores finds
	NameFrom string // "user-name", "nick-name" or "email"; "" is "user-name", and any of them at a login

	Now func() time.Time // the clock by which what is known grows old; nil is time.Now
}

// A client asks one store.
type client struct {
	*awsapi.Caller
	options Options
	api     *identitystore.Client
	store   directory.Store
	account string // "" where ListIdentityStores may not be asked
}

// open prepares a client, and finds the store.
func open(ctx context.Context, o Options) (*client, error) {
	o.Service, o.Title, o.JSON, o.LargestPage, o.SmallestPage = identitystore.ServiceID, "Identity Center", true,
		largestPage, smallestPage
	o.ThrottledRemedy = fmt.Sprintf("the Identity Store allows %g calls a second for the whole organization: let one "+
		"host publish a snapshot ([publish]) and the others read it, or lengthen source.refresh", OrganizationRate)
	if o.Burst == 0 {
		o.Burst = DefaultBurst
	}
	caller, err := awsapi.Open(ctx, o.Options)
	if err != nil {
		return nil, err
	}
	c := &client{Caller: caller, options: o, api: identitystore.NewFromConfig(caller.Config()),
		store: directory.Store{ID: o.Store, Region: caller.Region(), NameFrom: cmp.Or(o.NameFrom, nameFromUser)}}
	return c, c.find(ctx)
}

// storeARN is the ARN of an identity store, with the account that owns it.
var storeARN = regexp.MustCompile(`^arn:aws[a-z-]*:identitystore::([0-9]{12}):identitystore/d-[0-9a-z]{10}$`)

// find asks which stores there are. Where a store is configured the answer only
// adds the account, and a reader who may not ask does without.
func (c *client) find(ctx context.Context) error {
	const op = "find the identity store"
	var stores []types.IdentityStore
	err := c.walk(ctx, op, func(ctx context.Context, token *string) (*string, error) {
		out, err := c.api.ListIdentityStores(ctx, &identitystore.ListIdentityStoresInput{NextToken: token,
			MaxResults: c.PageItems()})
		if err != nil {
			return nil, err
		}
		if out.IdentityStores == nil {
			return nil, awsapi.Incomplete(op, "a page has no list of stores")
		}
		stores = append(stores, out.IdentityStores...)
		return out.NextToken, nil
	})
	if errors.Is(err, awsapi.ErrAccessDenied) && c.options.Store != "" {
		return nil
	}
	if err != nil {
		return err
	}
	var ids []string
	for _, s := range stores {
		id := aws.ToString(s.IdentityStoreId)
		ids = append(ids, id)
		if id != c.options.Store && (c.options.Store != "" || len(stores) != 1) {
			continue
		}
		c.store.ID = id
		if m := storeARN.FindStringSubmatch(aws.ToString(s.IdentityStoreArn)); m != nil {
			c.account = m[1]
		}
		return nil
	}
	switch {
	case c.options.Store != "":
		return &awsapi.Error{Op: op, Kind: ErrNoStore, Detail: fmt.Sprintf("%q is not one that these credentials see in "+
			"region %s (%s)", c.options.Store, c.Region(), listed(ids)),
			Remedy: "correct source.identity_store and source.region, which is the home region of Identity Center, or remove " +
				"source.identity_store"}
	case len(ids) == 0:
		return &awsapi.Error{Op: op, Kind: ErrNoStore, Detail: "there is none in region " + c.Region(),
			Remedy: "set source.region to the home region of Identity Center, or source.identity_store"}
	}
	return &awsapi.Error{Op: op, Kind: ErrNoStore, Detail: "there are several: " + listed(ids),
		Remedy: "set source.identity_store to one of them"}
}

func listed(ids []string) string {
	if len(ids) == 0 {
		return "none"
	}
	return fmt.Sprintf("%.400q", strings.Join(ids, ", "))
}

// walk reads a list to its end.
func (c *client) walk(ctx context.Context, op string, read func(ctx context.Context, token *string) (*string,
	error)) error {
	return c.explain(c.Walk(ctx, op, func(ctx context.Context, token *string) (awsapi.Page, error) {
		next, err := read(ctx, token)
		return awsapi.Page{Marker: next}, err
	}))
}

// explain adds to an error what only this API says: that the store's key is in
// the way, and that the store itself is not there.
func (c *client) explain(err error) error {
	var failed *awsapi.Error
	if !errors.As(err, &failed) {
		return err
	}
	var denied *types.AccessDeniedException
	var missing *types.ResourceNotFoundException
	switch {
	case errors.As(err, &denied) && denied.Reason == types.AccessDeniedExceptionReasonKmsAccessDenied:
		failed.Detail = "the identity store has a KMS key of its own, which these credentials may not use: " +
			denied.ErrorMessage()
		failed.Remedy = `grant kms:Decrypt on that key to this role, in the role's policy and in the key's policy`
	case errors.As(err, &missing) && missing.Reason == types.ResourceNotFoundExceptionReasonKmsKeyNotFound:
		failed.Detail = "the KMS key of the identity store is not found: " + missing.ErrorMessage()
		failed.Remedy = "restore the key, or correct it in Identity Center's settings"
	case errors.As(err, &missing) && missing.ResourceType == types.ResourceTypeIdentityStore:
		failed.Kind, failed.Detail = ErrNoStore, fmt.Sprintf("%q is not one that these credentials see in region %s",
			c.store.ID, c.Region())
		failed.Remedy = "correct source.identity_store and source.region, which is the home region of Identity Center"
	}
	return err
}

// notFound reports whether an error says that a user or group is not there, and
// nothing else: an answer about the store's key or the store is no such answer.
func notFound(err error, what types.ResourceType) bool {
	var missing *types.ResourceNotFoundException
	return errors.As(err, &missing) && missing.Reason == "" && (missing.ResourceType == what || missing.ResourceType == "")
}
