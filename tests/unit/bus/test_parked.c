/* SPDX-License-Identifier: MIT */
/* Retry, discard, superseded, crashes, and faults of our own files. */
#include "bus/bus_test.h"

#include "base/os.h"
#include "bus/deadletter.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
runs(struct bench *b, int expected)
{
	int rc = bench_run(b);

	if (rc != expected)
		fail_msg("runner_run: %d, not %d: %s", rc, expected,
			 b->err.msg);
}

static size_t
parked(struct bench *b)
{
	struct deadletters *d = NULL;
	size_t n;

	assert_int_equal(deadletters_load(&d, b->store, "s", &b->err), 0);
	n = deadletters_count(d);
	deadletters_free(d);
	return n;
}

static uint64_t
first_parked(struct bench *b)
{
	struct deadletters *d = NULL;
	uint64_t n = 0;

	assert_int_equal(deadletters_load(&d, b->store, "s", &b->err), 0);
	if (deadletters_count(d) != 0)
		n = deadletters_at(d, 0)->sequence;
	deadletters_free(d);
	return n;
}

static void
ask_retry(struct bench *b, uint64_t sequence)
{
	uint64_t n = 0;

	assert_int_equal(
		deadletters_ask_retry(b->store, "s", sequence, &n, &b->err), 0);
	assert_int_equal(n, 1);
}

/* a/1: 1 good, 2 refused, 4 and 5 wait; a/2: 3 */
static struct bench *
one_parked(const char *plugin)
{
	struct bench *b = bench_new(plugin);

	bench_commit(b, "a/1", "{\"x\":1}", NULL);
	bench_commit(b, "a/1", "{\"x\":\"BAD\"}", "a/2", "{\"x\":1}", NULL);
	bench_commit(b, "a/1", "{\"y\":3}", NULL);
	bench_commit(b, "a/1", "{\"y\":4}", NULL);
	runs(b, 0);
	assert_int_equal(parked(b), 1);
	return b;
}

static void
test_retry_delivers_in_order(void **state)
{
	struct bench *b = one_parked("fakehold");

	(void)state;
	assert_string_equal(bench_sequences(b), "1 3");
	ask_retry(b, 2);
	runs(b, 0); /* still refused */
	assert_int_equal(first_parked(b), 2);
	assert_string_equal(bench_sequences(b), "1 3");
	bench_put(b, "lenient", "");
	ask_retry(b, 2);
	runs(b, 0);
	assert_int_equal(parked(b), 0);
	assert_string_equal(bench_sequences(b), "1 3 2 4 5");
	assert_int_equal(bench_cursor(b), 5);
	bench_commit(b, "a/1", "{\"y\":5}", NULL);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 3 2 4 5 6");
	bench_free(b);
}

static void
test_retry_of_a_cursorless_sink(void **state)
{
	struct bench *b = one_parked("fake");

	(void)state;
	bench_put(b, "lenient", "");
	ask_retry(b, 2);
	runs(b, 0);
	assert_int_equal(parked(b), 0);
	assert_string_equal(bench_sequences(b), "1 3 2 4 5");
	bench_free(b);
}

static void
test_retry_meets_another_bad_one(void **state)
{
	struct bench *b = bench_new("fakehold");

	(void)state;
	bench_commit(b, "a/1", "{\"x\":\"BAD\"}", NULL);
	bench_commit(b, "a/1", "{\"y\":1}", NULL);
	bench_commit(b, "a/1", "{\"x\":\"BAD\"}", NULL);
	bench_commit(b, "a/1", "{\"y\":2}", NULL);
	runs(b, 0);
	assert_int_equal(
		deadletters_ask_discard(b->store, "s", 1, NULL, &b->err), 0);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "2");
	assert_int_equal(parked(b), 1);
	assert_int_equal(first_parked(b), 3);
	assert_int_equal(
		deadletters_ask_discard(b->store, "s", 3, NULL, &b->err), 0);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "2 4");
	assert_int_equal(parked(b), 0);
	bench_free(b);
}

static void
test_many_waiting(void **state)
{
	struct bench *b = bench_new("fakehold");
	char want[512];
	size_t n = 0;

	(void)state;
	b->options.batch_records = 7;
	bench_put(b, "unnamed", "");
	bench_commit(b, "item/0", "\"BAD\"", NULL);
	bench_fill(b, 40, 1);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "");
	bench_put(b, "lenient", "");
	ask_retry(b, 1);
	runs(b, 0);
	for (int i = 1; i <= 41; i++)
		n += (size_t)snprintf(want + n, sizeof(want) - n, "%s%d",
				      i > 1 ? " " : "", i);
	assert_string_equal(bench_sequences(b), want);
	assert_int_equal(parked(b), 0);
	bench_free(b);
}

static void
test_superseded(void **state)
{
	struct bench *b = bench_new("fakecoal");

	(void)state;
	bench_commit(b, "a/1", "{\"x\":\"BAD\"}", "a/2", "{}", NULL);
	runs(b, 0);
	assert_int_equal(parked(b), 1);
	bench_commit(b, "a/1", "{\"y\":1}", NULL); /* still BAD inside */
	runs(b, 0);
	assert_int_equal(parked(b), 1);
	assert_string_equal(bench_sequences(b), "2");
	bench_commit(b, "a/1", "{\"x\":7}", NULL);
	runs(b, 0);
	assert_int_equal(parked(b), 0);
	assert_string_equal(bench_sequences(b), "2 4");
	assert_non_null(strstr(bench_get(b, "@dead-letters"), "superseded"));
	bench_free(b);
}

static void
test_coalesced_older_state_stands(void **state)
{
	struct bench *b = bench_new("fakecoal");

	(void)state;
	bench_commit(b, "a/1", "{\"x\":1}", NULL);
	bench_commit(b, "a/1", "{\"x\":2}", NULL);
	bench_commit(b, "a/1", "{\"x\":\"BAD\"}", NULL);
	bench_commit(b, "a/2", "{\"x\":2}", NULL);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "2 4");
	assert_int_equal(first_parked(b), 3);
	bench_put(b, "lenient", "");
	ask_retry(b, 3);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "2 4 3");
	assert_int_equal(parked(b), 0);
	bench_free(b);
}

/* One more option for the sink. */
static void
add_value(struct sinkconf *c, const char *name, const char *value)
{
	static struct sinkconf_value values[3];

	memcpy(values, c->values, 2 * sizeof(*values));
	values[2].name = (char *)(uintptr_t)name;
	values[2].value = (char *)(uintptr_t)value;
	c->values = values;
	c->nvalues = 3;
}

static void
loud(struct sinkconf *c)
{
	add_value(c, "loud", "true");
}

static void
of_seven(struct sinkconf *c)
{
	add_value(c, "size", "7");
}

/* A coalescing plugin whose sink, as configured, takes every record. */
static void
test_shape(void **state)
{
	struct bench *b = bench_new("fakecoal");

	(void)state;
	bench_configure(b, "fakecoal", loud);
	bench_commit(b, "a/1", "{\"x\":1}", NULL);
	bench_commit(b, "a/1", "{\"x\":2}", NULL);
	bench_commit(b, "a/1", "{\"x\":\"BAD\"}", NULL);
	bench_commit(b, "a/1", "{\"x\":4}", NULL);
	bench_commit(b, "a/2", "{\"x\":5}", NULL);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 5");
	bench_commit(b, "a/1", "{\"x\":6}", NULL);
	runs(b, 0); /* later records wait */
	assert_string_equal(bench_sequences(b), "1 2 5");
	bench_put(b, "lenient", "");
	ask_retry(b, 3);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 5 3 4 6");
	assert_non_null(strstr(bench_get(b, "db"), "{\"x\":4}"));
	assert_int_equal(parked(b), 0);
	bench_free(b);
}

/* What was parked while it coalesced comes record by record afterwards. */
static void
test_shape_changes(void **state)
{
	struct bench *b = bench_new("fakecoal");

	(void)state;
	bench_commit(b, "a/1", "{\"x\":\"BAD\"}", NULL);
	bench_commit(b, "a/1", "{\"y\":2}", NULL);
	runs(b, 0);
	bench_commit(b, "a/1", "{\"y\":3}", NULL);
	runs(b, 0);
	assert_int_equal(parked(b), 1);
	bench_put(b, "lenient", "");
	bench_configure(b, "fakecoal", loud);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 3");
	assert_int_equal(parked(b), 0);
	bench_free(b);
}

static void
test_shape_that_adds(void **state)
{
	struct bench *b = bench_new("fakecoal");

	(void)state;
	bench_configure(b, "fakecoal", of_seven);
	bench_commit(b, "a/1", "{}", NULL);
	runs(b, WEIR_EDENIED);
	assert_non_null(strstr(b->err.msg, "its shape adds"));
	assert_string_equal(bench_sequences(b), "");
	bench_free(b);
}

/* New settings or mappings try what is parked once, without being asked. */
static void
test_mended_settings_heal(void **state)
{
	struct bench *b = one_parked("fakehold");

	(void)state;
	bench_commit(b, "b/1", "\"BAD\"", NULL);
	runs(b, 0);
	assert_int_equal(parked(b), 2);
	bench_configure(b, "fakehold", NULL);
	runs(b, 0);
	assert_int_equal(parked(b), 2);
	bench_put(b, "lenient", "");
	runs(b, 0);
	assert_int_equal(parked(b), 2);
	b->options.batch_records = 2;
	bench_put(b, "@../map.conf", "");
	runs(b, 0);
	assert_int_equal(parked(b), 0);
	assert_string_equal(bench_sequences(b), "1 3 2 4 5 6");
	bench_free(b);
}

static void
test_nothing_to_retry(void **state)
{
	struct bench *b = bench_new("fakehold");

	(void)state;
	assert_int_equal(deadletters_ask_retry(b->store, "s", 5, NULL, &b->err),
			 WEIR_ENOTFOUND);
	bench_free(b);
}

static void
test_crash_parks_after_three(void **state)
{
	struct bench *b = bench_new("fakehold");
	int crashes = 0, rc;

	(void)state;
	bench_fill(b, 10, 10);
	bench_commit(b, "c/1", "\"CRASH\"", NULL);
	bench_fill(b, 5, 5);
	while ((rc = bench_run_child(b)) == -SIGABRT && crashes < 20)
		crashes++;
	assert_int_equal(rc, 0);
	/* halving 16 takes a few, then three on the record alone */
	assert_in_range(crashes, 4, 9);
	assert_int_equal(first_parked(b), 11);
	assert_string_equal(bench_sequences(b),
			    "1 2 3 4 5 6 7 8 9 10 12 13 14 15 16");
	assert_non_null(
		strstr(bench_get(b, "@dead-letters"), "\"reason\":\"crash\""));
	bench_free(b);
}

static void
test_crash_of_a_lone_record(void **state)
{
	struct bench *b = bench_new("fakecoal");

	(void)state;
	bench_commit(b, "c/1", "\"CRASH\"", NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(bench_run_child(b), -SIGABRT);
	assert_int_equal(bench_run_child(b), 0);
	assert_int_equal(first_parked(b), 1);
	/* a newer state is not tried by itself: it would crash again */
	bench_commit(b, "c/1", "{\"y\":1}", NULL);
	assert_int_equal(bench_run_child(b), 0);
	ask_retry(b, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(bench_run_child(b), -SIGABRT);
	assert_int_equal(bench_run_child(b), 0);
	bench_free(b);
}

static void
test_a_kill_is_no_crash(void **state)
{
	struct bench *b = bench_new("fakehold");

	(void)state;
	b->watch = true;
	bench_commit(b, "k/1", "\"KILL\"", NULL);
	for (int i = 0; i < 5; i++)
		assert_int_equal(bench_run_child(b), -SIGKILL);
	bench_put(b, "lenient", "");
	assert_int_equal(bench_run_child(b), 0);
	assert_int_equal(parked(b), 0);
	assert_string_equal(bench_sequences(b), "1");
	bench_drop(b, "lenient");
	bench_commit(b, "c/1", "\"CRASH\"", NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(bench_run_child(b), -SIGABRT);
	assert_int_equal(bench_run_child(b), 0);
	assert_int_equal(first_parked(b), 2);
	bench_commit(b, "k/2", "\"KILL\"", NULL);
	for (int i = 0; i < 10; i++)
		assert_int_equal(bench_run_child(b), -SIGKILL);
	assert_int_equal(bench_run_child(b), 0);
	assert_int_equal(parked(b), 2);
	bench_free(b);
}

static void
test_killed_after_a_batch(void **state)
{
	struct bench *b = bench_new("fakehold");

	(void)state;
	bench_fill(b, 3, 3);
	bench_put(b, "die-after", "");
	assert_int_equal(bench_run_child(b), 9);
	bench_drop(b, "die-after");
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 3");
	bench_free(b);
}

static void
test_killed_in_a_retry(void **state)
{
	struct bench *b = one_parked("fakehold");

	(void)state;
	bench_put(b, "lenient", "");
	bench_put(b, "die-after", "");
	ask_retry(b, 2);
	assert_int_equal(bench_run_child(b), 9);
	bench_drop(b, "die-after");
	assert_int_equal(parked(b), 1);
	runs(b, 0);
	/* the target's epoch told that it was applied */
	assert_string_equal(bench_sequences(b), "1 3 2 4 5");
	assert_int_equal(parked(b), 0);
	bench_free(b);
}

/* ---- faults of our own files ------------------------------------------------
 */

static int fail_at, calls;

static bool
now(void)
{
	if (++calls != fail_at)
		return false;
	errno = EIO;
	return true;
}

static ssize_t
f_pwrite(int fd, const void *p, size_t n, off_t at)
{
	return now() ? -1 : os_real()->pwrite(fd, p, n, at);
}

static ssize_t
f_write(int fd, const void *p, size_t n)
{
	return now() ? -1 : os_real()->write(fd, p, n);
}

static int
f_fdatasync(int fd)
{
	return now() ? -1 : os_real()->fdatasync(fd);
}

static int
f_fsync(int fd)
{
	return now() ? -1 : os_real()->fsync(fd);
}

static int
f_rename(const char *from, const char *to)
{
	return now() ? -1 : os_real()->rename(from, to);
}

static int
f_open(const char *path, int flags, mode_t mode)
{
	return now() ? -1 : os_real()->open(path, flags, mode);
}

/* Every record stands in db, in order but for repeats; bad ones are parked. */
static void
check_all_there(struct bench *b)
{
	const char *db = bench_get(b, "db");

	assert_true(bench_count(db, "\n1 1 a/1") >= 1);
	assert_int_equal(bench_count(db, "\n2 2 a/1"), 0);
	assert_true(bench_count(db, "\n3 1 a/2") >= 1);
	assert_true(bench_count(db, "\n5 2 a/2") >= 1);
	assert_int_equal(first_parked(b), 2);
}

static void
faults(const char *plugin)
{
	static struct os table;
	int n;

	table = *os_real();
	table.pwrite = f_pwrite;
	table.write = f_write;
	table.fdatasync = f_fdatasync;
	table.fsync = f_fsync;
	table.rename = f_rename;
	table.open = f_open;
	for (n = 1; n < 400; n++) {
		struct bench *b = bench_new(plugin);

		bench_commit(b, "a/1", "{\"x\":1}", NULL);
		bench_commit(b, "a/1", "{\"x\":\"BAD\"}", "a/2", "{}", NULL);
		bench_commit(b, "a/1", "{\"x\":3}", NULL);
		bench_commit(b, "a/2", "{\"x\":3}", NULL);
		fail_at = n;
		calls = 0;
		os_set(&table);
		(void)bench_run(b);
		os_set(NULL);
		bench_hurry(b);
		runs(b, 0);
		check_all_there(b);
		bench_free(b);
		if (calls < n)
			break;
	}
	assert_in_range(n, 10, 399);
}

static void
test_faults(void **state)
{
	(void)state;
	faults("fake");
	faults("fakehold");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retry_delivers_in_order),
		cmocka_unit_test(test_retry_of_a_cursorless_sink),
		cmocka_unit_test(test_retry_meets_another_bad_one),
		cmocka_unit_test(test_many_waiting),
		cmocka_unit_test(test_superseded),
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_shape_changes),
		cmocka_unit_test(test_shape_that_adds),
		cmocka_unit_test(test_coalesced_older_state_stands),
		cmocka_unit_test(test_mended_settings_heal),
		cmocka_unit_test(test_nothing_to_retry),
		cmocka_unit_test(test_crash_parks_after_three),
		cmocka_unit_test(test_crash_of_a_lone_record),
		cmocka_unit_test(test_a_kill_is_no_crash),
		cmocka_unit_test(test_killed_after_a_batch),
		cmocka_unit_test(test_killed_in_a_retry),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
