/* SPDX-License-Identifier: MIT */
/*
 * The n-th call of a kind fails, for every kind and every n of a run that makes
 * a store, appends, switches segments, reopens and mends: every acknowledged
 * record is there afterwards, on the folder as it is and on what a power loss
 * leaves of it, and each refusal has a sentence.
 */
#include "store_test.h"

#include <ctype.h>
#include <errno.h>
#include <unistd.h>

#include "base/diag.h"
#include "disk.h"

static struct weir_err err;
static char *dir, *left;
static struct truth truth;

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	left = folder_make();
	memset(&err, 0, sizeof(err));
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

static void
check_err(int rc)
{
	assert_true(rc < 0);
	assert_int_equal(err.code, rc);
	assert_true(strlen(err.msg) > 10);
	assert_true(err.msg[0] == '/' || islower((unsigned char)err.msg[0]));
	memset(&err, 0, sizeof(err));
}

/* A commit that may fail; the store says what it holds afterwards. */
static int
try_commit(struct store *s, unsigned n, size_t bytes)
{
	struct record_draft d[8];
	struct receipt got[8];
	uint64_t last = store_last(s);

	for (unsigned i = 0; i < n; i++)
		d[i] = draft_sized(i * 3 + n, bytes);
	int rc = store_commit(s, got, d, n, &err);
	if (rc != 0) {
		check_err(rc);
		assert_int_equal(store_last(s), last);
		return rc;
	}
	assert_int_equal(got[0].sequence, last + 1);
	assert_int_equal(store_last(s), last + n);
	truth_note(&truth, got, n);
	return 0;
}

/* A failed writer stays so. */
static void
commit_some(struct store *s, unsigned commits, unsigned n, size_t bytes)
{
	bool failed = false;

	for (unsigned i = 0; i < commits; i++) {
		int rc = try_commit(s, n, bytes);
		if (failed)
			assert_int_equal(rc, WEIR_EFAILED);
		if (rc == WEIR_EIO || rc == WEIR_EFAILED)
			failed = rc == WEIR_EFAILED || failed;
	}
}

static void
read_all(struct store *s)
{
	struct reader *r = reader_new(s);
	struct check_report report;
	struct record_view v;
	int rc;

	if (r == NULL)
		return;
	while ((rc = reader_next(r, &v, &err)) > 0)
		;
	if (rc < 0)
		check_err(rc);
	reader_free(r);
	rc = store_check(s, &report, NULL, NULL, &err);
	if (rc != 0)
		check_err(rc);
}

static void
open_and_commit(unsigned commits, unsigned n, size_t bytes)
{
	struct store *s = NULL;
	int rc = open_writer(&s, dir, &err);

	if (rc != 0) {
		check_err(rc);
		return;
	}
	commit_some(s, commits, n, bytes);
	read_all(s);
	store_close(s);
}

static void
run_all(void)
{
	struct store *s = NULL;

	open_and_commit(3, 1, 600);
	open_and_commit(6, 3, 4000);
	open_and_commit(1, 8, 20000);
	int rc = open_reader(&s, dir, &err);
	if (rc != 0) {
		check_err(rc);
	} else {
		read_all(s);
		store_close(s);
	}
	open_and_commit(2, 1, 100);
}

static void
all_is_there(const char *folder, const char *when, enum call call, uint64_t n)
{
	struct check_report report;
	struct store *s = NULL;
	uint64_t all = 0;

	if (open_writer(&s, folder, &err) != 0)
		fail_msg("%s, %s call %d: %s", when, call_names[call], (int)n,
			 err.msg);
	const char *fault = truth_fault(&truth, s, &all);
	if (fault != NULL)
		fail_msg("%s, %s call %d: of %d acknowledged, at %d: %s", when,
			 call_names[call], (int)n, (int)truth.n, (int)all,
			 fault);
	assert_ok(store_check(s, &report, NULL, NULL, &err), err);
	commit_some(s, 1, 2, 300);
	store_close(s);
}

/* The n-th call fails; false when the run has no n-th one. */
static bool
run_failing(enum call call, uint64_t n, int error, bool part, bool on)
{
	folder_empty(dir);
	truth_free(&truth);
	truth.gaps = true;
	disk_begin(dir);
	disk_fail(call, n, error, part, on);
	run_all();
	bool failed = disk_failed();
	disk_mend();
	/* The same boot goes on, then the power goes. */
	all_is_there(dir, "after", call, n);
	disk_crash(left, LOST_ALL, 0);
	disk_pause();
	all_is_there(left, "after a power loss", call, n);
	disk_end();
	return failed;
}

static uint64_t
sweep(enum call call, int error, bool part, bool on)
{
	uint64_t n = 1;

	while (run_failing(call, n, error, part, on))
		n++;
	return n - 1;
}

static void
test_each_call(void **state)
{
	static const struct {
		enum call call;
		int error, least;
	} kinds[] = {
		{CALL_OPEN, EIO, 20},	      {CALL_OPEN, EMFILE, 20},
		{CALL_PREAD, EIO, 20},	      {CALL_PWRITE, EIO, 20},
		{CALL_PWRITE, ENOMEM, 20},    {CALL_PWRITE, EROFS, 20},
		{CALL_READ, EIO, 4},	      {CALL_FDATASYNC, EIO, 10},
		{CALL_FDATASYNC, ENOSPC, 10}, {CALL_FSYNC, EIO, 4},
		{CALL_FSYNC, ENOSPC, 4},      {CALL_FSTAT, EIO, 4},
		{CALL_STAT, EIO, 4},	      {CALL_RENAME, EIO, 1},
		{CALL_MKDIR, EIO, 1},	      {CALL_FLOCK, ENOLCK, 2},
		{CALL_MMAP, ENOMEM, 2},	      {CALL_RANDOM, EIO, 1},
		{CALL_REALLOC, ENOMEM, 20},   {CALL_GETDENTS, EIO, 1},
		{CALL_CLOCK, EINVAL, 4},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint64_t n = sweep(kinds[i].call, kinds[i].error, false, false);
		if (n < (uint64_t)kinds[i].least)
			fail_msg("only %d calls of %s", (int)n,
				 call_names[kinds[i].call]);
	}
}

/* All calls from the n-th on. */
static void
test_from_then_on(void **state)
{
	(void)state;
	sweep(CALL_PWRITE, EIO, false, true);
	sweep(CALL_PWRITE, ENOSPC, false, true);
	sweep(CALL_FDATASYNC, EIO, false, true);
	sweep(CALL_FSYNC, EIO, false, true);
	sweep(CALL_REALLOC, ENOMEM, false, true);
}

/* Half of it is written before. */
static void
test_half_written(void **state)
{
	(void)state;
	sweep(CALL_PWRITE, EIO, true, false);
	sweep(CALL_PWRITE, ENOSPC, true, false);
	sweep(CALL_PWRITE, ENOMEM, true, false);
	sweep(CALL_PWRITE, EROFS, true, false);
	sweep(CALL_PWRITE, ENOSPC, true, true);
}

/* A full disk refuses appends, and with room they go on: no reopening. */
static void
test_full_disk_heals(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 12; n++) {
		folder_empty(dir);
		truth_free(&truth);
		disk_begin(dir);
		struct store *s = must_write(dir);
		assert_int_equal(try_commit(s, 2, 3000), 0);
		disk_fail(CALL_PWRITE, n, ENOSPC, n % 2 == 0, true);
		while (!disk_failed() || n % 3 == 0) {
			int rc = try_commit(s, 3, 9000);
			if (rc == 0)
				continue;
			assert_int_equal(rc, WEIR_ENOSPC);
			if (disk_failed())
				break;
		}
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(try_commit(s, 1, 9000 - i * 4000),
					 WEIR_ENOSPC);
		disk_mend();
		assert_int_equal(try_commit(s, 1, 10), 0);
		assert_int_equal(try_commit(s, 3, 9000), 0);
		assert_int_equal(truth_holds(&truth, s), truth.n);
		disk_crash(left, LOST_ALL, 0);
		store_close(s);
		all_is_there(dir, "healed", CALL_PWRITE, n);
		disk_pause();
		truth.n -= 2;
		all_is_there(left, "healed, then a power loss", CALL_PWRITE, n);
		disk_end();
	}
}

static void
test_failed_writer(void **state)
{
	struct store *s = must_write(dir);
	struct record_draft d = draft_sized(1, 10);
	struct receipt got;

	(void)state;
	disk_begin(dir);
	disk_fail(CALL_FDATASYNC, 1, EIO, false, false);
	assert_int_equal(store_commit(s, &got, &d, 1, &err), WEIR_EIO);
	assert_says(err, "00000001.seg");
	disk_mend();
	assert_int_equal(store_commit(s, &got, &d, 1, &err), WEIR_EFAILED);
	assert_says(err, "cannot sync");
	assert_says(err, "open it again");
	assert_int_equal(store_last(s), 0);
	store_close(s);
	s = must_write(dir);
	assert_int_equal(store_commit(s, &got, &d, 1, &err), 0);
	store_close(s);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_failed_writer),   TEST(test_each_call),
		TEST(test_from_then_on),    TEST(test_half_written),
		TEST(test_full_disk_heals),
	};

	diag_set_level(DIAG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
