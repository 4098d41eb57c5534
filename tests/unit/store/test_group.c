/* SPDX-License-Identifier: MIT */
/* Many threads append to one store: order, numbering, idempotency, failures. */
#include "store_test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/diag.h"
#include "base/os.h"
#include "gate.h"
#include "store/batch.h"
#include "store/impl.h"
#include "store/pending.h"

#define THREADS 64u
#define APPENDS 30u

struct task {
	struct store *s;
	unsigned number;
	void (*fn)(struct task *t);
	pthread_t thread;
	struct receipt got[APPENDS];
	int rc[APPENDS];
	struct weir_err err[APPENDS];
	const char *wrong; /* found by the thread itself */
};

static struct weir_err err;
static char *dir;
static struct truth truth;
static struct task task[THREADS];

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	memset(&err, 0, sizeof(err));
	gate_begin();
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

static void *
run_task(void *arg)
{
	struct task *t = arg;

	t->fn(t);
	return NULL;
}

static void
run_tasks(struct store *s, unsigned n, void (*fn)(struct task *t))
{
	memset(task, 0, sizeof(task));
	for (unsigned i = 0; i < n; i++) {
		task[i] = (struct task){.s = s, .number = i, .fn = fn};
		assert_int_equal(pthread_create(&task[i].thread, NULL, run_task,
						&task[i]),
				 0);
	}
	for (unsigned i = 0; i < n; i++)
		pthread_join(task[i].thread, NULL);
	for (unsigned i = 0; i < n; i++)
		if (task[i].wrong != NULL)
			fail_msg("thread %u: %s", i, task[i].wrong);
}

static int
append(struct task *t, unsigned i, struct record_draft d)
{
	t->rc[i] = store_commit(t->s, &t->got[i], &d, 1, &t->err[i]);
	return t->rc[i];
}

/* ---- order and numbers --------------------------------------------------- */

/* By turns to an aggregate of the thread's own, each with the version it must
 * have, and to one that all share. */
static void
append_both(struct task *t)
{
	char own[16], payload[64];

	snprintf(own, sizeof(own), "own-%u", t->number);
	for (unsigned i = 0; i < APPENDS; i++) {
		snprintf(payload, sizeof(payload), "{\"t\":%u,\"i\":%u}",
			 t->number, i);
		struct record_draft d = draft_of(
			"thing", i % 2 == 0 ? own : "shared", "did", payload);
		if (i % 2 == 0)
			d.expected = i / 2;
		if (i % 3 == 0)
			d = draft_with_id(d, t->number * 1000 + i + 1);
		if (append(t, i, d) != 0)
			t->wrong = t->err[i].msg;
		else if (i % 2 == 0 && t->got[i].version != i / 2 + 1)
			t->wrong = "another version of its own";
		else if (i > 0 && t->got[i].sequence <= t->got[i - 1].sequence)
			t->wrong = "an older sequence";
	}
}

static void
order_of(unsigned threads)
{
	struct check_report report;
	uint64_t n = threads * APPENDS;
	struct receipt **at = calloc(n, sizeof(*at));
	bool *is_shared = calloc(n, sizeof(*is_shared));
	uint64_t shared = 0;

	struct store *s = must_write(dir);
	uint64_t syncs = gate_syncs();
	gate_slow(500);
	run_tasks(s, threads, append_both);
	gate_slow(0);
	/* It was one group for many, most of the time. */
	assert_true((gate_syncs() - syncs) * 3 < n);
	for (unsigned i = 0; i < threads; i++) {
		for (unsigned k = 0; k < APPENDS; k++) {
			struct receipt *r = &task[i].got[k];
			assert_in_range(r->sequence, 1, n);
			assert_null(at[r->sequence - 1]);
			assert_false(r->duplicate);
			at[r->sequence - 1] = r;
			is_shared[r->sequence - 1] = k % 2 == 1;
		}
	}
	for (uint64_t i = 0; i < n; i++) {
		struct receipt *r = at[i];
		truth_note(&truth, r, 1);
		if (is_shared[i])
			assert_int_equal(r->version, ++shared);
	}
	store_close(s);
	s = must_write(dir);
	assert_int_equal(truth_holds(&truth, s), n);
	assert_ok(store_check(s, &report, NULL, NULL, &err), err);
	store_close(s);
	free(at);
	free(is_shared);
}

static void
test_order_8(void **state)
{
	(void)state;
	order_of(8);
}

static void
test_order_64(void **state)
{
	(void)state;
	order_of(64);
}

/* ---- ids ----------------------------------------------------------------- */

/* All threads send the same ids; odd ones with other content, when said so. */
static bool quarrel;

static void
append_same(struct task *t)
{
	for (unsigned i = 0; i < APPENDS; i++) {
		struct record_draft d = draft_of(
			"thing", "one", "did",
			quarrel && t->number % 2 ? "{\"a\":1}" : "{\"a\":2}");
		append(t, i, draft_with_id(d, i + 1));
	}
}

static void
test_same_ids(void **state)
{
	(void)state;
	struct store *s = must_write(dir);
	gate_slow(300);
	for (int twice = 0; twice < 2; twice++) {
		quarrel = twice == 1;
		run_tasks(s, 32, append_same);
		for (unsigned i = 0; i < APPENDS; i++) {
			unsigned first = 0, refused = 0;
			for (unsigned k = 0; k < 32; k++) {
				struct receipt *r = &task[k].got[i];
				refused += task[k].rc[i] == WEIR_ECONFLICT;
				if (task[k].rc[i] != 0)
					continue;
				first += !r->duplicate;
				assert_int_equal(r->sequence, i + 1);
				assert_int_equal(r->version, i + 1);
			}
			/* All was there at the second time. */
			assert_int_equal(first, twice == 0);
			assert_int_equal(refused, twice == 0 ? 0 : 16);
		}
	}
	assert_int_equal(store_last(s), APPENDS);
	store_close(s);
}

static void
test_quarrel(void **state)
{
	(void)state;
	struct store *s = must_write(dir);
	gate_slow(300);
	quarrel = true;
	run_tasks(s, 32, append_same);
	for (unsigned i = 0; i < APPENDS; i++) {
		unsigned kind[2] = {0, 0};
		for (unsigned k = 0; k < 32; k++) {
			if (task[k].rc[i] == 0)
				kind[k % 2]++;
			else
				assert_int_equal(task[k].rc[i], WEIR_ECONFLICT);
		}
		assert_true((kind[0] == 16 && kind[1] == 0) ||
			    (kind[0] == 0 && kind[1] == 16));
	}
	assert_int_equal(store_last(s), APPENDS);
	store_close(s);
}

/* ---- expected versions ----------------------------------------------------
 */

/* Each wants to be the one that made the next version. */
static void
append_raced(struct task *t)
{
	uint64_t version = 0;

	for (unsigned i = 0; i < APPENDS; i++) {
		struct record_draft d = draft_of("thing", "race", "did", "{}");
		d.expected = version;
		if (append(t, i, d) == 0)
			version = t->got[i].version;
		else if (t->rc[i] != WEIR_ECONFLICT)
			t->wrong = t->err[i].msg;
		else if (t->err[i].version == version)
			t->wrong = "refused, but the version was right";
		else
			version = t->err[i].version;
	}
}

static void
test_race(void **state)
{
	uint64_t won = 0;
	struct head head;

	(void)state;
	struct store *s = must_write(dir);
	gate_slow(300);
	run_tasks(s, 16, append_raced);
	for (unsigned k = 0; k < 16; k++)
		for (unsigned i = 0; i < APPENDS; i++)
			won += task[k].rc[i] == 0;
	assert_true(won > 0 && won < 16ul * APPENDS);
	assert_ok(store_head(s, &head, str_of("thing"), str_of("race"), &err),
		  err);
	assert_int_equal(head.version, won);
	assert_int_equal(store_last(s), won);
	store_close(s);
}

/* ---- failures ------------------------------------------------------------ */

static void
append_until_failed(struct task *t)
{
	char own[16];

	snprintf(own, sizeof(own), "own-%u", t->number);
	for (unsigned i = 0; i < APPENDS; i++) {
		struct record_draft d = draft_of("thing", own, "did", "{}");
		bool failed = i > 0 && t->rc[i - 1] != 0;
		append(t, i, d);
		if (failed && t->rc[i] != WEIR_EFAILED)
			t->wrong = "a failed writer took more";
		else if (t->rc[i] != 0 && t->rc[i] != WEIR_EIO &&
			 t->rc[i] != WEIR_EFAILED)
			t->wrong = t->err[i].msg;
		else if (t->rc[i] != 0 && (t->err[i].code != t->rc[i] ||
					   strlen(t->err[i].msg) < 10))
			t->wrong = "a refusal without a sentence";
	}
}

static void
test_failed_sync(void **state)
{
	(void)state;
	for (unsigned n = 1; n < 10; n++) {
		uint64_t acked = 0, last = 0;
		folder_empty(dir);
		gate_mend();
		struct store *s = must_write(dir);
		gate_slow(300);
		if (n % 2 == 0)
			gate_fail_write(n, EIO, GATE_ALL);
		else
			gate_fail_sync(n, EIO);
		run_tasks(s, 24, append_until_failed);
		gate_mend();
		gate_slow(0);
		last = store_last(s);
		store_close(s);
		s = must_write(dir);
		assert_true(store_last(s) >= last);
		struct reader *r = reader_new(s);
		for (unsigned k = 0; k < 24; k++) {
			for (unsigned i = 0; i < APPENDS; i++) {
				struct record_view v;
				struct receipt *got = &task[k].got[i];
				if (task[k].rc[i] != 0)
					continue;
				acked++;
				assert_true(got->sequence <= last);
				assert_ok(reader_sequence(r, &v, got->sequence,
							  &err),
					  err);
				assert_memory_equal(v.hash, got->hash, 32);
			}
		}
		assert_int_equal(acked, last);
		assert_true(acked < 24ul * APPENDS);
		reader_free(r);
		store_close(s);
	}
}

static _Atomic unsigned full;

static void
append_until_taken(struct task *t)
{
	for (unsigned i = 0; i < APPENDS; i++) {
		struct record_draft d = draft_of("thing", "one", "did", "{}");
		for (int k = 0; k < 10000; k++) {
			if (append(t, i, d) != WEIR_ENOSPC)
				break;
			if (atomic_fetch_add(&full, 1) == 40)
				gate_mend();
		}
		if (t->rc[i] != 0)
			t->wrong = t->err[i].msg;
	}
}

static void
test_full_disk(void **state)
{
	(void)state;
	struct store *s = must_write(dir);
	atomic_store(&full, 0);
	gate_slow(200);
	gate_fail_write(4, ENOSPC, GATE_ALL);
	run_tasks(s, 16, append_until_taken);
	assert_true(atomic_load(&full) > 40);
	assert_int_equal(store_last(s), 16 * APPENDS);
	assert_ok(store_check(s, &(struct check_report){0}, NULL, NULL, &err),
		  err);
	store_close(s);
}

/* ---- a committer that others share ----------------------------------------
 */

static unsigned losses;

/* What another node would have brought: a record of the aggregate "one". */
static void
others_append(struct store *s)
{
	struct record_draft d = draft_of("thing", "one", "other", "{}");
	struct item item;
	size_t first[2] = {0, 1}, bytes;
	struct weir_err result = {0};
	struct receipt got;
	struct request r = {.item = &item,
			    .first = first,
			    .n = 1,
			    .result = &result,
			    .receipts = &got};
	struct batch b = {
		.s = s, .requests = &r, .base = s->tail.next_sequence};
	enum outcome out;
	struct group g;

	assert_ok(admit_commit(s, &item, &bytes, &d, 1, &err), err);
	pending_clear(s->pending);
	assert_int_equal(pending_reserve(s->pending, 1), 0);
	decide_batch(&b);
	assert_int_equal(result.code, 0);
	assert_ok(committer_journal.propose(s, &out, &g, &b, &err), err);
	assert_ok(commit_apply(s, &s->tail, &g, &err), err);
	tail_group(&s->tail, &g);
}

static int
lose_twice(struct store *s, enum outcome *out, struct group *g, struct batch *b,
	   struct weir_err *e)
{
	if (losses == 2)
		return committer_journal.propose(s, out, g, b, e);
	losses++;
	others_append(s);
	*out = OUTCOME_LOST;
	return 0;
}

static void
test_lost(void **state)
{
	static const struct committer shared = {.propose = lose_twice};
	struct record_draft d[3];
	struct receipt got[3];
	struct weir_err results[3];
	size_t first[4] = {0, 1, 2, 3};

	(void)state;
	struct store *s = must_write(dir);
	s->committer = &shared;
	losses = 0;
	d[0] = draft_of("thing", "one", "did", "{}");
	d[0].expected = 0; /* true at first, but the others were faster */
	d[1] = draft_of("thing", "one", "did", "{}");
	d[2] = draft_of("thing", "two", "did", "{}");
	d[2].expected = 0;
	assert_ok(store_commit_group(s, got, results, d, first, 3, &err), err);
	assert_int_equal(losses, 2);
	assert_int_equal(results[0].code, WEIR_ECONFLICT);
	assert_int_equal(results[0].version, 2);
	assert_int_equal(results[1].code, 0);
	assert_int_equal(got[1].sequence, 3);
	assert_int_equal(got[1].version, 3);
	assert_int_equal(results[2].code, 0);
	assert_int_equal(got[2].sequence, 4);
	assert_int_equal(got[2].version, 1);
	store_close(s);
	s = must_write(dir);
	assert_int_equal(store_last(s), 4);
	store_close(s);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_order_8),   TEST(test_order_64),
		TEST(test_same_ids),  TEST(test_quarrel),
		TEST(test_race),      TEST(test_failed_sync),
		TEST(test_full_disk), TEST(test_lost),
	};

	diag_set_level(DIAG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
