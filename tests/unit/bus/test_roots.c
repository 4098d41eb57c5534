/* SPDX-License-Identifier: MIT */
#include "bus_test.h"

#include "bus/roots.h"
#include "store/reader.h"
#include "store/store.h"

#include <string.h>

#define RECORDS 600

/* Every root of a store, with so much memory, is what the reader says; from
 * the given sequence on. */
static void
compare(struct bench *b, size_t max_bytes, uint64_t from)
{
	struct store_options o = {0};
	struct roots *roots = roots_new(max_bytes);
	struct reader *rd, *aux;
	struct record_view v;
	struct store *s = NULL;
	uint64_t n = 0;

	assert_non_null(roots);
	assert_int_equal(store_open(&s, b->store, &o, &b->err), 0);
	rd = reader_new(s);
	aux = reader_new(s);
	assert_non_null(rd);
	assert_non_null(aux);
	reader_seek(rd, from);
	while (reader_next(rd, &v, &b->err) == 1) {
		uint8_t ours[32] = {0}, theirs[32] = {1};

		assert_int_equal(roots_of(roots, ours, aux, &v, &b->err), 0);
		assert_int_equal(reader_root(aux, theirs, v.position, &b->err),
				 0);
		assert_memory_equal(ours, theirs, sizeof(ours));
		n++;
	}
	assert_int_equal(n, RECORDS + 1 - from);
	reader_free(rd);
	reader_free(aux);
	store_close(s);
	roots_free(roots);
}

static void
test_all(void **state)
{
	struct bench *b = bench_new("fake");

	(void)state;
	bench_fill(b, RECORDS, 7);
	compare(b, 0, 1);
	compare(b, 1u << 20, 1);
	compare(b, 1u << 20, RECORDS / 2);
	bench_free(b);
}

/* A view that is not of the journal is noticed, not hashed. */
static void
test_astray(void **state)
{
	struct bench *b = bench_new("fake");
	struct store_options o = {0};
	struct roots *roots = roots_new(0);
	struct reader *rd, *aux;
	struct record_view v;
	struct store *s = NULL;
	uint8_t out[32];

	(void)state;
	bench_fill(b, 3, 1);
	assert_int_equal(store_open(&s, b->store, &o, &b->err), 0);
	rd = reader_new(s);
	aux = reader_new(s);
	reader_seek(rd, 3);
	assert_int_equal(reader_next(rd, &v, &b->err), 1);
	v.skip = v.position;
	assert_int_equal(roots_of(roots, out, aux, &v, &b->err), WEIR_EDAMAGE);
	assert_non_null(strstr(b->err.msg, "sequence 3"));
	reader_free(rd);
	reader_free(aux);
	store_close(s);
	roots_free(roots);
	bench_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_astray),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
