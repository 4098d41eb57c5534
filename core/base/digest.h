/* SPDX-License-Identifier: MIT */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

/*
 * SHA-256 (libcrypto) and CRC-32C (Castagnoli; by the SSE4.2 instruction where
 * there is one, by tables elsewhere).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEN 32

struct digest_part {
	const void *p;
	size_t n;
};

/* The hash of the parts one after the other. */
void digest_sha256(uint8_t out[DIGEST_LEN], const struct digest_part *parts,
		   size_t n);

/* A running hash, for long input. */
struct digest;
struct digest *digest_new(void); /* NULL: no memory */
void digest_add(struct digest *d, const void *p, size_t n);
void digest_end(struct digest *d, uint8_t out[DIGEST_LEN]); /* and restarts */
void digest_free(struct digest *d);

/* Are n bytes the same? Takes as long whatever they are. */
bool digest_same(const void *a, const void *b, size_t n);

/* CRC-32C with the usual inversions inside: crc32c(crc32c(0, a), b) equals
 * crc32c(0, ab); the seed 0 is the plain CRC; "123456789" gives 0xe3069283. */
uint32_t crc32c(uint32_t seed, const void *p, size_t n);

/* The same, always by tables: for tests. */
uint32_t crc32c_tables(uint32_t seed, const void *p, size_t n);

#endif
