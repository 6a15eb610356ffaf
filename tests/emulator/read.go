package emulator

import (
	"slices"
	"strings"
)

func (c *call) arn(e *Emulator, kind, path, name string) string {
	return "arn:aws:iam::" + e.options.Company.Account + ":" + kind + path + name
}

func (c *call) writeUser(e *Emulator, u *user, withTags bool) {
	c.text("Path", u.path)
	c.text("UserName", u.name)
	c.text("UserId", u.id)
	c.text("Arn", c.arn(e, "user", u.path, u.name))
	c.time("CreateDate", u.created)
	if withTags && len(u.tags) > 0 {
		c.writeTags(u.tags)
	}
}

func (c *call) writeTags(tags []tag) {
	c.open("Tags")
	for _, t := range tags {
		c.open("member")
		c.text("Key", t.key)
		c.text("Value", t.value)
		c.close("member")
	}
	c.close("Tags")
}

func (c *call) writeGroup(e *Emulator, g *group) {
	c.text("Path", g.path)
	c.text("GroupName", g.name)
	c.text("GroupId", g.id)
	c.text("Arn", c.arn(e, "group", g.path, g.name))
	c.time("CreateDate", g.created)
}

// subject is the user that a call is about. AWS takes the caller's own where
// the name is missing, and so a missing name is never an error by itself.
func (c *call) subject() (*user, error) {
	name := c.form.Get("UserName")
	if name == "" {
		_, name, _ = strings.Cut(c.caller.arn, ":user/")
	}
	return c.state.user(name)
}

func listUsers(e *Emulator, c *call) error {
	users := c.state.sortedUsers()
	if prefix := c.form.Get("PathPrefix"); prefix != "" && prefix != "/" {
		users = slices.DeleteFunc(slices.Clone(users), func(u *user) bool { return !strings.HasPrefix(u.path, prefix) })
	}
	return e.page(c, "Users", len(users),
		func(i int) string { return users[i].fold },
		func(i int) { c.writeUser(e, users[i], false) })
}

func getUser(e *Emulator, c *call) error {
	u, err := c.subject()
	if err != nil {
		return err
	}
	c.open("User")
	c.writeUser(e, u, true)
	c.close("User")
	return nil
}

func listUserTags(e *Emulator, c *call) error {
	u, err := c.subject()
	if err != nil {
		return err
	}
	tags := slices.Clone(u.tags)
	slices.SortFunc(tags, func(a, b tag) int { return strings.Compare(strings.ToLower(a.key), strings.ToLower(b.key)) })
	return e.page(c, "Tags", len(tags),
		func(i int) string { return strings.ToLower(tags[i].key) },
		func(i int) {
			c.text("Key", tags[i].key)
			c.text("Value", tags[i].value)
		})
}

func listGroups(e *Emulator, c *call) error {
	groups := c.state.sortedGroups()
	if prefix := c.form.Get("PathPrefix"); prefix != "" && prefix != "/" {
		groups = slices.DeleteFunc(groups, func(g *group) bool { return !strings.HasPrefix(g.path, prefix) })
	}
	return e.page(c, "Groups", len(groups),
		func(i int) string { return groups[i].fold },
		func(i int) { c.writeGroup(e, groups[i]) })
}

func getGroup(e *Emulator, c *call) error {
	g, err := c.state.group(c.form.Get("GroupName"))
	if err != nil {
		return err
	}
	c.open("Group")
	c.writeGroup(e, g)
	c.close("Group")
	users := c.state.members(g)
	return e.page(c, "Users", len(users),
		func(i int) string { return users[i].fold },
		func(i int) { c.writeUser(e, users[i], false) })
}

func listGroupsForUser(e *Emulator, c *call) error {
	u, err := c.subject()
	if err != nil {
		return err
	}
	groups := c.state.groupsOf(u)
	return e.page(c, "Groups", len(groups),
		func(i int) string { return groups[i].fold },
		func(i int) { c.writeGroup(e, groups[i]) })
}

// getAccountAuthorizationDetails pages through users and groups as one list,
// users first, as MaxItems bounds both together.
func getAccountAuthorizationDetails(e *Emulator, c *call) error {
	var wanted []string
	for name, values := range c.form {
		if strings.HasPrefix(name, "Filter.member.") {
			wanted = append(wanted, values...)
		}
	}
	var users []*user
	if len(wanted) == 0 || slices.Contains(wanted, "User") {
		users = c.state.sortedUsers()
	}
	var groups []*group
	if len(wanted) == 0 || slices.Contains(wanted, "Group") {
		groups = c.state.sortedGroups()
	}
	n := len(users) + len(groups)
	name := func(i int) string {
		if i < len(users) {
			return "u " + users[i].fold
		}
		return "w " + groups[i-len(users)].fold // after every user
	}
	start, end, err := e.window(c, n, name)
	if err != nil {
		return err
	}
	if c.fault != nil && c.fault.Kind == None {
		start, end, n = 0, 0, 0
	}
	c.open("UserDetailList")
	for i := start; i < min(end, len(users)); i++ {
		u := users[i]
		c.open("member")
		c.writeUser(e, u, true)
		c.open("GroupList")
		for _, g := range c.state.groupsOf(u) {
			c.text("member", g.name)
		}
		c.close("GroupList")
		c.writePolicies()
		c.close("member")
	}
	c.close("UserDetailList")
	c.open("GroupDetailList")
	for i := max(start, len(users)); i < end; i++ {
		c.open("member")
		c.writeGroup(e, groups[i-len(users)])
		c.open("GroupPolicyList")
		c.close("GroupPolicyList")
		c.writePolicies()
		c.close("member")
	}
	c.close("GroupDetailList")
	for _, empty := range []string{"RoleDetailList", "Policies"} {
		c.open(empty)
		c.close(empty)
	}
	c.more(end, n, name)
	return nil
}

// writePolicies writes what real answers are full of and nobody here reads.
func (c *call) writePolicies() {
	c.open("AttachedManagedPolicies", "member")
	c.text("PolicyName", "SelfManageKeys")
	c.text("PolicyArn", "arn:aws:iam::aws:policy/IAMUserSSHKeys")
	c.close("member", "AttachedManagedPolicies")
}

func listSSHPublicKeys(e *Emulator, c *call) error {
	u, err := c.subject()
	if err != nil {
		return err
	}
	keys := slices.Clone(u.keys)
	slices.SortFunc(keys, func(a, b *key) int { return strings.Compare(a.id, b.id) })
	return e.page(c, "SSHPublicKeys", len(keys),
		func(i int) string { return keys[i].id },
		func(i int) {
			c.text("UserName", u.name)
			c.text("SSHPublicKeyId", keys[i].id)
			c.text("Status", keys[i].status)
			c.time("UploadDate", keys[i].uploaded)
		})
}

func getSSHPublicKey(e *Emulator, c *call) error {
	u, err := c.subject()
	if err != nil {
		return err
	}
	k, err := u.key(c.form.Get("SSHPublicKeyId"))
	if err != nil {
		return err
	}
	body := k.body
	switch c.form.Get("Encoding") {
	case "SSH":
	case "PEM":
		if body, err = pemOf(k.body); err != nil {
			return err
		}
	default:
		return failure("UnrecognizedPublicKeyEncoding", "The public key encoding is not recognized.")
	}
	c.writeKey(u, k, body)
	return nil
}

func (c *call) writeKey(u *user, k *key, body string) {
	c.open("SSHPublicKey")
	c.text("UserName", u.name)
	c.text("SSHPublicKeyId", k.id)
	c.text("Fingerprint", k.print)
	c.text("SSHPublicKeyBody", body)
	c.text("Status", k.status)
	c.time("UploadDate", k.uploaded)
	c.close("SSHPublicKey")
}
