/* SPDX-License-Identifier: MIT */
/* Both kinds of readers: what they give, how long it lives, and that they never
 * give what was not synced or is not whole. */
#include "store_test.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/os.h"
#include "store/format.h"
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

static struct reader *
reader_of(struct store *s, bool mapped)
{
	struct reader *r = mapped ? reader_new_mapped(s) : reader_new(s);

	assert_non_null(r);
	return r;
}

/* ---- lifetime ------------------------------------------------------------ */

/* What a mapped view points to stays, whatever is called and appended, and two
 * readers give the same bytes, not copies. */
static void
test_views_stay(void **state)
{
	enum {
		N = 300
	};
	static struct record_view view[N + 1], other;
	struct store *w = must_write(dir), *s = must_read(dir);
	struct receipt got;

	(void)state;
	for (unsigned i = 1; i <= N; i++)
		commit_one(w, &got, draft_sized(i, 900));
	assert_true(position_segment(got.position) > 1);
	assert_ok(store_refresh(s, &err), err);
	struct reader *r = reader_of(s, true), *q = reader_of(s, true);
	for (unsigned i = 1; i <= N; i++)
		assert_int_equal(reader_next(r, &view[i], &err), 1);
	assert_int_equal(reader_next(r, &other, &err), 0);
	for (unsigned i = 1; i <= N; i++)
		commit_one(w, &got, draft_sized(i, 900));
	assert_ok(store_refresh(s, &err), err);
	reader_free(r);
	for (unsigned i = N; i > 0; i--) {
		struct record_draft d = draft_sized(i, 900);
		assert_true(str_eq(view[i].payload, d.payload));
		assert_true(str_eq(view[i].aggregate_id, d.aggregate_id));
		assert_ok(reader_sequence(q, &other, i, &err), err);
		assert_ptr_equal(other.payload.data, view[i].payload.data);
		assert_ok(reader_at(q, &other, view[i].position, &err), err);
		assert_ptr_equal(other.payload.data, view[i].payload.data);
	}
	reader_free(q);
	store_close(s);
	store_close(w);
}

/* ---- one aggregate ------------------------------------------------------- */

#define LONG 9000u

static uint64_t at[LONG + 1];

static void
make_long(struct store *w)
{
	static struct record_draft d[100];
	static struct receipt got[100];

	for (unsigned i = 1; i <= LONG; i += 100) {
		for (unsigned k = 0; k < 100; k++)
			d[k] = draft_of("a", "long", "e", "1");
		assert_ok(store_commit(w, got, d, 100, &err), err);
		for (unsigned k = 0; k < 100; k++)
			at[i + k] = got[k].position;
	}
}

/* Any version in any order, with and without waymarks from before. */
static void
test_any_version(void **state)
{
	static uint64_t chain[LONG];
	struct store *w = must_write(dir), *s;
	struct record_view v;
	uint64_t random = 1;

	(void)state;
	make_long(w);
	s = must_read(dir);
	for (int kind = 0; kind < 4; kind++) {
		struct store *of = kind / 2 ? w : s;
		struct reader *r = reader_of(of, kind % 2);
		for (unsigned i = 0; i < 6000; i++) {
			random = random * 6364136223846793005u + 1;
			uint64_t version = (random >> 33) % LONG + 1;
			assert_ok(reader_version(r, &v, STR("a"), STR("long"),
						 version, &err),
				  err);
			assert_int_equal(v.version, version);
			assert_int_equal(v.position, at[version]);
		}
		assert_int_equal(reader_version(r, &v, STR("a"), STR("long"),
						LONG + 1, &err),
				 WEIR_ENOTFOUND);
		assert_ok(reader_chain(r, chain, at[LONG], 1, LONG, &err), err);
		assert_memory_equal(chain, at + 1, sizeof(chain));
		assert_ok(reader_chain(r, chain, at[70], 70, 70, &err), err);
		assert_int_equal(chain[0], at[70]);
		reader_free(r);
	}
	store_close(s);
	store_close(w);
}

/* A bit anywhere in the links of a record leads to an error or to the version
 * that was asked for, never to another record. */
static void
test_links_damaged(void **state)
{
	struct store *w = must_write(dir), *s;
	uint64_t chain[48], found[49] = {0};
	struct record_view v;
	struct receipt got;

	(void)state;
	for (unsigned i = 1; i <= 48; i++) {
		commit_one(w, &got, draft_of("a", "x", "e", "1"));
		found[i] = got.position;
		commit_one(w, &got, draft_of("a", "y", "e", "1"));
	}
	store_close(w);
	s = must_read(dir);
	char path[300];
	snprintf(path, sizeof(path), "%s", in(dir, "journal/00000001.seg"));
	for (unsigned bit = 0; bit < 16 * 8; bit++) {
		size_t byte = (size_t)position_offset(found[48]) + 16 + bit / 8;
		size_t n = 0;
		uint8_t *file = file_read(&n, path), was = file[byte];
		uint8_t bad = was ^ (uint8_t)(1 << bit % 8);
		free(file);
		file_put(path, byte, &bad, 1);
		for (int kind = 0; kind < 2; kind++) {
			struct reader *r = reader_of(s, kind == 1);
			for (unsigned i = 1; i <= 48; i++) {
				int rc = reader_version(r, &v, STR("a"),
							STR("x"), i, &err);
				if (rc == 0)
					assert_int_equal(v.position, found[i]);
				else
					assert_int_equal(rc, WEIR_EDAMAGE);
			}
			assert_int_equal(
				reader_chain(r, chain, found[48], 1, 48, &err),
				WEIR_EDAMAGE);
			reader_free(r);
		}
		file_put(path, byte, &was, 1);
	}
	store_close(s);
}

/* ---- damage -------------------------------------------------------------- */

/* The frame that does not agree is named and no record from it on is given;
 * what stands before it is. */
static void
test_frame_named(void **state)
{
	static struct record_draft d[40];
	static struct receipt got[40];
	struct store *w = must_write(dir), *s;
	struct record_view v;

	(void)state;
	for (unsigned b = 0; b < 3; b++) {
		for (unsigned k = 0; k < 40; k++)
			d[k] = draft_of("a", "x", "e", "1");
		assert_ok(store_commit(w, got, d, 40, &err), err);
	}
	store_close(w);
	s = must_read(dir);
	size_t byte = (size_t)position_offset(got[20].position) + 100;
	file_put(in(dir, "journal/00000001.seg"), byte, "\xff", 1);
	for (int kind = 0; kind < 2; kind++) {
		struct reader *r = reader_of(s, kind == 1);
		uint64_t n = 0;
		int rc;
		while ((rc = reader_next(r, &v, &err)) > 0)
			assert_int_equal(v.sequence, ++n);
		assert_int_equal(rc, WEIR_EDAMAGE);
		assert_int_equal(n, 100);
		assert_int_equal(err.offset, position_offset(got[20].position));
		assert_says(err, "00000001.seg");
		assert_int_equal(reader_at(r, &v, got[20].position, &err),
				 WEIR_EDAMAGE);
		assert_ok(reader_at(r, &v, got[21].position, &err), err);
		reader_free(r);
	}
	store_close(s);
}

/* A file that was cut short before it was mapped is an error, not a signal. */
static void
test_cut_short(void **state)
{
	struct store *w = must_write(dir), *s;
	struct check_report report;
	struct record_view v;
	struct receipt got;

	(void)state;
	for (unsigned i = 0; i < 30; i++)
		commit_one(w, &got, draft_sized(i, 1000));
	store_close(w);
	s = must_read(dir);
	file_cut(in(dir, "journal/00000001.seg"), 20000);
	for (int kind = 0; kind < 2; kind++) {
		struct reader *r = reader_of(s, kind == 1);
		int rc;
		while ((rc = reader_next(r, &v, &err)) > 0)
			assert_true(position_offset(v.position) < 20000);
		assert_int_equal(rc, WEIR_EDAMAGE);
		assert_says(err, "the file ends here");
		assert_true(err.offset <= 20000);
		reader_free(r);
	}
	/* And one cut under a map is none to those who use pread. */
	file_cut(in(dir, "journal/00000001.seg"), 8000);
	struct reader *r = reader_of(s, false);
	int rc;
	while ((rc = reader_next(r, &v, &err)) > 0)
		continue;
	assert_int_equal(rc, WEIR_EDAMAGE);
	assert_int_equal(store_check(s, &report, NULL, NULL, &err),
			 WEIR_EDAMAGE);
	reader_free(r);
	store_close(s);
}

static bool refuse;

static void *
refused_map(size_t n, int prot, int flags, int fd, off_t from)
{
	if (refuse) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return os_real()->mmap(n, prot, flags, fd, from);
}

static void
test_map_refused(void **state)
{
	struct os table = *os_real();
	struct store *w = must_write(dir);
	struct record_view v;
	struct receipt got;

	(void)state;
	commit_one(w, &got, draft_sized(1, 100));
	struct reader *r = reader_of(w, true);
	table.mmap = refused_map;
	os_set(&table);
	refuse = true;
	assert_true(reader_next(r, &v, &err) < 0);
	assert_says(err, "cannot map");
	refuse = false;
	assert_int_equal(reader_next(r, &v, &err), 1);
	assert_int_equal(v.sequence, 1);
	reader_free(r);
	store_close(w);
}

/* ---- refresh ------------------------------------------------------------- */

static uint64_t reads, read_bytes;

static ssize_t
counted_read(int fd, void *p, size_t n, off_t from)
{
	ssize_t got = os_real()->pread(fd, p, n, from);

	reads++;
	read_bytes += got > 0 ? (uint64_t)got : 0;
	return got;
}

/* Without news nothing is read, and with news nothing but the news. */
static void
test_refresh_is_cheap(void **state)
{
	struct store *w = must_write(dir), *s;
	struct os table = *os_real();
	struct live_state before, after;
	struct live live = {0};
	struct receipt got;
	bool this_boot;

	(void)state;
	commit_one(w, &got, draft_sized(1, 100));
	s = must_read(dir);
	assert_ok(store_refresh(s, &err), err);
	assert_ok(live_open(&live, in(dir, "live"), false, &err), err);
	table.pread = counted_read;
	for (unsigned i = 0; i < 30; i++) {
		assert_true(live_read(&live, &before, &this_boot, store_id(s)));
		commit_one(w, &got, draft_sized(i, 300));
		assert_true(live_read(&live, &after, &this_boot, store_id(s)));
		os_set(&table);
		reads = read_bytes = 0;
		assert_ok(store_refresh(s, &err), err);
		assert_int_equal(reads, 1);
		assert_int_equal(read_bytes, after.end - before.end);
		for (unsigned k = 0; k < 100; k++)
			assert_ok(store_refresh(s, &err), err);
		assert_int_equal(reads, 1);
		os_set(NULL);
		assert_int_equal(store_last(s), got.sequence);
	}
	live_close(&live);
	store_close(s);
	store_close(w);
}

/* ---- never an unsynced record -------------------------------------------- */

static int told[2], order[2]; /* pipes to and from the process that writes */

static int
held_sync(int fd)
{
	char c;

	if (write(told[1], "s", 1) != 1 || read(order[0], &c, 1) != 1)
		_exit(3);
	return os_real()->fdatasync(fd);
}

static void
write_held(void)
{
	struct os table = *os_real();
	struct store *s = NULL;
	char c;

	while (read(order[0], &c, 1) == 1) {
		struct record_draft d = draft_sized(1, 2000);
		struct receipt got;
		if (s == NULL && open_writer(&s, dir, &err) != 0)
			_exit(1);
		table.fdatasync = held_sync;
		os_set(&table);
		if (store_commit(s, &got, &d, 1, &err) != 0)
			_exit(2);
		if (write(told[1], "a", 1) != 1)
			_exit(3);
	}
	_exit(0);
}

static pid_t
begin_writer(void)
{
	assert_int_equal(pipe(told), 0);
	assert_int_equal(pipe(order), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(order[1]);
		write_held();
	}
	close(order[0]);
	close(told[1]);
	return pid;
}

static void
end_writer(pid_t pid)
{
	int status;

	close(order[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(told[0]);
}

static char
hear(void)
{
	char c = 0;

	assert_int_equal(read(told[0], &c, 1), 1);
	return c;
}

static void
say(void)
{
	assert_int_equal(write(order[1], "x", 1), 1);
}

/* What is written but not yet synced by another process: it is in the file,
 * and no reader of any kind, old or fresh, gives it. */
static void
test_nothing_unsynced(void **state)
{
	struct record_view v;

	(void)state;
	store_close(must_write(dir));
	pid_t pid = begin_writer();
	struct store *old = must_read(dir);
	struct reader *kept[2] = {reader_of(old, false), reader_of(old, true)};
	for (uint64_t n = 1; n <= 40; n++) {
		say();
		while (hear() == 's') {
			struct store *fresh = must_read(dir);
			assert_ok(store_refresh(old, &err), err);
			assert_int_equal(store_last(old), n - 1);
			assert_int_equal(store_last(fresh), n - 1);
			assert_int_equal(reader_next(kept[0], &v, &err), 0);
			assert_int_equal(reader_next(kept[1], &v, &err), 0);
			store_close(fresh);
			say();
		}
		assert_ok(store_refresh(old, &err), err);
		assert_int_equal(reader_next(kept[0], &v, &err), 1);
		assert_int_equal(v.sequence, n);
		assert_int_equal(reader_next(kept[1], &v, &err), 1);
		assert_int_equal(v.sequence, n);
	}
	end_writer(pid);
	reader_free(kept[0]);
	reader_free(kept[1]);
	store_close(old);
}

/* The same for who opens when the page was deleted under the writer: it has
 * what the groups call synced, and all of it when the writer is gone. */
static void
test_page_deleted(void **state)
{
	struct store *s;

	(void)state;
	store_close(must_write(dir));
	pid_t pid = begin_writer();
	for (uint64_t n = 1; n <= 10; n++) {
		say();
		while (hear() == 's') {
			s = must_read(dir);
			assert_true(store_last(s) < n);
			assert_true(store_last(s) + 3 > n);
			assert_ok(store_refresh(s, &err), err);
			assert_true(store_last(s) < n);
			store_close(s);
			say();
		}
		if (n == 1)
			assert_int_equal(unlink(in(dir, "live")), 0);
	}
	end_writer(pid);
	s = must_read(dir);
	assert_int_equal(store_last(s), 10);
	store_close(s);
}

static unsigned reads_left;

static ssize_t
interrupted_read(int fd, void *p, size_t n, off_t from)
{
	if (reads_left > 0 && --reads_left == 0) {
		say();
		assert_int_equal(hear(), 's');
	}
	return os_real()->pread(fd, p, n, from);
}

/* The first writer after a boot writes, and has not synced, at any read of a
 * reader that opens. */
static void
test_unsynced_meanwhile(void **state)
{
	struct os table = *os_real();
	bool came = true;

	(void)state;
	table.pread = interrupted_read;
	for (unsigned nth = 1; came; nth++) {
		struct receipt got;
		folder_empty(dir);
		struct store *s = must_write(dir);
		for (unsigned i = 0; i < 4; i++)
			commit_one(s, &got, draft_sized(i, 300));
		store_close(s);
		assert_int_equal(unlink(in(dir, "live")), 0);
		pid_t pid = begin_writer();
		os_set(&table);
		reads_left = nth;
		s = must_read(dir);
		came = reads_left == 0;
		reads_left = 0;
		os_set(NULL);
		assert_int_equal(store_last(s), 4);
		if (came) {
			assert_ok(store_refresh(s, &err), err);
			assert_int_equal(store_last(s), 4);
			say();
			assert_int_equal(hear(), 'a');
			assert_ok(store_refresh(s, &err), err);
			assert_int_equal(store_last(s), 5);
		}
		end_writer(pid);
		store_close(s);
	}
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_views_stay),	     TEST(test_any_version),
		TEST(test_links_damaged),    TEST(test_frame_named),
		TEST(test_cut_short),	     TEST(test_map_refused),
		TEST(test_refresh_is_cheap), TEST(test_nothing_unsynced),
		TEST(test_page_deleted),     TEST(test_unsynced_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
