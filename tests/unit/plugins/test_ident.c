/* SPDX-License-Identifier: MIT */
/* Names of tables and columns, and the map that keeps them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/columns.h"
#include "common/text.h"
#include "plugins/fakehost.h"

static const struct {
	const char *source, *name;
} plain[] = {
	{"person", "person"},
	{"Person", "person"},
	{"order-item", "order_item"},
	{"a.b c", "a_b_c"},
	{"1st", "_1st"},
	{"", "_"},
	{"gr\xc3\xb6\xc3\x9f"
	 "e",
	 "gr__e"},
	{"\xf0\x9f\x98\x80", "_"},
	{"drop\"; table", "drop___table"},
	{"_value", "_value"},
};

static void
test_rule(void **state)
{
	struct fake *f = fake_new();
	char name[IDENT_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
		ident_make(name, &f->host, text_of(plain[i].source), "", "", 0);
		assert_string_equal(name, plain[i].name);
	}
	fake_free(f);
}

static void
test_long_names(void **state)
{
	struct fake *f = fake_new();
	char a[IDENT_SIZE], b[IDENT_SIZE], again[IDENT_SIZE];
	char source[129];

	(void)state;
	memset(source, 'x', 128);
	source[128] = '\0';
	ident_make(a, &f->host, text_of(source), "", "", 0);
	ident_make(again, &f->host, text_of(source), "", "", 0);
	source[127] = 'y';
	ident_make(b, &f->host, text_of(source), "", "", 0);
	assert_int_equal(strlen(a), IDENT_MAX);
	assert_string_equal(a, again);
	assert_string_not_equal(a, b);
	source[63] = '\0';
	ident_make(a, &f->host, text_of(source), "", "", 0);
	assert_string_equal(a, source);
	ident_make(a, &f->host, text_of(source), "field_", "", 0);
	assert_int_equal(strlen(a), IDENT_MAX);
	fake_free(f);
}

static struct column *
plan(struct columns *c, struct table *t, const char *field)
{
	return columns_field(c, t, text_of(field), &sqltype_text,
			     COLUMN_INFERRED);
}

static void
test_columns(void **state)
{
	static const char *const system[] = {"xmin", NULL};
	struct columns_rules rules = {.column_names = system};
	struct fake *f = fake_new();
	struct columns *c = columns_new(&f->host, &rules);
	struct table *t = columns_table(c, text_of("order"));

	(void)state;
	assert_string_equal(t->name, "order");
	assert_string_equal(plan(c, t, "id")->name, "field_id");
	assert_string_equal(plan(c, t, "xmin")->name, "field_xmin");
	assert_string_equal(plan(c, t, "select")->name, "select");
	assert_string_equal(plan(c, t, "a-b")->name, "a_b");
	struct column *other = plan(c, t, "a b");
	assert_int_equal(strlen(other->name), strlen("a_b_") + 8);
	assert_memory_equal(other->name, "a_b_", 4);
	assert_string_not_equal(plan(c, t, "field_id")->name, "field_id");
	assert_ptr_equal(plan(c, t, "a b"), other);
	assert_int_equal(columns_take_column(c, t, "note"), 0);
	assert_string_not_equal(plan(c, t, "note")->name, "note");
	struct column *v = columns_variant(c, t, plan(c, t, "price"));
	assert_string_equal(v->name, "price_variant");
	assert_ptr_equal(columns_find_field(t, text_of("price"), 99)->variant,
			 v);
	columns_free(c);
	fake_free(f);
}

static void
test_many_columns(void **state)
{
	struct fake *f = fake_new();
	struct columns *c = columns_new(&f->host, NULL);
	struct table *t = columns_table(c, text_of("wide"));
	char field[32];

	(void)state;
	for (int i = 0; i < 1500; i++) {
		snprintf(field, sizeof field, "f%d", i);
		assert_non_null(plan(c, t, field));
	}
	for (int i = 0; i < 1500; i++) {
		snprintf(field, sizeof field, "f%d", i);
		struct column *col = columns_find_field(t, text_of(field), 3);
		assert_int_equal(col->index, i);
		assert_string_equal(col->name, field);
	}
	columns_free(c);
	fake_free(f);
}

static void
test_tables(void **state)
{
	static const char *const ours[] = {"weir_columns", NULL};
	struct columns_rules rules = {.tables = ours,
				      .table_prefix = "sqlite_"};
	struct fake *f = fake_new();
	struct columns *c = columns_new(&f->host, &rules);

	(void)state;
	struct table *a = columns_table(c, text_of("a.b"));
	struct table *b = columns_table(c, text_of("a-b"));
	assert_string_equal(a->name, "a_b");
	assert_string_not_equal(b->name, "a_b");
	assert_string_equal(columns_table(c, text_of("sqlite_x"))->name,
			    "t_sqlite_x");
	assert_string_not_equal(columns_table(c, text_of("weir_columns"))->name,
				"weir_columns");
	assert_false(a->saved);
	columns_keep(c);
	assert_true(a->saved && a->present);
	/* The map loaded from a target gives the same entries. */
	struct columns *d = columns_new(&f->host, &rules);
	columns_load_table(d, text_of("a-b"), b->name);
	assert_string_equal(columns_table(d, text_of("a-b"))->name, b->name);
	assert_string_equal(columns_table(d, text_of("a.b"))->name, "a_b");
	columns_free(c);
	columns_free(d);
	fake_free(f);
}

/* Every allocation may fail: NULL, nothing leaks (fake_free looks). */
static void
test_no_memory(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 16; n++) {
		struct fake *f = fake_new();
		f->fail_alloc_at = n;
		struct columns *c = columns_new(&f->host, NULL);
		struct table *t = c ? columns_table(c, text_of("a")) : NULL;
		if (t != NULL)
			(void)plan(c, t, "x");
		columns_free(c);
		fake_free(f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rule),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_many_columns),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
