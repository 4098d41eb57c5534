/* SPDX-License-Identifier: MIT */
/*
 * SHA-256 by libcrypto. The method is fetched once, and every thread keeps one
 * context: fetching and allocating for each hash would double its cost. A
 * failure here is libcrypto's (no provider, no memory at a thread's first
 * hash) and leaves nothing to answer with, so it is fatal.
 */
#include "base/digest.h"

#include "base/must.h"
#include "base/os.h"

#include <openssl/evp.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *sha256;		  /* written under once */
static pthread_key_t context_key; /* the same; frees a thread's context */
static _Thread_local EVP_MD_CTX *context;

static void
free_context(void *p)
{
	EVP_MD_CTX_free(p);
}

static void
digest_init(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	must(sha256 != NULL);
	must(pthread_key_create(&context_key, free_context) == 0);
}

static EVP_MD_CTX *
thread_context(void)
{
	if (context != NULL)
		return context;
	pthread_once(&once, digest_init);
	context = EVP_MD_CTX_new();
	must(context != NULL);
	must(pthread_setspecific(context_key, context) == 0);
	return context;
}

static void
start(EVP_MD_CTX *ctx)
{
	must(EVP_DigestInit_ex2(ctx, sha256, NULL) == 1);
}

void
digest_sha256(uint8_t out[DIGEST_LEN], const struct digest_part *parts,
	      size_t n)
{
	EVP_MD_CTX *ctx = thread_context();

	start(ctx);
	for (size_t i = 0; i < n; i++)
		if (parts[i].n > 0)
			must(EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) ==
			     1);
	must(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
}

struct digest {
	EVP_MD_CTX *ctx;
};

struct digest *
digest_new(void)
{
	struct digest *d = mem_new(sizeof *d);

	if (d == NULL)
		return NULL;
	pthread_once(&once, digest_init);
	d->ctx = EVP_MD_CTX_new();
	if (d->ctx == NULL) {
		mem_free(d);
		return NULL;
	}
	start(d->ctx);
	return d;
}

void
digest_add(struct digest *d, const void *p, size_t n)
{
	if (n > 0)
		must(EVP_DigestUpdate(d->ctx, p, n) == 1);
}

void
digest_end(struct digest *d, uint8_t out[DIGEST_LEN])
{
	must(EVP_DigestFinal_ex(d->ctx, out, NULL) == 1);
	start(d->ctx);
}

void
digest_free(struct digest *d)
{
	if (d == NULL)
		return;
	EVP_MD_CTX_free(d->ctx);
	mem_free(d);
}
