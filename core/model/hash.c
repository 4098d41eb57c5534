/* SPDX-License-Identifier: MIT */
/*
 * Eight bytes at a time are mixed in by a 64 x 64 -> 128 bit product whose
 * halves are folded together. Without the seed, input that collides can't be
 * prepared.
 */
#include "model/hash.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/os.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint64_t seeds[2];

static void
draw_seeds(void)
{
	if (os()->random(seeds, sizeof(seeds)) != 0) {
		seeds[0] = (uint64_t)clock_monotonic();
		seeds[1] = (uint64_t)clock_now();
	}
	seeds[0] |= 1;
	seeds[1] |= 1;
}

static uint64_t
mix(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;
	wide p = (wide)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t
hash_bytes(uint64_t start, struct weir_str s)
{
	uint64_t h, word;
	size_t at;

	pthread_once(&once, draw_seeds);
	h = start ^ seeds[0] ^ s.len;
	for (at = 0; at + 8 <= s.len; at += 8) {
		memcpy(&word, s.data + at, 8);
		h = mix(h ^ word, seeds[1]) + 0x9e3779b97f4a7c15u;
	}
	if (at < s.len) {
		word = 0;
		memcpy(&word, s.data + at, s.len - at);
		h = mix(h ^ word, seeds[1]) + 0x9e3779b97f4a7c15u;
	}
	return mix(h ^ seeds[0], 0xd6e8feb86659fd93u);
}
