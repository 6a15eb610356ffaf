/*
 * record.c - fuzz target: any bytes as a record
 *
 * The first two bytes are the size of the caller's buffer, the third its skew.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void promise(int kept)
{
	if (!kept)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 7)
		return 0;

	size_t room = data[0] | (size_t)data[1] << 8, skew = data[2] % 8;
	uint32_t id;
	memcpy(&id, data + 3, sizeof(id));
	struct bolt_bytes record = { data + 3, size - 3 };
	struct record_want want = { .low = 65536, .high = 2147352575, .id = id };
	char *raw = malloc(room + skew + 1), *buffer = raw + skew;
	struct passwd pw;
	struct group gr;

	if (record_passwd(&record, &want, &pw, buffer, room) == RECORD_PACKED) {
		promise(pw.pw_uid == id && id >= want.low && id <= want.high);
		promise(strlen(pw.pw_name) + strlen(pw.pw_gecos) + strlen(pw.pw_dir) + strlen(pw.pw_shell) + 6 <= room);
		promise(pw.pw_name == buffer && pw.pw_passwd + 2 <= buffer + room);
	}
	if (record_group(&record, &want, &gr, buffer, room) == RECORD_PACKED) {
		size_t used = strlen(gr.gr_name) + 3;

		promise(gr.gr_gid == id && id >= want.low && id <= want.high);
		for (char **m = gr.gr_mem; *m != NULL; m++)
			used += strlen(*m) + 1 + sizeof(*m);
		promise(used + sizeof(char *) <= room);
	}
	free(raw);
	return 0;
}
