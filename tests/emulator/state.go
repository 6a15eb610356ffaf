package emulator

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"
)

// IAM's quotas.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const (
	maxUsers       = 5000
	maxGroups      = 500
	maxKeysPerUser = 5
	maxTags        = 50
)

// state is what is in an account at one time. Names are looked up in lower
// case, because IAM keeps their case but compares without.
type state struct {
	users       map[string]*user // by id
	groups      map[string]*group
	userByName  map[string]*user // by name in lower case
	groupByName map[string]*group

	usersInOrder []*user // nil after a change of users
}

type user struct {
	id, name, fold, path string
	created              time.Time
	tags                 []tag
	keys                 []*key
	groups               map[string]bool // group ids
}

type group struct {
	id, name, fold, path string
	created              time.Time
	members              map[string]bool // user ids
}

type key struct {
	id, body, status, print string
	uploaded                time.Time
}

type tag struct{ key, value string }

func newState() *state {
	return &state{
		users: make(map[string]*user), groups: make(map[string]*group),
		userByName: make(map[string]*user), groupByName: make(map[string]*group),
	}
}

func (s *state) clone() *state {
	c := newState()
	for id, u := range s.users {
		copied := *u
		copied.tags = slices.Clone(u.tags)
		copied.groups = maps.Clone(u.groups)
		copied.keys = make([]*key, len(u.keys))
		for i, k := range u.keys {
			kept := *k
			copied.keys[i] = &kept
		}
		c.users[id], c.userByName[u.fold] = &copied, &copied
	}
	for id, g := range s.groups {
		copied := *g
		copied.members = maps.Clone(g.members)
		c.groups[id], c.groupByName[g.fold] = &copied, &copied
	}
	return c
}

func (s *state) user(name string) (*user, error) {
	if u := s.userByName[strings.ToLower(name)]; u != nil {
		return u, nil
	}
	return nil, failure("NoSuchEntity", "The user with name %s cannot be found.", name)
}

func (s *state) group(name string) (*group, error) {
	if g := s.groupByName[strings.ToLower(name)]; g != nil {
		return g, nil
	}
	return nil, failure("NoSuchEntity", "The group with name %s cannot be found.", name)
}

func (u *user) key(id string) (*key, error) {
	for _, k := range u.keys {
		if k.id == id {
			return k, nil
		}
	}
	return nil, failure("NoSuchEntity", "The SSH Public Key with id %s cannot be found.", id)
}

func (s *state) sortedUsers() []*user {
	if s.usersInOrder == nil {
		s.usersInOrder = slices.Collect(maps.Values(s.users))
		byName(s.usersInOrder)
	}
	return s.usersInOrder
}

func (s *state) sortedGroups() []*group {
	groups := slices.Collect(maps.Values(s.groups))
	sort.Slice(groups, func(i, j int) bool { return groups[i].fold < groups[j].fold })
	return groups
}

func (s *state) members(g *group) []*user {
	users := make([]*user, 0, len(g.members))
	for id := range g.members {
		users = append(users, s.users[id])
	}
	byName(users)
	return users
}

func (s *state) groupsOf(u *user) []*group {
	groups := make([]*group, 0, len(u.groups))
	for id := range u.groups {
		groups = append(groups, s.groups[id])
	}
	sort.Slice(groups, func(i, j int) bool { return groups[i].fold < groups[j].fold })
	return groups
}

func byName(users []*user) {
	slices.SortFunc(users, func(a, b *user) int { return strings.Compare(a.fold, b.fold) })
}

var (
	namePattern = regexp.MustCompile(`^[\w+=,.@-]+$`)
	pathPattern = regexp.MustCompile(`^(/|/[!-~]+/)$`)
	tagPattern  = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
)

func checkName(kind, name string, longest int) error {
	if len(name) > longest || !namePattern.MatchString(name) {
		return failure("ValidationError", "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint",
			name, kind)
	}
	return nil
}

func checkPath(path string) error {
	if len(path) > 512 || !pathPattern.MatchString(path) {
		return failure("ValidationError", "The specified value for path is invalid. It must begin and end with / and "+
			"contain only alphanumeric characters and/or / characters.")
	}
	return nil
}

// id makes an identifier of IAM's form up. The caller holds e.mu.
func (e *Emulator) id(prefix string) string {
	e.issued++
	var in [16]byte
	binary.LittleEndian.PutUint64(in[:], e.options.Seed)
	binary.LittleEndian.PutUint64(in[8:], uint64(e.issued))
	sum := sha256.Sum256(append(in[:], prefix...))
	return prefix + base32.StdEncoding.EncodeToString(sum[:])[:17]
}

// created is the time of creation where none is given: seeds are a day old
// and a second apart, so that ages differ and do not depend on the clock's grain.
func (e *Emulator) created(given time.Time) time.Time {
	if !given.IsZero() {
		return given.UTC().Truncate(time.Second)
	}
	if e.founding {
		return e.now().UTC().Truncate(time.Second).Add(-24*time.Hour + time.Duration(e.issued)*time.Second)
	}
	return e.now().UTC().Truncate(time.Second)
}

func (e *Emulator) addUser(s *state, in User) (*user, error) {
	if in.Path == "" {
		in.Path = "/"
	}
	fold := strings.ToLower(in.Name)
	switch {
	case checkName("userName", in.Name, 64) != nil:
		return nil, checkName("userName", in.Name, 64)
	case checkPath(in.Path) != nil:
		return nil, checkPath(in.Path)
	case s.userByName[fold] != nil:
		return nil, failure("EntityAlreadyExists", "User with name %s already exists.", in.Name)
	case len(s.users) >= maxUsers && !e.founding:
		return nil, failure("LimitExceeded", "Cannot exceed quota for UsersPerAccount: %d", maxUsers)
	}
	created := e.created(in.Created)
	if in.ID == "" {
		in.ID = e.id("AIDA")
	}
	if s.users[in.ID] != nil {
		return nil, fmt.Errorf("user id %q is taken", in.ID)
	}
	u := &user{id: in.ID, name: in.Name, fold: fold, path: in.Path, created: created, groups: make(map[string]bool)}
	s.users[u.id], s.userByName[fold] = u, u
	s.usersInOrder = nil
	return u, nil
}

// addWholeUser adds a user with groups, tags and keys, whose bodies are not looked at.
func (e *Emulator) addWholeUser(s *state, in User) error {
	u, err := e.addUser(s, in)
	if err != nil {
		return err
	}
	for _, name := range in.Groups {
		if err := s.join(in.Name, name); err != nil {
			return err
		}
	}
	for _, k := range in.Keys {
		if _, err := e.addKey(u, k); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Tags)) {
		if err := u.setTag(name, in.Tags[name]); err != nil {
			return err
		}
	}
	return nil
}

func (e *Emulator) addGroup(s *state, in Group) (*group, error) {
	if in.Path == "" {
		in.Path = "/"
	}
	fold := strings.ToLower(in.Name)
	switch {
	case checkName("groupName", in.Name, 128) != nil:
		return nil, checkName("groupName", in.Name, 128)
	case checkPath(in.Path) != nil:
		return nil, checkPath(in.Path)
	case s.groupByName[fold] != nil:
		return nil, failure("EntityAlreadyExists", "Group with name %s already exists.", in.Name)
	case len(s.groups) >= maxGroups:
		return nil, failure("LimitExceeded", "Cannot exceed quota for GroupsPerAccount: %d", maxGroups)
	}
	created := e.created(in.Created)
	if in.ID == "" {
		in.ID = e.id("AGPA")
	}
	if s.groups[in.ID] != nil {
		return nil, fmt.Errorf("group id %q is taken", in.ID)
	}
	g := &group{id: in.ID, name: in.Name, fold: fold, path: in.Path, created: created, members: make(map[string]bool)}
	s.groups[g.id], s.groupByName[fold] = g, g
	return g, nil
}

func (e *Emulator) addKey(u *user, in Key) (*key, error) {
	if len(u.keys) >= maxKeysPerUser {
		return nil, failure("LimitExceeded", "Cannot exceed quota for SSHPublicKeysPerUser: %d", maxKeysPerUser)
	}
	if in.Status == "" {
		in.Status = "Active"
	}
	uploaded := e.created(in.Uploaded)
	if in.ID == "" {
		in.ID = e.id("APKA")
	}
	k := &key{id: in.ID, body: in.Body, status: in.Status, uploaded: uploaded, print: fingerprint(in.Body)}
	u.keys = append(u.keys, k)
	return k, nil
}

func (s *state) renameUser(u *user, name, path string) error {
	if name != "" {
		if err := checkName("newUserName", name, 64); err != nil {
			return err
		}
		fold := strings.ToLower(name)
		if other := s.userByName[fold]; other != nil && other != u {
			return failure("EntityAlreadyExists", "User with name %s already exists.", name)
		}
		delete(s.userByName, u.fold)
		u.name, u.fold = name, fold
		s.userByName[fold] = u
		s.usersInOrder = nil
	}
	if path != "" {
		if err := checkPath(path); err != nil {
			return err
		}
		u.path = path
	}
	return nil
}

func (s *state) renameGroup(g *group, name, path string) error {
	if name != "" {
		if err := checkName("newGroupName", name, 128); err != nil {
			return err
		}
		fold := strings.ToLower(name)
		if other := s.groupByName[fold]; other != nil && other != g {
			return failure("EntityAlreadyExists", "Group with name %s already exists.", name)
		}
		delete(s.groupByName, g.fold)
		g.name, g.fold = name, fold
		s.groupByName[fold] = g
	}
	if path != "" {
		if err := checkPath(path); err != nil {
			return err
		}
		g.path = path
	}
	return nil
}

func (s *state) dropUser(u *user) {
	for id := range u.groups {
		delete(s.groups[id].members, u.id)
	}
	delete(s.users, u.id)
	delete(s.userByName, u.fold)
	s.usersInOrder = nil
}

func (s *state) dropGroup(g *group) {
	for id := range g.members {
		delete(s.users[id].groups, g.id)
	}
	delete(s.groups, g.id)
	delete(s.groupByName, g.fold)
}

func (s *state) join(userName, groupName string) error {
	g, err := s.group(groupName)
	if err != nil {
		return err
	}
	u, err := s.user(userName)
	if err != nil {
		return err
	}
	if !u.groups[g.id] && len(u.groups) >= GroupsPerUser {
		return failure("LimitExceeded", "Cannot exceed quota for GroupsPerUser: %d", GroupsPerUser)
	}
	u.groups[g.id], g.members[u.id] = true, true
	return nil
}

func (s *state) leave(userName, groupName string) error {
	g, err := s.group(groupName)
	if err != nil {
		return err
	}
	u, err := s.user(userName)
	if err != nil {
		return err
	}
	if !u.groups[g.id] {
		return failure("NoSuchEntity", "User %s is not in group %s.", userName, groupName)
	}
	delete(u.groups, g.id)
	delete(g.members, u.id)
	return nil
}

// setTag sets one tag. Keys are unique without regard to case, and keep it.
func (u *user) setTag(name, value string) error {
	switch {
	case name == "" || utf8.RuneCountInString(name) > 128 || !tagPattern.MatchString(name):
		return failure("ValidationError", "The tag key %q is not valid.", name)
	case utf8.RuneCountInString(value) > 256 || !tagPattern.MatchString(value):
		return failure("ValidationError", "The tag value %q is not valid.", value)
	case strings.HasPrefix(strings.ToLower(name), "aws:"):
		return failure("InvalidInput", "Tag keys that begin with aws: are reserved.")
	}
	for i := range u.tags {
		if strings.EqualFold(u.tags[i].key, name) {
			u.tags[i].value = value
			return nil
		}
	}
	if len(u.tags) >= maxTags {
		return failure("LimitExceeded", "The number of tags has reached the maximum limit.")
	}
	u.tags = append(u.tags, tag{name, value})
	return nil
}

func (u *user) dropTag(name string) {
	u.tags = slices.DeleteFunc(u.tags, func(t tag) bool { return strings.EqualFold(t.key, name) })
}
