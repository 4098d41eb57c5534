/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* the above first */
#include <cmocka.h>

#include <stdio.h>

#include "base/str.h"
#include "server/attempts.h"

#define S 1000000

static struct attempts *a;

static int
setup(void **state)
{
	(void)state;
	a = attempts_new();
	return a == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	attempts_free(a);
	return 0;
}

static int64_t
failed(const char *address, int64_t now)
{
	return attempts_failed(a, str_of(address), now);
}

static void
test_burst_and_refill(void **state)
{
	(void)state;
	for (int i = 0; i < ATTEMPTS_BURST; i++)
		assert_int_equal(failed("10.0.0.1", 5), 0);
	assert_int_equal(failed("10.0.0.1", 5), S);
	assert_int_equal(failed("10.0.0.1", 5 + S / 4), S - S / 4);
	/* Being refused does not make it longer. */
	assert_int_equal(failed("10.0.0.1", 5 + S), 0);
	assert_int_equal(failed("10.0.0.1", 5 + S), S);
	/* Others are not concerned. */
	assert_int_equal(failed("10.0.0.2", 5), 0);
	/* After a while all is forgiven, and no more than that. */
	for (int i = 0; i < ATTEMPTS_BURST; i++)
		assert_int_equal(failed("10.0.0.1", 1000 * (int64_t)S), 0);
	assert_true(failed("10.0.0.1", 1000 * (int64_t)S) > 0);
}

static void
use_up(const char *address)
{
	for (int i = 0; i < ATTEMPTS_BURST; i++)
		assert_int_equal(failed(address, 1), 0);
	assert_true(failed(address, 1) > 0);
}

static void
test_networks(void **state)
{
	(void)state;
	use_up("2001:db8:1:2::1");
	assert_true(failed("2001:db8:1:2:ffff:ffff:ffff:ffff", 1) > 0);
	assert_int_equal(failed("2001:db8:1:3::1", 1), 0);
	use_up("192.0.2.7");
	assert_true(failed("::ffff:192.0.2.7", 1) > 0);
	assert_int_equal(failed("192.0.2.8", 1), 0);
	/* What is no address counts as one. */
	use_up("");
	assert_true(failed("somewhere", 1) > 0);
}

static void
test_bounded(void **state)
{
	char address[32];

	(void)state;
	use_up("10.0.0.1");
	for (unsigned i = 0; i < 200000; i++) {
		snprintf(address, sizeof(address), "%u.%u.%u.%u",
			 11 + i / 65536, i / 256 % 256, i % 256, 1u);
		assert_int_equal(failed(address, 2), 0);
	}
	/* Those with one failure go before the one with ten. */
	assert_true(failed("10.0.0.1", 3) > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_burst_and_refill, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_networks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
