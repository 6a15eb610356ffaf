package identitycenter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	"github.com/aws/aws-sdk-go-v2/service/identitystore/types"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// A person is a user of the store, as far as it matters.
type person struct {
	directory.User
	refused string    // why the user cannot be taken as it is; "" for most
	read    time.Time // when the store said so
}

// listPeople reads everybody, in so many pages.
func (c *client) listPeople(ctx context.Context, now time.Time) (people map[string]person, pages int, err error) {
	const op = "list users"
	people = map[string]person{}
	err = c.walk(ctx, op, func(ctx context.Context, token *string) (*string, error) {
		out, err := c.api.ListUsers(ctx, &identitystore.ListUsersInput{IdentityStoreId: &c.store.ID, NextToken: token,
			MaxResults: c.PageItems()})
		if err != nil {
			return nil, err
		}
		if out.Users == nil {
			return nil, awsapi.Incomplete(op, "a page has no list of users")
		}
		pages++
		for i := range out.Users {
			p, err := c.personOf(op, &out.Users[i], now)
			if err != nil {
				return nil, err
			}
			people[p.ID] = p
		}
		return out.NextToken, nil
	})
	return people, pages, err
}

// describe reads one person. It reports false if nobody has the id.
func (c *client) describe(ctx context.Context, id string, now time.Time) (p person, there bool, err error) {
	p, _, there, err = c.describeWithNames(ctx, id, now)
	return p, there, err
}

// describeWithNames is describe, with what the person may be called in an answer.
func (c *client) describeWithNames(ctx context.Context, id string, now time.Time) (p person, names []string, there bool,
	err error) {
	op := fmt.Sprintf("read user %q", id)
	err = c.Call(ctx, op, func(ctx context.Context) error {
		out, err := c.api.DescribeUser(ctx, &identitystore.DescribeUserInput{IdentityStoreId: &c.store.ID, UserId: &id})
		if notFound(err, types.ResourceTypeUser) {
			return nil
		}
		if err != nil {
			return err
		}
		u := types.User{
			IdentityStoreId: out.IdentityStoreId, UserId: out.UserId, UserName: out.UserName, NickName: out.NickName,
			Emails: out.Emails, UserStatus: out.UserStatus, CreatedAt: out.CreatedAt,
		}
		p, err = c.personOf(op, &u, now)
		names = namesOf(&u, c.options.NameFrom)
		if err == nil && p.ID != id {
			return awsapi.Incomplete(op, "the answer is about user %q", p.ID)
		}
		there = true
		return err
	})
	return p, names, there, c.explain(err)
}

// personOf takes the fields that matter. A user without an id is no user but a
// broken answer; one without a name is a user who cannot be served.
func (c *client) personOf(op string, u *types.User, now time.Time) (person, error) {
	id := aws.ToString(u.UserId)
	if id == "" {
		return person{}, awsapi.Incomplete(op, "a user has no id")
	}
	if store := aws.ToString(u.IdentityStoreId); store != "" && store != c.store.ID {
		return person{}, awsapi.Incomplete(op, "user %s is of the identity store %q", id, store)
	}
	p := person{read: now, User: directory.User{
		ID: strings.Clone(id), Created: createdAt(u.CreatedAt), Disabled: u.UserStatus == types.UserStatusDisabled,
	}}
	p.Name, p.refused = nameOf(u, c.options.NameFrom)
	return p, nil
}

func createdAt(t *time.Time) time.Time { return aws.ToTime(t).UTC() }

// nameOf is the attribute that becomes the directory name, and why there is none.
func nameOf(u *types.User, from string) (name, missing string) {
	from = cmp.Or(from, nameFromUser)
	name = attribute(u, from)
	if name == "" {
		return "", fmt.Sprintf("%s has no %s, from which accounts.name_from takes the name", about(u),
			strings.ReplaceAll(from, "-", " "))
	}
	return strings.Clone(name), ""
}

// The attributes that may become the directory name.
const (
	nameFromUser  = "user-name"
	nameFromNick  = "nick-name"
	nameFromEmail = "email"
)

func attribute(u *types.User, from string) string {
	switch from {
	case nameFromNick:
		return aws.ToString(u.NickName)
	case nameFromEmail:
		return emailOf(u.Emails)
	}
	return aws.ToString(u.UserName)
}

// namesOf are what a user may be called in an answer of somebody who takes the
// name from this attribute, or, where it is "" or a later release's, from one that
// is not known here.
func namesOf(u *types.User, from string) (names []string) {
	for _, known := range []string{nameFromUser, nameFromNick, nameFromEmail} {
		if from == known {
			return []string{attribute(u, from)}
		}
		names = append(names, attribute(u, known))
	}
	return names
}

// about names a user by what is left where the name is not there.
func about(u *types.User) string {
	if name := aws.ToString(u.UserName); name != "" {
		return fmt.Sprintf("(user name %+.80q)", name)
	}
	return "(without a user name)"
}

// emailOf is the primary address, or the only one.
func emailOf(emails []types.Email) string {
	for _, e := range emails {
		if e.Primary || len(emails) == 1 {
			return aws.ToString(e.Value)
		}
	}
	return ""
}

// listGroups reads all groups without their members, in so many pages.
func (c *client) listGroups(ctx context.Context) (groups map[string]directory.Group, pages int, err error) {
	const op = "list groups"
	groups = map[string]directory.Group{}
	err = c.walk(ctx, op, func(ctx context.Context, token *string) (*string, error) {
		out, err := c.api.ListGroups(ctx, &identitystore.ListGroupsInput{IdentityStoreId: &c.store.ID, NextToken: token,
			MaxResults: c.PageItems()})
		if err != nil {
			return nil, err
		}
		if out.Groups == nil {
			return nil, awsapi.Incomplete(op, "a page has no list of groups")
		}
		pages++
		for i := range out.Groups {
			g := &out.Groups[i]
			id := aws.ToString(g.GroupId)
			if id == "" {
				return nil, awsapi.Incomplete(op, "a group has no id")
			}
			if store := aws.ToString(g.IdentityStoreId); store != "" && store != c.store.ID {
				return nil, awsapi.Incomplete(op, "group %s is of the identity store %q", id, store)
			}
			groups[id] = directory.Group{ID: strings.Clone(id), Name: strings.Clone(aws.ToString(g.DisplayName)),
				Created: createdAt(g.CreatedAt)}
		}
		return out.NextToken, nil
	})
	return groups, pages, err
}

// errGroupGone is in the error of a walk over the members of a group that is not
// there, or not any more.
var errGroupGone = errors.New("the group is gone")

// members reads the ids of a group's members, in so many pages.
func (c *client) members(ctx context.Context, g directory.Group) (ids []string, pages int, err error) {
	op := fmt.Sprintf("list members of group %.200q", g.Name)
	err = c.walk(ctx, op, func(ctx context.Context, token *string) (*string, error) {
		out, err := c.api.ListGroupMemberships(ctx, &identitystore.ListGroupMembershipsInput{IdentityStoreId: &c.store.ID,
			GroupId: &g.ID, NextToken: token, MaxResults: c.PageItems()})
		if notFound(err, types.ResourceTypeGroup) {
			return nil, &awsapi.Error{Op: op, Kind: errGroupGone, Cause: err}
		}
		if err != nil {
			return nil, err
		}
		if out.GroupMemberships == nil {
			return nil, awsapi.Incomplete(op, "a page has no list of memberships")
		}
		pages++
		for i := range out.GroupMemberships {
			m := &out.GroupMemberships[i]
			if of := aws.ToString(m.GroupId); of != "" && of != g.ID {
				return nil, awsapi.Incomplete(op, "the answer is about group %q", of)
			}
			// A member of another kind than a user is none of ours.
			if user, ok := m.MemberId.(*types.MemberIdMemberUserId); ok && user.Value != "" {
				ids = append(ids, strings.Clone(user.Value))
			}
		}
		return out.NextToken, nil
	})
	return ids, pages, err
}

// quoted shows foreign text in one line of plain ASCII.
func quoted(s string) string { return fmt.Sprintf("%+.200q", s) }
