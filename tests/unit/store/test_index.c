/* SPDX-License-Identifier: MIT */
/* What is found through the index is what the journal says, however far the
 * index is and whatever became of its files. */
#include "store_test.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"

#define AGGREGATES 60
#define IDS	   4000
#define LITTLE	   (16u << 10)

/* What was acknowledged. */
struct known {
	char type[8], id[16];
	uint64_t version, sequence;
	bool archived;
};

static struct weir_err err;
static char *dir, *other;
static struct known known[AGGREGATES];
static uint64_t sequence_of_id[IDS];
static unsigned ids;
static uint64_t last, chance;

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	other = folder_make();
	memset(&err, 0, sizeof(err));
	memset(known, 0, sizeof(known));
	for (unsigned i = 0; i < AGGREGATES; i++) {
		snprintf(known[i].type, sizeof(known[i].type), "%s",
			 i == 0	      ? "$own"
			 : i % 3 == 0 ? "a"
				      : "ab");
		snprintf(known[i].id, sizeof(known[i].id), "%u", i * 7);
	}
	ids = 0;
	last = 0;
	chance = 12345;
	diag_set_level(DIAG_ERROR);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	diag_set_level(DIAG_WARN);
	folder_drop(dir);
	folder_drop(other);
	return 0;
}

static unsigned
draw(unsigned n)
{
	chance = chance * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(chance >> 33) % n;
}

/* A writer whose index is never more than 2 * after bytes behind. */
static struct store *
open_indexing(const char *at, uint64_t after, int flags)
{
	struct store_options o = {
		.flags = STORE_WRITE | STORE_CREATE | flags,
		.lock_wait_us = -1,
		.first_segment_bytes = SMALL,
		.max_segment_bytes = 4 * SMALL,
		.heads_bytes = 4096,
		.index_after_bytes = after,
		.index_most_bytes = 2 * after,
	};
	struct store *s = NULL;

	assert_ok(store_open(&s, at, &o, &err), err);
	return s;
}

static void
append_some(struct store *s, unsigned n)
{
	static const enum weir_op ops[] = {WEIR_OP_EVENT, WEIR_OP_SHREDDED,
					   WEIR_OP_ARCHIVED, WEIR_OP_RESTORED};
	char payload[400];
	struct receipt got;

	while (n-- > 0) {
		struct known *k = &known[draw(AGGREGATES)];
		unsigned op = draw(8) > 0 ? 0 : draw(4);
		if (op == 0 && k->archived)
			op = 3;
		memset(payload, '1', sizeof(payload));
		payload[draw(sizeof(payload) - 2) + 1] = '\0';
		struct record_draft d = draft_of(k->type, k->id, "e", payload);
		payload[sizeof(payload) - 1] = '\0';
		d.op = ops[op];
		d.system = true;
		d.expected = k->version;
		bool with_id = draw(2) == 0 && ids < IDS;
		if (with_id)
			d = draft_with_id(d, ids);
		commit_one(s, &got, d);
		assert_int_equal(got.sequence, ++last);
		assert_int_equal(got.version, ++k->version);
		k->sequence = last;
		k->archived = op == 0 || op == 3 ? false
			      : op == 2		 ? true
						 : k->archived;
		if (with_id)
			sequence_of_id[ids++] = last;
	}
}

/* ---- comparing ----------------------------------------------------------- */

struct told {
	unsigned n;
	char key[64];
};

static int
hear(void *cookie, struct weir_str type, struct weir_str id,
     const struct head *head)
{
	struct told *t = cookie;
	char key[64];

	snprintf(key, sizeof(key), "%.*s\x01%.*s", (int)type.len, type.data,
		 (int)id.len, id.data);
	assert_true(t->n == 0 || strcmp(t->key, key) < 0);
	memcpy(t->key, key, sizeof(key));
	t->n++;
	for (unsigned i = 0; i < AGGREGATES; i++)
		if (str_is(type, known[i].type) && str_is(id, known[i].id)) {
			assert_int_equal(head->version, known[i].version);
			assert_int_equal(head->sequence, known[i].sequence);
			assert_int_equal(head->archived, known[i].archived);
			return 0;
		}
	fail_msg("an aggregate that nobody made");
	return 0;
}

/* Those of one type, and the reserved ones, without the others. */
static void
types_agree(struct store *s, const char *type)
{
	struct told of_type = {0}, reserved = {0};
	unsigned n = 0, dollar = 0;

	for (unsigned i = 0; i < AGGREGATES; i++) {
		bool there = known[i].version > 0;
		n += there && strcmp(known[i].type, type) == 0;
		dollar += there && known[i].type[0] == '$';
	}
	assert_int_equal(store_each_type(s, str_of(type), hear, &of_type), 0);
	assert_int_equal(of_type.n, n);
	assert_int_equal(store_each_reserved(s, hear, &reserved), 0);
	assert_int_equal(reserved.n, dollar);
}

static void
heads_agree(struct store *s)
{
	struct told told = {0};
	struct head head;
	unsigned n = 0;

	for (unsigned i = 0; i < AGGREGATES; i++) {
		const struct known *k = &known[i];
		int rc = store_head(s, &head, str_of(k->type), str_of(k->id),
				    &err);
		n += k->version > 0;
		if (k->version == 0) {
			assert_int_equal(rc, WEIR_ENOTFOUND);
			continue;
		}
		assert_ok(rc, err);
		assert_int_equal(head.version, k->version);
		assert_int_equal(head.sequence, k->sequence);
		assert_int_equal(head.archived, k->archived);
	}
	assert_int_equal(store_head(s, &head, STR("ab"), STR("none"), NULL),
			 WEIR_ENOTFOUND);
	assert_int_equal(store_each(s, true, hear, &told), 0);
	assert_int_equal(told.n, n);
	assert_int_equal(store_aggregates(s, true), n);
	assert_int_equal(store_aggregates(s, false),
			 n - (known[0].version > 0));
	for (unsigned i = 0; i < AGGREGATES; i += 7)
		types_agree(s, known[i].type);
	types_agree(s, "none");
}

static void
sequences_agree(struct store *s)
{
	struct reader *r = reader_new(s);
	struct record_view v;

	assert_int_equal(store_last(s), last);
	for (unsigned i = 0; i < 40 && last > 0; i++) {
		uint64_t n = draw((unsigned)last) + 1;
		assert_ok(reader_sequence(r, &v, n, &err), err);
		assert_int_equal(v.sequence, n);
	}
	assert_int_equal(reader_sequence(r, &v, last + 1, &err),
			 WEIR_ENOTFOUND);
	for (unsigned i = 0; i < AGGREGATES; i++) {
		const struct known *k = &known[i];
		if (k->version == 0)
			continue;
		uint64_t n = draw((unsigned)k->version) + 1;
		assert_ok(reader_version(r, &v, str_of(k->type), str_of(k->id),
					 n, &err),
			  err);
		assert_int_equal(v.version, n);
	}
	reader_free(r);
}

/* An id that was given is answered with the original, and a new one is not
 * there. */
static void
ids_agree(struct store *s)
{
	struct receipt got;

	for (unsigned i = 0; i < 30 && ids > 0; i++) {
		unsigned n = draw(ids);
		struct record_draft d =
			draft_with_id(draft_of("ab", "other", "e", "0"), n);
		int rc = store_commit(s, &got, &d, 1, &err);
		assert_int_equal(rc, WEIR_ECONFLICT);
		assert_int_equal(err.sequence, sequence_of_id[n]);
		err.sequence = 0;
	}
}

static void
all_agrees(struct store *s)
{
	heads_agree(s);
	sequences_agree(s);
}

static void
reopened_agrees(const char *at)
{
	struct store *s = NULL;

	assert_ok(open_reader(&s, at, &err), err);
	all_agrees(s);
	store_close(s);
	s = open_indexing(at, LITTLE, 0);
	all_agrees(s);
	ids_agree(s);
	assert_ok(store_check(s, &(struct check_report){0}, NULL, NULL, &err),
		  err);
	store_close(s);
}

/* The index's file with that ending, or NULL. */
static const char *
index_file(const char *at, const char *ending)
{
	static char path[700];
	struct dirent *e;
	DIR *d = opendir(in(at, "index"));

	path[0] = '\0';
	while (d != NULL && (e = readdir(d)) != NULL)
		if (strlen(e->d_name) > strlen(ending) &&
		    strcmp(e->d_name + strlen(e->d_name) - strlen(ending),
			   ending) == 0)
			snprintf(path, sizeof(path), "%s/index/%s", at,
				 e->d_name);
	if (d != NULL)
		closedir(d);
	return path[0] != '\0' ? path : NULL;
}

/* ---- tests --------------------------------------------------------------- */

static void
test_every_lag(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 12; round++) {
		struct store *s = open_indexing(dir, LITTLE << draw(4), 0);
		struct store *r = must_read(dir);
		for (unsigned i = 0; i < 3; i++) {
			append_some(s, draw(200));
			all_agrees(s);
			ids_agree(s);
			assert_ok(store_refresh(r, &err), err);
			all_agrees(r);
		}
		store_close(s);
		all_agrees(r);
		store_close(r);
		reopened_agrees(dir);
	}
	assert_non_null(index_file(dir, ".mdb"));
	store_copy(other, dir, true);
	assert_null(index_file(other, ".mdb"));
	reopened_agrees(other);
}

/* Appends wait for the indexer, so it has got this far. */
static void
test_memory_is_bounded(void **state)
{
	struct store *s = open_indexing(dir, LITTLE, 0);
	struct receipt got[100];
	struct record_draft d[100];
	char id[100][24];
	size_t bytes = 0;

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		for (unsigned k = 0; k < 100; k++) {
			snprintf(id[k], sizeof(id[k]), "n%u", i * 100 + k);
			d[k] = draft_of("t", id[k], "e", "0");
		}
		assert_ok(store_commit(s, got, d, 100, &err), err);
	}
	assert_true(store_indexed(s, &bytes) > 29000);
	assert_true(bytes <= 4 * (256u << 10));
	assert_int_equal(store_aggregates(s, true), 30000);
	/* Each of them is found and goes on. */
	for (unsigned i = 0; i < 300; i++) {
		snprintf(id[0], sizeof(id[0]), "n%u", i * 100 + i % 100);
		d[0] = draft_of("t", id[0], "e", "0");
		d[0].expected = 1;
		assert_ok(store_commit(s, got, d, 1, &err), err);
		assert_int_equal(got[0].version, 2);
	}
	assert_ok(store_check(s, &(struct check_report){0}, NULL, NULL, &err),
		  err);
	store_close(s);
}

/* A reader that did not look again sees what it saw, though the index it shares
 * has gone on. */
static void
test_older_view(void **state)
{
	struct store *s = open_indexing(dir, LITTLE, 0);

	(void)state;
	append_some(s, 300);
	struct store *r = must_read(dir);
	struct known was[AGGREGATES], is[AGGREGATES];
	uint64_t then = last, now;
	memcpy(was, known, sizeof(was));
	append_some(s, 900);
	assert_true(store_indexed(s, NULL) > then);
	memcpy(is, known, sizeof(is));
	now = last;
	memcpy(known, was, sizeof(known));
	last = then;
	all_agrees(r);
	memcpy(known, is, sizeof(known));
	last = now;
	assert_ok(store_refresh(r, &err), err);
	all_agrees(r);
	store_close(r);
	store_close(s);
}

static void
make_indexed(void)
{
	struct store *s = open_indexing(dir, LITTLE, 0);

	append_some(s, 700);
	assert_true(store_indexed(s, NULL) > 300);
	store_close(s);
	assert_non_null(index_file(dir, ".mdb"));
	assert_non_null(index_file(dir, ".sum"));
}

static void
test_deleted(void **state)
{
	(void)state;
	make_indexed();
	folder_empty(in(dir, "index"));
	reopened_agrees(dir);
	folder_empty(in(dir, "index"));
	assert_int_equal(rmdir(in(dir, "index")), 0);
	reopened_agrees(dir);
}

static void
test_cut_short(void **state)
{
	size_t n;

	(void)state;
	make_indexed();
	free(file_read(&n, index_file(dir, ".mdb")));
	for (size_t at = 0; at <= n; at += n / 9 / 512 * 512) {
		assert_int_equal(truncate(index_file(dir, ".mdb"), (off_t)at),
				 0);
		reopened_agrees(dir);
		make_indexed();
		/* Without what vouches for it, too. */
		unlink(index_file(dir, ".sum"));
		free(file_read(&n, index_file(dir, ".mdb")));
		assert_int_equal(truncate(index_file(dir, ".mdb"),
					  (off_t)(n > at ? n - at : 0)),
				 0);
		reopened_agrees(dir);
		make_indexed();
		free(file_read(&n, index_file(dir, ".mdb")));
	}
}

static void
test_flipped_bits(void **state)
{
	(void)state;
	make_indexed();
	for (unsigned i = 0; i < 40; i++) {
		size_t n;
		const char *path = index_file(dir, ".mdb");
		uint8_t *p = file_read(&n, path);
		size_t at = draw((unsigned)n);
		p[at] ^= (uint8_t)(1u << draw(8));
		file_put(path, at, p + at, 1);
		free(p);
		reopened_agrees(dir);
		struct store *s = open_indexing(dir, LITTLE, 0);
		append_some(s, 80);
		store_close(s);
	}
}

/* Also the index of the same store at another time. */
static void
test_of_another(void **state)
{
	char kept[700];
	size_t n;

	(void)state;
	make_indexed();
	uint8_t *p = file_read(&n, index_file(dir, ".mdb"));
	teardown(state);
	setup(state);
	make_indexed();
	snprintf(kept, sizeof(kept), "%s", index_file(dir, ".mdb"));
	unlink(index_file(dir, ".sum"));
	file_write(kept, p, n);
	free(p);
	reopened_agrees(dir);

	/* The journal as it was before, under the newer index. */
	make_indexed();
	store_copy(other, dir, false);
	struct known was[AGGREGATES];
	uint64_t then = last;
	unsigned had = ids;
	memcpy(was, known, sizeof(was));
	make_indexed();
	p = file_read(&n, index_file(dir, ".mdb"));
	assert_int_equal(mkdir(in(other, "index"), 0700), 0);
	file_write(in(other, "index/00000001.mdb"), p, n);
	free(p);
	memcpy(known, was, sizeof(known));
	last = then;
	ids = had;
	reopened_agrees(other);
}

/* No room or no right to make it: the store works without. */
static void
test_cannot_be_made(void **state)
{
	(void)state;
	store_close(open_indexing(dir, LITTLE, 0));
	file_write(in(dir, "index"), "x", 1);
	struct store *s = open_indexing(dir, LITTLE, 0);
	append_some(s, 600);
	assert_int_equal(store_indexed(s, NULL), 0);
	all_agrees(s);
	ids_agree(s);
	store_close(s);
	reopened_agrees(dir);
	unlink(in(dir, "index"));
	make_indexed();
	reopened_agrees(dir);
}

static void
test_reindex(void **state)
{
	struct reindex_report report = {0};
	struct store *s;

	(void)state;
	s = open_indexing(dir, UINT64_MAX, 0);
	append_some(s, 800);
	assert_int_equal(store_reindex(s, &report, false, NULL, NULL, &err),
			 WEIR_EUSAGE);
	store_close(s);
	for (unsigned i = 0; i < 3; i++) {
		s = open_indexing(dir, 64u << 20, i == 0 ? STORE_REINDEX : 0);
		assert_ok(store_reindex(s, &report, i > 0, NULL, NULL, &err),
			  err);
		assert_true(report.records == last || i > 1);
		assert_int_equal(report.aggregates, store_aggregates(s, true));
		assert_int_equal(store_indexed(s, NULL), last);
		all_agrees(s);
		ids_agree(s);
		append_some(s, 50);
		all_agrees(s);
		store_close(s);
		/* It is taken as it was left. */
		s = open_indexing(dir, UINT64_MAX, 0);
		assert_int_equal(store_indexed(s, NULL), last - 50);
		store_close(s);
		reopened_agrees(dir);
	}
}

/* An open that finds far too much to go brings the index on first. */
static void
test_far_behind(void **state)
{
	struct store *s = open_indexing(dir, UINT64_MAX, 0);

	(void)state;
	append_some(s, 900);
	store_close(s);
	assert_null(index_file(dir, ".mdb"));
	s = open_indexing(dir, LITTLE, 0);
	assert_int_equal(store_indexed(s, NULL), last);
	all_agrees(s);
	ids_agree(s);
	store_close(s);
	reopened_agrees(dir);
}

/* A large index is brought on seldom, but at the writer's end all the same. */
static void
test_end(void **state)
{
	struct store_options o = {.flags = STORE_WRITE | STORE_CREATE,
				  .first_segment_bytes = SMALL,
				  .max_segment_bytes = 4 * SMALL,
				  .index_after_bytes = LITTLE};
	uint64_t least;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct store *s = NULL;

		assert_ok(store_open(&s, dir, &o, &err), err);
		append_some(s, 300);
		if (i % 2 > 0)
			assert_ok(store_end_writing(s, &err), err);
		store_close(s);
		s = open_indexing(dir, UINT64_MAX, 0);
		least = last - LITTLE / 100; /* a record takes more bytes */
		assert_in_range(store_indexed(s, NULL), least, last);
		store_close(s);
	}
	reopened_agrees(dir);
}

/* A segment that is gone, or shorter, before the watermark is damage still. */
static void
test_missing_segment(void **state)
{
	struct store *s = NULL;

	(void)state;
	make_indexed();
	file_cut(in(dir, "journal/00000001.seg"), SMALL / 2);
	assert_int_equal(open_writer(&s, dir, &err), WEIR_EDAMAGE);
	assert_says(err, "00000001.seg");
	assert_int_equal(unlink(in(dir, "journal/00000001.seg")), 0);
	assert_int_equal(open_writer(&s, dir, &err), WEIR_EDAMAGE);
	assert_says(err, "00000001.seg");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(test_every_lag),	 T(test_memory_is_bounded),
		T(test_older_view),	 T(test_deleted),
		T(test_cut_short),	 T(test_flipped_bits),
		T(test_of_another),	 T(test_cannot_be_made),
		T(test_reindex),	 T(test_far_behind),
		T(test_end),		 T(test_missing_segment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
