/* SPDX-License-Identifier: MIT */
/* Cursors carry the hash of their record: copies of one store that went apart
 * are told from each other. */
#include "bus/bus_test.h"

#include "base/str.h"
#include "store/reader.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
runs(struct bench *b, int expected)
{
	int rc = bench_run(b);

	if (rc != expected)
		fail_msg("runner_run: %d, not %d: %s", rc, expected,
			 b->err.msg);
}

/* The hash of a record in the journal, as hex; static. */
static const char *
hash_of(struct bench *b, uint64_t sequence)
{
	static char out[2 * RECORD_DIGEST + 1];
	struct store_options so = {0};
	struct store *s = NULL;
	struct reader *r;
	struct record_view v;

	assert_int_equal(store_open(&s, b->store, &so, &b->err), 0);
	r = reader_new(s);
	assert_non_null(r);
	assert_int_equal(reader_sequence(r, &v, sequence, &b->err), 0);
	str_hex(out, v.hash, RECORD_DIGEST);
	reader_free(r);
	store_close(s);
	return out;
}

/* The hash in the first line of db; static. */
static const char *
hash_in_db(struct bench *b)
{
	static char out[65];

	out[0] = '\0';
	sscanf(bench_get(b, "db"), "%*s %*s %*s %*s %64s", out);
	return out;
}

/* From here on the bench's store is a copy of what it was. */
static void
go_on_with_copy(struct bench *b)
{
	char command[1000], copy[sizeof(b->store)];

	snprintf(copy, sizeof(copy), "%.280s/copy", b->dir);
	snprintf(command, sizeof(command), "cp -a '%s' '%s'", b->store, copy);
	assert_int_equal(system(command), 0);
	memcpy(b->store, copy, sizeof(copy));
}

static void
go_back(struct bench *b)
{
	snprintf(b->store, sizeof(b->store), "%.280s/store", b->dir);
}

/* A store of two records and a copy of it; the original went on to five and
 * delivered them, the copy to six others. The bench is at the copy. */
static struct bench *
apart(const char *plugin)
{
	struct bench *b = bench_new(plugin);

	bench_fill(b, 2, 1);
	runs(b, 0);
	go_on_with_copy(b);
	go_back(b);
	bench_fill(b, 3, 1);
	runs(b, 0);
	snprintf(b->store, sizeof(b->store), "%.280s/copy", b->dir);
	bench_fill(b, 4, 2);
	return b;
}

static void
test_cursor_carries_the_hash(void **state)
{
	struct bench *b = bench_new("fakehold");

	(void)state;
	b->options.batch_records = 2;
	bench_fill(b, 5, 2);
	runs(b, 0);
	assert_int_equal(bench_cursor(b), 5);
	assert_string_equal(hash_in_db(b), hash_of(b, 5));
	bench_free(b);
}

static void
only_orders(struct sinkconf *c)
{
	static char *aggregates[] = {(char *)(uintptr_t) "ord*", NULL};

	c->aggregates = aggregates;
}

static void
test_batch_without_its_last_record(void **state)
{
	struct bench *b = bench_new("fakehold");

	(void)state;
	bench_configure(b, "fakehold", only_orders);
	bench_commit(b, "order/1", "{}", NULL);
	bench_commit(b, "item/1", "{}", NULL);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1");
	assert_int_equal(bench_cursor(b), 2);
	assert_string_equal(hash_in_db(b), hash_of(b, 2));
	bench_commit(b, "item/1", "{}", "item/2", "{}", NULL);
	runs(b, 0); /* no record at all */
	assert_int_equal(bench_cursor(b), 4);
	assert_string_equal(hash_in_db(b), hash_of(b, 4));
	runs(b, 0);
	bench_free(b);
}

static void
test_part_and_parked(void **state)
{
	struct bench *b = bench_new("fake");

	(void)state;
	bench_put(b, "partly", "");
	bench_commit(b, "a/1", "{}", "a/2", "\"BUSY\"", "a/3", "{}", NULL);
	runs(b, WEIR_EUNREACH);
	assert_non_null(strstr(bench_get(b, "@cursor"), "\"sequence\":1,"));
	assert_non_null(strstr(bench_get(b, "@cursor"), hash_of(b, 1)));
	bench_free(b);
	b = bench_new("fakecoal");
	bench_commit(b, "a/1", "{\"x\":\"BAD\"}", NULL);
	bench_fill(b, 1, 1);
	runs(b, 0);
	bench_commit(b, "a/1", "{\"x\":1}", NULL);
	runs(b, 0); /* the newest state is tried behind the cursor */
	assert_non_null(strstr(bench_get(b, "db"), " parked "));
	assert_int_equal(bench_cursor(b), 3);
	assert_string_equal(hash_in_db(b), hash_of(b, 3));
	bench_free(b);
}

static void
refused(struct bench *b, const char *how)
{
	char ours[65], theirs[65];

	snprintf(ours, sizeof(ours), "%s", hash_of(b, 5));
	go_back(b);
	snprintf(theirs, sizeof(theirs), "%s", hash_of(b, 5));
	snprintf(b->store, sizeof(b->store), "%.280s/copy", b->dir);
	ours[16] = theirs[16] = '\0';
	assert_string_not_equal(ours, theirs);
	runs(b, WEIR_EDENIED);
	assert_non_null(strstr(b->err.msg, "at sequence 5 of store "));
	assert_non_null(strstr(b->err.msg, ours));
	assert_non_null(strstr(b->err.msg, theirs));
	assert_non_null(strstr(bench_get(b, "@attempts"), how));
}

static void
test_copy_of_a_mirrored_store(void **state)
{
	struct bench *b = apart("fakehold");

	(void)state;
	refused(b, "empty the target");
	assert_string_equal(bench_sequences(b), "1 2 3 4 5");
	bench_drop(b, "db");
	bench_hurry(b);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 3 4 5 6");
	/* and now the original is the one that strayed; it is shorter, too */
	go_back(b);
	runs(b, WEIR_EDENIED);
	bench_free(b);
}

static void
test_copy_of_a_rewritten_store(void **state)
{
	struct bench *b = apart("fakerewrite");

	(void)state;
	refused(b, "weir sink replay");
	assert_int_equal(runner_replay(b->store, "s", 1, &b->err), 0);
	bench_hurry(b);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 3 4 5 6");
	assert_string_equal(hash_in_db(b), hash_of(b, 6));
	bench_free(b);
}

/* The journal alone was taken back from a copy: the host's file tells. */
static void
test_copy_below_a_cursor_file(void **state)
{
	struct bench *b = apart("fake");
	char command[1000];

	(void)state;
	snprintf(command, sizeof(command),
		 "cp '%s/store/sinks/s/cursor' '%s/copy/sinks/s/cursor'",
		 b->dir, b->dir);
	assert_int_equal(system(command), 0);
	refused(b, "weir sink replay");
	assert_int_equal(runner_replay(b->store, "s", 1, &b->err), 0);
	bench_hurry(b);
	runs(b, 0);
	assert_non_null(strstr(bench_get(b, "@cursor"), hash_of(b, 6)));
	bench_free(b);
}

/* Cursors that an older version wrote are taken, and get their hash with the
 * next batch. */
static void
test_cursor_without_hash(void **state)
{
	struct bench *b = bench_new("fakehold");
	char text[400], *at;

	(void)state;
	bench_fill(b, 2, 1);
	runs(b, 0);
	snprintf(text, sizeof(text), "%.32s 2 1 0\n", bench_get(b, "db"));
	bench_put(b, "db", text);
	bench_fill(b, 1, 1);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "3");
	assert_string_equal(hash_in_db(b), hash_of(b, 3));
	bench_free(b);
	b = bench_new("fake");
	bench_fill(b, 2, 1);
	runs(b, 0);
	snprintf(text, sizeof(text), "%.399s", bench_get(b, "@cursor"));
	at = strstr(text, "\"hash\"");
	assert_non_null(at);
	memmove(at, at + 9 + 64 + 1, strlen(at + 9 + 64));
	assert_null(strstr(text, "hash"));
	bench_put(b, "@cursor", text);
	bench_fill(b, 1, 1);
	runs(b, 0);
	assert_string_equal(bench_sequences(b), "1 2 3");
	assert_non_null(strstr(bench_get(b, "@cursor"), hash_of(b, 3)));
	bench_free(b);
}

static void
test_odd_hash_in_the_file(void **state)
{
	struct bench *b = bench_new("fake");
	char text[400], *at;

	(void)state;
	bench_fill(b, 2, 1);
	runs(b, 0);
	snprintf(text, sizeof(text), "%.399s", bench_get(b, "@cursor"));
	at = strstr(text, hash_of(b, 2));
	assert_non_null(at);
	at[5] = 'x';
	bench_put(b, "@cursor", text);
	runs(b, WEIR_EDAMAGE);
	assert_non_null(strstr(b->err.msg, "/cursor is damaged"));
	bench_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cursor_carries_the_hash),
		cmocka_unit_test(test_batch_without_its_last_record),
		cmocka_unit_test(test_part_and_parked),
		cmocka_unit_test(test_copy_of_a_mirrored_store),
		cmocka_unit_test(test_copy_of_a_rewritten_store),
		cmocka_unit_test(test_copy_below_a_cursor_file),
		cmocka_unit_test(test_cursor_without_hash),
		cmocka_unit_test(test_odd_hash_in_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
