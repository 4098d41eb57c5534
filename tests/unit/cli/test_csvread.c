/* SPDX-License-Identifier: MIT */
#include "cli/csvread.h"

#include "model/model_test.h"

static struct csvread *
reader(const char *header, const struct csvread_options *o)
{
	static const struct csvread_options none;
	struct weir_err err = {0};
	struct csvread *r;

	if (csvread_new(&r, o != NULL ? o : &none, str_of(header), &err) != 0)
		fail_msg("%s: %s", header, err.msg);
	return r;
}

static void
body(struct csvread *r, const char *row, const char *expected)
{
	struct weir_err err = {0};
	struct buf b;

	buf_init(&b, 1 << 16);
	if (csvread_body(r, &b, str_of(row), &err) != 0)
		fail_msg("%s: %s", row, err.msg);
	assert_string_equal(buf_cstr(&b), expected);
	buf_fini(&b);
}

static void
refuse_row(struct csvread *r, const char *row, const char *said)
{
	struct weir_err err = {0};
	struct buf b;

	buf_init(&b, 1 << 16);
	assert_int_equal(csvread_body(r, &b, str_of(row), &err), WEIR_EINPUT);
	if (strstr(err.msg, said) == NULL)
		fail_msg("%s: %s", row, err.msg);
	buf_fini(&b);
}

#define TYPES                                                                  \
	"{\"aggregate_type\":\"t\",\"aggregate_id\":\"1\","                    \
	"\"event_type\":\"e\""

static void
test_own_names(void **state)
{
	struct csvread *r = reader("aggregate_id,event_type,aggregate_type,"
				   "tags,expected_version,x,y",
				   NULL);

	(void)state;
	body(r, "1,e,t,,,a,b", TYPES ",\"payload\":{\"x\":\"a\",\"y\":\"b\"}}");
	body(r, "1,e,t,red  blue,4,,",
	     TYPES ",\"expected_version\":4,\"tags\":[\"red\",\"blue\"],"
		   "\"payload\":{\"x\":\"\",\"y\":\"\"}}");
	body(r, "1,e,t,,none,,",
	     TYPES ",\"expected_version\":\"none\","
		   "\"payload\":{\"x\":\"\",\"y\":\"\"}}");
	csvread_free(r);
}

static void
test_quoting(void **state)
{
	struct csvread *r =
		reader("aggregate_id,event_type,aggregate_type,\"x,y\"", NULL);

	(void)state;
	body(r, "1,e,t,\"a,\"\"b\"\"\n\"",
	     TYPES ",\"payload\":{\"x,y\":\"a,\\\"b\\\"\\n\"}}");
	body(r, "\"1\",\"e\",\"t\",\"\"", TYPES ",\"payload\":{\"x,y\":\"\"}}");
	refuse_row(r, "1,e,t,\"a", "not closed");
	refuse_row(r, "1,e,t,a\"b", "column 4: a quote in a cell");
	refuse_row(r, "1,e,t,\"a\"b", "behind a closing quote");
	refuse_row(r, "1,e,t", "3 columns where the header has 4");
	refuse_row(r, "1,e,t,a,b", "5 columns");
	refuse_row(r, "1,e,t,\xff", "UTF-8");
	csvread_free(r);
}

static void
test_maps(void **state)
{
	static const char *const maps[] = {"aggregate_type==t",
					   "aggregate_id=no", "event_type==e",
					   "tags==red blue"};
	const struct csvread_options o = {.maps = maps, .nmaps = 4};
	const struct csvread_options only = {
		.maps = maps, .nmaps = 4, .payload_columns = "b,no"};
	struct csvread *r = reader("no,a,b", &o);

	(void)state;
	body(r, "1,2,3",
	     TYPES ",\"tags\":[\"red\",\"blue\"],"
		   "\"payload\":{\"a\":\"2\",\"b\":\"3\"}}");
	csvread_free(r);
	r = reader("no,a,b", &only);
	body(r, "1,2,3",
	     TYPES ",\"tags\":[\"red\",\"blue\"],"
		   "\"payload\":{\"no\":\"1\",\"b\":\"3\"}}");
	csvread_free(r);
}

static void
test_typed(void **state)
{
	static const char *const maps[] = {"aggregate_type==t",
					   "aggregate_id==1", "event_type==e"};
	const struct csvread_options o = {
		.maps = maps, .nmaps = 3, .typed = true};
	static const char *const rows[][2] = {
		{"1", "1"},
		{"0.10", "0.10"},
		{"-0", "-0"},
		{"1e400", "1e400"},
		{"12345678901234567890123", "12345678901234567890123"},
		{"true", "true"},
		{"false", "false"},
		{"", "null"},
		{"\"\"", "\"\""},
		{"\"1\"", "\"1\""},
		{"007", "\"007\""},
		{"+1", "\"+1\""},
		{".5", "\".5\""},
		{"1.", "\"1.\""},
		{"1 ", "\"1 \""},
		{"1-2", "\"1-2\""},
		{"null", "\"null\""},
		{"True", "\"True\""},
		{"{}", "\"{}\""},
		{"-", "\"-\""},
	};
	struct csvread *r = reader("x,z", &o);
	char row[64], expected[160];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(row, sizeof(row), "%s,z", rows[i][0]);
		snprintf(expected, sizeof(expected),
			 TYPES ",\"payload\":{\"x\":%s,\"z\":\"z\"}}",
			 rows[i][1]);
		body(r, row, expected);
	}
	csvread_free(r);
}

static void
test_bad_maps(void **state)
{
	static const struct {
		const char *map, *header, *said;
	} rows[] = {
		{"aggregate_type=kind", "a,b", "no column \"kind\""},
		{"agregate_id=a", "a,b", "did you mean \"aggregate_id\""},
		{"event_type", "a,b", "MEMBER=COLUMN"},
		{"event_type==e", "a,b", "aggregate_type comes from no"},
		{"event_type==e", "a,a", "two columns"},
		{"event_type==e", "\"a", "header: column 1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct csvread_options o = {.maps = &rows[i].map,
						  .nmaps = 1};
		struct weir_err err = {0};
		struct csvread *r;
		int rc = csvread_new(&r, &o, str_of(rows[i].header), &err);

		assert_true(rc == WEIR_EUSAGE || rc == WEIR_EINPUT);
		if (strstr(err.msg, rows[i].said) == NULL)
			fail_msg("%s: %s", rows[i].map, err.msg);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_names),
		cmocka_unit_test(test_quoting),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_typed),
		cmocka_unit_test(test_bad_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
