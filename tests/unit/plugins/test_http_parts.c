/* SPDX-License-Identifier: MIT */
/* The parts of the HTTP sink that need no network: which record may go when,
 * what an answer means, which address is private. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/address.h"
#include "http/answer.h"
#include "http/order.h"
#include "plugins/fakehost.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* ---- order -----------------------------------------------------------------
 */

#define MOST 200u

struct bench {
	struct fake *f;
	struct order *o;
	struct seen seen;
	const struct weir_sink_record *recs[MOST];
	struct weir_sink_batch b;
};

/* A batch with a record for each letter, which names its aggregate. */
static struct bench
bench(const char *ids)
{
	struct bench x = {.f = fake_new()};

	for (uint32_t i = 0; ids[i] != '\0'; i++) {
		char id[2] = {ids[i], '\0'};

		x.recs[i] = fake_append(x.f, "t", id, "e", "{}");
		x.b.nrecords = i + 1;
	}
	x.b.through_sequence = x.b.nrecords;
	x.o = order_new(&x.f->host);
	assert_non_null(x.o);
	return x;
}

static void
begin(struct bench *x)
{
	x->b.records = x->recs;
	assert_true(order_begin(x->o, &x->b, &x->seen));
}

static void
bench_free(struct bench *x)
{
	order_free(x->o);
	x->f->host.release(x->f->host.cookie, x->seen.v);
	fake_free(x->f);
}

/* Takes up to max and expects these items; "-" none. */
static void
takes(struct bench *x, size_t max, const char *want)
{
	uint32_t items[MOST];
	char got[512] = "";
	size_t n = order_take(x->o, items, max);

	for (size_t i = 0; i < n; i++)
		sprintf(got + strlen(got), "%s%u", i ? " " : "", items[i]);
	assert_string_equal(n ? got : "-", want);
}

static void
done(struct bench *x, uint32_t item)
{
	order_done(x->o, &item, 1);
}

static void
test_one_of_an_aggregate_at_a_time(void **state)
{
	struct bench x = bench("aabac");

	(void)state;
	begin(&x);
	takes(&x, 1, "0");
	takes(&x, 1, "2"); /* 1 waits for 0 */
	takes(&x, 1, "4");
	takes(&x, 1, "-");
	done(&x, 2);
	takes(&x, 1, "-");
	done(&x, 0);
	assert_int_equal(order_durable(x.o), 1);
	takes(&x, 1, "1");
	done(&x, 4);
	done(&x, 1);
	assert_int_equal(order_durable(x.o), 3);
	takes(&x, 1, "3");
	done(&x, 3);
	assert_int_equal(order_left(x.o), 0);
	assert_int_equal(order_durable(x.o), 5);
	bench_free(&x);
}

static void
test_arrays_are_in_order(void **state)
{
	struct bench x = bench("abacabd");
	uint32_t first[3] = {0, 1, 2};

	(void)state;
	begin(&x);
	takes(&x, 3, "0 1 2");
	takes(&x, 3, "3 6"); /* 4 and 5 follow those under way */
	takes(&x, 3, "-");
	order_done(x.o, first, 3);
	takes(&x, 3, "4 5");
	bench_free(&x);
}

static void
test_a_failed_one_stops_its_aggregate(void **state)
{
	struct bench x = bench("abab");

	(void)state;
	begin(&x);
	takes(&x, 1, "0");
	takes(&x, 1, "1");
	done(&x, 1);
	takes(&x, 1, "3");
	done(&x, 3);
	takes(&x, 9, "-");
	assert_int_equal(order_left(x.o), 2);
	assert_int_equal(order_durable(x.o), 0);
	order_keep(x.o, &x.seen, false);
	assert_int_equal(x.seen.n, 2);
	/* the next batch leaves out what was taken */
	begin(&x);
	takes(&x, 9, "0 2");
	for (uint32_t i = 0; i < 4; i += 2)
		done(&x, i);
	assert_int_equal(order_left(x.o), 0);
	order_keep(x.o, &x.seen, true);
	assert_int_equal(x.seen.n, 0);
	bench_free(&x);
}

/* Another batch's seen records are kept until their batch comes. */
static void
test_seen_outlives_other_batches(void **state)
{
	struct bench x = bench("abcdef");
	const struct weir_sink_record *all[MOST];

	(void)state;
	memcpy(all, x.recs, sizeof(all));
	begin(&x);
	takes(&x, 9, "0 1 2 3 4 5");
	done(&x, 3);
	done(&x, 5);
	order_keep(x.o, &x.seen, false);
	x.b.nrecords = 2; /* a half of it */
	x.b.through_sequence = 2;
	begin(&x);
	takes(&x, 9, "0 1");
	done(&x, 0);
	done(&x, 1);
	order_keep(x.o, &x.seen, true);
	assert_int_equal(x.seen.n, 2);
	memcpy(x.recs, all + 2, 4 * sizeof(*all));
	x.b.nrecords = 4;
	x.b.through_sequence = 6;
	begin(&x);
	takes(&x, 9, "0 2");
	bench_free(&x);
}

static void
test_order_without_memory(void **state)
{
	struct bench x = bench("ab");

	(void)state;
	for (uint64_t n = 1; n <= 3; n++) {
		x.b.records = x.recs;
		x.f->fail_alloc_at = x.f->allocs + n;
		assert_false(order_begin(x.o, &x.b, &x.seen));
	}
	x.f->fail_alloc_at = 0;
	begin(&x);
	takes(&x, 1, "0");
	done(&x, 0);
	takes(&x, 1, "1");
	bench_free(&x);
}

/* Any order of answers: each record goes once, an aggregate's in order. */
static void
test_order_at_random(void **state)
{
	char ids[MOST + 1] = "";
	uint32_t flying[8][3], n[8], last[26] = {0};
	unsigned seed = 7, taken = 0;
	struct bench x;

	(void)state;
	for (unsigned i = 0; i < MOST - 1; i++)
		ids[i] = (char)('a' + (seed = seed * 1103515245u + 12345u) /
					      65536u % 26u);
	x = bench(ids);
	begin(&x);
	memset(n, 0, sizeof(n));
	while (order_left(x.o) > 0) {
		unsigned k = (seed = seed * 1103515245u + 12345u) / 65536u % 8u;

		if (n[k] > 0) {
			order_done(x.o, flying[k], n[k]);
			n[k] = 0;
			continue;
		}
		n[k] = (uint32_t)order_take(x.o, flying[k], 3);
		for (uint32_t i = 0; i < n[k]; i++) {
			uint32_t *before = &last[ids[flying[k][i]] - 'a'];

			taken++;
			assert_true(flying[k][i] >= *before);
			*before = flying[k][i] + 1;
		}
	}
	assert_int_equal(taken, MOST - 1);
	bench_free(&x);
}

/* ---- answers ---------------------------------------------------------------
 */

static void
test_statuses(void **state)
{
	static const struct {
		long status;
		enum weir_sink_class class;
	} rows[] = {
		{200, WEIR_SINK_OK},	      {204, WEIR_SINK_OK},
		{299, WEIR_SINK_OK},	      {301, WEIR_SINK_BLOCKED},
		{304, WEIR_SINK_BLOCKED},     {400, WEIR_SINK_REJECT},
		{401, WEIR_SINK_BLOCKED},     {403, WEIR_SINK_BLOCKED},
		{404, WEIR_SINK_BLOCKED},     {405, WEIR_SINK_BLOCKED},
		{408, WEIR_SINK_RETRY},	      {409, WEIR_SINK_REJECT},
		{410, WEIR_SINK_GONE},	      {413, WEIR_SINK_REJECT},
		{415, WEIR_SINK_REJECT},      {422, WEIR_SINK_REJECT},
		{425, WEIR_SINK_RETRY},	      {429, WEIR_SINK_RETRY},
		{499, WEIR_SINK_REJECT},      {500, WEIR_SINK_RETRY},
		{503, WEIR_SINK_RETRY},	      {599, WEIR_SINK_RETRY},
		{0, WEIR_SINK_NOT_CONNECTED}, {600, WEIR_SINK_NOT_CONNECTED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (answer_status(rows[i].status) != rows[i].class)
			fail_msg("status %ld", rows[i].status);
		if (rows[i].class == WEIR_SINK_REJECT)
			assert_non_null(answer_status_hint(rows[i].status));
	}
	assert_int_equal(answer_wait(-5), 0);
	assert_int_equal(answer_wait(7), 7000000);
	assert_int_equal(answer_wait(INT64_MAX), 300000000);
}

static void
test_broken_transfers(void **state)
{
	(void)state;
	assert_int_equal(answer_curl(CURLE_COULDNT_CONNECT, ""),
			 WEIR_SINK_NOT_CONNECTED);
	assert_int_equal(answer_curl(CURLE_PEER_FAILED_VERIFICATION, ""),
			 WEIR_SINK_BLOCKED);
	assert_int_equal(answer_curl(CURLE_SSL_CONNECT_ERROR, "wrong version"),
			 WEIR_SINK_BLOCKED);
	assert_int_equal(answer_curl(CURLE_SSL_CONNECT_ERROR,
				     "OpenSSL SSL_connect: SSL_ERROR_SYSCALL"),
			 WEIR_SINK_NOT_CONNECTED);
	assert_int_equal(answer_curl(CURLE_OUT_OF_MEMORY, ""), WEIR_SINK_RETRY);
	assert_true(answer_worse(WEIR_SINK_GONE, WEIR_SINK_BLOCKED));
	assert_true(answer_worse(WEIR_SINK_BLOCKED, WEIR_SINK_REJECT));
	assert_true(answer_worse(WEIR_SINK_REJECT, WEIR_SINK_RETRY));
	assert_true(answer_worse(WEIR_SINK_RETRY, WEIR_SINK_NOT_CONNECTED));
	assert_true(answer_worse(WEIR_SINK_NOT_CONNECTED, WEIR_SINK_OK));
	assert_false(answer_worse(WEIR_SINK_RETRY, WEIR_SINK_RETRY));
}

/* ---- addresses -------------------------------------------------------------
 */

static bool
private_text(const char *text)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
		a.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
		a.ss_family = AF_INET6;
	else
		fail_msg("%s is no address", text);
	return address_is_private((const struct sockaddr *)&a);
}

static void
test_addresses(void **state)
{
	static const char *const hidden[] = {"0.0.0.0",
					     "10.1.2.3",
					     "100.64.0.1",
					     "100.127.255.255",
					     "127.0.0.1",
					     "169.254.169.254",
					     "172.16.0.1",
					     "172.31.255.255",
					     "192.168.1.1",
					     "192.0.0.8",
					     "198.19.0.1",
					     "224.0.0.1",
					     "255.255.255.255",
					     "::",
					     "::1",
					     "::127.0.0.1",
					     "::ffff:10.0.0.1",
					     "64:ff9b::7f00:1",
					     "2002:a00:1::",
					     "fc00::1",
					     "fd12::1",
					     "fe80::1",
					     "fec0::1",
					     "ff02::1"};
	static const char *const open[] = {
		"1.1.1.1",	  "8.8.8.8",	      "9.255.255.255",
		"11.0.0.0",	  "100.63.255.255",   "100.128.0.0",
		"172.15.255.255", "172.32.0.0",	      "192.167.255.255",
		"192.0.1.1",	  "223.255.255.255",  "2606:4700::1",
		"::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"};
	struct sockaddr other = {.sa_family = AF_UNIX};

	(void)state;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (!private_text(hidden[i]))
			fail_msg("%s is private", hidden[i]);
	for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		if (private_text(open[i]))
			fail_msg("%s is public", open[i]);
	assert_true(address_is_private(&other));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_of_an_aggregate_at_a_time),
		cmocka_unit_test(test_arrays_are_in_order),
		cmocka_unit_test(test_a_failed_one_stops_its_aggregate),
		cmocka_unit_test(test_seen_outlives_other_batches),
		cmocka_unit_test(test_order_without_memory),
		cmocka_unit_test(test_order_at_random),
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_broken_transfers),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
