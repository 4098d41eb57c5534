/* SPDX-License-Identifier: MIT */
#include "base/diag.h"

#include "base/clock.h"
#include "base/os.h"
#include "base_test.h"

#include <errno.h>

static char *written;
static size_t written_len;
static int writes;

static ssize_t
keep_write(int fd, const void *p, size_t n)
{
	assert_int_equal(fd, 2);
	written = realloc(written, written_len + n + 1);
	assert_non_null(written);
	memcpy(written + written_len, p, n);
	written_len += n;
	written[written_len] = '\0';
	writes++;
	return (ssize_t)n;
}

static int
fixed_clock(clockid_t id, struct timespec *ts)
{
	(void)id;
	*ts = (struct timespec){0, 0};
	return 0;
}

static void
forget(void)
{
	free(written);
	written = NULL;
	written_len = 0;
	writes = 0;
}

static int
begin(void **state)
{
	static struct os table;

	(void)state;
	table = *os_real();
	table.write = keep_write;
	table.clock_gettime = fixed_clock;
	os_set(&table);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	forget();
	os_set(NULL);
	diag_set_level(DIAG_WARN);
	return 0;
}

static void
test_line(void **state)
{
	(void)state;
	errno = 7;
	diag(DIAG_WARN, "store", "a %d\nb\x1b[0m \xc3\xa9", 3);
	assert_int_equal(errno, 7);
	assert_string_equal(written,
			    "weir: warn: store: a 3\\nb\\x1B[0m \xc3\xa9\n");
	assert_int_equal(writes, 1);
}

static void
test_levels(void **state)
{
	static const char *const names[] = {"error", "warn", "info", "debug",
					    "trace"};
	enum diag_level level = DIAG_TRACE;

	(void)state;
	assert_true(diag_wants(DIAG_WARN));
	assert_false(diag_wants(DIAG_INFO));
	diag(DIAG_INFO, "store", "no");
	assert_null(written);
	diag_set_level(DIAG_TRACE);
	diag(DIAG_TRACE, "store", "yes");
	assert_string_equal(written, "weir: trace: store: yes\n");
	for (int i = 0; i < 5; i++) {
		assert_int_equal(diag_level_parse(&level, names[i]), 0);
		assert_int_equal(level, i);
	}
	assert_int_equal(diag_level_parse(&level, "warning"), -1);
	assert_int_equal(diag_level_parse(&level, ""), -1);
	assert_int_equal(level, DIAG_TRACE);
}

static void
test_long(void **state)
{
	char text[9000];

	(void)state;
	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	diag(DIAG_ERROR, "store", "%s", text);
	assert_int_equal(writes, 1);
	assert_true(written_len < 4300);
	assert_string_equal(written + written_len - 4, "...\n");
}

static void *
no_memory(void *p, size_t n)
{
	(void)p;
	(void)n;
	return NULL;
}

static void
test_emit(void **state)
{
	static char text[WEIR_PAYLOAD_MAX];
	struct os table = *os();

	(void)state;
	diag_set_level(DIAG_ERROR);
	diag_emit(DIAG_INFO, "log", STR("aggregate=a\tid=\xff"));
	assert_string_equal(
		written,
		"1970-01-01T00:00:00.000000Z info aggregate=a\\tid=\\xFF\n");
	forget();
	/* a whole payload of control characters comes whole, in one write */
	memset(text, 1, sizeof text);
	diag_emit(DIAG_INFO, "log", (struct weir_str){text, sizeof text});
	assert_int_equal(writes, 1);
	assert_int_equal(written_len, 27 + 6 + 4 * sizeof text + 1);
	forget();
	table.realloc = no_memory;
	os_set(&table);
	diag_emit(DIAG_INFO, "log", (struct weir_str){text, sizeof text});
	assert_int_equal(writes, 1);
	assert_true(written_len > 4000 && written_len < 4200);
	assert_int_equal(written[written_len - 1], '\n');
}

/* Lines are kept back, but never cut and never out of order. */
static void
test_lines(void **state)
{
	static struct diag_lines lines;
	char text[100], want[200], long_line[5000];
	size_t from = 0;

	(void)state;
	memset(long_line, 'x', sizeof(long_line));
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "line %d %.*s", i, i % 60,
			 "0123456789012345678901234567890123456789012345678901"
			 "23456789");
		diag_lines_add(&lines, DIAG_WARN, "log", str_of(text));
	}
	assert_in_range(writes, 1, 3);
	diag_lines_add(&lines, DIAG_INFO, "log", STR("not \x01 plain"));
	diag_lines_add(&lines, DIAG_INFO, "log",
		       (struct weir_str){long_line, sizeof(long_line)});
	diag_lines_add(&lines, DIAG_INFO, "log", STR("last"));
	assert_null(strstr(written, "last"));
	diag_lines_flush(&lines);
	diag_lines_flush(&lines);
	for (int i = 0; i < 100; i++) {
		snprintf(want, sizeof(want),
			 "1970-01-01T00:00:00.000000Z warn line %d %.*s\n", i,
			 i % 60,
			 "0123456789012345678901234567890123456789012345678901"
			 "23456789");
		assert_memory_equal(written + from, want, strlen(want));
		from += strlen(want);
	}
	assert_non_null(strstr(written + from, "info not \\x01 plain\n"));
	assert_non_null(strstr(written, "info last\n"));
	assert_in_range(writes, 5, 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_line, begin, end),
		cmocka_unit_test_setup_teardown(test_levels, begin, end),
		cmocka_unit_test_setup_teardown(test_long, begin, end),
		cmocka_unit_test_setup_teardown(test_emit, begin, end),
		cmocka_unit_test_setup_teardown(test_lines, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
