/* SPDX-License-Identifier: MIT */
/* What a commit takes and refuses, and what it answers. */
#include "store_test.h"

#include "base/os.h"

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
test_append_and_read(void **state)
{
	struct store *s = must_write(dir);
	struct weir_str tags[2] = {STR("red"), STR("old")};
	struct record_draft d =
		draft_of("order", "o-1", "made", " {\"a\": 1} ");
	struct record_view v;
	struct receipt got;

	(void)state;
	d.group = STR("staff");
	d.user = STR("ann");
	d.tags = tags;
	d.ntags = 2;
	d.correlation_id = STR("c-1");
	d.has_created_at = true;
	d.created_at = 1234567890123456;
	d.token = 77;
	commit_one(s, &got, d);
	assert_int_equal(got.sequence, 1);
	assert_int_equal(got.version, 1);
	assert_false(got.duplicate);
	for (int again = 0; again < 2; again++) {
		struct reader *r = reader_new(s);
		assert_ok(reader_at(r, &v, got.position, &err), err);
		assert_int_equal(v.sequence, 1);
		assert_int_equal(v.version, 1);
		assert_true(v.end_of_commit);
		assert_true(str_is(v.aggregate_type, "order"));
		assert_true(str_is(v.aggregate_id, "o-1"));
		assert_true(str_is(v.event_type, "made"));
		assert_true(str_is(v.payload, "{\"a\": 1}"));
		assert_true(str_is(v.group, "staff"));
		assert_true(str_is(v.user, "ann"));
		assert_int_equal(v.ntags, 2);
		assert_true(str_is(v.tags[1], "old"));
		assert_true(str_is(v.correlation_id, "c-1"));
		assert_null(v.causation_id.data);
		assert_null(v.traceparent.data);
		assert_int_equal(v.created_at, 1234567890123456);
		assert_int_equal(v.committed_at, got.committed_at);
		assert_int_equal(v.token, 77);
		assert_memory_equal(v.event_id, got.event_id, 16);
		assert_memory_equal(v.hash, got.hash, RECORD_DIGEST);
		assert_false(v.client_event_id);
		assert_true(v.client_created_at);
		reader_free(r);
		store_close(s);
		s = must_read(dir);
	}
	store_close(s);
}

static void
test_atomic_commit(void **state)
{
	struct store *s = must_write(dir);
	struct record_draft d[4] = {
		draft_of("a", "1", "e", "1"), draft_of("b", "1", "e", "2"),
		draft_of("a", "1", "e", "3"), draft_of("a", "2", "e", "4")};
	struct reader *r = reader_new(s);
	struct receipt got[4];
	struct record_view v;

	(void)state;
	assert_ok(store_commit(s, got, d, 4, &err), err);
	static const uint64_t version[4] = {1, 1, 2, 1};
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(got[i].sequence, i + 1);
		assert_int_equal(got[i].version, version[i]);
		assert_int_equal(got[i].committed_at, got[0].committed_at);
		assert_int_equal(reader_next(r, &v, &err), 1);
		assert_int_equal(v.end_of_commit, i == 3);
		assert_int_equal(v.position, got[i].position);
	}
	assert_int_equal(reader_next(r, &v, &err), 0);
	reader_free(r);
	/* One wrong draft and none is taken. */
	d[3].expected = 5;
	assert_int_equal(store_commit(s, got, d, 4, &err), WEIR_ECONFLICT);
	assert_int_equal(err.version, 1);
	assert_int_equal(store_last(s), 4);
	struct head head;
	assert_ok(store_head(s, &head, STR("a"), STR("1"), &err), err);
	assert_int_equal(head.version, 2);
	store_close(s);
}

static void
expect(struct store *s, const char *id, uint64_t expected, int rc,
       uint64_t version)
{
	struct record_draft d = draft_of("a", id, "e", "0");
	struct receipt got = {0};

	d.expected = expected;
	memset(&err, 0, sizeof(err));
	assert_int_equal(store_commit(s, &got, &d, 1, &err), rc);
	if (rc == 0)
		assert_int_equal(got.version, version);
	else
		assert_int_equal(err.version, version);
}

static void
test_expected_version(void **state)
{
	struct store *s = must_write(dir);
	struct record_draft d[3];
	struct receipt got[3];

	(void)state;
	expect(s, "x", EXPECT_EXISTS, WEIR_ECONFLICT, 0);
	expect(s, "x", 1, WEIR_ECONFLICT, 0);
	expect(s, "x", 0, 0, 1);
	expect(s, "x", 0, WEIR_ECONFLICT, 1);
	assert_says(err, "a/x is at version 1");
	expect(s, "x", 2, WEIR_ECONFLICT, 1);
	expect(s, "x", 1, 0, 2);
	expect(s, "x", EXPECT_EXISTS, 0, 3);
	expect(s, "x", EXPECT_ANY, 0, 4);
	/* Within a commit: as left by the records before. */
	for (unsigned i = 0; i < 3; i++) {
		d[i] = draft_of("a", "y", "e", "0");
		d[i].expected = i;
	}
	assert_ok(store_commit(s, got, d, 3, &err), err);
	assert_int_equal(got[2].version, 3);
	d[0].expected = 3;
	d[1].expected = 4;
	d[2].expected = 4;
	assert_int_equal(store_commit(s, got, d, 3, &err), WEIR_ECONFLICT);
	assert_int_equal(err.version, 5);
	assert_int_equal(err.sequence, 3);
	assert_int_equal(store_last(s), 7);
	store_close(s);
}

static void
test_same_event_id(void **state)
{
	struct store *s = must_write(dir);
	struct record_draft d =
		draft_with_id(draft_of("a", "1", "e", "{\"x\":1}"), 9);
	struct record_draft two[2] = {d, draft_of("a", "2", "e", "0")};
	struct receipt first, got, pair[2];

	(void)state;
	commit_one(s, &first, d);
	commit_one(s, &got, draft_of("a", "1", "e", "2"));
	for (int again = 0; again < 2; again++) {
		memset(&got, 0, sizeof(got));
		commit_one(s, &got, d);
		assert_true(got.duplicate);
		assert_int_equal(got.sequence, 1);
		assert_int_equal(got.version, 1);
		assert_int_equal(got.position, first.position);
		assert_int_equal(got.committed_at, first.committed_at);
		assert_memory_equal(got.hash, first.hash, RECORD_DIGEST);
		assert_memory_equal(got.event_id, first.event_id, 16);
		assert_int_equal(store_last(s), 2);
		/* A duplicate beside a new one. */
		assert_int_equal(store_commit(s, pair, two, 2, &err),
				 WEIR_ECONFLICT);
		assert_says(err, "1 of the 2 records");
		store_close(s);
		s = must_write(dir);
	}
	/* The expected version of a duplicate has long passed. */
	d.expected = 0;
	commit_one(s, &got, d);
	assert_true(got.duplicate);
	d.expected = EXPECT_ANY;
	/* Every other content is refused. */
	struct record_draft other[7];
	struct weir_str tag = STR("t");
	for (unsigned i = 0; i < 7; i++)
		other[i] = d;
	other[0].payload = STR("{\"x\":2}");
	other[1].event_type = STR("f");
	other[2].aggregate_id = STR("2");
	other[3].tags = &tag;
	other[3].ntags = 1;
	other[4].correlation_id = STR("c");
	other[5].has_created_at = true;
	other[5].created_at = 5;
	other[6].content = WEIR_CONTENT_TEXT;
	for (unsigned i = 0; i < 7; i++) {
		memset(&err, 0, sizeof(err));
		assert_int_equal(store_commit(s, &got, &other[i], 1, &err),
				 WEIR_ECONFLICT);
		assert_int_equal(err.sequence, 1);
		assert_says(err, "other content");
	}
	assert_int_equal(store_last(s), 2);
	store_close(s);
}

static void
test_same_id_in_one_commit(void **state)
{
	struct store *s = must_write(dir);
	struct record_draft d[2];
	struct receipt got[2];

	(void)state;
	d[0] = d[1] = draft_with_id(draft_of("a", "1", "e", "0"), 3);
	assert_int_equal(store_commit(s, got, d, 2, &err), WEIR_ECONFLICT);
	assert_says(err, "two records of one commit");
	assert_int_equal(store_last(s), 0);
	/* Nothing of it stayed: the id is free. */
	commit_one(s, got, d[0]);
	assert_false(got[0].duplicate);
	store_close(s);
}

static void
test_group(void **state)
{
	struct store *s = must_write(dir);
	struct record_draft d[12];
	static const size_t first[] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 11};
	struct weir_err results[9];
	struct receipt got[12];

	(void)state;
	memset(got, 0, sizeof(got));
	d[0] = draft_with_id(draft_of("a", "1", "e", "0"), 1);
	d[1] = draft_of("a", "1", "e", "{"); /* bad JSON */
	d[2] = draft_with_id(draft_of("a", "2", "e", "2"), 2);
	d[3] = draft_of("a", "1", "e", "3");
	d[3].expected = 7;				       /* conflict */
	d[4] = draft_with_id(draft_of("a", "2", "e", "2"), 2); /* id is free */
	d[5] = d[0];					       /* duplicate */
	d[6] = draft_of("b", "1", "e", "6");
	d[7] = draft_of("a", "1", "e", "7");
	d[7].expected = 1;
	d[8] = draft_with_id(draft_of("a", "1", "e", "8"), 1); /* other */
	d[9] = draft_of("b", "1", "e", "9");
	d[9].expected = 1;
	d[10] = draft_of("$x", "1", "e", "9");
	assert_ok(store_commit_group(s, got, results, d, first, 9, &err), err);
	static const int want[9] = {0,		 WEIR_EINPUT, WEIR_ECONFLICT, 0,
				    0,		 0,	      WEIR_ECONFLICT, 0,
				    WEIR_EDENIED};
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(results[i].code, want[i]);
	assert_int_equal(store_last(s), 5);
	assert_int_equal(got[0].sequence, 1);
	assert_int_equal(got[4].sequence, 2);
	assert_true(got[5].duplicate);
	assert_int_equal(got[5].sequence, 1);
	assert_int_equal(got[5].position, got[0].position);
	assert_int_equal(got[6].sequence, 3);
	assert_int_equal(got[7].version, 2);
	assert_int_equal(got[9].version, 2);
	assert_int_equal(got[1].sequence, 0);
	assert_int_equal(got[2].sequence, 0);
	assert_int_equal(got[3].sequence, 0);
	assert_int_equal(results[6].sequence, 1);
	struct head head;
	assert_int_equal(store_head(s, &head, STR("$x"), STR("1"), &err),
			 WEIR_ENOTFOUND);
	store_close(s);
}

static void
test_archived(void **state)
{
	struct store *s = must_write(dir);
	struct record_draft d[3] = {draft_of("a", "1", "e", "0"),
				    draft_of("a", "1", "$archived", "0"),
				    draft_of("a", "1", "$restored", "0")};
	struct receipt got[3];
	struct head head;

	(void)state;
	d[1].system = d[2].system = true;
	d[1].op = WEIR_OP_ARCHIVED;
	d[2].op = WEIR_OP_RESTORED;
	assert_ok(store_commit(s, got, d, 2, &err), err);
	for (int again = 0; again < 2; again++) {
		assert_ok(store_head(s, &head, STR("a"), STR("1"), &err), err);
		assert_true(head.archived);
		assert_int_equal(store_commit(s, got, d, 1, &err),
				 WEIR_EDENIED);
		assert_says(err, "archived and cannot accept new events");
		store_close(s);
		s = must_write(dir);
	}
	/* Restored and used in one commit, but not the other way round. */
	struct record_draft back[2] = {d[0], d[2]};
	assert_int_equal(store_commit(s, got, back, 2, &err), WEIR_EDENIED);
	back[0] = d[2];
	back[1] = d[0];
	assert_ok(store_commit(s, got, back, 2, &err), err);
	assert_ok(store_head(s, &head, STR("a"), STR("1"), &err), err);
	assert_false(head.archived);
	assert_int_equal(head.version, 4);
	store_close(s);
}

static void
test_most_records(void **state)
{
	const size_t n = WEIR_COMMIT_RECORDS_MAX + 1;
	struct store *s = must_write(dir);
	struct record_draft *d = calloc(n, sizeof(*d));
	struct receipt *got = calloc(n, sizeof(*got));
	struct truth truth = {0};

	(void)state;
	assert_true(d != NULL && got != NULL);
	/* More than 8 MiB first: a frame takes at least 192 bytes. */
	for (size_t i = 0; i < n; i++)
		d[i] = draft_of("a", i % 2 ? "1" : "2", "e", "0");
	assert_int_equal(store_commit(s, got, d, n, &err), WEIR_EINPUT);
	assert_says(err, "65537 records");
	assert_int_equal(store_commit(s, got, d, n - 1, &err), WEIR_EINPUT);
	assert_says(err, "more than 8388608 bytes");
	assert_int_equal(store_last(s), 0);
	assert_ok(store_commit(s, got, d, 30000, &err), err);
	truth_note(&truth, got, 30000);
	assert_int_equal(got[29999].version, 15000);
	store_close(s);
	s = must_write(dir);
	assert_int_equal(truth_holds(&truth, s), 30000);
	store_close(s);
	truth_free(&truth);
	free(d);
	free(got);
}

static void
test_most_bytes(void **state)
{
	struct store *s = must_write(dir);
	char *p = malloc(WEIR_PAYLOAD_MAX + 1);
	struct record_draft d[9];
	struct receipt got[9];

	(void)state;
	assert_non_null(p);
	memset(p, 'x', WEIR_PAYLOAD_MAX + 1);
	for (unsigned i = 0; i < 9; i++) {
		d[i] = draft_of("a", "1", "e", "0");
		d[i].content = WEIR_CONTENT_BYTES;
		d[i].payload = (struct weir_str){p, WEIR_PAYLOAD_MAX};
	}
	assert_int_equal(store_commit(s, got, d, 8, &err), WEIR_EINPUT);
	assert_int_equal(err.sequence, 8);
	assert_int_equal(store_commit(s, got, d, 0, &err), WEIR_EINPUT);
	d[7].payload.len = WEIR_PAYLOAD_MAX - 8 * 400;
	assert_ok(store_commit(s, got, d, 8, &err), err);
	assert_int_equal(got[7].version, 8);
	d[3].payload.len = WEIR_PAYLOAD_MAX + 1;
	assert_int_equal(store_commit(s, got, d, 8, &err), WEIR_EINPUT);
	assert_int_equal(err.sequence, 4);
	assert_int_equal(store_last(s), 8);
	store_close(s);
	/* It went into a segment of its own, larger than usual. */
	s = must_read(dir);
	struct truth truth = {0};
	truth_note(&truth, got, 8);
	assert_int_equal(truth_holds(&truth, s), 8);
	truth_free(&truth);
	store_close(s);
	free(p);
}

/* A group of more than one write: all of it is there, in order. */
static void
test_large_group(void **state)
{
	enum {
		COMMITS = 24,
		LEN = 900 << 10
	};
	struct store *s = must_write(dir);
	struct record_draft d[COMMITS];
	struct weir_err results[COMMITS];
	struct receipt got[COMMITS];
	size_t first[COMMITS + 1];
	struct truth truth = {0};
	char *p = malloc(LEN);

	(void)state;
	assert_non_null(p);
	memset(p, 'y', LEN);
	for (unsigned i = 0; i < COMMITS; i++) {
		d[i] = draft_with_id(draft_of("a", "1", "e", "0"),
				     i == 20 ? 2 : i);
		d[i].content = WEIR_CONTENT_TEXT;
		d[i].payload = (struct weir_str){p, LEN};
		first[i] = i;
	}
	first[COMMITS] = COMMITS;
	assert_ok(store_commit_group(s, got, results, d, first, COMMITS, &err),
		  err);
	for (unsigned i = 0; i < COMMITS; i++)
		assert_int_equal(results[i].code, 0);
	assert_true(got[20].duplicate);
	assert_int_equal(got[20].sequence, 3);
	truth_note(&truth, got, COMMITS);
	assert_int_equal(truth_holds(&truth, s), COMMITS - 1);
	store_close(s);
	s = must_read(dir);
	assert_int_equal(truth_holds(&truth, s), COMMITS - 1);
	store_close(s);
	truth_free(&truth);
	free(p);
}

static void
test_refused_drafts(void **state)
{
	struct store *s = must_write(dir);
	struct record_draft good = draft_of("a", "1", "e", "0"), d;
	struct receipt got;

	(void)state;
	d = good;
	d.payload = (struct weir_str){NULL, 0};
	assert_int_equal(store_commit(s, &got, &d, 1, &err), WEIR_EINPUT);
	d = good;
	d.aggregate_type = STR("");
	assert_int_equal(store_commit(s, &got, &d, 1, &err), WEIR_EINPUT);
	d = good;
	d.event_type = STR("$e");
	assert_int_equal(store_commit(s, &got, &d, 1, &err), WEIR_EDENIED);
	d = good;
	d.has_created_at = true;
	d.created_at = INT64_MIN;
	assert_int_equal(store_commit(s, &got, &d, 1, &err), WEIR_EINPUT);
	d = good;
	d.content = WEIR_CONTENT_TEXT;
	d.payload = STR("ab\xff");
	assert_int_equal(store_commit(s, &got, &d, 1, &err), WEIR_EINPUT);
	assert_int_equal(err.sequence, 1);
	assert_int_equal(store_last(s), 0);
	store_close(s);
}

/* Memory as other work leaves it: full of ones. */
static void *
used_memory(void *p, size_t n)
{
	uint32_t *fresh = os_real()->realloc(p, n);

	for (size_t i = 0; p == NULL && fresh != NULL && i < n / 4; i++)
		fresh[i] = 1;
	return fresh;
}

/* Commits refused before the store is looked at leave nothing in the group. */
static void
test_refused_in_group(void **state)
{
	struct os table = *os_real();
	struct store *s = must_write(dir);
	struct record_draft d[4];
	struct weir_err results[4];
	struct receipt got[4];
	size_t first[5] = {0, 1, 2, 3, 4};

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		d[i] = draft_of("a", "1", "e", i % 2 == 0 ? "{" : "0");
	table.realloc = used_memory;
	os_set(&table);
	int rc = store_commit_group(s, got, results, d, first, 4, &err);
	os_set(NULL);
	assert_ok(rc, err);
	assert_int_equal(results[0].code, WEIR_EINPUT);
	assert_int_equal(results[2].code, WEIR_EINPUT);
	assert_int_equal(got[1].sequence, 1);
	assert_int_equal(got[3].sequence, 2);
	assert_int_equal(store_last(s), 2);
	store_close(s);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_append_and_read),
		TEST(test_atomic_commit),
		TEST(test_expected_version),
		TEST(test_same_event_id),
		TEST(test_same_id_in_one_commit),
		TEST(test_group),
		TEST(test_archived),
		TEST(test_most_records),
		TEST(test_most_bytes),
		TEST(test_large_group),
		TEST(test_refused_drafts),
		TEST(test_refused_in_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
