package iam

import (
	"context"
	"errors"
	"sync"
	"time"

	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// How often the list of everybody is read again, and how long a denial is
// believed: a role that may not read it should not fill CloudTrail with tries.
const (
	listEverybody  = 24 * time.Hour
	listAfterError = time.Hour
	listAfterNo    = 7 * 24 * time.Hour
	// listTime is how long a refresh waits for the list.
	listTime = 20 * time.Second
)

// everybody is the list of all users and groups of the account. Ids are claimed
// among all of them, so that an id does not depend on which groups a host serves.
type everybody struct {
	mu   sync.Mutex // guards:
	all  []directory.Claimant
	read bool
	next time.Time // when it is read again
}

// of returns the list, and false where it was never read. It is read again from
// time to time. A failure costs nothing but a newer list.
func (e *everybody) of(ctx context.Context, c *Client, now time.Time) ([]directory.Claimant, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now.Before(e.next) {
		return e.all, e.read
	}
	bounded, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	all, err := c.Everybody(bounded)
	switch {
	case errors.Is(err, awsapi.ErrAccessDenied):
		e.next = now.Add(listAfterNo)
	case err != nil:
		e.next = now.Add(listAfterError)
	default:
		e.all, e.read, e.next = all, true, now.Add(listEverybody)
	}
	return e.all, e.read
}

// Everybody lists all users and groups of the account, whatever their path.
func (c *Client) Everybody(ctx context.Context) ([]directory.Claimant, error) {
	var all []directory.Claimant
	users := newPart()
	if err := c.listUsers(ctx, "/", users); err != nil {
		return nil, err
	}
	for _, u := range users.users {
		all = append(all, directory.Claimant{ID: u.ID, Name: u.Name, Created: u.Created})
	}
	const op = "list groups"
	groups := newPart()
	err := c.Walk(ctx, op, func(ctx context.Context, marker *string) (awsapi.Page, error) {
		out, err := c.iam.ListGroups(ctx, &awsiam.ListGroupsInput{Marker: marker, MaxItems: c.PageItems()})
		if err != nil {
			return awsapi.Page{}, err
		}
		if out.Groups == nil {
			return awsapi.Page{}, awsapi.Incomplete(op, "a page has no list of groups")
		}
		for i := range out.Groups {
			g := &out.Groups[i]
			group, err := groups.groupOf(op, g.GroupId, g.GroupName, g.Path, g.Arn, g.CreateDate)
			if err != nil {
				return awsapi.Page{}, err
			}
			all = append(all, directory.Claimant{ID: group.ID, Group: true, Name: group.Name, Created: group.Created})
		}
		return awsapi.Page{Truncated: out.IsTruncated, Marker: out.Marker}, nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}
