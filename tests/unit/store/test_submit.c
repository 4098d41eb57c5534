/* SPDX-License-Identifier: MIT */
/* Appends that are answered by a call: once each, in order, whatever fails. */
#include "store_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/diag.h"
#include "gate.h"

#define MOST 4000u

struct told {
	int rc;
	struct receipt first;
	size_t n;
	uint64_t version; /* of a conflict */
	bool sentence;
};

static struct weir_err err;
static char *dir;
static struct store *s;
static struct truth truth;
/* What the calls said, in their order; cookies are numbers from 1. */
static struct told told[MOST];
static uintptr_t order[MOST];
static _Atomic unsigned ntold;
static int in_call; /* what a try from within a call gave */

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	memset(&err, 0, sizeof(err));
	memset(told, 0, sizeof(told));
	atomic_store(&ntold, 0);
	gate_begin();
	s = must_write(dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	gate_end();
	truth_free(&truth);
	folder_drop(dir);
	return 0;
}

static void
tell(const struct store_answer *a, int rc, const struct receipt *receipts,
     size_t n, const struct weir_err *e)
{
	unsigned i = atomic_load(&ntold);
	struct told *t = &told[i];

	order[i] = (uintptr_t)a->cookie;
	t->rc = rc;
	t->n = n;
	if (receipts != NULL) {
		t->first = receipts[0];
		truth_note(&truth, receipts, n);
	}
	if (e != NULL) {
		t->version = e->version;
		t->sentence = e->code == rc && strlen(e->msg) > 10;
	}
	atomic_store(&ntold, i + 1);
}

static struct store_answer
answer_of(uintptr_t number)
{
	return (struct store_answer){.fn = tell, .cookie = (void *)number};
}

/* Submits n records; all memory is spoilt at once. */
static int
submit(uintptr_t number, unsigned n, size_t bytes, int flags)
{
	struct store_answer a = answer_of(number);
	struct record_draft d[8];
	struct weir_str tags[8];
	char *payload = malloc(bytes + 1), names[8][16];

	memset(payload, 'x', bytes);
	for (unsigned i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "id-%u",
			 (unsigned)(number + i) % 50);
		d[i] = draft_of("thing", names[i], "did", "");
		d[i].content = WEIR_CONTENT_TEXT;
		d[i].payload = (struct weir_str){payload, bytes};
		tags[i] = (struct weir_str){names[i], strlen(names[i])};
		d[i].tags = &tags[i];
		d[i].ntags = number % 2;
	}
	int rc = store_submit(s, d, n, flags, &a, &err);
	memset(payload, 0xff, bytes);
	memset(names, 0xff, sizeof(names));
	memset(tags, 0xff, sizeof(tags));
	memset(d, 0xff, sizeof(d));
	free(payload);
	return rc;
}

static void
check_order(unsigned n)
{
	assert_int_equal(atomic_load(&ntold), n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(order[i], i + 1);
}

static void
reopen_and_check(void)
{
	store_close(s);
	s = must_write(dir);
	assert_int_equal(truth_holds(&truth, s), truth.n);
	assert_ok(store_check(s, &(struct check_report){0}, NULL, NULL, &err),
		  err);
}

static void
test_order(void **state)
{
	uint64_t sequence = 0;

	(void)state;
	for (unsigned i = 0; i < MOST / 2; i++)
		assert_ok(submit(i + 1, 1 + i % 3, i % 100 == 0 ? 9000 : i % 80,
				 0),
			  err);
	store_close(s);
	check_order(MOST / 2);
	for (unsigned i = 0; i < MOST / 2; i++) {
		assert_int_equal(told[i].rc, 0);
		assert_int_equal(told[i].n, 1 + i % 3);
		assert_int_equal(told[i].first.sequence, sequence + 1);
		sequence += told[i].n;
	}
	s = must_write(dir);
	reopen_and_check();
	store_close(s);
}

/* Closing right away answers all of it. */
static void
test_close(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		atomic_store(&ntold, 0);
		gate_shut();
		for (unsigned i = 0; i < 300; i++)
			assert_ok(submit(i + 1, 1, 200, 0), err);
		assert_int_equal(atomic_load(&ntold), 0);
		gate_open();
		if (round == 2)
			assert_ok(store_end_writing(s, &err), err);
		store_close(s);
		check_order(300);
		s = must_write(dir);
		assert_int_equal(truth_holds(&truth, s), 300 * (round + 1));
	}
	store_close(s);
}

static void
test_refused(void **state)
{
	struct store_answer a = answer_of(1);
	struct record_draft d = draft_of("thing", "one", "did", "{}");

	(void)state;
	/* A broken rule is told at once, and not again. */
	d.payload = str_of("{");
	assert_int_equal(store_submit(s, &d, 1, 0, &a, &err), WEIR_EINPUT);
	assert_int_equal(store_submit(s, &d, 0, 0, &a, &err), WEIR_EINPUT);
	d.payload = str_of("{}");
	d.expected = 0;
	for (unsigned i = 1; i <= 3; i++) {
		a = answer_of(i);
		assert_ok(store_submit(s, &d, 1, 0, &a, &err), err);
	}
	store_close(s);
	check_order(3);
	assert_int_equal(told[0].rc, 0);
	for (unsigned i = 1; i < 3; i++) {
		assert_int_equal(told[i].rc, WEIR_ECONFLICT);
		assert_int_equal(told[i].version, 1);
		assert_true(told[i].sentence);
	}
}

static void
test_too_much(void **state)
{
	unsigned n = 0;
	int rc;

	(void)state;
	gate_shut();
	while ((rc = submit(n + 1, 1, 1u << 20, STORE_NOWAIT)) == 0)
		assert_true(++n < 100);
	assert_int_equal(rc, WEIR_EUNREACH);
	assert_true(n > 20);
	gate_open();
	/* Without the flag it waits for room. */
	for (unsigned i = 0; i < 40; i++)
		assert_ok(submit(n + i + 1, 1, 1u << 20, 0), err);
	store_close(s);
	check_order(n + 40);
}

static void
try_in_call(const struct store_answer *a, int rc,
	    const struct receipt *receipts, size_t n, const struct weir_err *e)
{
	struct record_draft d = draft_of("thing", "one", "did", "{}");
	struct store_answer next = answer_of(2);
	struct receipt got;
	struct weir_err mine;

	tell(a, rc, receipts, n, e);
	in_call = store_commit(s, &got, &d, 1, &mine);
	if (store_submit(s, &d, 1, 0, &next, &mine) != 0)
		in_call = 0;
}

static void
test_in_call(void **state)
{
	struct store_answer a = {.fn = try_in_call, .cookie = (void *)1};
	struct record_draft d = draft_of("thing", "one", "did", "{}");

	(void)state;
	in_call = 0;
	assert_ok(store_submit(s, &d, 1, 0, &a, &err), err);
	store_close(s);
	assert_int_equal(in_call, WEIR_EUSAGE);
	check_order(2);
	s = must_write(dir);
	assert_int_equal(store_last(s), 2);
	store_close(s);
}

static void
test_failure(void **state)
{
	(void)state;
	for (unsigned n = 1; n < 6; n++) {
		unsigned good = 0;
		atomic_store(&ntold, 0);
		gate_fail_sync(n, EIO);
		for (unsigned i = 0; i < 200; i++)
			assert_ok(submit(i + 1, 1, 100, 0), err);
		store_close(s);
		gate_mend();
		check_order(200);
		while (good < 200 && told[good].rc == 0)
			good++;
		for (unsigned i = good; i < 200; i++) {
			assert_true(told[i].rc == WEIR_EIO ||
				    told[i].rc == WEIR_EFAILED);
			assert_true(told[i].sentence);
		}
		truth.gaps = true;
		s = must_write(dir);
		assert_true(truth_holds(&truth, s) >= truth.n);
		store_close(s);
		truth_free(&truth);
		folder_empty(dir);
		s = must_write(dir);
	}
	store_close(s);
}

/* Callers who wait and calls, side by side. */
static void *
append_some(void *arg)
{
	for (unsigned i = 0; i < 100; i++) {
		struct record_draft d = draft_of("thing", arg, "did", "{}");
		struct receipt got;
		struct weir_err mine;
		d.expected = i;
		if (store_commit(s, &got, &d, 1, &mine) != 0 ||
		    got.version != i + 1)
			return arg;
	}
	return NULL;
}

static void
test_both(void **state)
{
	static char names[8][8];
	pthread_t thread[8];
	void *wrong;

	(void)state;
	truth.gaps = true; /* the callers' records */
	gate_slow(200);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(names[i], sizeof(names[i]), "own-%u", i);
		assert_int_equal(
			pthread_create(&thread[i], NULL, append_some, names[i]),
			0);
	}
	for (unsigned i = 0; i < 500; i++)
		assert_ok(submit(i + 1, 1, 50, 0), err);
	for (unsigned i = 0; i < 8; i++) {
		pthread_join(thread[i], &wrong);
		assert_null(wrong);
	}
	store_close(s);
	check_order(500);
	s = must_write(dir);
	assert_int_equal(truth_holds(&truth, s), 1300);
	assert_ok(store_check(s, &(struct check_report){0}, NULL, NULL, &err),
		  err);
	store_close(s);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_order),    TEST(test_close),	 TEST(test_refused),
		TEST(test_too_much), TEST(test_in_call), TEST(test_failure),
		TEST(test_both),
	};

	diag_set_level(DIAG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
