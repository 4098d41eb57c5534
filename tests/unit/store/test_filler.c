/* SPDX-License-Identifier: MIT */
/* The next segment is filled beside the appends, and failures only show when
 * it is needed. */
#include "store_test.h"

#include <errno.h>

#include "base/diag.h"
#include "gate.h"
#include "store/journal.h"

#define SEGMENT (256u << 10)

static struct weir_err err;
static char *dir;
static struct truth truth;

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

static struct store *
open_filling(uint64_t after)
{
	struct store_options o = {
		.flags = STORE_WRITE | STORE_CREATE,
		.first_segment_bytes = SEGMENT,
		.max_segment_bytes = SEGMENT,
		.fill_after_bytes = after,
	};
	struct store *s = NULL;

	assert_ok(store_open(&s, dir, &o, &err), err);
	return s;
}

/* Appends until a record stands at or behind a place of a segment. */
static int
append_to(struct store *s, uint64_t segment, uint64_t offset)
{
	struct receipt got;
	uint64_t at = segment << 32 | offset;
	unsigned i = 0;

	do {
		struct record_draft d = draft_sized(i++, 8000);
		int rc = store_commit(s, &got, &d, 1, &err);
		if (rc != 0)
			return rc;
		truth_note(&truth, &got, 1);
	} while (got.position < at);
	return 0;
}

static void
check_all(struct store *s)
{
	assert_int_equal(truth_holds(&truth, s), truth.n);
	assert_ok(store_check(s, &(struct check_report){0}, NULL, NULL, &err),
		  err);
}

/* Whoever filled it, a segment in use has its size. */
static void
segments_are_whole(unsigned n)
{
	char name[40];
	size_t size;

	for (unsigned i = 1; i <= n; i++) {
		snprintf(name, sizeof(name), "journal/%08u.seg", i);
		free(file_read(&size, in(dir, name)));
		assert_int_equal(size, SEGMENT);
	}
}

/* Who appends writes no zeros and waits for none. */
static void
test_ahead(void **state)
{
	(void)state;
	struct store *s = open_filling(1);
	uint64_t zeros = gate_main_zeros();
	for (unsigned i = 1; i < 6; i++) {
		assert_ok(append_to(s, i, SEGMENT * 9 / 10), err);
		gate_wait_fsync(2 * i); /* the file, its folder */
		assert_ok(append_to(s, i + 1, 0), err);
	}
	/* The header of a segment that begins is no run of zeros. */
	assert_int_equal(gate_main_zeros(), zeros);
	check_all(s);
	store_close(s);
}

/* Few records start no thread. */
static void
test_small(void **state)
{
	(void)state;
	struct store *s = open_filling(0);
	assert_ok(append_to(s, 2, SEGMENT / 2), err);
	store_close(s);
	assert_int_equal(gate_fsyncs(), 0);
}

static void
test_never(void **state)
{
	(void)state;
	struct store *s = open_filling(UINT64_MAX);
	uint64_t zeros = gate_main_zeros();
	assert_ok(append_to(s, 4, 0), err);
	assert_int_equal(gate_main_zeros() - zeros, 3 * SEGMENT);
	store_close(s);
	assert_int_equal(gate_fsyncs(), 0);
}

/* The thread has no room, the appends have: nobody is told. */
static void
test_filler_fails(void **state)
{
	static const int errors[] = {ENOSPC, EIO};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		folder_empty(dir);
		struct store *s = open_filling(1);
		gate_fail_write(1, errors[i], GATE_OTHERS);
		assert_ok(append_to(s, 3, SEGMENT / 2), err);
		gate_mend();
		segments_are_whole(3);
		check_all(s);
		assert_ok(append_to(s, 5, SEGMENT / 2), err);
		check_all(s);
		store_close(s);
		truth_free(&truth);
	}
}

/* Nobody has room: it shows at the switch, and heals. */
static void
test_full_disk(void **state)
{
	unsigned refused = 0;

	(void)state;
	struct store *s = open_filling(1);
	assert_ok(append_to(s, 1, SEGMENT / 4), err);
	gate_fail_write(1, ENOSPC, GATE_OTHERS);
	assert_ok(append_to(s, 1, SEGMENT * 9 / 10), err);
	gate_fail_write(1, ENOSPC, GATE_ALL);
	for (unsigned i = 0; i < 3; i++)
		refused += append_to(s, 2, 0) == WEIR_ENOSPC;
	assert_int_equal(refused, 3);
	gate_mend();
	assert_ok(append_to(s, 3, SEGMENT / 2), err);
	segments_are_whole(3);
	check_all(s);
	store_close(s);
	s = open_filling(1);
	check_all(s);
	store_close(s);
}

/* Killed at any time: a file that is filled in part is none yet. */
static void
test_copies(void **state)
{
	(void)state;
	char *copy = folder_make();
	struct store *s = open_filling(1);
	for (unsigned i = 1; i < 40; i++) {
		assert_ok(append_to(s, 1 + i / 10, SEGMENT / 10 * (i % 10)),
			  err);
		folder_empty(copy);
		store_copy(copy, dir, i % 2 == 0);
		struct store *c = must_write(copy);
		assert_int_equal(truth_holds(&truth, c), truth.n);
		store_close(c);
	}
	store_close(s);
	folder_drop(copy);
}

/* Segments never take much more than what they hold. */
static void
test_sizes(void **state)
{
	uint64_t before = 0, most = 0, size, first = 1u << 20;
	struct journal j;

	(void)state;
	assert_int_equal(
		journal_init(&j, dir, (const uint8_t *)"0123456789abcdef"), 0);
	for (uint64_t i = 1; i <= 60; i++, before += size) {
		size = journal_size(&j, i);
		assert_true((size & (size - 1)) == 0 && size >= most);
		assert_true(size == first || size <= before / 4);
		most = size;
	}
	assert_true(most == 256u << 20);
	assert_true(journal_size(&j, UINT32_MAX) == most);
	journal_fini(&j);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_ahead),     TEST(test_small),
		TEST(test_never),     TEST(test_filler_fails),
		TEST(test_full_disk), TEST(test_copies),
		TEST(test_sizes),
	};

	diag_set_level(DIAG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
