package iam

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// errNoName keeps calls from going out without a user name, which IAM answers
// with what belongs to the caller itself.
var errNoName = errors.New("the user name is empty")

// User returns the user that a name stands for now, without tags. A user that
// does not exist is directory.ErrNoSuchUser.
func (c *Client) User(ctx context.Context, userName string) (user directory.User, err error) {
	op := fmt.Sprintf("read user %q", userName)
	if userName == "" {
		return user, fmt.Errorf("%s: %w", op, errNoName)
	}
	err = c.Call(ctx, op, func(ctx context.Context) error {
		out, err := c.iam.GetUser(ctx, &awsiam.GetUserInput{UserName: &userName})
		if err != nil {
			return missing(err, op, directory.ErrNoSuchUser, "")
		}
		if out.User == nil {
			return awsapi.Incomplete(op, "the answer has no user")
		}
		u := out.User
		user, err = newPart().userOf(op, u.UserId, u.UserName, u.Path, u.Arn, u.CreateDate)
		return err
	})
	return user, err
}

// Keys reads a user's SSH public keys, ascending by ID. The body under a key id
// never changes, so known is asked first (nil knows nothing), and only the
// unknown bodies of active keys are fetched; an inactive key that is not known
// has no body. A key that vanishes meanwhile is left out. A user that does not
// exist is directory.ErrNoSuchUser.
func (c *Client) Keys(ctx context.Context, userName string, known func(keyID string) (body string,
	ok bool)) ([]directory.Key, error) {
	op := fmt.Sprintf("list SSH keys of %q", userName)
	if userName == "" {
		return nil, fmt.Errorf("%s: %w", op, errNoName)
	}
	listed := make(map[string]directory.Key)
	err := c.Walk(ctx, op, func(ctx context.Context, marker *string) (awsapi.Page, error) {
		out, err := c.iam.ListSSHPublicKeys(ctx, &awsiam.ListSSHPublicKeysInput{UserName: &userName, Marker: marker,
			MaxItems: c.PageItems()})
		if err != nil {
			return awsapi.Page{}, missing(err, op, directory.ErrNoSuchUser, "")
		}
		if out.SSHPublicKeys == nil {
			return awsapi.Page{}, awsapi.Incomplete(op, "a page has no list of keys")
		}
		for _, k := range out.SSHPublicKeys {
			key := directory.Key{ID: aws.ToString(k.SSHPublicKeyId), Active: k.Status == types.StatusTypeActive,
				Uploaded: aws.ToTime(k.UploadDate).UTC()}
			if key.ID == "" || k.UploadDate == nil {
				return awsapi.Page{}, awsapi.Incomplete(op, "a key has no id or no upload date")
			}
			if k.UserName != nil && !directory.SameName(*k.UserName, userName) {
				return awsapi.Page{}, awsapi.Incomplete(op, "the answer is about user %q", *k.UserName)
			}
			listed[key.ID] = key
		}
		return awsapi.Page{Truncated: out.IsTruncated, Marker: out.Marker}, nil
	})
	if err != nil {
		return nil, err
	}
	keys := make([]directory.Key, 0, len(listed))
	for _, id := range slices.Sorted(maps.Keys(listed)) {
		key := listed[id]
		if known != nil {
			if body, ok := known(id); ok {
				key.Body = body
				keys = append(keys, key)
				continue
			}
		}
		if key.Active {
			there, err := c.readKey(ctx, userName, &key)
			if err != nil {
				return nil, err
			}
			if !there {
				continue
			}
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// readKey fetches the body of a key, and its status again. It reports false if
// the key is no longer there.
func (c *Client) readKey(ctx context.Context, userName string, key *directory.Key) (there bool, err error) {
	op := fmt.Sprintf("read SSH key %s of %q", key.ID, userName)
	err = c.Call(ctx, op, func(ctx context.Context) error {
		out, err := c.iam.GetSSHPublicKey(ctx, &awsiam.GetSSHPublicKeyInput{UserName: &userName, SSHPublicKeyId: &key.ID,
			Encoding: types.EncodingTypeSsh})
		var none *types.NoSuchEntityException
		switch {
		case errors.As(err, &none):
			return nil
		case err != nil:
			return err
		case out.SSHPublicKey == nil || aws.ToString(out.SSHPublicKey.SSHPublicKeyBody) == "":
			return awsapi.Incomplete(op, "the answer has no body")
		case aws.ToString(out.SSHPublicKey.SSHPublicKeyId) != key.ID:
			return awsapi.Incomplete(op, "the answer is about key %q", aws.ToString(out.SSHPublicKey.SSHPublicKeyId))
		case !directory.SameName(aws.ToString(out.SSHPublicKey.UserName), userName):
			return awsapi.Incomplete(op, "the answer is about user %q", aws.ToString(out.SSHPublicKey.UserName))
		}
		key.Body = *out.SSHPublicKey.SSHPublicKeyBody
		key.Active = out.SSHPublicKey.Status == types.StatusTypeActive
		there = true
		return nil
	})
	return there, err
}

// GroupsOf reads the groups that a user is in, ascending by ID, without their
// members. A user that does not exist is directory.ErrNoSuchUser.
func (c *Client) GroupsOf(ctx context.Context, userName string) ([]directory.Group, error) {
	op := fmt.Sprintf("list groups of %q", userName)
	if userName == "" {
		return nil, fmt.Errorf("%s: %w", op, errNoName)
	}
	p := newPart()
	found := make(map[string]directory.Group)
	err := c.Walk(ctx, op, func(ctx context.Context, marker *string) (awsapi.Page, error) {
		out, err := c.iam.ListGroupsForUser(ctx, &awsiam.ListGroupsForUserInput{UserName: &userName, Marker: marker,
			MaxItems: c.PageItems()})
		if err != nil {
			return awsapi.Page{}, missing(err, op, directory.ErrNoSuchUser, "")
		}
		if out.Groups == nil {
			return awsapi.Page{}, awsapi.Incomplete(op, "a page has no list of groups")
		}
		for i := range out.Groups {
			g := &out.Groups[i]
			group, err := p.groupOf(op, g.GroupId, g.GroupName, g.Path, g.Arn, g.CreateDate)
			if err != nil {
				return awsapi.Page{}, err
			}
			found[group.ID] = group
		}
		return awsapi.Page{Truncated: out.IsTruncated, Marker: out.Marker}, nil
	})
	if err != nil {
		return nil, err
	}
	groups := make([]directory.Group, 0, len(found))
	for _, id := range slices.Sorted(maps.Keys(found)) {
		groups = append(groups, found[id])
	}
	return groups, nil
}

// Tags reads a user's tags, which are never nil. A user that does not exist is
// ErrNoSuchUser.
func (c *Client) Tags(ctx context.Context, userName string) (map[string]string, error) {
	op := fmt.Sprintf("list tags of %q", userName)
	if userName == "" {
		return nil, fmt.Errorf("%s: %w", op, errNoName)
	}
	tags := make(map[string]string)
	err := c.Walk(ctx, op, func(ctx context.Context, marker *string) (awsapi.Page, error) {
		out, err := c.iam.ListUserTags(ctx, &awsiam.ListUserTagsInput{UserName: &userName, Marker: marker,
			MaxItems: c.PageItems()})
		if err != nil {
			return awsapi.Page{}, missing(err, op, directory.ErrNoSuchUser, "")
		}
		if out.Tags == nil {
			return awsapi.Page{}, awsapi.Incomplete(op, "a page has no list of tags")
		}
		maps.Copy(tags, tagsOf(out.Tags))
		return awsapi.Page{Truncated: out.IsTruncated, Marker: out.Marker}, nil
	})
	if err != nil {
		return nil, err
	}
	return tags, nil
}
