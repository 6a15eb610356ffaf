package iam

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"golang.org/x/sync/errgroup"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// Directory reads what the query asks for: everything, or an error. IAM is not
// frozen meanwhile, so two rules keep the answer in one piece:
//
// A user that is seen under two names or paths, because it was changed during
// the walk, is taken as the last answer has it, in this order: the list of
// users, then groups by name as the query and IAM's list of groups have them.
//
// What cannot be one account at one time, such as two users of one name or a
// membership in a group that is not there, is ErrIncomplete; the next read will
// do.
func (c *Client) Directory(ctx context.Context, q directory.Query) (directory.Directory, error) {
	for _, pattern := range q.Publish {
		if _, err := path.Match(pattern, ""); err != nil {
			return directory.Directory{}, fmt.Errorf("match group names with %q: %w", pattern, err)
		}
	}
	if slices.Contains(q.Groups, "") {
		return directory.Directory{}, errors.New("read groups: a name is empty")
	}
	read := c.readParts
	if c.options.Bulk {
		read = c.readBulk
	}
	b, err := read(ctx, q)
	if err != nil {
		return directory.Directory{}, err
	}
	return b.directory()
}

// readParts reads each group by itself.
func (c *Client) readParts(ctx context.Context, q directory.Query) (*builder, error) {
	names, published, err := c.groupNames(ctx, q)
	if err != nil {
		return nil, err
	}
	b := newBuilder()
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(awsapi.Parallel)
	all := newPart()
	if q.AllUsers {
		g.Go(func() error { return c.listUsers(inner, c.options.PathPrefix, all) })
	}
	parts := make([]*part, len(names))
	for i, name := range names {
		g.Go(func() error {
			p, err := c.readGroup(inner, name)
			parts[i] = p // nil: there is no such group
			if errors.Is(err, ErrNoSuchGroup) {
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if q.AllUsers {
		b.keepOnly(all.users)
		if err := b.add(all); err != nil {
			return nil, err
		}
	}
	for i, p := range parts {
		if p == nil {
			// A group that only a pattern asked for was deleted after the list was read.
			if !published[directory.FoldName(names[i])] {
				b.missing = append(b.missing, names[i])
			}
			continue
		}
		if err := b.add(p); err != nil {
			return nil, err
		}
	}
	if q.Tags {
		if err := c.readTags(ctx, b); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// groupNames is which groups to read, each once, the query's own first.
// published has those, in lower case, that only a pattern asks for.
func (c *Client) groupNames(ctx context.Context, q directory.Query) (names []string, published map[string]bool,
	err error) {
	seen := make(map[string]bool)
	for _, name := range q.Groups {
		if fold := directory.FoldName(name); !seen[fold] {
			seen[fold] = true
			names = append(names, name)
		}
	}
	if len(q.Publish) == 0 {
		return names, nil, nil
	}
	published = make(map[string]bool)
	const op = "list groups"
	err = c.Walk(ctx, op, func(ctx context.Context, marker *string) (awsapi.Page, error) {
		out, err := c.iam.ListGroups(ctx, &awsiam.ListGroupsInput{Marker: marker, MaxItems: c.PageItems()})
		if err != nil {
			return awsapi.Page{}, err
		}
		if out.Groups == nil {
			return awsapi.Page{}, awsapi.Incomplete(op, "a page has no list of groups")
		}
		for _, g := range out.Groups {
			name := aws.ToString(g.GroupName)
			fold := directory.FoldName(name)
			if name != "" && !seen[fold] && q.Publishes(name) {
				seen[fold], published[fold] = true, true
				names = append(names, name)
			}
		}
		return awsapi.Page{Truncated: out.IsTruncated, Marker: out.Marker}, nil
	})
	return names, published, err
}

func (c *Client) listUsers(ctx context.Context, prefix string, into *part) error {
	const op = "list users"
	return c.Walk(ctx, op, func(ctx context.Context, marker *string) (awsapi.Page, error) {
		out, err := c.iam.ListUsers(ctx, &awsiam.ListUsersInput{PathPrefix: &prefix, Marker: marker, MaxItems: c.PageItems()})
		if err != nil {
			return awsapi.Page{}, err
		}
		if out.Users == nil {
			return awsapi.Page{}, awsapi.Incomplete(op, "a page has no list of users")
		}
		return awsapi.Page{Truncated: out.IsTruncated, Marker: out.Marker}, into.addUsers(op, out.Users)
	})
}

// readGroup reads one group with its members.
func (c *Client) readGroup(ctx context.Context, name string) (*part, error) {
	op := fmt.Sprintf("read group %q", name)
	p := newPart()
	p.group = &directory.Group{}
	err := c.Walk(ctx, op, func(ctx context.Context, marker *string) (awsapi.Page, error) {
		out, err := c.iam.GetGroup(ctx, &awsiam.GetGroupInput{GroupName: &name, Marker: marker, MaxItems: c.PageItems()})
		var none *types.NoSuchEntityException
		if p.group.ID != "" && errors.As(err, &none) {
			// Nobody may lose a right by half a walk: the next one tells.
			return awsapi.Page{}, awsapi.Incomplete(op, "the group was there at the begin of the walk, and is not at its end")
		}
		if err != nil {
			return awsapi.Page{}, missing(err, op, ErrNoSuchGroup, "correct the name in the configuration, or create the group")
		}
		if out.Group == nil || out.Users == nil {
			return awsapi.Page{}, awsapi.Incomplete(op, "a page has no group or no list of users")
		}
		group, err := p.groupOf(op, out.Group.GroupId, out.Group.GroupName, out.Group.Path, out.Group.Arn,
			out.Group.CreateDate)
		switch {
		case err != nil:
			return awsapi.Page{}, err
		case !directory.SameName(group.Name, name):
			return awsapi.Page{}, awsapi.Incomplete(op, "the answer is about group %q", group.Name)
		case p.group.ID != "" && p.group.ID != group.ID:
			return awsapi.Page{}, awsapi.Incomplete(op, "the group was deleted and created again during the walk")
		}
		*p.group = group
		return awsapi.Page{Truncated: out.IsTruncated, Marker: out.Marker}, p.addUsers(op, out.Users)
	})
	if err != nil {
		return nil, err
	}
	for id := range p.users {
		p.group.Members = append(p.group.Members, id)
	}
	return p, nil
}

// missing turns IAM's NoSuchEntity into an error of the given kind.
func missing(err error, op string, kind error, remedy string) error {
	var none *types.NoSuchEntityException
	if !errors.As(err, &none) {
		return err
	}
	return &awsapi.Error{Op: op, Kind: kind, Cause: err, Detail: none.ErrorMessage(), Remedy: remedy}
}

// readTags reads every user's tags, and drops users that are gone by now.
func (c *Client) readTags(ctx context.Context, b *builder) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(awsapi.Parallel)
	type tagged struct {
		id   string
		tags map[string]string
		gone bool
	}
	answers := make([]tagged, 0, len(b.users))
	for id := range b.users {
		answers = append(answers, tagged{id: id})
	}
	for i := range answers {
		name := b.users[answers[i].id].Name
		g.Go(func() error {
			tags, err := c.Tags(ctx, name)
			if errors.Is(err, directory.ErrNoSuchUser) {
				answers[i].gone = true
				return nil
			}
			answers[i].tags = tags
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, a := range answers {
		if a.gone {
			b.drop(a.id)
			continue
		}
		u := b.users[a.id]
		u.Tags = a.tags
		b.users[a.id] = u
	}
	return nil
}
