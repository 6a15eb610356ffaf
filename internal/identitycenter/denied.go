package identitycenter

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	"github.com/aws/aws-sdk-go-v2/service/identitystore/types"

	"github.com/nss-iam/nss-iam/internal/awsapi"
)

// nobody has the form of an id, and is no user's and no group's. AWS looks at
// permissions before it looks for the id.
const nobody = "00000000-0000-0000-0000-000000000000"

// AlsoDenied makes each call that a refresh needs, and with logins each that a login
// needs, after a read that ended with err for want of a permission. It returns what else
// AWS refuses, so that a person grants all of it at once.
func (s *Source) AlsoDenied(ctx context.Context, err error, logins bool) (denied []error) {
	c, failed := s.open(ctx)
	if failed != nil {
		return nil // the store is not found, so that there is none to ask
	}
	id, few := aws.String(nobody), aws.Int32(1)
	for _, call := range []struct {
		action, op string
		login      bool
		ask        func(ctx context.Context) error
	}{
		{"ListGroups", "list groups", false, func(ctx context.Context) error {
			_, err := c.api.ListGroups(ctx, &identitystore.ListGroupsInput{IdentityStoreId: &c.store.ID, MaxResults: few})
			return err
		}},
		{"ListGroupMemberships", "list members of a group", false, func(ctx context.Context) error {
			_, err := c.api.ListGroupMemberships(ctx, &identitystore.ListGroupMembershipsInput{
				IdentityStoreId: &c.store.ID, GroupId: id, MaxResults: few})
			return err
		}},
		{"ListUsers", "list users", false, func(ctx context.Context) error {
			_, err := c.api.ListUsers(ctx, &identitystore.ListUsersInput{IdentityStoreId: &c.store.ID, MaxResults: few})
			return err
		}},
		// A refresh reads people one by one, too.
		{"DescribeUser", "read a user", false, func(ctx context.Context) error {
			_, err := c.api.DescribeUser(ctx, &identitystore.DescribeUserInput{IdentityStoreId: &c.store.ID, UserId: id})
			return err
		}},
		{"IsMemberInGroups", "ask for the groups of a user", true, func(ctx context.Context) error {
			_, err := c.api.IsMemberInGroups(ctx, &identitystore.IsMemberInGroupsInput{IdentityStoreId: &c.store.ID,
				GroupIds: []string{nobody}, MemberId: &types.MemberIdMemberUserId{Value: nobody}})
			return err
		}},
	} {
		if call.login && !logins || strings.Contains(err.Error(), "identitystore:"+call.action+" ") {
			continue
		}
		refused := c.Call(ctx, call.op, call.ask)
		var key *types.AccessDeniedException
		if errors.As(refused, &key) && key.Reason == types.AccessDeniedExceptionReasonKmsAccessDenied {
			return nil // err says it: each call would
		}
		if errors.Is(refused, awsapi.ErrAccessDenied) {
			denied = append(denied, refused)
		}
	}
	return denied
}
