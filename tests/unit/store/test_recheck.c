/* SPDX-License-Identifier: MIT */
/*
 * What store_check sees of bytes that change under an open store, and a group
 * that reached the disk without the unsynced mark before it.
 */
#include "store_test.h"

#include "store/format.h"

static char *dir;
static struct weir_err err;

static int
setup(void **state)
{
	(void)state;
	memset(&err, 0, sizeof(err));
	dir = folder_make();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	folder_drop(dir);
	return 0;
}

/* The offset of the only mark of a segment file, or 0. */
static size_t
find_mark(const char *path)
{
	size_t n = 0, at = 0;
	uint8_t *p = file_read(&n, path);

	for (size_t i = SEGMENT_HEADER; i + GROUP_HEADER <= n; i += 8)
		if (get_u32(p + i) == GROUP_MAGIC &&
		    get_u32(p + i + 48) == GROUP_MARK)
			at = i;
	free(p);
	return at;
}

/* Headers too are read again: flips in both segments' headers, in the first
 * record and in the last one's group. */
static void
test_flips_under_an_open_store(void **state)
{
	struct store *s = must_write(dir);
	struct check_report report;
	struct receipt got;
	const char *first = "journal/00000001.seg";
	const char *second = "journal/00000002.seg";
	const struct {
		const char *file;
		size_t at;
	} flips[] = {
		{first, 0},    {first, 56},   {first, 4095},
		{second, 72},  {second, 128}, {second, 4092},
		{first, 4100}, {first, 4200}, {second, 4096 + 70},
	};

	(void)state;
	while (!file_exists(in(dir, second)) ||
	       position_segment(got.position) != 2)
		commit_one(s, &got, draft_sized(3, 1000));
	assert_int_equal(store_check(s, &report, NULL, NULL, &err), 0);
	assert_int_equal(report.segments, 2);
	for (size_t i = 0; i < sizeof(flips) / sizeof(flips[0]); i++) {
		size_t n = 0;
		uint8_t *p = file_read(&n, in(dir, flips[i].file));
		uint8_t bad = p[flips[i].at] ^ 0x10;
		file_put(in(dir, flips[i].file), flips[i].at, &bad, 1);
		assert_int_equal(store_check(s, &report, NULL, NULL, &err),
				 WEIR_EDAMAGE);
		assert_says(err, flips[i].file);
		file_put(in(dir, flips[i].file), flips[i].at, p + flips[i].at,
			 1);
		free(p);
	}
	assert_int_equal(store_check(s, &report, NULL, NULL, &err), 0);
	store_close(s);
}

/* Makes a store whose one record is followed by a mark that ends at a sector's
 * end, so that the next group's header stands in another sector. */
static size_t
make_mark_at_sector_end(const char *path, struct truth *truth)
{
	static char payload[600];
	struct receipt got;

	for (int pad = 0; pad < 512; pad += 8) {
		folder_empty(dir);
		struct store *s = must_write(dir);
		snprintf(payload, sizeof(payload), "\"%0*d\"", pad + 1, 0);
		commit_one(s, &got, draft_of("a", "1", "e", payload));
		store_close(s);
		size_t mark = find_mark(path);
		if ((mark + GROUP_HEADER) % 512 == 0) {
			truth_note(truth, &got, 1);
			return mark;
		}
	}
	fail_msg("no padding puts the mark at a sector's end");
	return 0;
}

/* Power is lost while a group behind an unsynced mark is written: the group's
 * sectors are on the disk, the mark's is not. That is no damage. */
static void
test_group_without_its_mark(void **state)
{
	static const uint8_t zeros[GROUP_HEADER];
	struct truth truth = {0};
	struct receipt got;
	struct store *s;
	char path[4096];

	(void)state;
	snprintf(path, sizeof(path), "%s", in(dir, "journal/00000001.seg"));
	size_t mark = make_mark_at_sector_end(path, &truth);
	s = must_write(dir);
	commit_one(s, &got, draft_of("a", "1", "e", "\"never acknowledged\""));
	assert_int_equal(position_offset(got.position),
			 mark + 2 * GROUP_HEADER);
	/* What stands there when the machine is on again: no live, no mark of
	 * this close, the group whole. */
	size_t n = 0;
	uint8_t *p = file_read(&n, path);
	store_close(s);
	file_write(path, p, n);
	free(p);
	file_put(path, mark, zeros, sizeof(zeros));
	assert_int_equal(remove(in(dir, "live")), 0);
	s = must_read(dir);
	assert_int_equal(truth_holds(&truth, s), 1);
	store_close(s);
	s = must_write(dir);
	assert_int_equal(truth_holds(&truth, s), 1);
	assert_true(store_cut_bytes(s, NULL) > GROUP_HEADER);
	store_close(s);
	truth_free(&truth);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_flips_under_an_open_store,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_group_without_its_mark,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
