/*
 * bytes.c - fuzz target: any bytes as the file
 */
#include "harness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	harness_ask(data, size, (uint32_t)size);
	return 0;
}
