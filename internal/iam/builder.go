package iam

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
)

// A part is what one walk found: a group with its members, or a list of users.
type part struct {
	account string
	users   map[string]directory.User // by id
	group   *directory.Group          // nil for a list of users
}

func newPart() *part { return &part{users: make(map[string]directory.User)} }

func (p *part) addUsers(op string, users []types.User) error {
	for i := range users {
		u := &users[i]
		user, err := p.userOf(op, u.UserId, u.UserName, u.Path, u.Arn, u.CreateDate)
		if err != nil {
			return err
		}
		p.users[user.ID] = user
	}
	return nil
}

// userOf takes the fields that every user has; one without an id, a name or a
// date is no user but a broken answer.
func (p *part) userOf(op string, id, name, path, arn *string, created *time.Time) (directory.User, error) {
	u := directory.User{ID: aws.ToString(id), Name: aws.ToString(name), Path: aws.ToString(path),
		Created: aws.ToTime(created).UTC()}
	if u.ID == "" || u.Name == "" || created == nil {
		return u, awsapi.Incomplete(op, "user %q has no id, no name or no date of creation", u.Name)
	}
	return u, p.sameAccount(op, arn)
}

func (p *part) groupOf(op string, id, name, path, arn *string, created *time.Time) (directory.Group, error) {
	g := directory.Group{ID: aws.ToString(id), Name: aws.ToString(name), Path: aws.ToString(path),
		Created: aws.ToTime(created).UTC()}
	if g.ID == "" || g.Name == "" || created == nil {
		return g, awsapi.Incomplete(op, "group %q has no id, no name or no date of creation", g.Name)
	}
	return g, p.sameAccount(op, arn)
}

// sameAccount takes the account's number from an ARN, which costs no call and
// is the account that was read, no matter which principal reads.
func (p *part) sameAccount(op string, arn *string) error {
	fields := strings.SplitN(aws.ToString(arn), ":", 6)
	if len(fields) < 6 || fields[4] == "" {
		return nil
	}
	if p.account != "" && p.account != fields[4] {
		return awsapi.Incomplete(op, "it has accounts %q and %q", p.account, fields[4])
	}
	p.account = strings.Clone(fields[4]) // or the whole ARN stays in memory
	return nil
}

// A builder puts parts together.
type builder struct {
	account string
	users   map[string]directory.User
	groups  map[string]*directory.Group
	only    map[string]bool // ids of the users to keep; nil for all
	missing []string        // groups asked for that do not exist

	everybody []directory.Claimant // of the whole account; nil if only a part was read
}

func newBuilder() *builder {
	return &builder{users: make(map[string]directory.User), groups: make(map[string]*directory.Group)}
}

// keepOnly limits the directory to these users.
func (b *builder) keepOnly(users map[string]directory.User) {
	b.only = make(map[string]bool, len(users))
	for id := range users {
		b.only[id] = true
	}
}

// add takes a part in. Of a user that is already there, the new part's word counts.
func (b *builder) add(p *part) error {
	if p.account != "" {
		if b.account != "" && b.account != p.account {
			return awsapi.Incomplete("read directory", "answers are of accounts %q and %q", b.account, p.account)
		}
		b.account = p.account
	}
	for id, u := range p.users {
		if b.only == nil || b.only[id] {
			b.users[id] = u
		}
	}
	if p.group == nil {
		return nil
	}
	if b.only != nil {
		p.group.Members = slices.DeleteFunc(p.group.Members, func(id string) bool { return !b.only[id] })
	}
	// The same group under two names was renamed during the walk, and both
	// walks may have missed members.
	if have := b.groups[p.group.ID]; have != nil {
		return awsapi.Incomplete("read directory", "group %s is %q and %q: it was renamed during the read", have.ID,
			have.Name, p.group.Name)
	}
	b.groups[p.group.ID] = p.group
	return nil
}

// drop removes a user that is gone.
func (b *builder) drop(id string) {
	delete(b.users, id)
	for _, g := range b.groups {
		g.Members = slices.DeleteFunc(g.Members, func(member string) bool { return member == id })
	}
}

// directory is everything in order, or an error if it cannot be one account at
// one time.
func (b *builder) directory() (directory.Directory, error) {
	slices.Sort(b.missing)
	d := directory.Directory{Account: b.account, Missing: b.missing}
	names := make(map[string]string, len(b.users))
	for _, id := range slices.Sorted(maps.Keys(b.users)) {
		u := b.users[id]
		fold := directory.FoldName(u.Name)
		if other, taken := names[fold]; taken {
			return directory.Directory{}, awsapi.Incomplete("read directory",
				"users %s and %s are both called %q: IAM changed during the read", other, id, u.Name)
		}
		names[fold] = id
		d.Users = append(d.Users, u)
	}
	clear(names)
	for _, id := range slices.Sorted(maps.Keys(b.groups)) {
		g := *b.groups[id]
		fold := directory.FoldName(g.Name)
		if other, taken := names[fold]; taken {
			return directory.Directory{}, awsapi.Incomplete("read directory",
				"groups %s and %s are both called %q: IAM changed during the read", other, id, g.Name)
		}
		names[fold] = id
		slices.Sort(g.Members)
		g.Members = slices.Compact(g.Members)
		d.Groups = append(d.Groups, g)
	}
	if b.everybody != nil {
		d = d.WithOthers(b.everybody, true)
	}
	return d, nil
}
