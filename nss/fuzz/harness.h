/*
 * harness.h - what the fuzz targets share
 */
#ifndef NSS_IAM_FUZZ_HARNESS_H
#define NSS_IAM_FUZZ_HARNESS_H

#include <stddef.h>
#include <stdint.h>

/* harness_load reads a file into memory of exactly its size; it ends the program if it cannot. */
unsigned char *harness_load(const char *path, size_t *ret_size);

/* harness_seal makes the checksums of both meta pages right. */
void harness_seal(unsigned char *base, size_t size);

/*
 * harness_ask asks every entry point about the file at base and aborts where an
 * answer breaks a promise: a success that is not the record asked for or is
 * outside the range, a pointer out of the caller's buffer, an enumeration that
 * does not go up, an errno that must not be, more pages than the bound.
 */
void harness_ask(const unsigned char *base, size_t size, uint32_t choice);

#endif
