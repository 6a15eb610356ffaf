package identitycenter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/identitystore"
	"github.com/aws/aws-sdk-go-v2/service/identitystore/types"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// A Source is an Identity Store as a directory.Source and a
// directory.UserSource.
type Source struct {
	options Options
	client  awsapi.Opened[*client]
	book    book
}

// WaysIn is what lets people in, since Identity Center holds no key of theirs.
const WaysIn = "Session Manager, Instance Connect, a certificate or keys.chain opens the login"

// NewSource returns a source that has asked nobody yet.
func NewSource(o Options) *Source {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Source{options: o}
}

func (s *Source) open(ctx context.Context) (*client, error) {
	return s.client.Get(ctx, func(ctx context.Context) (*client, error) { return open(ctx, s.options) })
}

// Stats are the calls since the first question.
func (s *Source) Stats() directory.Stats { return s.client.Stats() }

// Cost is what a refresh costs as the last good one has it; zero before it.
func (s *Source) Cost() Cost {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	return s.book.cost
}

// InstanceTag returns the value of a tag of the machine itself.
func (s *Source) InstanceTag(ctx context.Context, key string) (string, error) {
	c, err := s.open(ctx)
	if err != nil {
		return "", err
	}
	return c.InstanceTag(ctx, key)
}

// Directory implements directory.Source. Everybody's listing of keys is empty:
// the store holds none.
func (s *Source) Directory(ctx context.Context, q directory.Query) (directory.Answer, error) {
	c, err := s.open(ctx)
	if err != nil {
		return directory.Answer{}, err
	}
	asked := s.options.Now()
	d, err := s.book.read(ctx, c, q, asked)
	if err != nil {
		return directory.Answer{}, err
	}
	a := directory.Answer{Directory: d, AsOf: asked, Listings: make(map[string]directory.KeyListing, len(d.Users))}
	for _, u := range d.Users {
		a.Listings[u.ID] = directory.KeyListing{Checked: asked}
	}
	return a, nil
}

// Keys implements directory.UserSource: nobody has keys, and whether the user is
// there and may come in is asked all the same.
func (s *Source) Keys(ctx context.Context, u directory.User, _ directory.KeyQuery) (directory.KeyListing, error) {
	asked := s.options.Now()
	if err := s.Exists(ctx, u, false); err != nil {
		return directory.KeyListing{}, err
	}
	return directory.KeyListing{Checked: asked}, nil
}

// Exists implements directory.UserSource. A person who is disabled is out as one
// who is not there, and so is one who was renamed: another may have the name by
// now. The next refresh reads such a person again, however young the last look is.
func (s *Source) Exists(ctx context.Context, u directory.User, _ bool) error {
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	p, names, there, err := c.describeWithNames(ctx, u.ID, s.options.Now())
	renamed := there && !slices.Contains(names, u.Name)
	if err == nil && (!there || p.Disabled || renamed) {
		s.book.doubt(u.ID)
	}
	switch {
	case err != nil:
		return aboutUser(err)
	case !there:
		return fmt.Errorf("user %.200q (%s): %w", u.Name, u.ID, directory.ErrNoSuchUser)
	case p.Disabled:
		return fmt.Errorf("user %.200q (%s): %w: the person is disabled in Identity Center", u.Name, u.ID,
			directory.ErrNoSuchUser)
	case renamed:
		return fmt.Errorf("user %.200q (%s): %w: the person has another name now, %s", u.Name, u.ID,
			directory.ErrNoSuchUser, quoted(p.Name))
	}
	return nil
}

// mostGroups is how many groups one IsMemberInGroups may name.
const mostGroups = 100

// Groups implements directory.UserSource, by IsMemberInGroups.
func (s *Source) Groups(ctx context.Context, u directory.User, among []string) ([]string, error) {
	c, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := s.book.named(ctx, c, among, s.options.Now())
	if err != nil {
		return nil, err
	}
	var in []string
	for part := range slices.Chunk(groups, mostGroups) {
		names, err := c.memberOf(ctx, u, part)
		if err != nil {
			return nil, aboutUser(err)
		}
		in = append(in, names...)
	}
	return in, nil
}

// aboutUser marks the error of a question about one user that the store refused: it may
// be this user's matter alone.
func aboutUser(err error) error {
	if errors.Is(err, awsapi.ErrAccessDenied) || errors.Is(err, awsapi.ErrRefused) {
		return fmt.Errorf("%w: %w", directory.ErrUserRefused, err)
	}
	return err
}

// memberOf returns the names of those of the groups that a user is in. A group
// that is gone has no members.
func (c *client) memberOf(ctx context.Context, u directory.User, groups []directory.Group) ([]string, error) {
	op := fmt.Sprintf("ask for the groups of %q", u.ID)
	var names []string
	for {
		gone := ""
		ids := make([]string, len(groups))
		for i, g := range groups {
			ids[i] = g.ID
		}
		err := c.Call(ctx, op, func(ctx context.Context) error {
			out, err := c.api.IsMemberInGroups(ctx, &identitystore.IsMemberInGroupsInput{
				IdentityStoreId: &c.store.ID, GroupIds: ids, MemberId: &types.MemberIdMemberUserId{Value: u.ID}})
			var missing *types.ResourceNotFoundException
			switch {
			case notFound(err, types.ResourceTypeGroup) && errors.As(err, &missing) && missing.ResourceId != nil &&
				slices.Contains(ids, *missing.ResourceId):
				gone = *missing.ResourceId
				return nil
			case notFound(err, types.ResourceTypeUser):
				return &awsapi.Error{Op: op, Kind: directory.ErrNoSuchUser, Cause: err}
			case err != nil:
				return err
			case len(out.Results) != len(ids):
				return awsapi.Incomplete(op, "%d answers for %d groups", len(out.Results), len(ids))
			}
			names = names[:0]
			for _, r := range out.Results {
				i := -1
				if r.GroupId != nil {
					i = slices.Index(ids, *r.GroupId)
				}
				if i < 0 {
					return awsapi.Incomplete(op, "an answer is about a group that was not asked for")
				}
				if r.MembershipExists {
					names = append(names, groups[i].Name)
				}
			}
			return nil
		})
		if err != nil || gone == "" {
			return names, c.explain(err)
		}
		groups = slices.DeleteFunc(slices.Clone(groups), func(g directory.Group) bool { return g.ID == gone })
		if len(groups) == 0 {
			return nil, nil
		}
	}
}
