/* SPDX-License-Identifier: MIT */
/*
 * Bytes that change, files that end early, writes that were torn. Below the
 * watermark each is reported with file and offset; above it a torn group is
 * cut and kept aside. What was acknowledged is never silently lost.
 */
#include "store_test.h"

#include <glob.h>
#include <malloc.h>
#include <unistd.h>

#include "base/diag.h"
#include "disk.h"
#include "store/format.h"

#define LAST	   (64u << 10)
#define MARK_ZEROS 15u

static struct weir_err err;
static char *dir, *copy;
static struct truth truth;

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	copy = folder_make();
	memset(&err, 0, sizeof(err));
	disk_begin(copy);
	disk_pause();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	disk_end();
	truth_free(&truth);
	folder_drop(dir);
	folder_drop(copy);
	return 0;
}

/* ---- one changed file --------------------------------------------------- */

struct changed {
	char path[600]; /* in the copy */
	uint8_t *p;
	size_t n, used;
	bool live;
	uint8_t page[4096];
	unsigned damage, whole, found;
};

static void
changed_init(struct changed *c, const char *name, bool live)
{
	size_t n;

	store_copy(copy, dir, live);
	memset(c, 0, sizeof(*c));
	snprintf(c->path, sizeof(c->path), "%s/journal/%s", copy, name);
	c->p = file_read(&c->n, c->path);
	for (c->used = c->n; c->used > 0 && c->p[c->used - 1] == 0;)
		c->used--;
	c->live = live;
	if (live) {
		uint8_t *page = file_read(&n, in(copy, "live"));
		assert_int_equal(n, sizeof(c->page));
		memcpy(c->page, page, n);
		free(page);
	}
}

static void
changed_back(struct changed *c)
{
	file_write(c->path, c->p, c->n);
	if (c->live)
		file_write(in(copy, "live"), c->page, sizeof(c->page));
	else
		unlink(in(copy, "live"));
}

static void
says_where(const struct changed *c, size_t at)
{
	if (strstr(err.msg, " at byte ") == NULL ||
	    strstr(err.msg, "/journal/0000") == NULL ||
	    err.code != WEIR_EDAMAGE)
		fail_msg("byte %zu of %s: %d, %s", at, c->path, err.code,
			 err.msg);
	memset(&err, 0, sizeof(err));
}

/* Reported by opening or by a check, or harmless. */
static void
look(struct changed *c, size_t at, bool writing)
{
	struct check_report report;
	struct store *s = NULL;
	uint64_t all = 0;
	int rc = writing ? open_writer(&s, copy, &err)
			 : open_reader(&s, copy, &err);

	if (rc != 0) {
		says_where(c, at);
		c->damage++;
		return;
	}
	const char *fault = truth_fault(&truth, s, &all);
	if (fault == NULL) {
		c->whole++;
	} else if (store_check(s, &report, NULL, NULL, &err) != 0) {
		says_where(c, at);
		c->found++;
	} else {
		fail_msg("byte %zu of %s: %s", at, c->path, fault);
	}
	store_close(s);
}

static void
flip(struct changed *c, size_t at, bool writing)
{
	uint8_t byte = c->p[at] ^ (uint8_t)(1u << at % 8);

	file_put(c->path, at, &byte, 1);
	look(c, at, writing);
	if (writing)
		changed_back(c);
	else
		file_put(c->path, at, &c->p[at], 1);
}

static void
cut_file(struct changed *c, size_t at, bool writing)
{
	file_cut(c->path, at);
	look(c, at, writing);
	changed_back(c);
}

/* 300 records in two segments; `clean` closes with a mark. The copy taken by
 * changed_init is what a kill leaves otherwise. */
static struct store *
fill(unsigned n, size_t bytes)
{
	struct store *s = must_write(dir);
	struct receipt got;

	for (unsigned i = 0; i < n; i++) {
		commit_one(s, &got, draft_sized(i, i * 13 % bytes));
		truth_note(&truth, &got, 1);
	}
	return s;
}

static size_t
step(size_t usual)
{
	return getenv("WEIR_TORTURE") != NULL ? 1 : usual;
}

static void
flips(const char *name, bool live, size_t usual)
{
	struct changed c;

	changed_init(&c, name, live);
	size_t from = c.used > LAST ? c.used - LAST : 0;
	size_t to = c.used + 4096 < c.n ? c.used + 4096 : c.n;
	for (size_t at = from; at < to; at += step(usual))
		flip(&c, at, false);
	for (size_t at = from; at < to; at += step(5 * usual))
		flip(&c, at, true);
	/* The ends of the last groups, byte by byte, and what follows. */
	for (size_t at = c.used - 600; at < c.used + 80; at++)
		flip(&c, at, true);
	assert_true(c.damage + c.found > 800);
	free(c.p);
}

static void
test_flips(void **state)
{
	struct store *s = fill(170, 900);

	(void)state;
	flips("00000002.seg", true, 13);
	flips("00000002.seg", false, 13);
	store_close(s);
	flips("00000002.seg", false, 31);
	flips("00000001.seg", true, 31);
}

static void
cuts(const char *name, bool live, size_t usual)
{
	struct changed c;

	changed_init(&c, name, live);
	size_t from = c.used > LAST ? c.used - LAST : 0;
	for (size_t at = from; at < c.used + 200; at += step(usual))
		cut_file(&c, at, at % 2 == 0);
	for (size_t at = c.used + 200; at < c.n; at += 4093)
		cut_file(&c, at, at % 2 == 0);
	assert_true(c.damage > 100);
	/* The watermark tells that only zeros are lost. */
	if (live && c.used + 200 < c.n)
		assert_true(c.whole > 0);
	free(c.p);
}

static void
test_cuts(void **state)
{
	struct store *s = fill(170, 900);

	(void)state;
	cuts("00000002.seg", true, 37);
	cuts("00000002.seg", false, 37);
	store_close(s);
	cuts("00000002.seg", false, 131);
	cuts("00000001.seg", true, 131);
}

/* A report leaves the folder as it was. */
static void
test_report_touches_nothing(void **state)
{
	struct store *s = fill(40, 900);
	struct changed c;
	size_t n;

	(void)state;
	store_close(s);
	changed_init(&c, "00000001.seg", true);
	c.p[c.used - 300] ^= 1;
	file_write(c.path, c.p, c.n);
	assert_int_equal(open_writer(&s, copy, &err), WEIR_EDAMAGE);
	assert_true(err.offset > 0 && err.offset <= c.used - 300);
	char text[40];
	snprintf(text, sizeof(text), "at byte %d:", (int)err.offset);
	assert_says(err, text);
	uint8_t *now = file_read(&n, c.path);
	assert_int_equal(n, c.n);
	assert_memory_equal(now, c.p, n);
	free(now);
	now = file_read(&n, in(copy, "live"));
	assert_memory_equal(now, c.page, n);
	free(now);
	free(c.p);
}

/* ---- torn writes -------------------------------------------------------- */

/* A store killed at its last group, which has `bytes` of payload; *from and
 * *to are its extent. */
static void
last_group(struct changed *c, size_t *from, size_t *to, size_t bytes, bool live)
{
	struct store *s = fill(9, 400);
	struct receipt got;
	struct record_draft d = draft_sized(1, bytes);

	truth.gaps = true;
	commit_one(s, &got, d);
	changed_init(c, "00000001.seg", live);
	store_close(s);
	*from = (size_t)position_offset(got.position) - GROUP_HEADER;
	*to = c->used;
	assert_int_equal(*to % 8, 0);
}

static void
expect_cut(struct changed *c, size_t from, size_t lost_from)
{
	struct receipt got;
	const char *kept = NULL;
	struct store *s = NULL;
	size_t n;

	assert_ok(open_writer(&s, copy, &err), err);
	assert_int_equal(truth_holds(&truth, s), truth.n);
	if (store_cut_bytes(s, &kept) == 0)
		fail_msg("lost at %zu: nothing was cut", lost_from);
	uint8_t *p = file_read(&n, kept);
	uint8_t *now = file_read(&c->n, c->path);
	assert_int_equal(n, store_cut_bytes(s, NULL));
	assert_memory_equal(p, c->p + from, n);
	assert_true(format_all_zero(now + from, c->n - from));
	free(p);
	free(now);
	commit_one(s, &got, draft_sized(2, 30));
	assert_int_equal(got.sequence, truth.n + 1);
	store_close(s);
}

/* How many files with cut bytes there are: none was written over. */
static size_t
kept_files(void)
{
	glob_t found;
	size_t n;

	if (glob(in(copy, "journal/cut-*"), 0, NULL, &found) != 0)
		return 0;
	n = found.gl_pathc;
	globfree(&found);
	return n;
}

static void
test_torn_sectors(void **state)
{
	struct changed c;
	size_t from, to;

	(void)state;
	last_group(&c, &from, &to, 2400, false);
	uint8_t *whole = malloc(c.n);
	assert_non_null(whole);
	memcpy(whole, c.p, c.n);
	size_t first = from / 512, sectors = (to - 1) / 512 + 1 - first;
	assert_true(sectors >= 5 && sectors < 8);
	for (unsigned lost = 1; lost < 1u << sectors; lost++) {
		memcpy(c.p, whole, c.n);
		for (size_t i = 0; i < sectors; i++) {
			size_t a = (first + i) * 512, b = a + 512;
			a = a < from ? from : a;
			if ((lost >> i & 1) != 0)
				memset(c.p + a, 0, b - a);
		}
		changed_back(&c);
		if (lost == (1u << sectors) - 1) {
			/* Nothing of it came: nothing to cut. */
			struct store *s = must_write(copy);
			assert_int_equal(truth_holds(&truth, s), truth.n);
			store_close(s);
			continue;
		}
		expect_cut(&c, from, lost);
		assert_int_equal(kept_files(), lost);
	}
	/* With all of it there it is taken in, and stays. */
	memcpy(c.p, whole, c.n);
	changed_back(&c);
	for (int i = 0; i < 2; i++) {
		struct store *s = must_write(copy);
		assert_int_equal(truth_holds(&truth, s), truth.n + 1);
		store_close(s);
	}
	free(whole);
	free(c.p);
}

static void
test_torn_ends(void **state)
{
	struct changed c;
	size_t from, to;

	(void)state;
	last_group(&c, &from, &to, 1300, false);
	uint8_t *whole = malloc(c.n);
	assert_non_null(whole);
	memcpy(whole, c.p, c.n);
	for (size_t end = from + 8; end < to; end += end < to - 16 ? 8 : 1) {
		memcpy(c.p, whole, end);
		memset(c.p + end, 0, c.n - end);
		changed_back(&c);
		expect_cut(&c, from, end);
	}
	free(whole);
	free(c.p);
}

/* The same in a group that is known to be synced. */
static void
test_lost_sectors_below(void **state)
{
	struct changed c;
	size_t from, to;

	(void)state;
	last_group(&c, &from, &to, 2400, true);
	for (size_t at = from; at < to; at = at - at % 512 + 512) {
		size_t end = at - at % 512 + 512;
		static const uint8_t zeros[512];
		struct store *s = NULL;
		file_put(c.path, at, zeros, end - at);
		assert_int_equal(open_writer(&s, copy, &err), WEIR_EDAMAGE);
		says_where(&c, at);
		assert_int_equal(open_reader(&s, copy, &err), WEIR_EDAMAGE);
		says_where(&c, at);
		changed_back(&c);
	}
	/* A mark says so too, without the page. */
	struct store *s = must_write(copy);
	struct receipt got;
	commit_one(s, &got, draft_sized(1, 20));
	store_close(s);
	unlink(in(copy, "live"));
	static const uint8_t zeros[8];
	file_put(c.path, from + 1000, zeros, 8);
	assert_int_equal(open_writer(&s, copy, &err), WEIR_EDAMAGE);
	free(c.p);
}

/* A mark is not synced: lost, it must not make damage of the group behind it,
 * which was never acknowledged. */
static void
test_lost_mark(void **state)
{
	static const uint8_t zeros[GROUP_HEADER];
	struct receipt got;
	struct changed c;
	struct store *s;

	(void)state;
	for (unsigned n = 0;; n++) {
		assert_true(n < 300);
		s = fill(1, 1);
		truth_free(&truth);
		commit_one(s, &got, draft_sized(1, 8 * n));
		store_close(s);
		changed_init(&c, "00000001.seg", false);
		/* A mark's last bytes are zero. */
		if ((c.used + MARK_ZEROS) % 512 == 0)
			break;
		free(c.p);
		folder_empty(dir);
	}
	size_t mark = c.used + MARK_ZEROS - GROUP_HEADER;
	free(c.p);
	s = must_write(dir);
	commit_one(s, &got, draft_sized(1, 900));
	changed_init(&c, "00000001.seg", false);
	store_close(s);
	file_put(c.path, mark, zeros, sizeof(zeros));
	s = must_write(copy);
	assert_int_equal(store_last(s), 2);
	assert_true(store_cut_bytes(s, NULL) > 900);
	store_close(s);
	free(c.p);
}

/* ---- whole files -------------------------------------------------------- */

static void
damaged(const char *word)
{
	struct store *s = NULL;

	assert_int_equal(open_writer(&s, copy, &err), WEIR_EDAMAGE);
	assert_says(err, word);
	assert_int_equal(open_reader(&s, copy, &err), WEIR_EDAMAGE);
	assert_says(err, word);
}

static void
test_lost_files(void **state)
{
	static const char *const names[] = {"journal/00000001.seg",
					    "journal/00000002.seg",
					    "journal/00000003.seg"};
	struct store *s = fill(500, 1300);
	size_t n;

	(void)state;
	store_close(s);
	assert_true(file_exists(in(dir, "journal/00000003.seg")));
	for (unsigned i = 0; i < 3; i++) {
		store_copy(copy, dir, false);
		unlink(in(copy, names[i]));
		damaged(names[i]);
		/* All zeros. */
		store_copy(copy, dir, false);
		uint8_t *p = file_read(&n, in(copy, names[i]));
		memset(p, 0, n);
		if (i < 2) {
			file_write(in(copy, names[i]), p, n);
			damaged(names[i]);
		}
		/* The header alone. */
		store_copy(copy, dir, false);
		file_put(in(copy, names[i]), 0, p, SEGMENT_HEADER);
		damaged(names[i]);
		/* Another segment in its place. */
		store_copy(copy, dir, false);
		free(p);
		p = file_read(&n, in(copy, names[(i + 1) % 3]));
		file_write(in(copy, names[i]), p, n);
		damaged(names[i]);
		free(p);
	}
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	/* Every opening takes large buffers: keep them. */
	mallopt(M_MMAP_THRESHOLD, 256 << 20);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	const struct CMUnitTest tests[] = {
		TEST(test_torn_sectors),
		TEST(test_torn_ends),
		TEST(test_lost_sectors_below),
		TEST(test_lost_mark),
		TEST(test_lost_files),
		TEST(test_report_touches_nothing),
		TEST(test_flips),
		TEST(test_cuts),
	};

	diag_set_level(DIAG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
