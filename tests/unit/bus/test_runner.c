/* SPDX-License-Identifier: MIT */
/* The flow: order, cursors, filters, commits, back-off, bisection, parking. */
#include "bus/bus_test.h"

#include "base/clock.h"
#include "base/os.h"
#include "bus/deadletter.h"
#include "store/store.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
runs(struct bench *b, int expected)
{
	int rc = bench_run(b);

	if (rc != expected)
		fail_msg("runner_run: %d, not %d: %s", rc, expected,
			 b->err.msg);
}

static struct runner_status
status(struct bench *b)
{
	struct runner_status st;

	assert_int_equal(runner_status(&st, b->store, "s", &b->err), 0);
	return st;
}

/* Open dead letters as "sequence:reason ..."; static. */
static const char *
dead(struct bench *b)
{
	static char out[1024];
	struct deadletters *d = NULL;
	size_t n = 0;

	assert_int_equal(deadletters_load(&d, b->store, "s", &b->err), 0);
	out[0] = '\0';
	for (size_t i = 0; i < deadletters_count(d); i++) {
		const struct dead_letter *e = deadletters_at(d, i);

		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%llu:%s",
				      i != 0 ? " " : "",
				      (unsigned long long)e->sequence,
				      e->reason);
	}
	deadletters_free(d);
	return out;
}

static void
test_order_and_cursor(void **state)
{
	struct bench *b = bench_new("fakehold");

	(void)state;
	b->options.batch_records = 4;
	bench_fill(b, 10, 3);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 3 4 5 6 7 8 9 10");
	assert_int_equal(bench_cursor(b), 10);
	assert_int_equal(bench_count(bench_get(b, "calls"), "deliver 4"), 2);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 3 4 5 6 7 8 9 10");
	bench_fill(b, 1, 1);
	runs(b, 0);
	assert_int_equal(bench_cursor(b), 11);
	assert_int_equal(bench_count(bench_get(b, "calls"), "epoch 1 "), 3);
	assert_int_equal(bench_count(bench_get(b, "calls"), "epoch 2 "), 1);
	assert_int_equal(status(b).state, RUNNER_IDLE);
	assert_int_equal(status(b).cursor, 11);
	assert_int_equal(status(b).pid, 0);
	bench_free(b);
}

static void
test_cursor_file(void **state)
{
	struct bench *b = bench_new("fake");

	(void)state;
	bench_fill(b, 5, 2);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 3 4 5");
	assert_true(bench_has(b, "@cursor"));
	bench_fill(b, 2, 2);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 3 4 5 6 7");
	bench_free(b);
}

static void
aim_elsewhere(struct sinkconf *c)
{
	static char other[400];

	snprintf(other, sizeof(other), "%s/..", c->values[0].value);
	c->values[0].value = other;
}

static void
start_at_four(struct sinkconf *c)
{
	c->from = 4;
}

static void
test_start_and_new_target(void **state)
{
	struct bench *b = bench_new("fake");

	(void)state;
	bench_configure(b, "fake", start_at_four);
	bench_fill(b, 5, 2);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "4 5");
	/* the cursor file was for another target */
	bench_configure(b, "fake", aim_elsewhere);
	runs(b, 0);
	snprintf(b->target, sizeof(b->target), "%s", b->dir);
	assert_string_equal(bench_sequences(b), "1 2 3 4 5");
	bench_free(b);
}

static void
only_orders(struct sinkconf *c)
{
	static char *aggregates[] = {(char *)(uintptr_t) "ord*", NULL};

	c->aggregates = aggregates;
}

static void
test_filter(void **state)
{
	struct bench *b = bench_new("fakehold");

	(void)state;
	bench_configure(b, "fakehold", only_orders);
	bench_commit(b, "order/1", "{}", "item/1", "{}", NULL);
	bench_commit(b, "item/2", "{}", NULL);
	bench_commit(b, "ordinal/2", "{}", NULL);
	bench_commit(b, "item/2", "{}", NULL);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 4");
	assert_int_equal(bench_cursor(b), 5);
	bench_free(b);
}

static void
three_at_once(struct sinkconf *c)
{
	c->batch = 3;
}

static void
test_batch_setting(void **state)
{
	struct bench *b = bench_new("fakehold");

	(void)state;
	bench_configure(b, "fakehold", three_at_once);
	bench_fill(b, 7, 2);
	runs(b, 0);
	assert_int_equal(bench_count(bench_get(b, "calls"), "deliver 3 "), 2);
	assert_int_equal(bench_count(bench_get(b, "calls"), "deliver 1 "), 1);
	bench_free(b);
}

static void
test_no_batch_ends_in_a_commit(void **state)
{
	struct bench *b = bench_new("fakehold");
	const char *calls;

	(void)state;
	b->options.batch_records = 2;
	bench_commit(b, "a/1", "{}", NULL);
	bench_commit(b, "a/1", "{}", "a/2", "{}", "a/3", "{}", "a/4", "{}",
		     NULL);
	bench_commit(b, "a/1", "{}", NULL);
	bench_commit(b, "a/1", "{}", NULL);
	runs(b, 0);
	calls = bench_get(b, "calls");
	assert_non_null(strstr(calls, "deliver 5 through 5"));
	assert_non_null(strstr(calls, "deliver 2 through 7"));
	bench_free(b);
}

static void
test_coalesce(void **state)
{
	struct bench *b = bench_new("fakecoal");
	const char *db;

	(void)state;
	bench_commit(b, "a/1", "{\"x\":1,\"y\":0.10}", NULL);
	bench_commit(b, "a/2", "{\"x\":2}", NULL);
	bench_commit(b, "a/1", "{\"x\":12345678901234567890123}", NULL);
	runs(b, 0);
	db = bench_get(b, "db");
	assert_string_equal(bench_sequences(b), "2 3");
	db = bench_get(b, "db");
	assert_non_null(
		strstr(db, "{\"x\":12345678901234567890123,\"y\":0.10}"));
	bench_free(b);
}

static void
test_named_refusal_parks_one_aggregate(void **state)
{
	struct bench *b = bench_new("fakehold");
	struct deadletters *d = NULL;
	const struct dead_letter *e;

	(void)state;
	bench_commit(b, "a/1", "{\"x\":1}", NULL);
	bench_commit(b, "a/1", "{\"x\":\"BAD\"}", "a/2", "{\"x\":1}", NULL);
	bench_commit(b, "a/1", "{\"x\":3}", NULL);
	bench_commit(b, "a/2", "{\"x\":4}", NULL);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 3 5");
	assert_int_equal(bench_cursor(b), 5);
	assert_string_equal(dead(b), "2:reject");
	assert_int_equal(status(b).parked, 1);
	assert_int_equal(deadletters_load(&d, b->store, "s", &b->err), 0);
	e = deadletters_at(d, 0);
	assert_int_equal(e->version, 2);
	assert_string_equal(e->code, "22P02");
	assert_string_equal(e->column, "a");
	/* one line, no secret */
	assert_string_equal(e->message,
			    "the value does not fit its column (***)");
	deadletters_free(d);
	bench_free(b);
}

static void
test_bisection(void **state)
{
	struct bench *b = bench_new("fakehold");
	char want[512];
	size_t n = 0;

	(void)state;
	bench_put(b, "unnamed", "");
	bench_fill(b, 20, 20);
	bench_commit(b, "b/1", "{}", "b/2", "{}", "b/3", "\"BAD\"", "b/4", "{}",
		     NULL);
	bench_fill(b, 20, 20);
	runs(b, 0);
	for (int i = 1; i <= 44; i++) {
		if (i != 23)
			n += (size_t)snprintf(want + n, sizeof(want) - n,
					      "%s%d", i > 1 ? " " : "", i);
	}
	assert_string_equal(bench_sequences(b), want);
	assert_string_equal(dead(b), "23:reject");
	bench_free(b);
}

static void
test_two_bad_ones(void **state)
{
	struct bench *b = bench_new("fakehold");

	(void)state;
	bench_put(b, "unnamed", "");
	bench_commit(b, "a/1", "\"BAD\"", NULL);
	bench_commit(b, "a/2", "{}", NULL);
	bench_commit(b, "a/3", "\"BAD\"", "a/4", "\"BAD\"", NULL);
	bench_commit(b, "a/5", "{}", NULL);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "2 5");
	assert_string_equal(dead(b), "1:reject 3:reject 4:reject");
	bench_free(b);
}

/* A clock that a test moves, so that no test waits. */
static int64_t ahead_us;

static int
shifted_clock(clockid_t id, struct timespec *ts)
{
	int rc = os_real()->clock_gettime(id, ts);
	int64_t us = ts->tv_nsec / 1000 + ahead_us;

	ts->tv_sec += us / 1000000;
	ts->tv_nsec = us % 1000000 * 1000;
	return rc;
}

/* Back-offs of nearly the longest time. */
static int
fixed_random(void *p, size_t n)
{
	uint64_t v = 999999;

	memset(p, 0, n);
	memcpy(p, &v, n < sizeof(v) ? n : sizeof(v));
	return 0;
}

static struct os shifted;

static int
put_real_os_back(void **state)
{
	(void)state;
	os_set(NULL);
	ahead_us = 0;
	return 0;
}

static void
test_back_off_outlives_the_process(void **state)
{
	struct bench *b = bench_new("fakehold");
	struct runner_status st;

	(void)state;
	shifted = *os_real();
	shifted.clock_gettime = shifted_clock;
	shifted.random = fixed_random;
	os_set(&shifted);
	bench_fill(b, 3, 3);
	bench_put(b, "fail", "2 3"); /* not connected, three times */
	for (int i = 1; i <= 3; i++) {
		runs(b, WEIR_EUNREACH);
		st = status(b);
		assert_int_equal(st.state, RUNNER_BACKOFF);
		assert_true(st.next_try_at > 0);
		assert_string_equal(st.last_class, "not_connected");
		assert_string_equal(st.last_error, "failed as asked");
		runs(b, WEIR_EUNREACH); /* not yet */
		assert_int_equal(bench_count(bench_get(b, "calls"), "deliver"),
				 i);
		ahead_us += 301000000;
	}
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 3");
	st = status(b);
	assert_int_equal(st.state, RUNNER_IDLE);
	assert_string_equal(st.last_error, "");
	assert_string_equal(dead(b), "");
	bench_free(b);
}

static void
test_retries_are_counted_then_parked(void **state)
{
	struct bench *b = bench_new("fakehold");

	(void)state;
	bench_put(b, "unnamed", "");
	bench_commit(b, "a/1", "{}", NULL);
	bench_commit(b, "a/2", "\"BUSY\"", NULL);
	bench_commit(b, "a/3", "{}", NULL);
	for (int i = 0; i < 2; i++) { /* attempts_max is 3 */
		runs(b, WEIR_EUNREACH);
		assert_string_equal(dead(b), "");
		bench_hurry(b);
	}
	assert_int_equal(status(b).attempts, 2);
	runs(b, 0);
	assert_string_equal(dead(b), "2:attempts");
	assert_string_equal(bench_sequences(b), "1 3");
	bench_free(b);
}

/* A plugin without TXN that did the first part of a batch is not given that
 * part again. */
static void
test_part_of_a_batch_stays(void **state)
{
	struct bench *b = bench_new("fake");

	(void)state;
	bench_put(b, "partly", "");
	bench_commit(b, "a/1", "{}", "a/2", "{}", "a/3", "\"BAD\"", NULL);
	bench_commit(b, "a/4", "{}", "a/3", "{}", "a/5", "{}", NULL);
	runs(b, 0);
	assert_string_equal(dead(b), "3:reject");
	assert_string_equal(bench_sequences(b), "1 2 4 6");
	bench_put(b, "unnamed", "");
	bench_commit(b, "a/6", "{}", "a/7", "{}", "a/8", "\"BAD\"", "a/9", "{}",
		     NULL);
	runs(b, 0);
	assert_string_equal(dead(b), "3:reject 9:reject");
	assert_string_equal(bench_sequences(b), "1 2 4 6 7 8 10");
	bench_free(b);
}

static void
test_part_of_a_retried_batch_stays(void **state)
{
	struct bench *b = bench_new("fake");

	(void)state;
	bench_put(b, "partly", "");
	bench_commit(b, "a/1", "{}", "a/2", "\"BUSY\"", "a/3", "{}", NULL);
	for (int i = 0; i < 2; i++) { /* attempts_max is 3 */
		runs(b, WEIR_EUNREACH);
		runs(b, WEIR_EUNREACH); /* not yet; the status stands */
		assert_string_equal(dead(b), "");
		assert_string_equal(bench_sequences(b), "1");
		assert_int_equal(status(b).cursor, 1);
		bench_hurry(b);
	}
	runs(b, 0);
	assert_string_equal(dead(b), "2:attempts");
	assert_string_equal(bench_sequences(b), "1 3");
	bench_free(b);
}

static void
test_blocked_heals(void **state)
{
	struct bench *b = bench_new("fakehold");
	struct runner_status st;

	(void)state;
	bench_fill(b, 3, 3);
	bench_put(b, "down", "");
	runs(b, WEIR_EDENIED);
	assert_non_null(strstr(b->err.msg, "is blocked"));
	assert_non_null(strstr(b->err.msg, "remove the file down"));
	assert_null(strstr(b->err.msg, "hunter2"));
	st = status(b);
	assert_int_equal(st.state, RUNNER_BLOCKED);
	assert_null(strstr(st.last_error, "hunter2"));
	bench_drop(b, "down");
	runs(b, WEIR_EDENIED); /* the probe is not due */
	bench_hurry(b);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 3");
	/* new settings try at once */
	bench_fill(b, 1, 1);
	bench_put(b, "fail", "3 1");
	runs(b, WEIR_EDENIED);
	bench_configure(b, "fakehold", NULL);
	runs(b, 0);
	bench_free(b);
}

static void
pause_it(struct sinkconf *c)
{
	c->paused = true;
}

static void
test_paused_and_gone(void **state)
{
	struct bench *b = bench_new("fakehold");
	struct sinkconf *c = NULL;

	(void)state;
	bench_fill(b, 1, 1);
	bench_configure(b, "fakehold", pause_it);
	runs(b, WEIR_EDENIED);
	assert_int_equal(status(b).state, RUNNER_PAUSED);
	bench_configure(b, "fakehold", NULL);
	bench_put(b, "fail", "5 1");
	runs(b, WEIR_EDENIED);
	assert_int_equal(status(b).state, RUNNER_GONE);
	assert_int_equal(sinkconf_load(&c, b->store, "s", &b->err), 0);
	assert_false(c->enabled);
	sinkconf_free(c);
	bench_configure(b, "fakehold", NULL);
	runs(b, 0);
	bench_free(b);
}

static void
test_foreign_and_lost_cursors(void **state)
{
	struct bench *b = bench_new("fakehold");
	char text[200];

	(void)state;
	bench_fill(b, 2, 1);
	bench_put(b, "db", "0123456789abcdef0123456789abcdef 1 1 0\n");
	runs(b, WEIR_EDENIED);
	assert_non_null(
		strstr(b->err.msg, "01234567-89ab-cdef-0123-456789abcdef"));
	bench_drop(b, "db");
	bench_hurry(b);
	runs(b, 0);
	snprintf(text, sizeof(text), "%.32s 77 1 0\n", bench_get(b, "db"));
	bench_put(b, "db", text);
	bench_fill(b, 1, 1);
	runs(b, WEIR_EDENIED);
	assert_non_null(strstr(b->err.msg, "77"));
	assert_non_null(strstr(b->err.msg, "ends at 3"));
	bench_free(b);
}

static void
test_one_runner_per_sink(void **state)
{
	struct bench *b = bench_new("fakehold");
	struct runner *first = NULL, *second = NULL;
	char pid[32];

	(void)state;
	assert_int_equal(runner_new(&first, &b->options, &b->err), 0);
	assert_int_equal(runner_new(&second, &b->options, &b->err),
			 WEIR_EUNREACH);
	snprintf(pid, sizeof(pid), "process %ld ", (long)getpid());
	assert_non_null(strstr(b->err.msg, pid));
	assert_int_equal(status(b).pid, getpid());
	runner_free(first);
	assert_int_equal(status(b).pid, 0);
	bench_free(b);
}

static void
test_hang_ends_at_the_deadline(void **state)
{
	struct bench *b = bench_new("fakehold");
	struct runner *r = NULL;
	int64_t start = clock_monotonic();

	(void)state;
	bench_commit(b, "a/1", "\"HANG\"", NULL);
	assert_int_equal(runner_new(&r, &b->options, &b->err), 0);
	assert_int_equal(runner_run(r, 0, start + 200000, &b->err),
			 WEIR_EUNREACH);
	runner_free(r);
	assert_true(clock_monotonic() - start < 5000000);
	/* ended by us, so it is no attempt */
	assert_int_equal(status(b).attempts, 0);
	bench_free(b);
}

static void
test_stop(void **state)
{
	struct bench *b = bench_new("fakehold");
	struct runner *r = NULL;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	b->options.stop_fd = fds[0];
	assert_int_equal(runner_new(&r, &b->options, &b->err), 0);
	assert_int_equal(runner_run(r, UINT64_MAX, 0, &b->err), WEIR_ESTOPPED);
	runner_free(r);
	close(fds[0]);
	close(fds[1]);
	bench_free(b);
}

struct running {
	struct runner *r;
	struct weir_err err;
	int rc;
};

static void *
run_on(void *arg)
{
	struct running *on = arg;

	on->rc = runner_run(on->r, UINT64_MAX, 0, &on->err);
	return NULL;
}

/* Looks until `file` holds the text; ten seconds at most. */
static void
comes(struct bench *b, const char *file, const char *text)
{
	int64_t end = clock_monotonic() + 10000000;

	while (strstr(bench_get(b, file), text) == NULL) {
		if (clock_monotonic() > end)
			fail_msg("no \"%s\" in %s: %s", text, file,
				 bench_get(b, file));
		(void)poll(NULL, 0, 5);
	}
}

static void
test_runs_on(void **state)
{
	struct bench *b = bench_new("fakehold");
	struct running on = {0};
	pthread_t thread;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	b->options.stop_fd = fds[0];
	assert_int_equal(runner_new(&on.r, &b->options, &b->err), 0);
	assert_int_equal(pthread_create(&thread, NULL, run_on, &on), 0);
	bench_commit(b, "a/1", "{}", NULL);
	comes(b, "db", "\n1 1 a/1");
	bench_commit(b, "a/1", "\"BAD\"", NULL);
	comes(b, "@dead-letters", "\"sequence\":2");
	comes(b, "db", " 2 1 1 "); /* the cursor passes it */
	comes(b, "@status", "\"state\":\"idle\"");
	/* asked for from outside, seen within a second */
	bench_put(b, "lenient", "");
	assert_int_equal(deadletters_ask_retry(b->store, "s", 2, NULL, &b->err),
			 0);
	comes(b, "db", "\n2 2 a/1");
	bench_configure(b, "fakehold", pause_it);
	comes(b, "@status", "\"state\":\"paused\"");
	comes(b, "calls", "close");
	bench_commit(b, "a/1", "{}", NULL);
	bench_configure(b, "fakehold", NULL);
	comes(b, "db", "\n3 3 a/1");
	runner_reload(on.r);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(on.rc, WEIR_ESTOPPED);
	runner_free(on.r);
	close(fds[0]);
	close(fds[1]);
	bench_free(b);
}

static void
test_replay_of_a_mirror(void **state)
{
	struct bench *b = bench_new("fakecoal");
	const char *calls;

	(void)state;
	bench_fill(b, 6, 3);
	runs(b, 0);
	assert_int_equal(runner_replay(b->store, "s", 2, &b->err), 0);
	calls = bench_get(b, "calls");
	assert_non_null(strstr(calls, "rewind 2\n"));
	assert_non_null(strstr(calls, "through 6 attempt 0 epoch 3 parked 0 "
				      "flags 3"));
	assert_false(bench_has(b, "@replay"));
	assert_int_equal(bench_cursor(b), 6);
	assert_string_equal(bench_sequences(b), "4 5 6 4 5 6");
	bench_free(b);
}

static void
test_replay_of_files(void **state)
{
	struct bench *b = bench_new("fakerewrite");

	(void)state;
	b->options.batch_records = 2;
	bench_fill(b, 5, 5);
	runs(b, 0);
	bench_put(b, "db", "0 0 0 0\nspoilt\n");
	assert_int_equal(runner_replay(b->store, "s", 3, &b->err), WEIR_EUSAGE);
	bench_drop(b, "db");
	assert_int_equal(runner_replay(b->store, "s", 1, &b->err), 0);
	assert_string_equal(bench_sequences(b), "1 2 3 4 5");
	assert_int_equal(bench_count(bench_get(b, "db"), " replay "), 5);
	assert_false(bench_has(b, "@replay"));
	bench_fill(b, 1, 1);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 3 4 5 6");
	bench_free(b);
}

static void
test_test_and_plan(void **state)
{
	struct bench *b = bench_new("fakehold");
	struct weir_str a = {"a", 1}, f = {"x", 1};
	char message[1024];

	(void)state;
	bench_fill(b, 2, 1);
	assert_int_equal(runner_test(b->store, "s", message, &b->err), 0);
	assert_non_null(strstr(message, "no cursor yet"));
	runs(b, 0);
	assert_int_equal(runner_test(b->store, "s", message, &b->err), 0);
	assert_non_null(strstr(message, "through sequence 2"));
	bench_put(b, "down", "");
	assert_int_equal(runner_test(b->store, "s", message, &b->err),
			 WEIR_EDENIED);
	assert_null(strstr(b->err.msg, "hunter2"));
	bench_drop(b, "down");
	assert_int_equal(runner_plan(b->store, "s", a, f, "text", true, message,
				     &b->err),
			 0);
	assert_string_equal(message, "changed x to text");
	assert_int_equal(runner_plan(b->store, "s", a, f, "date", false,
				     message, &b->err),
			 WEIR_EINPUT);
	assert_non_null(strstr(b->err.msg, "mend row 7"));
	bench_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_cursor),
		cmocka_unit_test(test_cursor_file),
		cmocka_unit_test(test_start_and_new_target),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_batch_setting),
		cmocka_unit_test(test_no_batch_ends_in_a_commit),
		cmocka_unit_test(test_coalesce),
		cmocka_unit_test(test_named_refusal_parks_one_aggregate),
		cmocka_unit_test(test_bisection),
		cmocka_unit_test(test_two_bad_ones),
		cmocka_unit_test_teardown(test_back_off_outlives_the_process,
					  put_real_os_back),
		cmocka_unit_test(test_runs_on),
		cmocka_unit_test(test_retries_are_counted_then_parked),
		cmocka_unit_test(test_part_of_a_batch_stays),
		cmocka_unit_test(test_part_of_a_retried_batch_stays),
		cmocka_unit_test(test_blocked_heals),
		cmocka_unit_test(test_paused_and_gone),
		cmocka_unit_test(test_foreign_and_lost_cursors),
		cmocka_unit_test(test_one_runner_per_sink),
		cmocka_unit_test(test_hang_ends_at_the_deadline),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_replay_of_a_mirror),
		cmocka_unit_test(test_replay_of_files),
		cmocka_unit_test(test_test_and_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
