package cache

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

// idKey returns the key of an id in passwd.uid and group.gid.
func idKey(id uint32) []byte { return binary.BigEndian.AppendUint32(nil, id) }

func checkName(kind, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s with an empty name", kind)
	case len(name) > MaxNameLen:
		return fmt.Errorf("%s %q: name is longer than %d bytes", kind, name, MaxNameLen)
	case strings.ContainsAny(name, "\x00\n:,/"):
		return fmt.Errorf("%s %q: name holds a character that passwd(5) or group(5) forbids", kind, name)
	}
	return nil
}

func checkID(kind, name string, id uint32, allowed accounts.Range) error {
	if id < MinID || id > MaxID || !allowed.Contains(id) {
		return fmt.Errorf("%s %q: id %d lies outside %d to %d", kind, name, id, allowed.Low, allowed.High)
	}
	return nil
}

// appendUser appends u's passwd record to b. It refuses, naming the user, what
// no reader would serve.
func appendUser(b []byte, u accounts.User, allowed accounts.Range) ([]byte, error) {
	if err := checkName("user", u.Name); err != nil {
		return nil, err
	}
	if err := checkID("user", u.Name, u.UID, allowed); err != nil {
		return nil, err
	}
	fields := []string{u.Name, u.Gecos, u.Home, u.Shell}
	for _, f := range fields[1:] {
		if len(f) > MaxFieldLen || strings.ContainsAny(f, "\x00\n:") {
			return nil, fmt.Errorf("user %q: field %.40q does not fit in passwd(5)", u.Name, f)
		}
	}
	var flags byte
	if u.Former {
		flags = PasswdFormer
	}
	b = binary.LittleEndian.AppendUint32(b, u.UID)
	b = binary.LittleEndian.AppendUint32(b, u.UID)
	for _, f := range fields {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(f)))
	}
	b = append(b, flags)
	for _, f := range fields {
		b = append(append(b, f...), 0)
	}
	return b, nil
}

// decodeUser reads a passwd record whole; anything left over or missing is an error.
func decodeUser(b []byte) (accounts.User, error) {
	var u accounts.User
	if len(b) < PasswdHeader {
		return u, fmt.Errorf("passwd record of %d bytes is too short", len(b))
	}
	uid, gid := binary.LittleEndian.Uint32(b[PasswdUID:]), binary.LittleEndian.Uint32(b[PasswdGID:])
	if uid != gid {
		return u, fmt.Errorf("passwd record of uid %d has gid %d", uid, gid)
	}
	if b[PasswdFlags]&^PasswdFormer != 0 {
		return u, fmt.Errorf("passwd record of uid %d has unknown flags %#x", uid, b[PasswdFlags])
	}
	u.UID, u.Former = uid, b[PasswdFlags] == PasswdFormer
	rest := b[PasswdHeader:]
	for i, f := range []*string{&u.Name, &u.Gecos, &u.Home, &u.Shell} {
		var err error
		if *f, rest, err = takeString(rest, int(binary.LittleEndian.Uint16(b[PasswdNameLen+2*i:]))); err != nil {
			return u, fmt.Errorf("passwd record of uid %d: %w", uid, err)
		}
	}
	if len(rest) != 0 {
		return u, fmt.Errorf("passwd record of uid %d: %d bytes too many", uid, len(rest))
	}
	return u, nil
}

// appendGroup appends g's group record to b.
func appendGroup(b []byte, g accounts.Group, allowed accounts.Range) ([]byte, error) {
	if err := checkName("group", g.Name); err != nil {
		return nil, err
	}
	if err := checkID("group", g.Name, g.GID, allowed); err != nil {
		return nil, err
	}
	size := 0
	for _, m := range g.Members {
		if err := checkName("member", m); err != nil {
			return nil, fmt.Errorf("group %q: %w", g.Name, err)
		}
		size += len(m) + 1
	}
	b = binary.LittleEndian.AppendUint32(b, g.GID)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(g.Members)))
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(g.Name)))
	b = append(append(b, g.Name...), 0)
	for _, m := range g.Members {
		b = append(b, byte(len(m)))
	}
	for _, m := range g.Members {
		b = append(append(b, m...), 0)
	}
	return b, nil
}

// decodeGroup reads a group record whole.
func decodeGroup(b []byte) (accounts.Group, error) {
	var g accounts.Group
	if len(b) < GroupHeader {
		return g, fmt.Errorf("group record of %d bytes is too short", len(b))
	}
	g.GID = binary.LittleEndian.Uint32(b[GroupGID:])
	count, size := binary.LittleEndian.Uint32(b[GroupMembers:]), binary.LittleEndian.Uint32(b[GroupMembersLen:])
	name, rest, err := takeString(b[GroupHeader:], int(binary.LittleEndian.Uint16(b[GroupNameLen:])))
	if err != nil {
		return g, fmt.Errorf("group record of gid %d: %w", g.GID, err)
	}
	if uint64(len(rest)) != uint64(count)+uint64(size) {
		return g, fmt.Errorf("group record of gid %d: %d bytes of members, want %d", g.GID, len(rest),
			uint64(count)+uint64(size))
	}
	g.Name = name
	lengths, rest := rest[:count], rest[count:]
	if count > 0 {
		g.Members = make([]string, count)
	}
	for i, n := range lengths {
		if g.Members[i], rest, err = takeString(rest, int(n)); err != nil {
			return g, fmt.Errorf("group record of gid %d: member %d: %w", g.GID, i, err)
		}
	}
	if len(rest) != 0 {
		return g, fmt.Errorf("group record of gid %d: %d bytes too many", g.GID, len(rest))
	}
	return g, nil
}

// appendGIDs appends an initgroups record to b.
func appendGIDs(b []byte, name string, gids []uint32) ([]byte, error) {
	if len(gids) > MaxGroups {
		return nil, fmt.Errorf("user %q: in %d groups, more than the %d that Linux allows", name, len(gids), MaxGroups)
	}
	for _, gid := range gids {
		if gid == 0 || gid == 1<<32-1 {
			return nil, fmt.Errorf("user %q: supplementary gid %d is never served", name, gid)
		}
		b = binary.LittleEndian.AppendUint32(b, gid)
	}
	return b, nil
}

func decodeGIDs(b []byte) ([]uint32, error) {
	if len(b)%4 != 0 {
		return nil, fmt.Errorf("initgroups record of %d bytes is not a multiple of 4", len(b))
	}
	gids := make([]uint32, len(b)/4)
	for i := range gids {
		gids[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return gids, nil
}

// takeString cuts a string of n bytes and its NUL off b.
func takeString(b []byte, n int) (s string, rest []byte, err error) {
	if n >= len(b) || b[n] != 0 {
		return "", nil, fmt.Errorf("string of %d bytes does not end where it says", n)
	}
	s = string(b[:n])
	if strings.IndexByte(s, 0) >= 0 {
		return "", nil, fmt.Errorf("string of %d bytes holds a NUL", n)
	}
	return s, b[n+1:], nil
}

// ValidName reports whether name may stand in the files.
func ValidName(name string) bool { return checkName("user", name) == nil }
