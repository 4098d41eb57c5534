/* SPDX-License-Identifier: MIT */
#include "model/fold.h"

#include "model_test.h"
#include "store/reader.h"
#include "store/store.h"

struct fixture {
	char *dir;
	struct store *s;
	struct reader *r, *side;
};

static void
append(struct fixture *x, const char *id, const char *payload)
{
	struct record_draft d = {.aggregate_type = str_of("order"),
				 .aggregate_id = str_of(id),
				 .event_type = str_of("placed"),
				 .payload = str_of(payload),
				 .expected = EXPECT_ANY};
	struct receipt receipt;
	struct weir_err err = {0};

	if (store_commit(x->s, &receipt, &d, 1, &err) != 0)
		fail_msg("%s", err.msg);
}

static struct fixture *
open_fixture(void)
{
	struct store_options o = {.flags = STORE_WRITE | STORE_CREATE};
	struct fixture *x = calloc(1, sizeof(*x));
	struct weir_err err = {0};
	char path[300];

	assert_non_null(x);
	x->dir = make_folder();
	snprintf(path, sizeof(path), "%s/store", x->dir);
	if (store_open(&x->s, path, &o, &err) != 0)
		fail_msg("%s", err.msg);
	x->r = reader_new(x->s);
	x->side = reader_new(x->s);
	assert_true(x->r != NULL && x->side != NULL);
	return x;
}

static void
close_fixture(struct fixture *x)
{
	reader_free(x->r);
	reader_free(x->side);
	store_close(x->s);
	drop_folder(x->dir);
	free(x);
}

static void
assert_json(const struct fold *f, const char *expected)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(fold_json(&b, f), 0);
	assert_string_equal(buf_cstr(&b), expected);
	buf_fini(&b);
}

static uint64_t
position_of(struct fixture *x, const char *id, uint64_t version)
{
	struct record_view v;
	struct weir_err err = {0};

	if (reader_version(x->r, &v, str_of("order"), str_of(id), version,
			   &err) != 0)
		fail_msg("%s", err.msg);
	return v.position;
}

/* More versions than one run of positions, folded at several places. */
static void
test_load(void **state)
{
	enum {
		VERSIONS = 9000
	};
	static const unsigned stops[] = {1, 2, 17, 4113, 4114, VERSIONS};
	struct fixture *x = open_fixture();
	struct fold *on = fold_new();
	struct weir_err err = {0};
	struct record_draft *d = calloc(VERSIONS, sizeof(*d));
	struct receipt *receipts = calloc(VERSIONS, sizeof(*receipts));
	char(*payloads)[64] = calloc(VERSIONS, sizeof(*payloads));
	char expected[64];

	(void)state;
	for (unsigned i = 0; i < VERSIONS; i++) {
		snprintf(payloads[i], sizeof(payloads[i]),
			 "{\"n\":%u,\"m%u\":%u}", i + 1, (i + 1) % 2, i + 1);
		d[i] = (struct record_draft){.aggregate_type = str_of("order"),
					     .aggregate_id = str_of("1"),
					     .event_type = str_of("placed"),
					     .payload = str_of(payloads[i]),
					     .expected = EXPECT_ANY};
	}
	if (store_commit(x->s, receipts, d, VERSIONS, &err) != 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
		uint64_t at = receipts[stops[i] - 1].position;
		unsigned v = stops[i], odd = v % 2 ? v : v - 1;
		struct fold *anew = fold_new();

		if (fold_load(on, x->side, at, &err) != 0 ||
		    fold_load(anew, x->side, at, &err) != 0)
			fail_msg("%u: %s", v, err.msg);
		assert_int_equal(fold_version(on), v);
		if (v == 1)
			snprintf(expected, sizeof(expected),
				 "{\"n\":1,\"m1\":1}");
		else
			snprintf(expected, sizeof(expected),
				 "{\"n\":%u,\"m1\":%u,\"m0\":%u}", v, odd,
				 v % 2 ? v - 1 : v);
		assert_json(on, expected);
		assert_json(anew, expected);
		fold_free(anew);
	}
	assert_int_equal(fold_load(on, x->side, receipts[0].position, &err),
			 WEIR_EDAMAGE);
	fold_free(on);
	free(payloads);
	free(receipts);
	free(d);
	close_fixture(x);
}

static void
at(struct fixture *x, struct fold_cache *c, const char *id, uint64_t version,
   const char *expected)
{
	struct record_view v;
	struct weir_err err = {0};
	struct fold *f;

	assert_int_equal(reader_at(x->r, &v, position_of(x, id, version), &err),
			 0);
	if (fold_cache_at(c, &f, x->side, &v, &err) != 0)
		fail_msg("%s", err.msg);
	assert_int_equal(fold_version(f), version);
	assert_json(f, expected);
}

/* State as of the record asked for, whatever the cache held before. */
static void
test_cache(void **state)
{
	struct fixture *x = open_fixture();
	struct fold_cache *c = fold_cache_new(1 << 20);

	(void)state;
	append(x, "1", "{\"a\":1}");
	append(x, "2", "{\"b\":1}");
	append(x, "1", "{\"a\":2}");
	append(x, "1", "{\"c\":3}");
	at(x, c, "1", 1, "{\"a\":1}");
	at(x, c, "2", 1, "{\"b\":1}");
	at(x, c, "1", 2, "{\"a\":2}");
	at(x, c, "1", 2, "{\"a\":2}");
	at(x, c, "1", 3, "{\"a\":2,\"c\":3}");
	at(x, c, "1", 1, "{\"a\":1}");
	at(x, c, "1", 3, "{\"a\":2,\"c\":3}");
	fold_cache_free(c);
	c = fold_cache_new(1 << 20);
	at(x, c, "1", 3, "{\"a\":2,\"c\":3}");
	fold_cache_free(c);
	close_fixture(x);
}

/* A cache far too small and one that grows its table give the same. */
static void
test_cache_sizes(void **state)
{
	enum {
		AGGREGATES = 700
	};
	static const size_t sizes[] = {0, 4096, 1 << 24};
	struct fixture *x = open_fixture();
	char id[16], payload[32], expected[64];

	(void)state;
	for (unsigned round = 1; round <= 2; round++)
		for (unsigned i = 0; i < AGGREGATES; i++) {
			snprintf(id, sizeof(id), "%u", i);
			snprintf(payload, sizeof(payload), "{\"k%u\":%u}",
				 round, i);
			append(x, id, payload);
		}
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct fold_cache *c = fold_cache_new(sizes[s]);

		for (unsigned round = 1; round <= 2; round++)
			for (unsigned i = 0; i < AGGREGATES; i++) {
				snprintf(id, sizeof(id), "%u", i);
				if (round == 1)
					snprintf(expected, sizeof(expected),
						 "{\"k1\":%u}", i);
				else
					snprintf(expected, sizeof(expected),
						 "{\"k1\":%u,\"k2\":%u}", i, i);
				at(x, c, id, round, expected);
			}
		fold_cache_free(c);
	}
	close_fixture(x);
}

/* What a forward pass takes in and asks for later, with room or without. */
static void
test_cache_advance(void **state)
{
	static const size_t sizes[] = {0, 1 << 20};
	struct fixture *x = open_fixture();
	struct record_view v, known = {0};
	struct weir_err err = {0};
	struct fold *f;

	(void)state;
	append(x, "1", "{\"a\":1}");
	append(x, "2", "{\"b\":1}");
	append(x, "1", "{\"a\":2}");
	append(x, "1", "{\"c\":3}");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fold_cache *c = fold_cache_new(sizes[i]);

		reader_seek(x->r, 1);
		while (reader_next(x->r, &v, &err) == 1)
			assert_int_equal(fold_cache_advance(c, &v, &err), 0);
		/* what is at a later version, or not there, stays as it is */
		assert_int_equal(reader_at(x->r, &v, position_of(x, "1", 2),
					   &err),
				 0);
		assert_int_equal(fold_cache_advance(c, &v, &err), 0);
		known.aggregate_type = str_of("order");
		for (unsigned k = 0; k < 3; k++) {
			known.aggregate_id = str_of(k == 1 ? "2" : "1");
			known.version = k == 0 ? 3 : 1;
			known.position =
				position_of(x, k == 1 ? "2" : "1",
					    known.version);
			assert_int_equal(fold_cache_get(c, &f, x->side, &known,
							&err),
					 0);
			assert_json(f, k == 0	? "{\"a\":2,\"c\":3}"
				       : k == 1 ? "{\"b\":1}"
						: "{\"a\":1}");
		}
		fold_cache_free(c);
	}
	close_fixture(x);
}

static void
test_cache_no_memory(void **state)
{
	struct fixture *x = open_fixture();
	struct record_view v;
	struct weir_err err = {0};
	unsigned failed = 0;

	(void)state;
	append(x, "1", "{\"a\":1}");
	append(x, "1", "{\"b\":2}");
	append(x, "1", "{\"a\":3}");
	for (unsigned long n = 1;; n++) {
		struct fold_cache *c = fold_cache_new(1 << 20);
		struct fold *f;
		int rc;

		assert_int_equal(
			reader_at(x->r, &v, position_of(x, "1", 3), &err), 0);
		fail_allocation(n);
		rc = fold_cache_at(c, &f, x->side, &v, &err);
		fail_allocation(0);
		failed += rc != 0;
		if (rc != 0)
			assert_int_equal(rc, WEIR_ENOMEM);
		at(x, c, "1", 3, "{\"a\":3,\"b\":2}");
		fold_cache_free(c);
		if (rc == 0)
			break;
	}
	assert_true(failed > 5);
	close_fixture(x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_cache_sizes),
		cmocka_unit_test(test_cache_advance),
		cmocka_unit_test(test_cache_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
