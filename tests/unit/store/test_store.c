/* SPDX-License-Identifier: MIT */
/* Opening, locking, following, segments, heads. */
#include "store_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

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

static void
test_missing(void **state)
{
	struct store_options o = {.flags = STORE_WRITE};
	struct store *s = NULL;

	(void)state;
	assert_int_equal(open_reader(&s, dir, &err), WEIR_ENOTFOUND);
	assert_says(err, "there is no store in");
	assert_int_equal(store_open(&s, dir, &o, &err), WEIR_ENOTFOUND);
	assert_int_equal(open_reader(&s, in(dir, "no"), &err), WEIR_ENOTFOUND);
	/* Whoever only asks leaves nothing behind. */
	assert_false(file_exists(in(dir, "no")));
	assert_false(file_exists(in(dir, "LOCK")));
	assert_int_equal(store_open(&s, "", &o, &err), WEIR_EINPUT);
	o.first_segment_bytes = 100;
	assert_int_equal(store_open(&s, dir, &o, &err), WEIR_EUSAGE);
	assert_null(s);
}

static void
test_empty_store(void **state)
{
	struct store *s = must_write(dir);
	struct check_report report = {0};
	struct record_view v;
	uint8_t id[16];

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct reader *r = reader_new(s);
		assert_int_equal(store_last(s), 0);
		assert_int_equal(reader_next(r, &v, &err), 0);
		assert_int_equal(reader_sequence(r, &v, 1, &err),
				 WEIR_ENOTFOUND);
		assert_int_equal(reader_sequence(r, &v, 0, &err),
				 WEIR_ENOTFOUND);
		assert_int_equal(
			reader_version(r, &v, STR("a"), STR("b"), 1, &err),
			WEIR_ENOTFOUND);
		assert_ok(store_check(s, &report, NULL, NULL, &err), err);
		assert_int_equal(report.records, 0);
		if (i > 0)
			assert_memory_equal(id, store_id(s), 16);
		memcpy(id, store_id(s), 16);
		reader_free(r);
		store_close(s);
		s = i == 0 ? must_read(dir) : must_write(dir);
	}
	store_close(s);
}

static void
test_epoch_rises(void **state)
{
	struct receipt got;
	uint64_t last = 0;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct store *s = must_write(dir);
		assert_true(store_epoch(s) > last);
		last = store_epoch(s);
		commit_one(s, &got, draft_sized(i, 10));
		assert_int_equal(got.sequence, i + 1);
		store_close(s);
		/* Without `live` the journal itself knows. */
		if (i == 1)
			assert_int_equal(unlink(in(dir, "live")), 0);
	}
}

static void
test_segments(void **state)
{
	struct store *s = must_write(dir);
	struct truth truth = {0};
	struct check_report report;
	struct receipt got;

	(void)state;
	for (unsigned i = 0; i < 700; i++) {
		commit_one(s, &got, draft_sized(i, (i * 37) % 1500));
		truth_note(&truth, &got, 1);
	}
	assert_true(file_exists(in(dir, "journal/00000004.seg")));
	assert_int_equal(truth_holds(&truth, s), 700);
	assert_ok(store_check(s, &report, NULL, NULL, &err), err);
	assert_true(report.segments >= 4);
	assert_int_equal(report.records, 700);
	assert_int_equal(report.groups, 700);
	assert_int_equal(report.aggregates, 7);
	store_close(s);
	for (int i = 0; i < 4; i++) {
		s = i % 2 ? must_write(dir) : must_read(dir);
		assert_int_equal(truth_holds(&truth, s), 700);
		assert_int_equal(store_cut_bytes(s, NULL), 0);
		store_close(s);
		if (i == 1)
			assert_int_equal(unlink(in(dir, "live")), 0);
	}
	truth_free(&truth);
}

/* Sequences at random, far and near, against forward reading. */
static void
test_seek(void **state)
{
	struct store *s = must_write(dir);
	struct reader *r;
	struct receipt got[400];
	struct record_view v;
	uint64_t x = 1;

	(void)state;
	for (unsigned i = 0; i < 400; i++)
		commit_one(s, &got[i], draft_sized(i, (i * 91) % 1200));
	r = reader_new(s);
	for (unsigned i = 0; i < 2000; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		uint64_t n = (x >> 33) % 400 + 1;
		if (i % 3 == 0) {
			reader_seek(r, n);
			for (int k = 0; k < 5 && n <= 400; k++, n++) {
				assert_int_equal(reader_next(r, &v, &err), 1);
				assert_int_equal(v.sequence, n);
				assert_int_equal(v.position,
						 got[n - 1].position);
			}
		} else if (i % 3 == 1) {
			assert_ok(reader_sequence(r, &v, n, &err), err);
			assert_int_equal(v.position, got[n - 1].position);
		} else {
			assert_ok(reader_at(r, &v, got[n - 1].position, &err),
				  err);
			assert_int_equal(v.sequence, n);
		}
	}
	assert_int_equal(reader_sequence(r, &v, 401, &err), WEIR_ENOTFOUND);
	assert_int_equal(reader_at(r, &v, 12345, &err), WEIR_EUSAGE);
	assert_int_equal(reader_at(r, &v, got[9].position + 8, &err),
			 WEIR_EDAMAGE);
	reader_free(r);
	store_close(s);
}

static void
test_reader_follows(void **state)
{
	struct store *w = must_write(dir);
	struct store *s = must_read(dir);
	struct reader *r = reader_new(s);
	struct truth truth = {0};
	struct record_view v;
	struct receipt got;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(reader_next(r, &v, &err), 0);
		commit_one(w, &got, draft_sized(i, 700));
		truth_note(&truth, &got, 1);
		assert_ok(store_refresh(s, &err), err);
		assert_int_equal(reader_next(r, &v, &err), 1);
		assert_int_equal(v.sequence, i + 1);
		assert_memory_equal(v.hash, got.hash, RECORD_DIGEST);
		if (i % 50 == 49) {
			store_close(w);
			w = must_write(dir);
		}
	}
	assert_int_equal(truth_holds(&truth, s), 300);
	struct record_draft d = draft_sized(1, 1);
	assert_int_equal(store_commit(s, &got, &d, 1, &err), WEIR_EUSAGE);
	assert_says(err, "not open for writing");
	reader_free(r);
	store_close(s);
	store_close(w);
	truth_free(&truth);
}

/* A reader without a page to go by reads on by what the journal says. */
static void
test_reader_without_live(void **state)
{
	struct store *w = must_write(dir);
	struct truth truth = {0};
	struct receipt got;

	(void)state;
	commit_one(w, &got, draft_sized(0, 100));
	truth_note(&truth, &got, 1);
	store_close(w);
	assert_int_equal(unlink(in(dir, "live")), 0);
	struct store *s = must_read(dir);
	assert_false(file_exists(in(dir, "live")));
	assert_int_equal(truth_holds(&truth, s), 1);
	w = must_write(dir);
	for (unsigned i = 0; i < 200; i++) {
		commit_one(w, &got, draft_sized(i, 900));
		truth_note(&truth, &got, 1);
	}
	assert_ok(store_refresh(s, &err), err);
	assert_int_equal(truth_holds(&truth, s), 201);
	store_close(s);
	store_close(w);
	truth_free(&truth);
}

static void
test_wait(void **state)
{
	struct store *w = must_write(dir);
	struct store *s = must_read(dir);
	struct receipt got;
	int fd[2];

	(void)state;
	assert_int_equal(store_wait(s, 1, 0, -1, &err), WEIR_EUNREACH);
	assert_int_equal(store_wait(s, 1, 20000, -1, &err), WEIR_EUNREACH);
	commit_one(w, &got, draft_sized(1, 1));
	assert_ok(store_wait(s, 1, 0, -1, &err), err);
	assert_int_equal(store_last(s), 1);
	assert_ok(store_wait(w, 1, 0, -1, &err), err);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(store_wait(s, 2, 1000, fd[0], &err), WEIR_EUNREACH);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(store_wait(s, 2, -1, fd[0], &err), WEIR_ESTOPPED);
	close(fd[0]);
	close(fd[1]);
	store_close(s);
	store_close(w);
}

static void
test_end_writing(void **state)
{
	struct store *s = must_write(dir), *w;
	struct truth truth = {0};
	struct receipt got;

	(void)state;
	commit_one(s, &got, draft_sized(1, 100));
	truth_note(&truth, &got, 1);
	assert_int_equal(open_writer(&w, dir, &err), WEIR_EUNREACH);
	assert_ok(store_end_writing(s, &err), err);
	assert_int_equal(store_end_writing(s, &err), WEIR_EUSAGE);
	struct record_draft d = draft_sized(2, 1);
	assert_int_equal(store_commit(s, &got, &d, 1, &err), WEIR_EUSAGE);
	w = must_write(dir);
	for (unsigned i = 0; i < 200; i++) {
		commit_one(w, &got, draft_sized(i, 900));
		truth_note(&truth, &got, 1);
		assert_ok(store_wait(s, got.sequence, 0, -1, &err), err);
	}
	assert_int_equal(truth_holds(&truth, s), 201);
	store_close(w);
	store_close(s);
	truth_free(&truth);
}

static pid_t
hold_lock(int *out)
{
	int ready[2], done[2];
	char c;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(done), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct store *s = NULL;
		close(done[1]);
		if (open_writer(&s, dir, &err) != 0)
			_exit(1);
		if (write(ready[1], "x", 1) != 1 || read(done[0], &c, 1) != 0)
			_exit(2);
		store_close(s);
		_exit(0);
	}
	close(ready[1]);
	close(done[0]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	*out = done[1];
	return pid;
}

static void *
open_waiting(void *arg)
{
	struct store_options o = {.flags = STORE_WRITE,
				  .lock_wait_us = 60000000};

	store_open(arg, dir, &o, NULL);
	return NULL;
}

static void
test_lock_held(void **state)
{
	struct store *s = NULL;
	char holder[40];
	pthread_t thread;
	int fd, status;

	(void)state;
	pid_t pid = hold_lock(&fd);
	assert_int_equal(open_writer(&s, dir, &err), WEIR_EUNREACH);
	snprintf(holder, sizeof(holder), "held by process %d ", (int)pid);
	assert_says(err, holder);
	struct store_options o = {.flags = STORE_WRITE, .lock_wait_us = 30000};
	assert_int_equal(store_open(&s, dir, &o, &err), WEIR_EUNREACH);
	/* Readers don't care. */
	store_close(must_read(dir));
	/* Who waits gets it when the holder is done. */
	assert_int_equal(pthread_create(&thread, NULL, open_waiting, &s), 0);
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	pthread_join(thread, NULL);
	assert_non_null(s);
	store_close(s);
	/* And when the holder was killed. */
	pid = hold_lock(&fd);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(fd);
	store_close(must_write(dir));
}

struct seen {
	char text[400];
	int stop_at, n;
};

static int
note_head(void *cookie, struct weir_str type, struct weir_str id,
	  const struct head *head)
{
	struct seen *seen = cookie;
	size_t n = strlen(seen->text);

	snprintf(seen->text + n, sizeof(seen->text) - n, "%.*s/%.*s=%d ",
		 (int)type.len, type.data, (int)id.len, id.data,
		 (int)head->version);
	return ++seen->n == seen->stop_at ? 42 : 0;
}

static void
test_each(void **state)
{
	struct store *s = must_write(dir);
	struct record_draft d = draft_of("$token", "t", "e", "0");
	struct receipt got;
	struct seen seen = {0};

	(void)state;
	d.system = true;
	commit_one(s, &got, d);
	commit_one(s, &got, draft_of("b", "2", "e", "0"));
	commit_one(s, &got, draft_of("b", "10", "e", "0"));
	commit_one(s, &got, draft_of("a", "z", "e", "0"));
	commit_one(s, &got, draft_of("b", "2", "e", "0"));
	assert_int_equal(store_each(s, false, note_head, &seen), 0);
	assert_string_equal(seen.text, "a/z=1 b/10=1 b/2=2 ");
	seen = (struct seen){.stop_at = 2};
	assert_int_equal(store_each(s, true, note_head, &seen), 42);
	assert_string_equal(seen.text, "$token/t=1 a/z=1 ");
	assert_int_equal(store_aggregates(s, false), 3);
	assert_int_equal(store_aggregates(s, true), 4);
	store_close(s);
}

static void
test_identity(void **state)
{
	struct store *s = must_write(dir);
	struct receipt got;
	size_t n;

	(void)state;
	commit_one(s, &got, draft_sized(1, 1));
	store_close(s);
	uint8_t *text = file_read(&n, in(dir, "STORE"));
	file_write(in(dir, "STORE"), "weir store\nformat 1\n", 20);
	assert_int_equal(open_reader(&s, dir, &err), WEIR_EDAMAGE);
	assert_says(err, "STORE is damaged");
	memcpy(text + strlen("weir store\nformat "), "9", 1);
	file_write(in(dir, "STORE"), text, n);
	assert_int_equal(open_reader(&s, dir, &err), WEIR_EINPUT);
	assert_says(err, "format 9");
	/* Another store's identity over these records. */
	memcpy(text + strlen("weir store\nformat "), "1", 1);
	uint8_t *id = text + strlen("weir store\nformat 1\nid ");
	*id = *id == 'a' ? 'b' : 'a';
	file_write(in(dir, "STORE"), text, n);
	assert_int_equal(open_writer(&s, dir, &err), WEIR_EDAMAGE);
	assert_says(err, "00000001.seg is damaged at byte 16");
	/* Records are never made an empty store of. */
	assert_int_equal(unlink(in(dir, "STORE")), 0);
	assert_int_equal(open_writer(&s, dir, &err), WEIR_EDAMAGE);
	assert_says(err, "restore STORE");
	free(text);
}

/* A store whose making was cut off before STORE is begun again. */
static void
test_half_made(void **state)
{
	struct receipt got;

	(void)state;
	store_close(must_write(dir));
	assert_int_equal(unlink(in(dir, "STORE")), 0);
	struct store *s = must_write(dir);
	commit_one(s, &got, draft_sized(1, 1));
	store_close(s);
	s = must_read(dir);
	assert_int_equal(store_last(s), 1);
	store_close(s);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_missing),
		TEST(test_empty_store),
		TEST(test_epoch_rises),
		TEST(test_segments),
		TEST(test_seek),
		TEST(test_reader_follows),
		TEST(test_reader_without_live),
		TEST(test_wait),
		TEST(test_end_writing),
		TEST(test_lock_held),
		TEST(test_each),
		TEST(test_identity),
		TEST(test_half_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
