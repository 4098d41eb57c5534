/* SPDX-License-Identifier: MIT */
/*
 * Nothing is acknowledged that a power loss could take. At every call that
 * changes the disk, and after every acknowledgement, the power goes: the store
 * that is left must open, hold all that was acknowledged, whole commits only,
 * and take more.
 */
#include "store_test.h"

#include <errno.h>
#include <unistd.h>

#include "base/diag.h"
#include "disk.h"

static struct weir_err err;
static char *dir, *left;
static struct truth truth;
static struct {
	uint64_t crashes, cuts, more;
} seen;

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	left = folder_make();
	memset(&err, 0, sizeof(err));
	memset(&seen, 0, sizeof(seen));
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	disk_end();
	truth_free(&truth);
	folder_drop(dir);
	folder_drop(left);
	return 0;
}

/* What is left must be a store again, or none if none was acknowledged. */
static void
look_at_left(enum lost lost)
{
	struct truth kept = {.n = truth.n, .hash = truth.hash};
	struct store *s = NULL;
	struct record_view v = {0};
	const char *at = NULL;
	struct receipt got;
	uint64_t all;
	int rc;

	if (truth.n == 0 && !file_exists(in(left, "journal")))
		return;
	rc = open_writer(&s, left, &err);
	if (rc != 0)
		fail_msg("after loss %d with %zu acknowledged: %s", (int)lost,
			 truth.n, err.msg);
	all = truth_holds(&kept, s);
	seen.more += all > truth.n;
	if (store_cut_bytes(s, &at) > 0) {
		seen.cuts++;
		assert_true(file_exists(at));
	}
	if (all > 0) {
		struct reader *r = reader_new(s);
		assert_ok(reader_sequence(r, &v, all, &err), err);
		assert_true(v.end_of_commit);
		reader_free(r);
	}
	commit_one(s, &got, draft_of("thing", "n5", "more", "0"));
	assert_int_equal(got.sequence, all + 1);
	store_close(s);
	s = must_read(left);
	assert_int_equal(store_last(s), all + 1);
	assert_ok(store_check(s, &(struct check_report){0}, NULL, NULL, &err),
		  err);
	store_close(s);
}

static void
power_loss(void *cookie)
{
	static const enum lost kinds[] = {LOST_ALL, LOST_TAILS, LOST_SOME,
					  LOST_SOME, LOST_NONE};

	(void)cookie;
	disk_watch(NULL, NULL);
	disk_pause();
	for (unsigned i = 0; i < 5; i++) {
		disk_crash(left, kinds[i], seen.crashes * 5 + i);
		look_at_left(kinds[i]);
	}
	seen.crashes++;
	disk_resume();
	disk_watch(power_loss, NULL);
}

static void
append(struct store *s, unsigned seed, size_t n)
{
	struct receipt got;

	commit_one(s, &got, draft_sized(seed, n));
	truth_note(&truth, &got, 1);
	disk_pause();
	disk_crash(left, LOST_ALL, 0);
	look_at_left(LOST_ALL);
	disk_resume();
}

static void
append_many(struct store *s, unsigned n, size_t bytes)
{
	struct record_draft d[8];
	struct receipt got[8];

	for (unsigned i = 0; i < n; i++)
		d[i] = draft_sized(i * 3 + 1, bytes);
	assert_ok(store_commit(s, got, d, n, &err), err);
	truth_note(&truth, got, n);
}

static void
append_group(struct store *s, unsigned n, size_t bytes)
{
	struct record_draft d[8];
	struct receipt got[8];
	struct weir_err results[8];
	size_t first[9];

	for (unsigned i = 0; i < n; i++) {
		d[i] = draft_sized(i * 5 + 2, bytes);
		first[i] = i;
	}
	first[n] = n;
	assert_ok(store_commit_group(s, got, results, d, first, n, &err), err);
	truth_note(&truth, got, n);
}

/* First segment, single appends, commits, groups, switches of segments, a
 * commit larger than a segment, close, reopen, release. */
static void
run_all(bool again)
{
	struct store *s = must_write(dir);

	for (unsigned i = 0; i < 6; i++)
		append(s, i, 30 + i * 400);
	append_many(s, 5, 700);
	append_group(s, 7, 300);
	store_close(s);
	s = must_write(dir);
	for (unsigned i = 0; i < 5; i++)
		append_many(s, 4, 6000);
	append(s, 3, 10);
	if (again)
		append_many(s, 8, 60000);
	store_close(s);
	s = must_write(dir);
	append(s, 1, 5000);
	append(s, 2, 100);
	assert_ok(store_end_writing(s, &err), err);
	store_close(s);
}

static void
test_power_loss(void **state)
{
	(void)state;
	disk_begin(dir);
	disk_watch(power_loss, NULL);
	run_all(true);
	disk_watch(NULL, NULL);
	/* It was put to the test. */
	assert_true(seen.crashes > 80);
	assert_true(seen.cuts > 10);
	assert_true(seen.more > 10);
}

static void
test_short_writes(void **state)
{
	(void)state;
	disk_begin(dir);
	disk_short(true);
	run_all(true);
	struct store *s = must_read(dir);
	assert_int_equal(truth_holds(&truth, s), truth.n);
	assert_ok(store_check(s, &(struct check_report){0}, NULL, NULL, &err),
		  err);
	store_close(s);
}

/* The power goes again while the store is being mended. */
static void
test_power_loss_in_recovery(void **state)
{
	struct store *s;

	(void)state;
	for (unsigned seed = 0; seed < 12; seed++) {
		struct receipt got[8];
		struct record_draft d[8];
		folder_empty(dir);
		disk_begin(dir);
		s = must_write(dir);
		append_many(s, 3, 500);
		append_group(s, 4, 900);
		/* A write whose sync never ended. */
		for (unsigned i = 0; i < 8; i++)
			d[i] = draft_sized(i, 600);
		disk_fail(CALL_FDATASYNC, 1, EIO, false, false);
		assert_int_equal(store_commit(s, got, d, 8, &err), WEIR_EIO);
		disk_mend();
		store_close(s);
		disk_end();
		/* The real folder holds the whole group; tear it. */
		size_t n, end = 4096;
		uint8_t *p = file_read(&n, in(dir, "journal/00000001.seg"));
		while (n > 0 && p[n - 1] == 0)
			n--;
		end = n - 3000 + 512 * (seed % 5);
		end -= end % 512;
		memset(p + end, 0, seed % 2 ? 512 : n - end);
		file_put(in(dir, "journal/00000001.seg"), 0, p, n);
		free(p);
		assert_int_equal(unlink(in(dir, "live")), 0);
		disk_begin(dir);
		disk_watch(power_loss, NULL);
		s = must_write(dir);
		assert_true(store_cut_bytes(s, NULL) > 0);
		disk_watch(NULL, NULL);
		assert_int_equal(truth_holds(&truth, s), truth.n);
		store_close(s);
		disk_end();
		truth_free(&truth);
	}
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_power_loss),
		TEST(test_short_writes),
		TEST(test_power_loss_in_recovery),
	};

	diag_set_level(DIAG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
