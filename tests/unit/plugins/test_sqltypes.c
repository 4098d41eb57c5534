/* SPDX-License-Identifier: MIT */
/* Datatypes: their grammar, and which values fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/sqltypes.h"
#include "common/text.h"
#include "plugins/fakehost.h"

static void
test_grammar(void **state)
{
	static const struct {
		const char *given, *name; /* NULL: refused */
	} rows[] = {
		{"integer", "integer"},
		{"INT8", "bigint"},
		{" numeric ( 10 , 2 ) ", "numeric(10,2)"},
		{"decimal(5)", "numeric(5)"},
		{"character varying(20)", "varchar(20)"},
		{"double   precision", "double precision"},
		{"timestamp with time zone", "timestamptz"},
		{"text[]", "text[]"},
		{"inet", "inet"},
		{"char", "char(1)"},
		{"", NULL},
		{"int; drop table x", NULL},
		{"integer default 1", NULL},
		{"text)", NULL},
		{"numeric(2,5)", NULL},
		{"numeric(0)", NULL},
		{"varchar(0)", NULL},
		{"integer(3)", NULL},
		{"1st", NULL},
		{"a\"b", NULL},
		{"numeric(999999)", NULL},
		{"text[]x", NULL},
	};
	struct sqltype t;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int rc = sqltype_parse(&t, rows[i].given);
		assert_int_equal(rc, rows[i].name != NULL ? 0 : -1);
		if (rc == 0)
			assert_string_equal(t.name, rows[i].name);
	}
}

struct fit {
	const char *type, *value;
	const char *as; /* NULL: does not fit */
};

static const struct fit fits[] = {
	{"integer", "2147483647", "2147483647"},
	{"integer", "2147483648", NULL},
	{"integer", "-2147483648", "-2147483648"},
	{"integer", "1.0", "1"},
	{"integer", "1e3", "1000"},
	{"integer", "12.50e1", "125"},
	{"integer", "1.5", NULL},
	{"integer", "1e-400", NULL},
	{"integer", "-0", "0"},
	{"integer", " 42 ", "42"},
	{"integer", "abc", NULL},
	{"integer", "", NULL},
	{"integer", "0x10", NULL},
	{"smallint", "32768", NULL},
	{"bigint", "9223372036854775807", "9223372036854775807"},
	{"bigint", "9223372036854775808", NULL},
	{"bigint", "-9223372036854775808", "-9223372036854775808"},
	{"bigint", "9007199254740993", "9007199254740993"},
	{"bigint", "1e18", "1000000000000000000"},
	{"bigint", "1e19", NULL},
	{"bigint", "1e999999999999999999", NULL},
	{"numeric(10,2)", "12345678.90", "12345678.90"},
	{"numeric(10,2)", "0.1000", "0.1000"},
	{"numeric(10,2)", "0.105", NULL},
	{"numeric(10,2)", "123456789", NULL},
	{"numeric(10,2)", "1e7", "1e7"},
	{"numeric(10,2)", "1e8", NULL},
	{"numeric(3)", "12.0", "12.0"},
	{"numeric(3)", "12.5", NULL},
	{"numeric", "1e400", "1e400"},
	{"numeric", "1e131072", NULL},
	{"numeric", "NaN", NULL},
	{"numeric", ".", NULL},
	{"numeric", "1e", NULL},
	{"double precision", "1.7976931348623157e308",
	 "1.7976931348623157e308"},
	{"double precision", "1e309", NULL},
	{"double precision", "1e-400", NULL},
	{"real", "3.4028235e38", "3.4028235e38"},
	{"real", "3.5e38", NULL},
	{"boolean", "true", "true"},
	{"boolean", "Yes", "true"},
	{"boolean", "0", "false"},
	{"boolean", "2", NULL},
	{"boolean", "maybe", NULL},
	{"date", "2024-02-29", "2024-02-29"},
	{"date", "2023-02-29", NULL},
	{"date", "2023-13-01", NULL},
	{"date", "2023-1-1", NULL},
	{"date", "0000-01-01", NULL},
	{"date", "2024-02-29T10:00:00Z", NULL},
	{"timestamptz", "2024-02-29T10:00:00Z", "2024-02-29T10:00:00Z"},
	{"timestamptz", "2024-02-29 10:00:00.123456+02:00",
	 "2024-02-29 10:00:00.123456+02:00"},
	{"timestamptz", "2024-02-29T10:00:00.1234567Z", NULL},
	{"timestamptz", "2024-02-29T10:00:00.1234560Z",
	 "2024-02-29T10:00:00.1234560Z"},
	{"timestamptz", "2024-02-29T25:00:00Z", NULL},
	{"timestamptz", "2024-02-29T10:00:00.Z", NULL},
	{"timestamptz", "yesterday", NULL},
	{"timestamp", "2024-02-29T10:00:00", "2024-02-29T10:00:00"},
	{"timestamp", "2024-02-29T10:00:00Z", NULL},
	{"uuid", "0190a5b0-0000-7000-8000-00000000000A",
	 "0190a5b0-0000-7000-8000-00000000000A"},
	{"uuid", "0190a5b0-0000-7000-8000-00000000000g", NULL},
	{"varchar(3)", "gr\xc3\xb6", "gr\xc3\xb6"},
	{"varchar(3)", "grau", NULL},
	{"text", "anything", "anything"},
	{"inet", "10.0.0.1", "10.0.0.1"},
};

static void
test_fits(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof fits / sizeof *fits; i++) {
		struct sqlvalue v;
		struct sqltype t;
		char why[128] = "";
		struct weir_str value = text_of(fits[i].value);

		assert_int_equal(sqltype_parse(&t, fits[i].type), 0);
		bool ok = sqltype_fits(&v, &t, WEIR_STRING, value, why);
		if (ok != (fits[i].as != NULL))
			fail_msg("%s as %s: %s", fits[i].value, fits[i].type,
				 ok ? "fits" : why);
		if (!ok) {
			assert_true(strlen(why) > 0);
			continue;
		}
		assert_int_equal(v.text.len, strlen(fits[i].as));
		assert_memory_equal(v.text.data, fits[i].as, v.text.len);
	}
}

static void
test_numbers(void **state)
{
	static const char *const same[] = {"0", "0.10", "-1.50", "0.0",
					   "12345678901234567890123"};
	static const char *const other[] = {"1e400", "-0", "-0.0", "1E2"};
	static const char *const no_int[] = {"-0", "1.0", "1e2",
					     "9223372036854775808", "0.10"};
	int64_t v = 0;

	(void)state;
	for (size_t i = 0; i < 5; i++)
		assert_true(sqltype_numeric_same(text_of(same[i])));
	for (size_t i = 0; i < 4; i++)
		assert_false(sqltype_numeric_same(text_of(other[i])));
	assert_true(sqltype_plain_int(&v, text_of("9007199254740993")));
	assert_int_equal(v, 9007199254740993);
	assert_true(sqltype_plain_int(&v, text_of("-9223372036854775808")));
	for (size_t i = 0; i < 5; i++)
		assert_false(sqltype_plain_int(&v, text_of(no_int[i])));
}

static void
test_jsonb(void **state)
{
	(void)state;
	assert_true(sqltype_jsonb_takes(text_of("{\"a\":[1,2.5e10,\"x\"]}")));
	assert_true(
		sqltype_jsonb_takes(text_of("{\"1e999999\":\"\\\\u0000\"}")));
	assert_false(sqltype_jsonb_takes(text_of("[1e200000]")));
	assert_false(sqltype_jsonb_takes(text_of("[\"a\\u0000\"]")));
	assert_false(sqltype_jsonb_takes(text_of("{\"\\u0000\":1}")));
}

static void
test_array_literal(void **state)
{
	static const char *const rows[][2] = {
		{"[]", "{}"},
		{"[1, 2.50, null, true]", "{1,2.50,NULL,true}"},
		{"[\"a\\\"b\", \"c\\\\d\", \"\\u00e9\"]",
		 "{\"a\\\"b\",\"c\\\\d\",\"\xc3\xa9\"}"},
		{"[[1,2],[3,4]]", "{{1,2},{3,4}}"},
	};
	struct fake *f = fake_new();
	struct arena a;

	(void)state;
	arena_init(&a, &f->host, 1 << 20);
	for (size_t i = 0; i < 4; i++) {
		struct weir_str s =
			sqltype_array_literal(&a, text_of(rows[i][0]));
		assert_true(text_same(s, text_of(rows[i][1])));
	}
	assert_null(sqltype_array_literal(&a, text_of("[{}]")).data);
	assert_null(sqltype_array_literal(&a, text_of("{}")).data);
	arena_fini(&a);
	fake_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grammar),
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_jsonb),
		cmocka_unit_test(test_array_literal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
