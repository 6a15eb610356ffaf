package emulator

import (
	"fmt"
	"slices"
)

func createUser(e *Emulator, c *call) error {
	u, err := e.addUser(c.state, User{Name: c.form.Get("UserName"), Path: c.form.Get("Path")})
	if err != nil {
		return err
	}
	for _, t := range c.tags() {
		if err := u.setTag(t.key, t.value); err != nil {
			c.state.dropUser(u)
			return err
		}
	}
	c.open("User")
	c.writeUser(e, u, true)
	c.close("User")
	return nil
}

func updateUser(e *Emulator, c *call) error {
	u, err := c.state.user(c.form.Get("UserName"))
	if err != nil {
		return err
	}
	return c.state.renameUser(u, c.form.Get("NewUserName"), c.form.Get("NewPath"))
}

// deleteUser refuses what IAM refuses: a user who still has something.
func deleteUser(e *Emulator, c *call) error {
	u, err := c.state.user(c.form.Get("UserName"))
	switch {
	case err != nil:
		return err
	case len(u.groups) > 0:
		return failure("DeleteConflict", "Cannot delete entity, must remove users from group first.")
	case len(u.keys) > 0:
		return failure("DeleteConflict", "Cannot delete entity, must delete SSH public keys first.")
	}
	c.state.dropUser(u)
	return nil
}

func createGroup(e *Emulator, c *call) error {
	g, err := e.addGroup(c.state, Group{Name: c.form.Get("GroupName"), Path: c.form.Get("Path")})
	if err != nil {
		return err
	}
	c.open("Group")
	c.writeGroup(e, g)
	c.close("Group")
	return nil
}

func updateGroup(e *Emulator, c *call) error {
	g, err := c.state.group(c.form.Get("GroupName"))
	if err != nil {
		return err
	}
	return c.state.renameGroup(g, c.form.Get("NewGroupName"), c.form.Get("NewPath"))
}

func deleteGroup(e *Emulator, c *call) error {
	g, err := c.state.group(c.form.Get("GroupName"))
	switch {
	case err != nil:
		return err
	case len(g.members) > 0:
		return failure("DeleteConflict", "Cannot delete entity, must remove users from group first.")
	}
	c.state.dropGroup(g)
	return nil
}

func addUserToGroup(e *Emulator, c *call) error {
	return c.state.join(c.form.Get("UserName"), c.form.Get("GroupName"))
}

func removeUserFromGroup(e *Emulator, c *call) error {
	return c.state.leave(c.form.Get("UserName"), c.form.Get("GroupName"))
}

func uploadSSHPublicKey(e *Emulator, c *call) error {
	u, err := c.subject()
	if err != nil {
		return err
	}
	body := c.form.Get("SSHPublicKeyBody")
	if body == "" || len(body) > 16384 {
		return failure("ValidationError", "The length of sshPublicKeyBody must be between 1 and 16384")
	}
	parsed, err := parseUpload(body)
	if err != nil {
		return err
	}
	for _, k := range u.keys {
		if other, err := parseUpload(k.body); err == nil && string(other.Marshal()) == string(parsed.Marshal()) {
			return failure("DuplicateSSHPublicKey", "The SSH public key is already associated with the user.")
		}
	}
	k, err := e.addKey(u, Key{Body: body})
	if err != nil {
		return err
	}
	c.writeKey(u, k, k.body)
	return nil
}

func updateSSHPublicKey(e *Emulator, c *call) error {
	u, err := c.subject()
	if err != nil {
		return err
	}
	k, err := u.key(c.form.Get("SSHPublicKeyId"))
	if err != nil {
		return err
	}
	return k.setStatus(c.form.Get("Status"))
}

func (k *key) setStatus(status string) error {
	if status != "Active" && status != "Inactive" {
		return failure("ValidationError", "Value '%s' at 'status' failed to satisfy constraint: Member must satisfy enum "+
			"value set: [Active, Inactive]", status)
	}
	k.status = status
	return nil
}

func deleteSSHPublicKey(e *Emulator, c *call) error {
	u, err := c.subject()
	if err != nil {
		return err
	}
	return u.dropKey(c.form.Get("SSHPublicKeyId"))
}

func (u *user) dropKey(id string) error {
	k, err := u.key(id)
	if err != nil {
		return err
	}
	u.keys = slices.DeleteFunc(u.keys, func(other *key) bool { return other == k })
	return nil
}

// tags are the call's Tags.member.N, in order.
func (c *call) tags() []tag {
	var tags []tag
	for i := 1; c.form.Has(fmt.Sprintf("Tags.member.%d.Key", i)); i++ {
		tags = append(tags, tag{c.form.Get(fmt.Sprintf("Tags.member.%d.Key", i)),
			c.form.Get(fmt.Sprintf("Tags.member.%d.Value", i))})
	}
	return tags
}

func tagUser(e *Emulator, c *call) error {
	u, err := c.subject()
	if err != nil {
		return err
	}
	before := slices.Clone(u.tags)
	for _, t := range c.tags() {
		if err := u.setTag(t.key, t.value); err != nil {
			u.tags = before
			return err
		}
	}
	return nil
}

func untagUser(e *Emulator, c *call) error {
	u, err := c.subject()
	if err != nil {
		return err
	}
	for i := 1; c.form.Has(fmt.Sprintf("TagKeys.member.%d", i)); i++ {
		u.dropTag(c.form.Get(fmt.Sprintf("TagKeys.member.%d", i)))
	}
	return nil
}
