/* SPDX-License-Identifier: MIT */
/* The embedding API: readers, roots, verifying, following. */
#include "embed_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct weir_reader *
open_reader(struct weir *w)
{
	struct weir_reader *r = NULL;

	ok(weir_reader_open(&r, w, &err));
	return r;
}

/* Two aggregates in turn: a has odd sequences, b even ones. */
static void
in_turn(struct weir *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		append_events(w, "a", 1);
		append_events(w, "b", 1);
	}
}

static void
one_aggregate_forward(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_reader *r = open_reader(w);
	struct weir_record rec;

	(void)state;
	ok(weir_seek_version(r, S("account"), S("b"), 1, &err));
	assert_int_equal(weir_tell(r), 1);
	assert_int_equal(weir_next(r, &rec, NULL), 0);
	assert_int_equal(weir_tell(r), 1);
	in_turn(w, 700); /* more than are looked up at once */
	for (unsigned v = 1; v <= 700; v++) {
		assert_int_equal(weir_next(r, &rec, NULL), 1);
		assert_int_equal(rec.version, v);
		assert_int_equal(rec.sequence, 2 * v);
		assert_int_equal(weir_tell(r), 2 * v + 1);
	}
	append_events(w, "a", 3);
	assert_int_equal(weir_next(r, &rec, NULL), 0);
	assert_int_equal(weir_tell(r), 1404);
	append_events(w, "b", 1);
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_int_equal(rec.sequence, 1404);

	/* One more, as many, and one less than are looked up at once; then
	 * one that came since. */
	for (unsigned from = 191, to = 703; from <= 195; from += 2, to++) {
		ok(weir_seek_version(r, S("account"), S("a"), from, &err));
		for (unsigned v = from; v <= to; v++) {
			assert_int_equal(weir_next(r, &rec, NULL), 1);
			assert_int_equal(rec.version, v);
		}
		assert_int_equal(weir_next(r, &rec, NULL), 0);
		append_events(w, "a", 1);
		assert_int_equal(weir_next(r, &rec, NULL), 1);
		assert_int_equal(rec.version, to + 1);
	}

	/* From the middle; from the beginning; then all records. */
	ok(weir_seek_version(r, S("account"), S("a"), 600, &err));
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_int_equal(rec.sequence, 1199);
	ok(weir_seek_version(r, S("account"), S("a"), 0, &err));
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_int_equal(rec.sequence, 1);
	weir_seek(r, 1406);
	assert_int_equal(weir_tell(r), 1406);
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_int_equal(rec.sequence, 1406);
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_int_equal(weir_next(r, &rec, NULL), 0);
	assert_int_equal(weir_tell(r), 1408);
	refused(weir_seek_version(r, S(""), S("a"), 1, &err), WEIR_EINPUT,
		"empty");
	refused(weir_seek_version(r, S("account"), S("\n"), 1, &err),
		WEIR_EINPUT, "id");
	weir_reader_close(r);
	weir_close(w);
}

static void
reading_does_not_move(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_reader *r = open_reader(w);
	struct weir_record rec;

	(void)state;
	in_turn(w, 20);
	weir_seek(r, 5);
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	ok(weir_read(r, &rec, 30, &err));
	ok(weir_read_version(r, &rec, S("account"), S("a"), 2, &err));
	assert_int_equal(rec.sequence, 3);
	ok(weir_read_version(r, &rec, S("account"), S("b"), 0, &err));
	assert_int_equal(rec.sequence, 40);
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_int_equal(rec.sequence, 6);
	refused(weir_read_version(r, &rec, S("account"), S("a"), 21, &err),
		WEIR_ENOTFOUND, "version 21");
	refused(weir_read_version(r, &rec, S("account"), S("c"), 1, &err),
		WEIR_ENOTFOUND, "not found");
	refused(weir_read(r, &rec, 0, &err), WEIR_ENOTFOUND, "sequence 0");
	refused(weir_read(r, &rec, 41, &err), WEIR_ENOTFOUND, "sequence 41");
	assert_int_equal(rec.sequence, 6); /* untouched */
	weir_reader_close(r);
	weir_reader_close(NULL);
	weir_close(w);
}

static void
clones(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_reader *r = open_reader(w), *c = NULL, *d = NULL;
	struct weir_record rec;

	(void)state;
	in_turn(w, 10);
	weir_seek(r, 7);
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	ok(weir_reader_clone(&c, r, &err));
	ok(weir_seek_version(r, S("account"), S("b"), 4, &err));
	assert_int_equal(weir_next(r, &rec, NULL), 1);
	assert_int_equal(rec.sequence, 8);
	ok(weir_reader_clone(&d, r, &err));
	assert_int_equal(weir_tell(d), 9);
	weir_reader_close(r);
	assert_int_equal(weir_next(c, &rec, NULL), 1);
	assert_int_equal(rec.sequence, 8);
	assert_int_equal(weir_next(d, &rec, NULL), 1);
	assert_int_equal(rec.sequence, 10);
	weir_reader_close(c);
	weir_reader_close(d);
	weir_close(w);
}

static void
heads_and_roots(void **state)
{
	struct weir *w = open_store(NULL), *ro = open_reading();
	struct weir_reader *r = open_reader(ro);
	uint8_t root[8][32], again[32];
	struct weir_head head = {0};
	struct weir_receipt got;
	struct weir_event ev = event("a", "0");

	(void)state;
	refused(weir_head(ro, &head, S("account"), S("a"), &err),
		WEIR_ENOTFOUND, "not found");
	for (unsigned v = 1; v <= 7; v++) {
		ok(weir_append(w, &got, &ev, &err));
		append_events(w, "b", 1);
		ok(weir_verify(r, root[v], S("account"), S("a"), &err));
		ok(weir_head(ro, &head, S("account"), S("a"), &err));
		assert_int_equal(head.version, v);
		assert_int_equal(head.sequence, 2 * v - 1);
		assert_false(head.archived);
		if (v == 1)
			assert_memory_equal(root[1], got.hash, 32);
	}
	for (unsigned v = 1; v <= 7; v++) {
		ok(weir_root(r, again, S("account"), S("a"), v, &err));
		assert_memory_equal(again, root[v], 32);
	}
	ok(weir_root(r, again, S("account"), S("a"), 0, &err));
	assert_memory_equal(again, root[7], 32);
	refused(weir_root(r, again, S("account"), S("a"), 8, &err),
		WEIR_ENOTFOUND, "version 8");
	refused(weir_verify(r, again, S("account"), S("c"), &err),
		WEIR_ENOTFOUND, "not found");
	weir_reader_close(r);
	weir_close(ro);
	weir_close(w);
}

struct names {
	char text[200];
	struct weir *w;
	unsigned most;
};

static int
note_name(void *cookie, struct weir_str type, struct weir_str id,
	  const struct weir_head *head)
{
	struct names *names = cookie;
	struct weir_head again;
	size_t n = strlen(names->text);

	assert_int_equal(weir_head(names->w, &again, type, id, NULL), 0);
	assert_int_equal(again.sequence, head->sequence);
	snprintf(names->text + n, sizeof(names->text) - n, "%.*s/%.*s:%u ",
		 (int)type.len, type.data, (int)id.len, id.data,
		 (unsigned)head->version);
	return --names->most == 0 ? 7 : 0;
}

static void
all_aggregates(void **state)
{
	struct weir *w = open_store(NULL), *ro = open_reading();
	struct names names = {.w = ro, .most = 100};
	struct weir_event ev = event("z", "1");
	struct weir_err why = {0};

	(void)state;
	ok(weir_each(ro, note_name, &names, &err));
	assert_string_equal(names.text, "");
	in_turn(w, 2);
	append_events(w, "B", 3);
	ev.aggregate_type = S("a");
	ok(weir_append(w, NULL, &ev, &err));
	ok(weir_each(ro, note_name, &names, &err));
	assert_string_equal(names.text,
			    "a/z:1 account/B:3 account/a:2 account/b:2 ");
	names = (struct names){.w = w, .most = 2};
	assert_int_equal(weir_each(w, note_name, &names, &why), 7);
	assert_int_equal(why.code, 0);
	assert_string_equal(names.text, "a/z:1 account/B:3 ");
	weir_close(ro);
	weir_close(w);
}

static void
count(void *cookie, uint64_t done, uint64_t all)
{
	uint64_t *last = cookie;

	assert_true(done >= *last && done <= all);
	*last = done;
}

/* One byte of the first segment is turned over. */
static void
spoil(const char *words)
{
	static char text[1 << 20];
	char path[240], *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/journal/00000001.seg", folder);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	n = pread(fd, text, sizeof(text), 0);
	assert_true(n > 0);
	at = memmem(text, (size_t)n, words, strlen(words));
	assert_non_null(at);
	assert_int_equal(pwrite(fd, "?", 1, at - text), 1);
	close(fd);
}

static void
verify_everything(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_reader *r = open_reader(w);
	struct weir_event ev = event("a", "\"spoil me\"");
	struct weir_check check = {0}, before;
	uint64_t done = 0;
	uint8_t root[32];

	(void)state;
	ok(weir_verify_all(w, &check, NULL, NULL, &err));
	assert_int_equal(check.records, 0);
	in_turn(w, 50);
	ok(weir_append(w, NULL, &ev, &err));
	ok(weir_verify_all(w, &check, count, &done, &err));
	assert_true(done > 0);
	assert_int_equal(check.records, 101);
	assert_int_equal(check.aggregates, 2);
	assert_int_equal(check.groups, 101);
	assert_int_equal(check.segments, 1);
	assert_true(check.bytes > 101 * 200);
	before = check;
	spoil("spoil me");
	refused(weir_verify_all(w, &check, NULL, NULL, &err), WEIR_EDAMAGE,
		"journal/00000001.seg");
	assert_memory_equal(&check, &before, sizeof(check));
	weir_reader_close(r);
	r = open_reader(w);
	refused(weir_verify(r, root, S("account"), S("a"), &err), WEIR_EDAMAGE,
		"journal/00000001.seg");
	ok(weir_verify(r, root, S("account"), S("b"), &err));
	weir_reader_close(r);
	weir_close(w);
}

/* Strings of a mapped reader stay where they are until weir_close. */
static void
strings_stay(void **state)
{
	struct weir *w = open_store(NULL), *ro = open_reading();
	struct weir *from[2] = {w, ro};

	(void)state;
	in_turn(w, 2000); /* more than one window of an unmapped one */
	for (int i = 0; i < 2; i++) {
		struct weir_reader *r = open_reader(from[i]);
		struct weir_record first, rec;

		ok(weir_read(r, &first, 1, &err));
		while (weir_next(r, &rec, NULL) == 1)
			;
		weir_reader_close(r);
		append_events(w, "a", 500);
		assert_int_equal(first.payload.len, 7);
		assert_memory_equal(first.payload.data, "{\"x\":1}", 7);
		assert_memory_equal(first.aggregate_type.data, "account", 7);
	}
	weir_close(ro);
	weir_close(w);
}

/* A file that somebody cuts short is an error of a reader that does not map,
 * and of weir_verify in any case. */
static void
cut_short(void **state)
{
	const struct weir_options unmapped = {.read_only = true,
					      .unmapped = true};
	struct weir *w = open_store(NULL), *ro, *mapped;
	struct weir_reader *r;
	struct weir_record rec;
	uint8_t root[32];
	char path[240];

	(void)state;
	in_turn(w, 100);
	weir_close(w);
	ro = open_store(&unmapped);
	mapped = open_reading();
	r = open_reader(ro);
	ok(weir_read(r, &rec, 200, &err));
	assert_memory_equal(rec.payload.data, "{\"x\":1}", 7);
	snprintf(path, sizeof(path), "%s/journal/00000001.seg", folder);
	assert_int_equal(truncate(path, 8192), 0);
	ok(weir_read(r, &rec, 1, &err));
	refused(weir_read(r, &rec, 150, &err), WEIR_EDAMAGE, "ends here");
	refused(weir_verify(r, root, S("account"), S("a"), &err), WEIR_EDAMAGE,
		"ends here");
	weir_reader_close(r);
	r = open_reader(mapped);
	refused(weir_verify(r, root, S("account"), S("a"), &err), WEIR_EDAMAGE,
		"ends here");
	weir_reader_close(r);
	weir_close(mapped);
	weir_close(ro);
}

static void
states(void **state)
{
	struct weir *w = open_store(NULL);
	struct weir_reader *r = open_reader(w);
	struct weir_event ev[3] = {event("a", "{\"x\":1}"),
				   event("a", "{\"x\":2,\"y\":1e400}"),
				   event("a", "[]")};
	char *json = NULL;
	size_t len = 7;

	(void)state;
	refused(weir_state(r, &json, &len, S("account"), S("a"), 0, &err),
		WEIR_ENOTFOUND, "not found");
	assert_null(json);
	assert_int_equal(len, 7);
	ok(weir_commit(w, NULL, ev, 3, &err));
	ok(weir_state(r, &json, &len, S("account"), S("a"), 2, &err));
	assert_int_equal(strlen(json), len);
	assert_non_null(strstr(json, "\"state\":{\"x\":2,\"y\":1e400}"));
	weir_free(json);
	ok(weir_state(r, &json, &len, S("account"), S("a"), 0, &err));
	assert_non_null(strstr(json, "\"_value\":[]"));
	weir_free(json);
	weir_free(NULL);
	weir_reader_close(r);
	weir_close(w);
}

/* ---- threads ------------------------------------------------------------- */

enum {
	WRITERS = 3,
	READERS = 3,
	EACH = 200
};

static void *
write_many(void *arg)
{
	struct weir_event ev = event("t", "{\"x\":1}");

	for (int i = 0; i < EACH; i++)
		if (weir_append(arg, NULL, &ev, NULL) != 0)
			return NULL;
	return arg;
}

/* Follows everything, or one aggregate, until all is there. */
struct follower {
	struct weir *w;
	struct weir_reader *r;
	pthread_t thread;
	uint64_t seen, sum;
};

static void *
follow(void *arg)
{
	struct follower *f = arg;
	struct weir_record rec;
	int rc = 0;

	while (f->seen < WRITERS * EACH && rc >= 0) {
		rc = weir_next(f->r, &rec, NULL);
		if (rc == 1) {
			f->seen++;
			f->sum += rec.version;
			(void)weir_head(f->w, &(struct weir_head){0},
					rec.aggregate_type, rec.aggregate_id,
					NULL);
		} else if (rc == 0) {
			rc = weir_wait(f->w, weir_tell(f->r), A_WHILE, NULL);
		}
	}
	return NULL;
}

static void
run_threads(struct weir *w, struct weir *from)
{
	struct follower f[READERS] = {{0}};
	pthread_t writer[WRITERS];
	void *fine;

	f[0].r = open_reader(from);
	for (int i = 1; i < READERS; i++)
		ok(weir_reader_clone(&f[i].r, f[0].r, &err));
	for (int i = 0; i < READERS; i++) {
		f[i].w = from;
		if (i % 2 == 1)
			ok(weir_seek_version(f[i].r, S("account"), S("t"), 1,
					     &err));
		assert_int_equal(
			pthread_create(&f[i].thread, NULL, follow, &f[i]), 0);
	}
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(
			pthread_create(&writer[i], NULL, write_many, w), 0);
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(writer[i], &fine);
		assert_ptr_equal(fine, w);
	}
	for (int i = 0; i < READERS; i++) {
		uint64_t n = WRITERS * EACH;

		pthread_join(f[i].thread, NULL);
		assert_int_equal(f[i].seen, n);
		assert_int_equal(f[i].sum, n * (n + 1) / 2);
		weir_reader_close(f[i].r);
	}
}

static void
threads_of_the_writer(void **state)
{
	struct weir *w = open_store(NULL);

	(void)state;
	run_threads(w, w);
	weir_close(w);
}

static void
threads_of_a_reader(void **state)
{
	struct weir *w = open_store(NULL), *ro = open_reading();

	(void)state;
	run_threads(w, ro);
	weir_close(ro);
	weir_close(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_aggregate_forward, setup,
						teardown),
		cmocka_unit_test_setup_teardown(reading_does_not_move, setup,
						teardown),
		cmocka_unit_test_setup_teardown(clones, setup, teardown),
		cmocka_unit_test_setup_teardown(heads_and_roots, setup,
						teardown),
		cmocka_unit_test_setup_teardown(all_aggregates, setup,
						teardown),
		cmocka_unit_test_setup_teardown(verify_everything, setup,
						teardown),
		cmocka_unit_test_setup_teardown(strings_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(cut_short, setup, teardown),
		cmocka_unit_test_setup_teardown(states, setup, teardown),
		cmocka_unit_test_setup_teardown(threads_of_the_writer, setup,
						teardown),
		cmocka_unit_test_setup_teardown(threads_of_a_reader, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("reading", tests, NULL, NULL);
}
