/* SPDX-License-Identifier: MIT */
#include "model/config.h"

#include <weir/sink.h>

#include "model_test.h"

static void
test_types(void **state)
{
	static const struct {
		const char *given, *base, *own; /* NULL: refused */
	} rows[] = {
		{"integer", "integer", "integer"},
		{"  INT ", "integer", "integer"},
		{"int8", "bigint", "bigint"},
		{"Double   Precision", "double precision", "double precision"},
		{"numeric(10,2)", "numeric(10,2)", "numeric(10,2)"},
		{"NUMERIC ( 10 , 2 )", "numeric(10,2)", "numeric(10,2)"},
		{"decimal(5)", "numeric(5)", "numeric(5)"},
		{"numeric(2,3)", NULL, NULL},
		{"numeric(0)", NULL, NULL},
		{"varchar(20)[]", "varchar(20)[]", "varchar(20)[]"},
		{"character varying(20)", "varchar(20)", "varchar(20)"},
		{"varchar(0)", NULL, NULL},
		{"text(3)", NULL, NULL},
		{"timestamptz(3)", "timestamptz(3)", "timestamptz(3)"},
		{"timestamp(7)", NULL, NULL},
		{"timestamp with time zone", "timestamptz", "timestamptz"},
		{"jsonb[]", "jsonb[]", "jsonb[]"},
		{"jsonb[][]", NULL, NULL},
		{"citext", NULL, "citext"},
		{"vector(3)", NULL, "vector(3)"},
		{"int; drop table x", NULL, NULL},
		{"text)", NULL, NULL},
		{"numeric(", NULL, NULL},
		{"numeric(1", NULL, NULL},
		{"numeric(1,)", NULL, NULL},
		{"numeric(1,2,3)", NULL, NULL},
		{"\"Text\"", NULL, NULL},
		{"1text", NULL, NULL},
		{"", NULL, NULL},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, NULL},
		{"numeric(99999999999)", NULL, NULL},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int base = 0; base < 2; base++) {
			const char *want = base ? rows[i].base : rows[i].own;
			struct weir_err err = {0};
			int rc = mapping_type(out, rows[i].given, base, &err);

			if ((rc == 0) != (want != NULL))
				fail_msg("%s: %d %s", rows[i].given, base,
					 err.msg);
			if (rc == 0)
				assert_string_equal(out, want);
			else
				assert_int_equal(rc, WEIR_EINPUT);
		}
	}
}

static int
find(const char *dir, char out[64], const char *plugin, const char *aggregate,
     const char *field)
{
	struct mapping *m;
	int rc;

	assert_int_equal(mapping_load(&m, dir, NULL), 0);
	rc = mapping_find(m, out, str_of(plugin), str_of(aggregate),
			  str_of(field));
	mapping_free(m);
	return rc;
}

static uint64_t
revision(const char *dir)
{
	struct mapping *m;
	uint64_t r;

	assert_int_equal(mapping_load(&m, dir, NULL), 0);
	r = mapping_revision(m);
	mapping_free(m);
	return r;
}

static void
test_set_and_find(void **state)
{
	char *dir = make_folder(), out[64];
	uint64_t before = revision(dir);

	(void)state;
	assert_int_equal(find(dir, out, "sqlite", "order", "total"),
			 WEIR_TYPE_NONE);
	assert_string_equal(out, "");
	assert_int_equal(
		mapping_set(dir, NULL, "order", "total", "Decimal(10,2)", NULL),
		0);
	assert_int_not_equal(revision(dir), before);
	assert_int_equal(find(dir, out, "sqlite", "order", "total"),
			 WEIR_TYPE_BASE);
	assert_string_equal(out, "numeric(10,2)");
	assert_int_equal(
		mapping_set(dir, "sqlite", "order", "total", "text", NULL), 0);
	assert_int_equal(find(dir, out, "sqlite", "order", "total"),
			 WEIR_TYPE_MAPPED);
	assert_string_equal(out, "text");
	assert_int_equal(find(dir, out, "postgres", "order", "total"),
			 WEIR_TYPE_BASE);
	assert_int_equal(find(dir, out, "sqlite", "orders", "total"),
			 WEIR_TYPE_NONE);
	assert_string_equal(get_file(dir, "sinks/map.conf"),
			    "[order]\ntotal = numeric(10,2)\n"
			    "total@sqlite = text\n");
	assert_int_equal(
		mapping_set(dir, NULL, "order", "total", "bigint", NULL), 0);
	assert_string_equal(get_file(dir, "sinks/map.conf"),
			    "[order]\ntotal = bigint\ntotal@sqlite = text\n");
	drop_folder(dir);
}

/* Any name comes back as it went in. */
static void
test_names(void **state)
{
	static const char *const names[] = {
		"a b",	       " a",	"a=b",	 "a:b", "[a]",	     "a]b",
		";a",	       "a ;b",	"#a",	 "a@b", "100%",	     "%41",
		"caf\xc3\xa9", "a.b/c", "\"q\"", "a,b", "trailing ",
	};
	char *dir = make_folder(), out[64], long_name[200];
	const size_t n = sizeof(names) / sizeof(names[0]);

	(void)state;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(mapping_set(dir, i % 2 ? "csv" : NULL,
					     names[i], names[n - 1 - i], "text",
					     NULL),
				 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(
			find(dir, out, "csv", names[i], names[n - 1 - i]),
			i % 2 ? WEIR_TYPE_MAPPED : WEIR_TYPE_BASE);
	assert_int_equal(find(dir, out, "csv", "A", names[1]), WEIR_TYPE_NONE);
	memset(long_name, ';', sizeof(long_name));
	long_name[128] = '\0';
	assert_int_equal(
		mapping_set(dir, NULL, long_name, long_name, "uuid", NULL), 0);
	assert_int_equal(find(dir, out, "csv", long_name, long_name),
			 WEIR_TYPE_BASE);
	drop_folder(dir);
}

static void
test_refused(void **state)
{
	char *dir = make_folder(), out[64];
	struct weir_err err = {0};
	struct mapping *m;

	(void)state;
	assert_int_equal(
		mapping_set(dir, NULL, "order", "total", "nmeric", &err),
		WEIR_EINPUT);
	assert_non_null(strstr(err.msg, "did you mean \"numeric\""));
	assert_int_equal(mapping_set(dir, NULL, "$schema", "a", "text", &err),
			 WEIR_EDENIED);
	assert_int_equal(mapping_set(dir, NULL, "a", "", "text", &err),
			 WEIR_EINPUT);
	assert_int_equal(mapping_set(dir, NULL, "a\nb", "x", "text", &err),
			 WEIR_EINPUT);
	assert_int_equal(find(dir, out, "csv", "order", "total"),
			 WEIR_TYPE_NONE);
	assert_int_equal(mapping_set(dir, NULL, "a", "b", "text", NULL), 0);
	put_file(dir, "sinks/map.conf", "[a]\nb = text\nc = nonsense\n");
	assert_int_equal(mapping_load(&m, dir, &err), WEIR_EINPUT);
	assert_non_null(strstr(err.msg, "map.conf: line 3"));
	put_file(dir, "sinks/map.conf", "b = text\n");
	assert_int_equal(mapping_load(&m, dir, &err), WEIR_EINPUT);
	put_file(dir, "sinks/map.conf", "[a]\nb% = text\n");
	assert_int_equal(mapping_load(&m, dir, &err), WEIR_EINPUT);
	drop_folder(dir);
}

static void
test_comments_stay(void **state)
{
	char *dir = make_folder();

	(void)state;
	assert_int_equal(mapping_set(dir, NULL, "a", "b", "text", NULL), 0);
	put_file(dir, "sinks/map.conf",
		 "# mine\n[a]\nb = text ; wide\n\n[c]\nd = date\n");
	assert_int_equal(mapping_set(dir, NULL, "a", "b", "uuid", NULL), 0);
	assert_int_equal(mapping_set(dir, NULL, "a", "e", "json", NULL), 0);
	assert_string_equal(get_file(dir, "sinks/map.conf"),
			    "# mine\n[a]\nb = uuid ; wide\ne = json\n\n[c]\n"
			    "d = date\n");
	drop_folder(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_set_and_find),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_comments_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
