/*
 * record.c - turn a record's bytes into the structures of NSS
 *
 * Text is checked after it was copied, not before: the file may be changing. By
 * then the password, which follows the text, is in the buffer and ends each strlen.
 */
#include "record.h"

#include <stdbool.h>
#include <stdlib.h>

#include "format.h"

_Static_assert(sizeof(size_t) == 8, "sums of 32-bit lengths must not overflow");
_Static_assert(sizeof(uid_t) == 4 && sizeof(gid_t) == 4, "ids are 32 bits");

static bool in_range(const struct record_want *want, uint32_t id)
{
	return id >= want->low && id <= want->high;
}

static inline bool is_wanted(const struct record_want *want, uint32_t id, const char *name, size_t len)
{
	if (want->name != NULL)
		return len == want->name_len && memcmp(name, want->name, len + 1) == 0;
	return len != 0 && strlen(name) == len && id == want->id;
}

enum record_status record_passwd(const struct bolt_bytes *record, const struct record_want *want,
				 struct passwd *ret, char *buffer, size_t size)
{
	const unsigned char *at = record->data;

	if (record->len < PASSWD_HEADER)
		return RECORD_DAMAGED;

	uint32_t uid = load32(at + PASSWD_UID), gid = load32(at + PASSWD_GID);
	size_t name_len = load16(at + PASSWD_NAME_LEN), gecos_len = load16(at + PASSWD_GECOS_LEN);
	size_t home_len = load16(at + PASSWD_HOME_LEN), shell_len = load16(at + PASSWD_SHELL_LEN);
	bool former = (at[PASSWD_FLAGS] & PASSWD_FORMER) != 0;
	size_t text_len = name_len + gecos_len + home_len + shell_len + 4;

	if (name_len > FORMAT_MAX_NAME || gecos_len > FORMAT_MAX_FIELD ||
	    home_len > FORMAT_MAX_FIELD || shell_len > FORMAT_MAX_FIELD ||
	    record->len - PASSWD_HEADER != text_len)
		return RECORD_DAMAGED;
	if (!in_range(want, uid) || !in_range(want, gid))
		return RECORD_REFUSED;
	if (size < text_len + 2)
		return RECORD_SHORT;

	char *name = buffer, *gecos = name + name_len + 1, *home = gecos + gecos_len + 1;
	char *shell = home + home_len + 1, *password = shell + shell_len + 1;

	memcpy(buffer, at + PASSWD_HEADER, text_len);
	/* "*" matches no password; "x" sends PAM to a shadow entry that is not there. */
	password[0] = former ? 'x' : '*';
	password[1] = 0;
	if (!is_wanted(want, uid, name, name_len) || strlen(gecos) != gecos_len || strlen(home) != home_len ||
	    strlen(shell) != shell_len)
		return RECORD_DAMAGED;

	*ret = (struct passwd){
		.pw_name = name,
		.pw_passwd = password,
		.pw_uid = uid,
		.pw_gid = gid,
		.pw_gecos = gecos,
		.pw_dir = home,
		.pw_shell = shell,
	};
	return RECORD_PACKED;
}

/*
 * member_pointers fills an array with pointers to count names. The names lie one
 * after the other in len bytes of text, each with its NUL; lens has their lengths.
 */
static bool member_pointers(char **members, uint32_t count, const unsigned char *lens,
			    char *text, size_t len)
{
	char *end = text + len;

	for (uint32_t i = 0; i < count; i++) {
		size_t n = lens[i];

		if (n == 0 || n > FORMAT_MAX_NAME || n >= (size_t)(end - text) || strlen(text) != n)
			return false;
		members[i] = text;
		text += n + 1;
	}
	members[count] = NULL;
	return text == end;
}

enum record_status record_group(const struct bolt_bytes *record, const struct record_want *want,
				struct group *ret, char *buffer, size_t size)
{
	const unsigned char *at = record->data;

	if (record->len < GROUP_HEADER)
		return RECORD_DAMAGED;

	uint32_t gid = load32(at + GROUP_GID), count = load32(at + GROUP_MEMBERS);
	size_t members_len = load32(at + GROUP_MEMBERS_LEN), name_len = load16(at + GROUP_NAME_LEN);
	size_t name_at = GROUP_HEADER, lens_at = name_at + name_len + 1, members_at = lens_at + count;

	if (name_len > FORMAT_MAX_NAME || record->len != members_at + members_len)
		return RECORD_DAMAGED;
	if (!in_range(want, gid))
		return RECORD_REFUSED;

	size_t pad = -(uintptr_t)buffer % sizeof(char *);
	size_t pointers = ((size_t)count + 1) * sizeof(char *);

	if (size < pad + pointers + members_len + name_len + 1 + 2)
		return RECORD_SHORT;

	char **members = (char **)(void *)(buffer + pad);
	char *text = buffer + pad + pointers, *name = text + members_len, *password = name + name_len + 1;

	memcpy(text, at + members_at, members_len);
	memcpy(name, at + name_at, name_len + 1);
	password[0] = '*';
	password[1] = 0;
	if (!is_wanted(want, gid, name, name_len) ||
	    !member_pointers(members, count, at + lens_at, text, members_len))
		return RECORD_DAMAGED;

	*ret = (struct group){
		.gr_name = name,
		.gr_passwd = password,
		.gr_gid = gid,
		.gr_mem = members,
	};
	return RECORD_PACKED;
}

/* gids_room makes room for count more gids, or for as many as the limit allows. */
static bool gids_room(const struct record_gids *list, long count)
{
	long size = *list->start + count;

	if (list->limit > 0 && size > list->limit)
		size = list->limit;
	if (size <= *list->size)
		return true;

	gid_t *groups = realloc(*list->groups, (size_t)size * sizeof(gid_t));
	if (groups == NULL)
		return false;
	*list->groups = groups;
	*list->size = size;
	return true;
}

enum record_status record_gids(const struct bolt_bytes *record, gid_t group, const struct record_gids *list)
{
	size_t count = record->len / sizeof(uint32_t);
	bool any = false;

	if (record->len % sizeof(uint32_t) != 0 || count > FORMAT_MAX_GROUPS)
		return RECORD_DAMAGED;
	if (!gids_room(list, (long)count))
		return RECORD_NO_MEMORY;
	for (size_t i = 0; i < count; i++) {
		gid_t gid = load32(record->data + i * sizeof(uint32_t));

		/* A local gid is allowed here, root's is not; -1 means "no group" to the kernel. */
		if (gid == group || gid == 0 || gid == (gid_t)-1)
			continue;
		if (*list->start >= *list->size || (list->limit > 0 && *list->start >= list->limit))
			return RECORD_PACKED;
		(*list->groups)[(*list->start)++] = gid;
		any = true;
	}
	return any ? RECORD_PACKED : RECORD_REFUSED;
}
