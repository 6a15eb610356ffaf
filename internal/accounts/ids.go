package accounts

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
)

// Names of the two groups that exist without the directory.
const (
	UsersGroup = "iam-users" // every user who may log in
	SudoGroup  = "iam-sudo"  // those of them who are in a sudo group
)

// The domains under which ids are hashed. A uid or gid is a promise for ever:
// changing one of these, or anything in reduce, renumbers every fleet.
const (
	domainUser  = "nss-iam/v1/user"
	domainGroup = "nss-iam/v1/group"
	domainFixed = "nss-iam/v1/fixed"

	// Of ids with a hyphen, as UUIDs have it and AIDA… and AGPA… have not.
	domainUserUUID  = "nss-iam/v1/uuid/user"
	domainGroupUUID = "nss-iam/v1/uuid/group"
)

// UserUID is the uid, and private gid, of the user with this UserId.
// docs/ids.md specifies it and has test vectors.
func UserUID(id string, r Range) uint32 {
	return reduce(domainOf(id, domainUser, domainUserUUID), id, r)
}

// GroupGID is the gid of the group with this GroupId.
func GroupGID(id string, r Range) uint32 {
	return reduce(domainOf(id, domainGroup, domainGroupUUID), id, r)
}

// domainOf chooses the domain by the form of the id, so that a uid or gid depends on
// nothing but the id: not on which directory a host was told to read, nor on how
// the id came to it.
func domainOf(id, plain, uuid string) string {
	if strings.Contains(id, "-") {
		return uuid
	}
	return plain
}

// FixedGID is the gid of iam-users or iam-sudo.
func FixedGID(name string, r Range) uint32 { return reduce(domainFixed, name, r) }

// reduce brings SHA-256 into r without bias: the digests of the blocks 0, 1,
// 2 … are read as 32-bit words, and the first word below the greatest multiple
// of r's size is taken modulo that size.
func reduce(domain, id string, r Range) uint32 {
	size := uint64(r.High-r.Low) + 1
	limit := (uint64(1) << 32) / size * size
	message := make([]byte, 0, 192)
	message = append(message, domain...)
	message = append(message, 0)
	message = append(message, id...)
	message = append(message, 0)
	for block := uint32(0); ; block++ {
		digest := sha256.Sum256(binary.BigEndian.AppendUint32(message, block))
		for at := 0; at < len(digest); at += 4 {
			if word := uint64(binary.BigEndian.Uint32(digest[at:])); word < limit {
				return r.Low + uint32(word%size)
			}
		}
	}
}
