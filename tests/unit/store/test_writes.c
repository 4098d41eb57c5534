/* SPDX-License-Identifier: MIT */
/* How often a token wrote is what the journal says, however far the index is,
 * and its limit holds to the record, whoever writes beside it. */
#include "store_test.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/diag.h"
#include "store/index.h"
#include "store/writes.h"

#define TOKENS	7
#define LITTLE	(16u << 10)
#define THREADS 8
#define EACH	60
#define LIMIT	101

static struct weir_err err;
static char *dir, *other;
static uint64_t count[TOKENS], chance;

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	other = folder_make();
	memset(&err, 0, sizeof(err));
	memset(count, 0, sizeof(count));
	chance = 4711;
	diag_set_level(DIAG_ERROR);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	diag_set_level(DIAG_WARN);
	folder_drop(dir);
	folder_drop(other);
	return 0;
}

static unsigned
draw(unsigned n)
{
	chance = chance * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(chance >> 33) % n;
}

/* The token's number; 0 is none. */
static uint64_t
number(unsigned i)
{
	return i * 1000003ull;
}

static struct store *
open_indexing(const char *at, int flags)
{
	struct store_options o = {
		.flags = STORE_WRITE | STORE_CREATE | flags,
		.lock_wait_us = -1,
		.first_segment_bytes = SMALL,
		.max_segment_bytes = 4 * SMALL,
		.index_after_bytes = LITTLE,
		.index_most_bytes = 2 * LITTLE,
	};
	struct store *s = NULL;

	assert_ok(store_open(&s, at, &o, &err), err);
	return s;
}

static void
append_some(struct store *s, unsigned n)
{
	struct record_draft d[5];
	struct receipt got[5];
	char id[5][20];

	for (; n > 0; n--) {
		unsigned k = draw(5) + 1;
		for (unsigned i = 0; i < k; i++) {
			unsigned token = draw(TOKENS);
			snprintf(id[i], sizeof(id[i]), "n%u", draw(900));
			d[i] = draft_of("a", id[i], "e", "{\"some\":1}");
			d[i].token = number(token);
			count[token]++;
		}
		assert_ok(store_commit(s, got, d, k, &err), err);
	}
}

static void
counts_agree(struct store *s)
{
	for (unsigned i = 1; i < TOKENS; i++)
		assert_int_equal(store_token_writes(s, number(i)), count[i]);
	assert_int_equal(store_token_writes(s, 1), 0);
}

static void
check_agrees(struct store *s)
{
	assert_ok(store_check(s, &(struct check_report){0}, NULL, NULL, &err),
		  err);
}

static void
test_every_lag(void **state)
{
	struct reindex_report report;

	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		struct store *s = open_indexing(dir, 0);
		struct store *r = must_read(dir);
		for (unsigned i = 0; i < 3; i++) {
			append_some(s, draw(200));
			counts_agree(s);
			assert_ok(store_refresh(r, &err), err);
			counts_agree(r);
		}
		store_close(s);
		counts_agree(r);
		check_agrees(r);
		store_close(r);
		r = must_read(dir);
		counts_agree(r);
		store_close(r);
	}
	/* From the journal alone. */
	store_copy(other, dir, true);
	struct store *s = must_read(other);
	assert_int_equal(store_indexed(s, NULL), 0);
	counts_agree(s);
	store_close(s);
	s = open_indexing(dir, STORE_REINDEX);
	counts_agree(s);
	assert_ok(store_reindex(s, &report, false, NULL, NULL, &err), err);
	counts_agree(s);
	store_close(s);
	s = open_indexing(dir, 0);
	assert_ok(store_reindex(s, &report, true, NULL, NULL, &err), err);
	append_some(s, 100);
	counts_agree(s);
	check_agrees(s);
	store_close(s);
}

/* A writer that goes without a word, at any time. */
static void
test_after_a_crash(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		struct store *s = open_indexing(dir, 0);
		append_some(s, draw(300));
		folder_empty(other);
		store_copy(other, dir, true);
		struct store *c = open_indexing(other, 0);
		counts_agree(c);
		check_agrees(c);
		store_close(c);
		/* With the index that was there, too. */
		store_close(s);
		s = open_indexing(dir, 0);
		counts_agree(s);
		check_agrees(s);
		store_close(s);
	}
}

/* Appends until it is killed; what was acknowledged is told in shared memory.
 */
static void
append_for_ever(_Atomic uint64_t *acknowledged)
{
	struct store *s = open_indexing(dir, 0);
	struct receipt got;

	for (unsigned i = 0;; i++) {
		unsigned token = i % (TOKENS - 1) + 1;
		struct record_draft d = draft_sized(i, 300);
		d.token = number(token);
		if (store_commit(s, &got, &d, 1, &err) != 0)
			_exit(1);
		atomic_fetch_add(&acknowledged[token], 1);
		atomic_fetch_add(&acknowledged[0], 1);
	}
}

/* What the records themselves say. */
static void
count_records(struct store *s, uint64_t out[TOKENS])
{
	struct reader *r = reader_new(s);
	struct record_view v;
	int rc;

	memset(out, 0, TOKENS * sizeof(out[0]));
	while ((rc = reader_next(r, &v, &err)) > 0)
		if (v.token != 0)
			out[v.token / number(1)]++;
	assert_int_equal(rc, 0);
	reader_free(r);
}

static void
test_killed(void **state)
{
	_Atomic uint64_t *acknowledged =
		mmap(NULL, TOKENS * sizeof(*acknowledged),
		     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t there[TOKENS];
	int status;

	(void)state;
	assert_true(acknowledged != MAP_FAILED);
	for (unsigned round = 0; round < 5; round++) {
		uint64_t until = atomic_load(&acknowledged[0]) + 40 + draw(150);
		pid_t pid = fork();
		if (pid == 0)
			append_for_ever(acknowledged);
		assert_true(pid > 0);
		while (atomic_load(&acknowledged[0]) < until &&
		       waitpid(pid, &status, WNOHANG) == 0)
			sched_yield();
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		assert_true(atomic_load(&acknowledged[0]) >= until);
		struct store *s = open_indexing(dir, 0);
		count_records(s, there);
		for (unsigned i = 1; i < TOKENS; i++) {
			assert_true(there[i] >= atomic_load(&acknowledged[i]));
			assert_int_equal(store_token_writes(s, number(i)),
					 there[i]);
		}
		check_agrees(s);
		assert_true(round < 2 || store_indexed(s, NULL) > 0);
		store_close(s);
	}
	munmap((void *)acknowledged, TOKENS * sizeof(*acknowledged));
}

/* The index's file, for LMDB to be read and written by its bytes. */
static const char *
index_file(const char *ending)
{
	static char path[700];
	struct dirent *e;
	DIR *d = opendir(in(dir, "index"));

	path[0] = '\0';
	while (d != NULL && (e = readdir(d)) != NULL)
		if (strlen(e->d_name) > strlen(ending) &&
		    strcmp(e->d_name + strlen(e->d_name) - strlen(ending),
			   ending) == 0)
			snprintf(path, sizeof(path), "%s/index/%s", dir,
				 e->d_name);
	if (d != NULL)
		closedir(d);
	assert_true(path[0] != '\0');
	return path;
}

/* Changed counts are not believed: the entries have CRCs. */
static void
test_changed_count(void **state)
{
	static const uint8_t key[8] = {0, 0, 0, 0, 0, 0x0f, 0x42, 0x43};
	size_t n, changed = 0;
	uint8_t *p;

	(void)state;
	struct store *s = open_indexing(dir, 0);
	append_some(s, 400);
	store_close(s);
	unlink(index_file(".sum"));
	const char *path = index_file(".mdb");
	p = file_read(&n, path);
	for (size_t at = 0; at + 20 < n; at++)
		if (memcmp(p + at, key, 8) == 0) {
			p[at + 8] ^= 1;
			file_put(path, at + 8, p + at + 8, 1);
			changed++;
		}
	free(p);
	assert_true(changed > 0);
	struct store *r = must_read(dir);
	assert_int_equal(store_indexed(r, NULL), 0);
	counts_agree(r);
	store_close(r);
	s = open_indexing(dir, 0);
	counts_agree(s);
	store_close(s);
}

/* One that is well-formed and wrong is found by a check and goes with a
 * reindex; one that would be added to twice is refused. */
static void
test_wrong_count(void **state)
{
	struct check_report report;
	struct reindex_report done;
	struct writes *w = writes_new();
	struct index_meta m;
	struct index *x;

	(void)state;
	struct store *s = open_indexing(dir, 0);
	append_some(s, 400);
	check_agrees(s);
	x = index_new(dir, store_id(s));
	store_close(s);
	assert_int_equal(index_open(x, &m, true), 1);
	writes_at(w, number(2))->count = 1;
	index_unseal(x);
	assert_ok(index_begin(x, &err), err);
	assert_int_equal(index_add_writes(x, w, m.tail.next_sequence - 1, &err),
			 WEIR_EDAMAGE);
	assert_ok(index_add_writes(x, w, m.tail.next_sequence, &err), err);
	assert_ok(index_commit(x, &m, &err), err);
	index_seal(x);
	index_free(x);
	writes_free(w);
	s = must_read(dir);
	assert_int_equal(store_token_writes(s, number(2)), count[2] + 1);
	assert_int_equal(store_check(s, &report, NULL, NULL, &err),
			 WEIR_EDAMAGE);
	assert_says(err, "token 2000006");
	assert_says(err, "weir reindex");
	store_close(s);
	s = open_indexing(dir, STORE_REINDEX);
	assert_ok(store_reindex(s, &done, false, NULL, NULL, &err), err);
	counts_agree(s);
	check_agrees(s);
	store_close(s);
}

/* ---- the limit ----------------------------------------------------------- */

static struct record_draft
limited(const char *id, uint64_t limit)
{
	struct record_draft d = draft_of("a", id, "e", "1");

	d.token = number(1);
	d.token_limit = limit;
	return d;
}

static void
test_limit(void **state)
{
	struct store *s = must_write(dir);
	struct record_draft d[3];
	struct receipt got[3];

	(void)state;
	d[0] = draft_with_id(limited("x", 3), 1);
	assert_ok(store_commit(s, got, d, 1, &err), err);
	/* A duplicate and a refused one don't count. */
	assert_ok(store_commit(s, got, d, 1, &err), err);
	assert_true(got[0].duplicate);
	d[0] = limited("x", 3);
	d[0].expected = 7;
	assert_int_equal(store_commit(s, got, d, 1, &err), WEIR_ECONFLICT);
	assert_int_equal(store_token_writes(s, number(1)), 1);
	/* All or nothing: one too many. */
	d[0] = d[1] = d[2] = limited("x", 3);
	assert_int_equal(store_commit(s, got, d, 3, &err), WEIR_EDENIED);
	assert_string_equal(err.msg, "token write limit reached");
	assert_int_equal(err.sequence, 3);
	assert_int_equal(store_last(s), 1);
	d[1].aggregate_id = STR("y");
	assert_ok(store_commit(s, got, d, 2, &err), err);
	assert_int_equal(got[0].version, 2);
	assert_int_equal(store_commit(s, got, d, 1, &err), WEIR_EDENIED);
	store_close(s);
	s = must_write(dir);
	assert_int_equal(store_commit(s, got, d, 1, &err), WEIR_EDENIED);
	/* Others are not concerned; a higher limit lets it go on. */
	commit_one(s, got, draft_of("a", "x", "e", "2"));
	commit_one(s, got, limited("x", 4));
	assert_int_equal(store_token_writes(s, number(1)), 4);
	/* One that was known is answered, though nothing may be written. */
	d[0] = draft_with_id(limited("x", 3), 1);
	assert_ok(store_commit(s, got, d, 1, &err), err);
	assert_true(got[0].duplicate);
	store_close(s);
}

/* Commits of one group know of each other. */
static void
test_limit_in_a_group(void **state)
{
	struct store *s = must_write(dir);
	struct record_draft d[6];
	struct receipt got[6];
	struct weir_err results[4];
	const size_t first[] = {0, 2, 3, 5, 6};

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		d[i] = limited("x", 3);
	d[2].expected = 9;
	assert_ok(store_commit_group(s, got, results, d, first, 4, &err), err);
	assert_int_equal(results[0].code, 0);
	assert_int_equal(results[1].code, WEIR_ECONFLICT);
	assert_int_equal(results[2].code, WEIR_EDENIED);
	assert_int_equal(results[3].code, 0);
	assert_int_equal(store_token_writes(s, number(1)), 3);
	assert_int_equal(store_last(s), 3);
	store_close(s);
}

static struct store *shared;
static _Atomic unsigned written, refused;

static void *
write_along(void *arg)
{
	struct weir_err mine = {0};
	struct receipt got[2];
	char id[20];

	snprintf(id, sizeof(id), "t%d", *(int *)arg);
	for (unsigned i = 0; i < EACH; i++) {
		struct record_draft d[2] = {limited(id, LIMIT),
					    limited(id, LIMIT)};
		unsigned n = i % 2 + 1;
		if (store_commit(shared, got, d, n, &mine) == 0)
			atomic_fetch_add(&written, n);
		else if (mine.code == WEIR_EDENIED)
			atomic_fetch_add(&refused, n);
	}
	return NULL;
}

static void
test_limit_among_threads(void **state)
{
	pthread_t t[THREADS];
	int n[THREADS];

	(void)state;
	atomic_store(&written, 0);
	atomic_store(&refused, 0);
	shared = must_write(dir);
	for (int i = 0; i < THREADS; i++) {
		n[i] = i;
		assert_int_equal(
			pthread_create(&t[i], NULL, write_along, &n[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	/* A commit of one fits in wherever there is room for one. */
	assert_int_equal(atomic_load(&written), LIMIT);
	assert_int_equal(atomic_load(&refused), THREADS * EACH * 3 / 2 - LIMIT);
	assert_int_equal(store_token_writes(shared, number(1)), LIMIT);
	assert_int_equal(store_last(shared), LIMIT);
	store_close(shared);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_lag, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_after_a_crash, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed_count, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_wrong_count, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit_in_a_group, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_limit_among_threads, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
