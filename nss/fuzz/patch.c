/*
 * patch.c - fuzz target: valid files with changes, the meta checksums right
 *
 * The input is a byte that chooses a file of NSS_IAM_FUZZ_FILES, and then
 * changes of 7 bytes: where (3 bytes, from a structure of the file named by
 * the lowest bits of the fourth), what to do (the rest of it), and a value.
 * The file is restored afterwards, so an execution costs the changes only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES = 4, CHANGE = 7, CHANGES = 16, PAGE = 4096 };

static unsigned char *base[FILES], *original[FILES];
static size_t length[FILES];
static int files;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *list = getenv("NSS_IAM_FUZZ_FILES");
	char *copy = strdup(list != NULL ? list : "");

	(void)argc, (void)argv;
	for (char *path = strtok(copy, ":"); path != NULL && files < FILES; path = strtok(NULL, ":"), files++) {
		base[files] = harness_load(path, &length[files]);
		original[files] = harness_load(path, &length[files]);
	}
	free(copy);
	if (files == 0) {
		fprintf(stderr, "patch: NSS_IAM_FUZZ_FILES names no file\n");
		exit(1);
	}
	return 0;
}

/* place chooses where a change lies: anywhere, in a page's header, in its elements, in a meta page. */
static size_t place(const uint8_t *change, size_t size)
{
	size_t n = change[0] | (size_t)change[1] << 8 | (size_t)change[2] << 16;
	size_t page = n % (size / PAGE) * PAGE, rest = n / 64;

	switch (change[3] & 3) {
	case 0:
		return n % size;
	case 1:
		return page + rest % 16;
	case 2:
		return page + 16 + rest % 512;
	default:
		return n % 2 * PAGE + 16 + rest % 56;
	}
}

static void apply(unsigned char *at, size_t left, const uint8_t *change)
{
	uint32_t value = change[4] | (uint32_t)change[5] << 8;

	switch (change[3] >> 2 & 7) {
	case 0:
		at[0] = change[4];
		break;
	case 1:
		at[0] ^= (unsigned char)(1u << (change[4] & 7));
		break;
	case 2:
		if (left >= 4)
			memcpy(at, &value, 4);
		break;
	case 3: /* a number that is nearly too large */
		value = 0u - value % 64;
		if (left >= 4)
			memcpy(at, &value, 4);
		break;
	case 4:
		if (left >= 2)
			memcpy(at, &value, 2);
		break;
	case 5:
		at[0] = (unsigned char)(at[0] + change[4]);
		break;
	case 6: /* a page's worth of the file somewhere else */
		if (left >= 16)
			memset(at, change[4], 16);
		break;
	default:
		at[0] = 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 + CHANGE)
		return 0;

	int f = data[0] % files;
	size_t n = (size - 1) / CHANGE;
	if (n > CHANGES)
		n = CHANGES;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *change = data + 1 + i * CHANGE;
		size_t at = place(change, length[f]);

		apply(base[f] + at, length[f] - at, change);
	}
	harness_seal(base[f], length[f]);
	harness_ask(base[f], length[f], data[size - 1]);
	for (size_t i = 0; i < n; i++) {
		size_t at = place(data + 1 + i * CHANGE, length[f]), left = length[f] - at;

		memcpy(base[f] + at, original[f] + at, left < 16 ? left : 16);
	}
	memcpy(base[f], original[f], 2 * PAGE);
	return 0;
}
