/* SPDX-License-Identifier: MIT */
/*
 * Version 7: 48 bits of milliseconds and 12 bits of counter form one number
 * that only rises (`newest`); a new millisecond begins the counter at a random
 * value below half its range, a full counter runs on into the next millisecond.
 * The other 62 bits are random, from a pool of each thread that is thrown away
 * after a fork and when the os table changes.
 */
#include "base/uuid.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define POOL_LEN	   512u
#define COUNTER_BITS	   12
#define FIRST_COUNTER_MASK 0x7ffu

struct pool {
	const struct os *from;
	unsigned forks;
	size_t used;
	uint8_t bytes[POOL_LEN];
};

static _Thread_local struct pool pool;
static _Atomic unsigned forks;
static _Atomic uint64_t newest; /* milliseconds << COUNTER_BITS | counter */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
count_fork(void)
{
	atomic_fetch_add(&forks, 1);
}

static void
watch_forks(void)
{
	pthread_atfork(NULL, NULL, count_fork);
}

static int
take_random(void *out, size_t n, struct weir_err *err)
{
	pthread_once(&once, watch_forks);
	unsigned now = atomic_load(&forks);
	if (pool.from != os() || pool.forks != now ||
	    pool.used + n > POOL_LEN) {
		pool.from = NULL;
		if (os()->random(pool.bytes, POOL_LEN) != 0)
			return err_sys(err, "cannot get random bytes");
		pool.from = os();
		pool.forks = now;
		pool.used = 0;
	}
	memcpy(out, pool.bytes + pool.used, n);
	pool.used += n;
	return 0;
}

static void
stamp(uint8_t id[16], uint8_t version)
{
	id[6] = (uint8_t)((id[6] & 0x0f) | version << 4);
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
}

int
uuid_v4(uint8_t out[16], struct weir_err *err)
{
	uint8_t id[16];
	int rc = take_random(id, sizeof id, err);

	if (rc != 0)
		return rc;
	stamp(id, 4);
	memcpy(out, id, sizeof id);
	return 0;
}

static uint64_t
rise(unsigned first_counter, int64_t us)
{
	uint64_t ms = us > 0 ? (uint64_t)us / 1000 : 0;
	uint64_t fresh = ms << COUNTER_BITS | first_counter;
	uint64_t was = atomic_load(&newest);
	uint64_t next;

	do
		next = fresh >> COUNTER_BITS > was >> COUNTER_BITS ? fresh
								   : was + 1;
	while (!atomic_compare_exchange_weak(&newest, &was, next));
	return next;
}

int
uuid_v7(uint8_t out[16], struct weir_err *err)
{
	return uuid_v7_at(out, clock_now(), err);
}

int
uuid_v7_at(uint8_t out[16], int64_t us, struct weir_err *err)
{
	uint8_t random[10];
	int rc = take_random(random, sizeof random, err);

	if (rc != 0)
		return rc;
	uint64_t n = rise((random[8] << 8 | random[9]) & FIRST_COUNTER_MASK, us);
	uint64_t ms = n >> COUNTER_BITS;
	for (int i = 0; i < 6; i++)
		out[i] = (uint8_t)(ms >> (40 - 8 * i));
	out[6] = (uint8_t)(n >> 8 & 0x0f);
	out[7] = (uint8_t)n;
	memcpy(out + 8, random, 8);
	stamp(out, 7);
	return 0;
}

void
uuid_from_hash(uint8_t out[16], const uint8_t hash[32])
{
	memcpy(out, hash, 16);
	stamp(out, 8);
}

void
uuid_text(char out[37], const uint8_t id[16])
{
	static const int group[] = {4, 2, 2, 2, 6};

	for (size_t i = 0; i < 5; i++) {
		str_hex(out, id, (size_t)group[i]);
		id += group[i];
		out += 2 * group[i];
		*out++ = i < 4 ? '-' : '\0';
	}
}

int
uuid_parse(uint8_t out[16], struct weir_str s)
{
	char hex[32];
	size_t n = 0;

	if (s.len != 36)
		return -1;
	for (size_t i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash != (s.data[i] == '-'))
			return -1;
		if (!dash)
			hex[n++] = s.data[i];
	}
	return str_unhex(out, (struct weir_str){hex, 32}, 16);
}
