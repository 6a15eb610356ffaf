package accounts

// LoginName is the login name that a user of the directory has by this policy,
// and GroupName the Unix name of a group. It is "" where the policy serves no
// such name.
func (p Policy) LoginName(directoryName string) string {
	name, _, ok := p.userName(directoryName)
	if !ok {
		return ""
	}
	return name
}

// GroupName is LoginName for groups.
func (p Policy) GroupName(directoryName string) string {
	name, _, ok := p.groupName(directoryName)
	if !ok {
		return ""
	}
	return name
}
