/* SPDX-License-Identifier: MIT */
/*
 * A bucket for each address, in sets of WAYS. What is kept of a bucket is when
 * it will be full again: at most BURST steps ahead.
 *
 * 1. mu guards the buckets.
 * 2. Which set an address falls into depends on random bytes, so that nobody
 *    can choose addresses that push each other out.
 */
#include "server/attempts.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>

#include "base/os.h"

#define STEP_US 1000000
#define WAYS	8u
#define SETS	(ATTEMPTS_KNOWN / WAYS)
#define V4	(0xffffull << 32) /* a /64 that nobody has */

struct bucket {
	uint64_t key;
	int64_t full_at; /* 0: free */
};

struct attempts {
	pthread_mutex_t mu;
	uint64_t seed;
	struct bucket bucket[SETS][WAYS];
};

struct attempts *
attempts_new(void)
{
	struct attempts *a = mem_new(sizeof(*a));

	if (a == NULL)
		return NULL;
	if (os()->random(&a->seed, sizeof(a->seed)) != 0) {
		mem_free(a);
		return NULL;
	}
	pthread_mutex_init(&a->mu, NULL);
	return a;
}

void
attempts_free(struct attempts *a)
{
	if (a == NULL)
		return;
	pthread_mutex_destroy(&a->mu);
	mem_free(a);
}

/* The address, or its network; 0 for what is none. */
static uint64_t
key_of(struct weir_str address)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0,    0,
					   0, 0, 0, 0, 0xff, 0xff};
	char text[INET6_ADDRSTRLEN + 1];
	struct in6_addr six;
	struct in_addr four;
	uint64_t key = 0;

	if (address.len >= sizeof(text))
		return 0;
	if (address.len > 0)
		memcpy(text, address.data, address.len);
	text[address.len] = '\0';
	if (inet_pton(AF_INET, text, &four) == 1)
		return V4 | ntohl(four.s_addr);
	if (inet_pton(AF_INET6, text, &six) != 1)
		return 0;
	if (memcmp(six.s6_addr, mapped, sizeof(mapped)) == 0) {
		memcpy(&four.s_addr, six.s6_addr + 12, 4);
		return V4 | ntohl(four.s_addr);
	}
	for (int i = 0; i < 8; i++)
		key = key << 8 | six.s6_addr[i];
	return key;
}

/* The bucket of a key; a free one, or the one that is full first, is emptied
 * for it. */
static struct bucket *
bucket_of(struct attempts *a, uint64_t key)
{
	uint64_t h = (key ^ a->seed) * 0x9e3779b97f4a7c15u;
	struct bucket *set, *best;

	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9u;
	set = best = a->bucket[(h >> 32) % SETS];
	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].full_at != 0 && set[i].key == key)
			return &set[i];
		if (set[i].full_at < best->full_at)
			best = &set[i];
	}
	*best = (struct bucket){.key = key};
	return best;
}

int64_t
attempts_failed(struct attempts *a, struct weir_str address, int64_t now)
{
	uint64_t key = key_of(address);
	int64_t wait = 0;
	struct bucket *b;

	pthread_mutex_lock(&a->mu);
	b = bucket_of(a, key);
	if (b->full_at < now)
		b->full_at = now;
	if (b->full_at > now + (ATTEMPTS_BURST - 1) * (int64_t)STEP_US)
		wait = b->full_at -
		       (now + (ATTEMPTS_BURST - 1) * (int64_t)STEP_US);
	else
		b->full_at += STEP_US;
	pthread_mutex_unlock(&a->mu);
	return wait;
}
