/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include "base/os.h"
#include "base_test.h"

static void
test_append(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	assert_non_null(buf_str(&b).data);
	assert_int_equal(buf_str(&b).len, 0);
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(buf_puts(&b, "ab"), 0);
	assert_int_equal(buf_putc(&b, 'c'), 0);
	assert_int_equal(buf_add_str(&b, STR("de")), 0);
	assert_int_equal(buf_add_str(&b, (struct weir_str){NULL, 0}), 0);
	assert_int_equal(buf_printf(&b, "-%d-%s", 42, "x"), 0);
	assert_string_equal(buf_cstr(&b), "abcde-42-x");
	buf_clear(&b);
	assert_int_equal(buf_u16(&b, 0x0102), 0);
	assert_int_equal(buf_u32(&b, 0x03040506), 0);
	assert_int_equal(buf_u64(&b, 0x0708090a0b0c0d0e), 0);
	assert_int_equal(buf_zero(&b, 2), 0);
	assert_int_equal(b.len, 16);
	assert_memory_equal(b.data,
			    "\x02\x01\x06\x05\x04\x03"
			    "\x0e\x0d\x0c\x0b\x0a\x09\x08\x07\0\0",
			    16);
	buf_fini(&b);
	assert_null(b.data);
}

static void
test_grows(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100000);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(buf_printf(&b, "%06d,", i), 0);
	assert_int_equal(b.len, 70000);
	assert_memory_equal(b.data + 7 * 1234, "001234,", 7);
	assert_int_equal(strlen(buf_cstr(&b)), 70000);
	buf_fini(&b);
}

/* Up to the maximum exactly, then unchanged until cleared. */
static void
test_maximum(void **state)
{
	volatile size_t huge = SIZE_MAX; /* the compiler would warn */
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(buf_puts(&b, "123456789"), 0);
	assert_int_equal(buf_printf(&b, "%s", "0"), 0);
	assert_string_equal(buf_cstr(&b), "1234567890");
	assert_int_equal(buf_putc(&b, 'x'), WEIR_ENOMEM);
	assert_true(b.failed);
	assert_int_equal(b.len, 10);
	assert_string_equal(buf_cstr(&b), "");
	buf_clear(&b);
	assert_false(b.failed);
	assert_int_equal(buf_puts(&b, "1234"), 0);
	assert_int_equal(buf_printf(&b, "%s", "5678901"), WEIR_ENOMEM);
	assert_int_equal(b.len, 4);
	/* a shorter one would fit, but the chain has a hole already */
	assert_int_equal(buf_putc(&b, 'x'), WEIR_ENOMEM);
	assert_int_equal(buf_reserve(&b, 0), WEIR_ENOMEM);
	buf_clear(&b);
	assert_int_equal(buf_add(&b, "", huge), WEIR_ENOMEM);
	buf_clear(&b);
	assert_int_equal(buf_zero(&b, 11), WEIR_ENOMEM);
	buf_fini(&b);
}

static int calls_left;

static void *
failing_realloc(void *p, size_t n)
{
	return calls_left-- > 0 ? os_real()->realloc(p, n) : NULL;
}

static void
test_no_memory(void **state)
{
	struct os table = *os_real();
	struct buf b;

	(void)state;
	table.realloc = failing_realloc;
	os_set(&table);
	calls_left = 1;
	buf_init(&b, 1 << 20);
	assert_int_equal(buf_zero(&b, 100), 0);
	assert_int_equal(buf_zero(&b, 1000), WEIR_ENOMEM);
	assert_int_equal(b.len, 100);
	assert_true(b.failed);
	os_set(NULL);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_maximum),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
