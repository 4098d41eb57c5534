/* SPDX-License-Identifier: MIT */
/* What any thread may call: commits, readers of their own, waiting. */
#include "store_test.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "store/watch.h"

#define COMMITTERS 8
#define COMMITS	   40
#define READERS	   6

static struct weir_err err;
static char *dir;

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	memset(&err, 0, sizeof(err));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	folder_drop(dir);
	return 0;
}

/* ---- many who commit to one handle -------------------------------------- */

struct worker {
	struct store *s;
	unsigned n;
	struct receipt got[COMMITS][2];
	const char *fault;
};

static _Atomic unsigned running;

static void *
commit_many(void *arg)
{
	struct worker *w = arg;
	struct weir_err mine = {0};
	struct record_draft d[2];
	char id[20];

	snprintf(id, sizeof(id), "own-%u", w->n);
	for (unsigned i = 0; i < COMMITS && w->fault == NULL; i++) {
		d[0] = draft_of("a", id, "e", "{\"i\":1}");
		d[0].expected = i;
		d[1] = draft_with_id(draft_of("a", "shared", "e", "2"),
				     w->n * 1000 + i);
		if (store_commit(w->s, w->got[i], d, 2, &mine) != 0)
			w->fault = "a commit was refused";
		else if (w->got[i][0].version != i + 1)
			w->fault = "a version of its own is wrong";
		else if (store_last(w->s) < w->got[i][1].sequence)
			w->fault = "acknowledged before it was committed";
		else if (store_wait(w->s, w->got[i][1].sequence, 0, -1,
				    &mine) != 0)
			w->fault = "waiting for what is there failed";
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/* Waits for a sequence by call or, every other one, by descriptor; not for
 * long. */
static int
wait_along(struct worker *w, struct watch *watch, uint64_t sequence,
	   struct weir_err *mine)
{
	struct pollfd p = {.fd = watch_fd(watch), .events = POLLIN};

	if (w->n % 2 == 0)
		return store_wait(w->s, sequence, 100000, -1, mine);
	int rc = watch_arm(watch, sequence, mine);
	if (rc == 0)
		rc = poll(&p, 1, 100) < 0 ? WEIR_EIO : 0;
	return rc != 0 ? rc : store_refresh(w->s, mine);
}

/* Reads all there is from the beginning, again and again. */
static void *
read_along(void *arg)
{
	struct worker *w = arg;
	struct weir_err mine = {0};
	struct reader *r = w->n % 3 == 0 ? reader_new(w->s)
					 : reader_new_mapped(w->s);
	struct watch *watch = NULL;
	struct record_view v;
	struct head head;
	uint64_t n = 0;
	int rc = 0;

	if (watch_new(&watch, w->s, &mine) != 0)
		w->fault = "no watch";
	while (w->fault == NULL && r != NULL) {
		bool last = atomic_load(&running) == 0;
		/* what was committed since it last waited */
		if (last && store_refresh(w->s, &mine) != 0)
			w->fault = "following failed";
		while ((rc = reader_next(r, &v, &mine)) > 0)
			if (v.sequence != ++n)
				w->fault = "a sequence is wrong";
		if (rc < 0)
			w->fault = "reading failed";
		if (n > 0 && (reader_version(r, &v, STR("a"), STR("shared"), 1,
					     &mine) != 0 ||
			      store_head(w->s, &head, STR("a"), STR("shared"),
					 &mine) != 0 ||
			      head.version < n / 2))
			w->fault = "a head is wrong";
		if (last)
			break;
		rc = wait_along(w, watch, n + 1, &mine);
		if (rc != 0 && rc != WEIR_EUNREACH)
			w->fault = "waiting failed";
	}
	if (n != 2 * COMMITTERS * COMMITS && w->fault == NULL)
		w->fault = "records are missing";
	watch_free(watch);
	reader_free(r);
	return NULL;
}

static void
all_receipts(const struct worker *w, struct store *s)
{
	struct reader *r = reader_new(s);
	struct record_view v;

	for (unsigned k = 0; k < COMMITTERS; k++)
		for (unsigned i = 0; i < COMMITS; i++)
			for (unsigned j = 0; j < 2; j++) {
				const struct receipt *g = &w[k].got[i][j];
				assert_ok(reader_sequence(r, &v, g->sequence,
							  &err),
					  err);
				assert_memory_equal(v.hash, g->hash,
						    RECORD_DIGEST);
				assert_int_equal(v.end_of_commit, j == 1);
			}
	reader_free(r);
}

static void
run_together(struct store *s, struct store *of_readers)
{
	struct worker *w = calloc(COMMITTERS + READERS, sizeof(*w));
	pthread_t thread[COMMITTERS + READERS];

	assert_non_null(w);
	atomic_store(&running, COMMITTERS);
	for (unsigned i = 0; i < COMMITTERS + READERS; i++) {
		bool reads = i >= COMMITTERS;
		w[i].n = i;
		w[i].s = reads ? of_readers : s;
		assert_int_equal(
			pthread_create(&thread[i], NULL,
				       reads ? read_along : commit_many, &w[i]),
			0);
	}
	for (unsigned i = 0; i < COMMITTERS + READERS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < COMMITTERS + READERS; i++)
		if (w[i].fault != NULL)
			fail_msg("thread %u: %s", i, w[i].fault);
	all_receipts(w, s);
	free(w);
}

static void
test_one_handle(void **state)
{
	struct check_report report;
	struct store *s = must_write(dir);

	(void)state;
	run_together(s, s);
	assert_ok(store_check(s, &report, NULL, NULL, &err), err);
	assert_int_equal(report.records, 2 * COMMITTERS * COMMITS);
	store_close(s);
}

/* Readers by way of a handle that follows through `live`. */
static void
test_two_handles(void **state)
{
	struct store *s = must_write(dir), *other = must_read(dir);

	(void)state;
	run_together(s, other);
	store_close(other);
	store_close(s);
}

/* The page appears while somebody waits without one. */
static void *
wait_for_one(void *arg)
{
	struct worker *w = arg;
	struct weir_err mine = {0};

	if (store_wait(w->s, 1, 30000000, -1, &mine) != 0)
		w->fault = "waiting failed";
	return NULL;
}

static void
test_page_appears(void **state)
{
	struct worker w[2] = {{0}, {0}};
	struct receipt got;
	pthread_t thread[2];

	(void)state;
	store_close(must_write(dir));
	assert_int_equal(remove(in(dir, "live")), 0);
	struct store *s = must_read(dir);
	for (unsigned i = 0; i < 2; i++) {
		w[i].s = s;
		assert_int_equal(
			pthread_create(&thread[i], NULL, wait_for_one, &w[i]),
			0);
	}
	struct store *writer = must_write(dir);
	commit_one(writer, &got, draft_of("a", "1", "e", "0"));
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		assert_null(w[i].fault);
	}
	store_close(s);
	store_close(writer);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_one_handle),
		TEST(test_two_handles),
		TEST(test_page_appears),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
