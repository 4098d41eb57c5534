/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include "base_test.h"

#include <errno.h>

static void
test_set(void **state)
{
	struct weir_err err = {.sequence = 7, .offset = 8, .version = 9};

	(void)state;
	assert_int_equal(err_set(&err, WEIR_EINPUT, "bad %s at %d", "x", 3),
			 WEIR_EINPUT);
	assert_int_equal(err.code, WEIR_EINPUT);
	assert_int_equal(err.sys_errno, 0);
	assert_string_equal(err.msg, "bad x at 3");
	/* an old error's places do not stick to the new one */
	assert_int_equal(err.sequence, 0);
	assert_int_equal(err.offset, 0);
	assert_int_equal(err.version, 0);
	assert_int_equal(err_set(NULL, WEIR_EIO, "x"), WEIR_EIO);
	/* the message may be its own argument */
	err_set(&err, WEIR_EDENIED, "so: %s", err.msg);
	assert_string_equal(err.msg, "so: bad x at 3");
}

static void
test_sys(void **state)
{
	static const struct {
		int sys, code;
	} rows[] = {
		{ENOSPC, WEIR_ENOSPC},	{EDQUOT, WEIR_ENOSPC},
		{ENOMEM, WEIR_ENOMEM},	{ENOENT, WEIR_ENOTFOUND},
		{EACCES, WEIR_EDENIED}, {EPERM, WEIR_EDENIED},
		{EROFS, WEIR_EDENIED},	{EIO, WEIR_EIO},
		{ENOTDIR, WEIR_EIO},
	};
	struct weir_err err;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		errno = rows[i].sys;
		assert_int_equal(err_sys(&err, "cannot open %s", "f"),
				 rows[i].code);
		assert_int_equal(errno, rows[i].sys);
		assert_int_equal(err.sys_errno, rows[i].sys);
		assert_int_equal(err.code, rows[i].code);
	}
	errno = ENOENT;
	err_sys(&err, "cannot open %s", "f");
	assert_string_equal(err.msg,
			    "cannot open f: No such file or directory");
	errno = ENOSPC;
	assert_int_equal(err_sys(NULL, "x"), WEIR_ENOSPC);
}

static void
test_prefix(void **state)
{
	struct weir_err err = {0};

	(void)state;
	err_set(&err, WEIR_EDAMAGE, "bad CRC");
	err.offset = 17;
	assert_int_equal(err_prefix(&err, "segment %d", 4), WEIR_EDAMAGE);
	assert_string_equal(err.msg, "segment 4: bad CRC");
	assert_int_equal(err.offset, 17);
	err_prefix(&err, "%s", err.msg);
	assert_string_equal(err.msg, "segment 4: bad CRC: segment 4: bad CRC");
}

/* A message that is cut ends at a whole character. */
static void
test_cut(void **state)
{
	char text[2048];
	struct weir_err err;

	(void)state;
	for (size_t lead = 0; lead < 4; lead++) {
		memset(text, 'x', sizeof text);
		for (size_t i = lead; i + 4 < sizeof text; i += 4)
			memcpy(text + i, "\xf0\x9f\x8c\x8a", 4);
		text[sizeof text - 1] = '\0';
		err_set(&err, WEIR_EINPUT, "%s", text);
		size_t n = strlen(err.msg);
		assert_true(n >= sizeof err.msg - 4);
		assert_int_equal(str_utf8_valid(str_of(err.msg)), n);
		err_prefix(&err, "a");
		n = strlen(err.msg);
		assert_int_equal(str_utf8_valid(str_of(err.msg)), n);
	}
}

static void
test_words(void **state)
{
	(void)state;
	for (int code = 0; code >= WEIR_ESTOPPED; code--) {
		assert_string_not_equal(err_word(code), "unknown");
		for (int other = 0; other > code; other--)
			assert_string_not_equal(err_word(code),
						err_word(other));
	}
	assert_string_equal(err_word(1), "unknown");
	assert_string_equal(err_word(WEIR_EINPUT), "input");
	assert_string_equal(err_word(WEIR_ECONFLICT), "conflict");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),    cmocka_unit_test(test_sys),
		cmocka_unit_test(test_prefix), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
