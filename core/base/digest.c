/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 by libcrypto, through its old functions: an append hashes four or
 * five short texts, and of each the newer ones (EVP) spend a fifth on choosing
 * a method, and taking and wiping a context. The old ones are marked as such
 * since 3.0, work on memory of ours and cannot fail.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "base/digest.h"

#include "base/os.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

void
digest_sha256(uint8_t out[DIGEST_LEN], const struct digest_part *parts,
	      size_t n)
{
	SHA256_CTX ctx;

	SHA256_Init(&ctx);
	for (size_t i = 0; i < n; i++)
		if (parts[i].n > 0)
			SHA256_Update(&ctx, parts[i].p, parts[i].n);
	SHA256_Final(out, &ctx);
}

struct digest {
	SHA256_CTX ctx;
};

struct digest *
digest_new(void)
{
	struct digest *d = mem_new(sizeof *d);

	if (d != NULL)
		SHA256_Init(&d->ctx);
	return d;
}

void
digest_add(struct digest *d, const void *p, size_t n)
{
	if (n > 0)
		SHA256_Update(&d->ctx, p, n);
}

void
digest_end(struct digest *d, uint8_t out[DIGEST_LEN])
{
	SHA256_Final(out, &d->ctx);
	SHA256_Init(&d->ctx);
}

bool
digest_same(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void
digest_free(struct digest *d)
{
	mem_free(d);
}
