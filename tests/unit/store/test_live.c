/* SPDX-License-Identifier: MIT */
/* The live page: what it says, and that readers heed it. */
#include "store_test.h"

#include <sys/stat.h>

#include "base/os.h"
#include "store/live.h"

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
	os_set(NULL);
	folder_drop(dir);
	return 0;
}

static void
look(struct live_state *out, const struct store *s)
{
	bool this_boot = false;
	struct live live = {0};

	assert_ok(live_open(&live, in(dir, "live"), false, &err), err);
	assert_non_null(live.page);
	assert_true(live_read(&live, out, &this_boot, store_id(s)));
	assert_true(this_boot);
	live_close(&live);
}

/* It names what was acknowledged and this boot, whichever slot is in force. */
static void
test_names_the_end(void **state)
{
	struct live_state now = {0};
	struct receipt got;

	(void)state;
	for (unsigned open = 1; open <= 3; open++) {
		struct store *s = must_write(dir);
		for (unsigned i = 0; i < 5; i++) {
			commit_one(s, &got, draft_sized(i, 40));
			look(&now, s);
			assert_int_equal(now.sequence, got.sequence);
			assert_true(now.end > got.position);
			assert_int_equal(now.epoch, open);
		}
		store_close(s);
	}
}

static uint64_t seen_early;
static bool watching;

static int
watched_sync(int fd)
{
	struct store *s;

	if (watching) {
		s = must_read(dir);
		if (store_last(s) > seen_early)
			seen_early = store_last(s);
		store_close(s);
	}
	return os_real()->fdatasync(fd);
}

/* No reader sees a record before the sync that makes it durable. */
static void
test_nothing_unsynced(void **state)
{
	struct os table = *os_real();
	struct store *s = must_write(dir), *reader;
	struct receipt got;

	(void)state;
	table.fdatasync = watched_sync;
	commit_one(s, &got, draft_sized(1, 40));
	os_set(&table);
	for (uint64_t i = 1; i < 40; i++) {
		seen_early = 0;
		watching = true;
		commit_one(s, &got, draft_sized((unsigned)i, 4000));
		watching = false;
		assert_int_equal(seen_early, i);
		reader = must_read(dir);
		assert_int_equal(store_last(reader), i + 1);
		store_close(reader);
	}
	os_set(NULL);
	store_close(s);
}

/* Known to be synced, so never taken for torn, whatever was zeroed. */
static void
test_below_the_end(void **state)
{
	static const uint8_t zeros[700];
	struct store *s = must_write(dir);
	struct receipt got;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		commit_one(s, &got, draft_sized(i, 3000));
	assert_int_equal(mkdir(in(dir, "copy"), 0700), 0);
	store_copy(in(dir, "copy"), dir, true);
	store_close(s);
	file_put(in(dir, "copy/journal/00000001.seg"),
		 (size_t)(got.position & 0xffffffff) + 1024, zeros,
		 sizeof(zeros));
	assert_int_equal(open_writer(&s, in(dir, "copy"), &err), WEIR_EDAMAGE);
	assert_says(err, "00000001.seg");
	assert_int_equal(open_reader(&s, in(dir, "copy"), &err), WEIR_EDAMAGE);
}

static unsigned reads_left;

static ssize_t
interrupted_read(int fd, void *p, size_t n, off_t at)
{
	struct receipt got;

	if (reads_left > 0 && --reads_left == 0) {
		struct store *s = must_write(dir);
		for (unsigned i = 0; i < 3; i++)
			commit_one(s, &got, draft_sized(i, 2000));
		store_close(s);
	}
	return os_real()->pread(fd, p, n, at);
}

/* The first writer after a boot begins at any read of a reader that opens. */
static void
test_writer_comes_meanwhile(void **state)
{
	struct os table = *os_real();
	bool live = true;

	(void)state;
	table.pread = interrupted_read;
	for (unsigned nth = 1; live; nth++) {
		struct store *s;
		struct receipt got;
		folder_empty(dir);
		s = must_write(dir);
		for (unsigned i = 0; i < 4; i++)
			commit_one(s, &got, draft_sized(i, 300));
		store_close(s);
		assert_int_equal(remove(in(dir, "live")), 0);
		os_set(&table);
		reads_left = nth;
		s = must_read(dir);
		live = reads_left == 0;
		reads_left = 0;
		os_set(NULL);
		assert_ok(store_refresh(s, &err), err);
		assert_int_equal(store_last(s), live ? 7 : 4);
		store_close(s);
	}
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_names_the_end),
		TEST(test_nothing_unsynced),
		TEST(test_below_the_end),
		TEST(test_writer_comes_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
