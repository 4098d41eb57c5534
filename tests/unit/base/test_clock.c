/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include "base/os.h"
#include "base_test.h"

#include <errno.h>

static void
test_parse(void **state)
{
	static const struct {
		const char *text, *utc;
	} rows[] = {
		{"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"},
		{"1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"},
		{"2024-02-29T12:34:56.5Z", "2024-02-29T12:34:56.500000Z"},
		{"2000-02-29t12:34:56z", "2000-02-29T12:34:56.000000Z"},
		{"2026-11-21 10:00:00+02:00", "2026-11-21T08:00:00.000000Z"},
		{"2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000000Z"},
		{"2026-12-31T23:30:00-01:00", "2027-01-01T00:30:00.000000Z"},
		{"2026-01-01T00:00:00-00:00", "2026-01-01T00:00:00.000000Z"},
		{"2026-01-01T00:00:00+23:59", "2025-12-31T00:01:00.000000Z"},
		{"2026-01-01T00:00:00.123456789Z",
		 "2026-01-01T00:00:00.123456Z"},
		{"1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"},
		{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"},
		{"0000-12-31T23:30:00-00:30", "0001-01-01T00:00:00.000000Z"},
		{"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"},
	};
	const char *why = "nothing";
	char text[28];
	int64_t us;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (clock_parse(&us, str_of(rows[i].text), &why) != 0)
			fail_msg("%s: %s", rows[i].text, why);
		clock_text(text, us);
		assert_string_equal(text, rows[i].utc);
	}
	assert_int_equal(clock_parse(&us, STR("2001-09-09T01:46:40Z"), &why),
			 0);
	assert_true(us == 1000000000000000);
	assert_int_equal(clock_parse(&us, STR("0001-01-01T00:00:00Z"), NULL),
			 0);
	assert_true(us == CLOCK_MIN_US);
}

static void
test_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"2026",
		"2026-01-01",
		"2026-01-01T",
		"2026-01-01T00:00",
		"2026-01-01T00:00:00",
		"2026-01-01T00:00:00.Z",
		"2026-01-01T00:00:00.1234567890Z",
		"2026-01-01T00:00:00Zx",
		"2026-01-01T00:00:00Z ",
		" 2026-01-01T00:00:00Z",
		"2026-01-01_00:00:00Z",
		"2026-1-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-13-01T00:00:00Z",
		"2026-01-00T00:00:00Z",
		"2026-01-32T00:00:00Z",
		"2026-04-31T00:00:00Z",
		"2026-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z",
		"2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z",
		"2026-01-01T00:00:60Z",
		"2026-01-01T00:00:00+2:00",
		"2026-01-01T00:00:00+0200",
		"2026-01-01T00:00:00+24:00",
		"2026-01-01T00:00:00+00:60",
		"2026-01-01T00:00:00,5Z",
		"0000-12-31T23:59:59Z",
		"0001-01-01T00:00:00+00:01",
		"9999-12-31T23:59:59-00:01",
		"+2026-01-01T00:00:00Z",
		"-001-01-01T00:00:00Z",
	};
	int64_t us = 42;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *why = NULL;
		if (clock_parse(&us, str_of(rows[i]), &why) == 0)
			fail_msg("%s was taken", rows[i]);
		assert_non_null(why);
	}
	assert_true(us == 42);
	assert_int_equal(
		clock_parse(&us,
			    (struct weir_str){"2026-01-01T00\0:00:00Z", 20},
			    NULL),
		-1);
}

/* A time in every day of all years, and both ends of the day, there and back;
 * the days follow one another. */
static void
test_every_day(void **state)
{
	int64_t day_us = 86400000000;
	char before[28] = "";
	char text[28];
	int64_t back;

	(void)state;
	for (int64_t us = CLOCK_MIN_US; us < CLOCK_MAX_US; us += day_us) {
		int64_t odd = us + (us / 7 % day_us + day_us) % day_us;
		clock_text(text, odd);
		if (clock_parse(&back, str_of(text), NULL) != 0)
			fail_msg("%s is refused", text);
		assert_true(back == odd);
		clock_text(text, us);
		assert_string_equal(text + 10, "T00:00:00.000000Z");
		if (memcmp(before, text, 10) >= 0)
			fail_msg("%s does not follow %s", text, before);
		memcpy(before, text, sizeof before);
	}
	assert_string_equal(before, "9999-12-31T00:00:00.000000Z");
}

static void
test_clamped(void **state)
{
	char text[28];

	(void)state;
	clock_text(text, INT64_MIN);
	assert_string_equal(text, "0001-01-01T00:00:00.000000Z");
	clock_text(text, INT64_MAX);
	assert_string_equal(text, "9999-12-31T23:59:59.999999Z");
}

static struct timespec given;

static int
given_clock(clockid_t id, struct timespec *ts)
{
	(void)id;
	*ts = given;
	if (given.tv_nsec >= 0)
		return 0;
	errno = EINVAL;
	return -1;
}

static void
test_table(void **state)
{
	struct os table = *os_real();

	(void)state;
	assert_true(clock_now() > 1700000000000000);
	int64_t was = clock_monotonic();
	assert_true(was > 0 && clock_monotonic() >= was);
	table.clock_gettime = given_clock;
	os_set(&table);
	given = (struct timespec){12, 345678999};
	assert_int_equal(clock_now(), 12345678);
	assert_int_equal(clock_monotonic(), 12345678);
	given.tv_nsec = -1;
	assert_int_equal(clock_now(), 0);
	os_set(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_every_day),
		cmocka_unit_test(test_clamped),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
