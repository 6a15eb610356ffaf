package iam

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// readBulk reads all users and groups in one walk, and keeps what the query
// asks for. Memberships are by group name there, and users come before groups:
// a membership in a group that is not listed means that a group was renamed or
// deleted during the walk, and would otherwise look like an empty group.
func (c *Client) readBulk(ctx context.Context, q directory.Query) (*builder, error) {
	const op = "read account"
	all := newPart()
	groups := make(map[string]*directory.Group) // by name in lower case
	memberships := make(map[string][]string)    // group name in lower case → user ids
	err := c.Walk(ctx, op, func(ctx context.Context, marker *string) (awsapi.Page, error) {
		out, err := c.iam.GetAccountAuthorizationDetails(ctx, &awsiam.GetAccountAuthorizationDetailsInput{
			Filter: []types.EntityType{types.EntityTypeUser, types.EntityTypeGroup}, Marker: marker, MaxItems: c.PageItems()})
		if err != nil {
			return awsapi.Page{}, err
		}
		if out.UserDetailList == nil && out.GroupDetailList == nil {
			return awsapi.Page{}, awsapi.Incomplete(op, "a page has neither users nor groups")
		}
		for i := range out.UserDetailList {
			u := &out.UserDetailList[i]
			user, err := all.userOf(op, u.UserId, u.UserName, u.Path, u.Arn, u.CreateDate)
			if err != nil {
				return awsapi.Page{}, err
			}
			if _, twice := all.users[user.ID]; twice {
				// Its memberships would be those of two times.
				return awsapi.Page{}, awsapi.Incomplete(op, "user %q is listed twice: it was renamed during the walk", user.Name)
			}
			if q.Tags || c.options.BulkTags {
				user.Tags = tagsOf(u.Tags)
			}
			all.users[user.ID] = user
			for _, name := range u.GroupList {
				fold := directory.FoldName(name)
				memberships[fold] = append(memberships[fold], user.ID)
			}
		}
		for i := range out.GroupDetailList {
			g := &out.GroupDetailList[i]
			group, err := all.groupOf(op, g.GroupId, g.GroupName, g.Path, g.Arn, g.CreateDate)
			if err != nil {
				return awsapi.Page{}, err
			}
			fold := directory.FoldName(group.Name)
			if groups[fold] != nil {
				return awsapi.Page{}, awsapi.Incomplete(op, "group %q is listed twice: groups were renamed during the walk",
					group.Name)
			}
			groups[fold] = &group
		}
		return awsapi.Page{Truncated: out.IsTruncated, Marker: out.Marker}, nil
	})
	if err != nil {
		return nil, err
	}
	for fold := range memberships {
		if groups[fold] == nil {
			return nil, awsapi.Incomplete(op, "users are in group %q, which is not listed: it was renamed or deleted during "+
				"the walk", fold)
		}
	}
	return c.choose(q, all, groups, memberships)
}

// choose keeps the groups and users that a query asks for.
func (c *Client) choose(q directory.Query, all *part, groups map[string]*directory.Group,
	memberships map[string][]string) (*builder, error) {
	b := newBuilder()
	b.account = all.account
	b.everybody = []directory.Claimant{}
	for _, u := range all.users {
		b.everybody = append(b.everybody, directory.Claimant{ID: u.ID, Name: u.Name, Created: u.Created})
	}
	for _, g := range groups {
		b.everybody = append(b.everybody, directory.Claimant{ID: g.ID, Group: true, Name: g.Name, Created: g.Created})
	}
	if q.AllUsers {
		for id, u := range all.users {
			if strings.HasPrefix(u.Path, c.options.PathPrefix) {
				b.users[id] = u
			}
		}
		b.keepOnly(b.users)
	}
	wanted := make(map[string]bool)
	for _, name := range q.Groups {
		fold := directory.FoldName(name)
		if groups[fold] == nil {
			b.missing = append(b.missing, name)
			continue
		}
		wanted[fold] = true
	}
	for fold := range groups {
		if q.Publishes(fold) {
			wanted[fold] = true
		}
	}
	for fold := range wanted {
		p := &part{users: make(map[string]directory.User), group: groups[fold]}
		p.group.Members = memberships[fold]
		for _, id := range p.group.Members {
			p.users[id] = all.users[id]
		}
		if err := b.add(p); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// tagsOf is never nil: there are tags, if only none.
func tagsOf(tags []types.Tag) map[string]string {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return m
}
