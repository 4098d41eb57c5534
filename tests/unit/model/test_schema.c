/* SPDX-License-Identifier: MIT */
/* Schemas: what may be declared, how they change, what their types take. */
#include "store/store_test.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/os.h"
#include "model/policy.h"
#include "model/schema.h"
#include "model/schema_int.h"

static struct weir_err err;
static char *dir;
static struct store *s;
static struct policy *p;
static struct buf out;

static int
setup(void **state)
{
	(void)state;
	dir = folder_make();
	memset(&err, 0, sizeof(err));
	buf_init(&out, 1 << 20);
	s = must_write(dir);
	assert_ok(policy_open(&p, s, &err), err);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	policy_free(p);
	store_close(s);
	buf_fini(&out);
	folder_drop(dir);
	return 0;
}

#define NAME STR("account")

static int
create(const char *json)
{
	err.msg[0] = '\0';
	return schema_create(p, NAME, str_of(json), NULL, &err);
}

static int
change(const char *json)
{
	err.msg[0] = '\0';
	return schema_change(p, NAME, str_of(json), NULL, &err);
}

/* The members that a record holds, and its version. */
static void
assert_schema(const char *members, unsigned version)
{
	char want[1000];
	const char *got;

	snprintf(want, sizeof(want),
		 "{\"aggregate\":\"account\",%s,\"version\":%u,\"created_at\"",
		 members, version);
	buf_clear(&out);
	assert_ok(schema_json(&out, NULL, p, NAME, &err), err);
	got = buf_cstr(&out);
	if (strncmp(got, want, strlen(want)) != 0)
		fail_msg("%s\nis not\n%s", got, want);
}

/* ---- what is given ------------------------------------------------------- */

static const struct {
	const char *given, *says;
} refused[] = {
	{"[]", "a schema must be a JSON object"},
	{"{", "schema: "},
	{"{}", "a schema needs at least one event"},
	{"{\"events\":[]}", "a schema needs at least one event"},
	{"{\"events\":\"a\"}", "events must be an object or an array of names"},
	{"{\"events\":[1]}", "an event's name must be a string"},
	{"{\"events\":[\"\"]}", "event type"},
	{"{\"events\":{\"a\":1}}", "an event is declared by an object"},
	{"{\"events\":{\"a\":{\"filds\":{}}}}",
	 "event a: unknown member \"filds\" of an event"},
	{"{\"events\":{\"a\":{\"fields\":1}}}",
	 "fields must be an object or an array"},
	{"{\"events\":{\"a\":{\"fields\":{\"f\":1}}}}",
	 "a field is declared by its type or by an object"},
	{"{\"events\":{\"a\":{\"fields\":{\"f\":\"txt\"}}}}",
	 "event a: field f: datatype \"txt\" is not known"},
	{"{\"events\":{\"a\":{\"fields\":{\"f\":{\"type\":1}}}}}",
	 "a field's type must be a string"},
	{"{\"events\":{\"a\":{\"fields\":{\"f\":{\"required\":1}}}}}",
	 "required must be true or false"},
	{"{\"events\":{\"a\":{\"fields\":{\"f\":{\"x\":1}}}}}",
	 "unknown member \"x\" of a field"},
	{"{\"events\":{\"a\":{\"fields\":[{\"type\":\"text\"}]}}}",
	 "a field in an array needs a name"},
	{"{\"events\":{\"a\":{\"fields\":{\"f\":\"text\"}},"
	 "\"b\":{\"fields\":{\"f\":\"uuid\"}}}}",
	 "field f is text in event a and uuid in event b"},
	{"{\"events\":[\"a\"],\"locked\":1}", "locked must be true or false"},
	{"{\"events\":[\"a\"],\"field_locks\":1}",
	 "field_locks must be an array of names"},
	{"{\"events\":[\"a\"],\"field_locks\":[1]}",
	 "a locked field's name must be a string"},
	{"{\"events\":[\"a\"],\"snapshot_threshold\":1.5}",
	 "snapshot_threshold must be a whole number"},
	{"{\"events\":[\"a\"],\"snapshot_threshold\":-1}",
	 "snapshot_threshold must be a whole number"},
	{"{\"events\":[\"a\"],\"deleted\":true}",
	 "unknown member \"deleted\" of a schema"},
	{"{\"events\":[\"a\"],\"aggregate\":\"other\"}",
	 "aggregate must be account"},
};

static void
test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_int_equal(create(refused[i].given), WEIR_EINPUT);
		assert_says(err, refused[i].says);
	}
	assert_int_equal(schema_create(p, STR("$a"),
				       STR("{\"events\":[\"a\"]}"), NULL, &err),
			 WEIR_EDENIED);
	assert_int_equal(create("{\"events\":[\"$a\"]}"), WEIR_EDENIED);
	assert_int_equal(store_last(s), 0);
}

static void
test_long_names(void **state)
{
	char json[2000], name[300];

	(void)state;
	memset(name, 'n', 200);
	name[200] = '\0';
	snprintf(json, sizeof(json), "{\"events\":[\"%s\"]}", name);
	assert_int_equal(create(json), WEIR_EINPUT);
	snprintf(json, sizeof(json),
		 "{\"events\":{\"a\":{\"fields\":[\"%s\"]}}}", name);
	assert_int_equal(create(json), WEIR_EINPUT);
	memset(json, ' ', sizeof(json));
	memset(json + 12, 'x', 1500);
	memcpy(json, "{\"events\":[\"", 12);
	memcpy(json + 1512, "\"]}", 4);
	assert_int_equal(create(json), WEIR_EINPUT);
	assert_says(err, "an event's name has more than 128 bytes");
}

/* ---- changes ------------------------------------------------------------- */

#define REST ",\"snapshot_threshold\":null,\"locked\":false,\"field_locks\":[]"

static void
test_changes(void **state)
{
	(void)state;
	assert_int_equal(change("{}"), WEIR_ENOTFOUND);
	assert_string_equal(err.msg, "schema not found");
	assert_ok(create("{\"events\":[\"a\",\"b\",\"a\"]}"), err);
	assert_schema(
		"\"events\":{\"a\":{\"fields\":{}},\"b\":{\"fields\":{}}}" REST,
		1);
	assert_int_equal(create("{\"events\":[\"a\"]}"), WEIR_ECONFLICT);
	assert_string_equal(err.msg, "schema already exists");
	assert_ok(
		change("{\"events\":{\"a\":{\"fields\":[\"x\",{\"name\":\"y\","
		       "\"type\":\"INT\",\"required\":false}]}}}"),
		err);
	/* An event that is there keeps its fields. */
	assert_ok(change("{\"events\":[\"a\",\"c\"]}"), err);
#define A                                                                      \
	"\"a\":{\"fields\":{\"x\":{\"type\":null,\"required\":true},"          \
	"\"y\":{\"type\":\"integer\",\"required\":false}}}"
	assert_schema("\"events\":{" A ",\"b\":{\"fields\":{}},"
		      "\"c\":{\"fields\":{}}}" REST,
		      3);
	/* The same again is no change. */
	assert_ok(change("{\"events\":[\"a\",\"c\"]}"), err);
	assert_ok(change("{\"events\":{\"b\":null,\"c\":null}}"), err);
	assert_ok(change("{\"snapshot_threshold\":100,\"locked\":true,"
			 "\"field_locks\":[\"q\",\"q\",\"r\"]}"),
		  err);
	assert_schema("\"events\":{" A "},\"snapshot_threshold\":100,"
		      "\"locked\":true,\"field_locks\":[\"q\",\"r\"]",
		      5);
	assert_ok(change("{\"events\":{\"a\":{\"fields\":{\"x\":null,"
			 "\"y\":{\"type\":null}}}},\"field_locks\":null,"
			 "\"snapshot_threshold\":null,\"locked\":false}"),
		  err);
	assert_schema("\"events\":{\"a\":{\"fields\":{\"y\":{\"type\":null,"
		      "\"required\":false}}}}" REST,
		      6);
	assert_int_equal(change("{\"events\":{\"a\":null}}"), WEIR_EINPUT);
	assert_says(err, "a schema needs at least one event");
}

static void
test_events(void **state)
{
	(void)state;
	assert_ok(create("{\"events\":[\"a\",\"b\"]}"), err);
	assert_int_equal(schema_remove_event(p, NAME, STR("z"), NULL, &err),
			 WEIR_ENOTFOUND);
	assert_string_equal(err.msg,
			    "event z is not defined for aggregate account");
	assert_ok(schema_remove_event(p, NAME, STR("a"), NULL, &err), err);
	assert_int_equal(schema_remove_event(p, NAME, STR("b"), NULL, &err),
			 WEIR_EINPUT);
	assert_says(err, "event b is the last one of aggregate account");
	assert_schema("\"events\":{\"b\":{\"fields\":{}}}" REST, 2);
}

static void
test_versions(void **state)
{
	bool created;

	(void)state;
	assert_ok(schema_replace(p, NAME, STR("{\"events\":[\"a\"]}"), &created,
				 NULL, &err),
		  err);
	assert_true(created);
	assert_int_equal(change("{\"version\":2,\"locked\":true}"),
			 WEIR_ECONFLICT);
	assert_says(err, "at version 1 where 2 was expected");
	assert_int_equal(err.version, 1);
	/* What is shown can be given back. */
	buf_clear(&out);
	assert_ok(schema_json(&out, NULL, p, NAME, &err), err);
	assert_ok(schema_replace(p, NAME, buf_str(&out), &created, NULL, &err),
		  err);
	assert_false(created);
	assert_ok(schema_replace(p, NAME,
				 STR("{\"version\":1,\"events\":[\"b\"]}"),
				 &created, NULL, &err),
		  err);
	assert_schema("\"events\":{\"b\":{\"fields\":{}}}" REST, 2);
	assert_ok(schema_delete(p, NAME, NULL, &err), err);
	assert_int_equal(schema_delete(p, NAME, NULL, &err), WEIR_ENOTFOUND);
	assert_int_equal(schema_json(&out, NULL, p, NAME, &err),
			 WEIR_ENOTFOUND);
	buf_clear(&out);
	assert_ok(schema_list_json(&out, p, &err), err);
	assert_string_equal(buf_cstr(&out), "[]");
	assert_ok(create("{\"events\":[\"c\"]}"), err);
	assert_schema("\"events\":{\"c\":{\"fields\":{}}}" REST, 4);
}

/* Each version can be read, with who made it. */
static void
test_history(void **state)
{
	static const char *const events[] = {"created", "changed", "deleted",
					     "created"};
	struct policy_actor by = {.group = STR("staff"), .user = STR("ann")};
	struct record_view v;
	struct reader *r;

	(void)state;
	assert_ok(
		schema_create(p, NAME, STR("{\"events\":[\"a\"]}"), &by, &err),
		err);
	assert_ok(schema_change(p, NAME, STR("{\"locked\":true}"), &by, &err),
		  err);
	assert_ok(schema_delete(p, NAME, &by, &err), err);
	assert_ok(
		schema_create(p, NAME, STR("{\"events\":[\"a\"]}"), &by, &err),
		err);
	r = reader_new(s);
	for (unsigned i = 0; i < 4; i++) {
		assert_ok(reader_version(r, &v, STR("$schema"), NAME, i + 1,
					 &err),
			  err);
		assert_true(str_is(v.event_type, events[i]));
		assert_true(str_is(v.user, "ann"));
	}
	assert_true(str_is(v.payload,
			   "{\"events\":{\"a\":{\"fields\":{}}}" REST "}"));
	reader_free(r);
}

static void
test_many(void **state)
{
	char json[64], name[32];

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "type%u", i * 7919 % 300);
		snprintf(json, sizeof(json),
			 "{\"events\":{\"a\":{\"fields\":{\"f%u\":\"uuid\"}}}}",
			 i * 7919 % 300);
		assert_ok(schema_create(p, str_of(name), str_of(json), NULL,
					&err),
			  err);
	}
	for (int again = 0; again < 2; again++) {
		for (unsigned i = 0; i < 300; i++) {
			char field[32], type[64];
			snprintf(name, sizeof(name), "type%u", i);
			snprintf(field, sizeof(field), "f%u", i);
			assert_true(schema_field_type(p, type, str_of(name),
						      str_of(field)));
			assert_false(schema_field_type(p, type, str_of(name),
						       STR("f")));
		}
		policy_free(p);
		assert_ok(policy_open(&p, s, &err), err);
	}
}

/* ---- types --------------------------------------------------------------- */

static const struct {
	const char *type, *fits, *others; /* values, split by | */
} types[] = {
	{"text", "\"\"|\"a\\u00e9\"|null", "1|true|[]|{}|\"a\\u0000\""},
	{"boolean", "true|false|null", "0|\"true\""},
	{"smallint", "0|-32768|32767", "32768|-32769|1.0|1e2|\"1\""},
	{"integer", "2147483647|-2147483648", "2147483648|-2147483649|true"},
	{"bigint", "9223372036854775807|-9223372036854775808|0",
	 "9223372036854775808|-9223372036854775809|1.5"},
	{"numeric", "0.1|1e400|-12345678901234567890.0123456789|0e99999999999",
	 "\"1\"|1e131072|1e-16384"},
	{"numeric(5,2)", "123.45|-999.99|0|1e2|12345e-2|0.10000|1.230e0",
	 "1000|0.001|123.456|1e3|99999e-3|\"1\""},
	{"numeric(3)", "999|-999|1.0|10e1|0.0", "1000|0.5|1e3"},
	{"double precision", "1e307|-1.5|0|1e-307", "1e308|1e-308|\"1\""},
	{"real", "1e37|0.1", "1e38|1e-38"},
	{"varchar(3)",
	 "\"abc\"|\"\\u00e9\\ud83d\\ude00x\"|\"\xc3\xa9\xc3\xa9x\"",
	 "\"abcd\"|\"\\n\\n\\n\\n\"|1"},
	{"char(2)", "\"ab\"|\"a\"", "\"abc\""},
	{"char", "\"a\"", "\"ab\""},
	{"date", "\"2026-02-28\"|\"2024-02-29\"",
	 "\"2026-02-30\"|\"2026-2-3\"|20260228|\"2026-02-28T00:00:00Z\""},
	{"time", "\"23:59:59.999999\"|\"10:11\"|\"10:11:12\"",
	 "\"24:00:00\"|\"10\"|\"x\""},
	{"time(2)", "\"10:11:12.34\"|\"10:11:12.3400\"", "\"10:11:12.345\""},
	{"timestamp", "\"2026-01-02T03:04:05\"|\"2026-01-02 03:04:05.5\"",
	 "\"2026-01-02\"|1|\"2026-13-02T03:04:05\"|\"2026-01-02T03:04:05Z\"|"
	 "\"2026-01-02T03:04:05+02:00\"|\"2026-01-02T03:04:05.1234567\""},
	{"timestamp(0)", "\"2026-01-02T03:04:05.000\"",
	 "\"2026-01-02T03:04:05.1\""},
	{"timestamptz",
	 "\"2026-01-02T03:04:05Z\"|\"2026-01-02T03:04:05.1234560+15:59\"",
	 "\"2026-01-02T03:04:05\"|\"now\"|\"2026-01-02T03:04:05+16:00\"|"
	 "\"2026-01-02T03:04:05.1234567Z\""},
	{"uuid", "\"00000000-0000-0000-0000-00000000000A\"",
	 "\"0\"|\"00000000-0000-0000-0000-00000000000g\"|1"},
	{"json", "1|{}|[]|\"a\"|null", ""},
	{"jsonb", "1|{}", ""},
	{"bytea", "\"\\\\x00\"|{\"$base64\":\"AA==\"}", "1|{}|[]"},
	{"integer[]", "[]|[1,2,null]|null", "[1,\"2\"]|1|{}|[[1]]"},
	{"varchar(2)[]", "[\"ab\"]", "[\"abc\"]"},
	{"", "1|{}|[]|\"a\"", ""},
};

static void
try_values(const char *type, const char *values, bool want)
{
	struct schema_type read = schema_type_of(type);

	while (*values != '\0') {
		size_t n = strcspn(values, "|");
		struct weir_str v = {values, n};
		assert_ok(json_check(v, &v, "value", &err), err);
		if (schema_type_fits(&read, v) != want)
			fail_msg("%s: %.*s", type, (int)n, values);
		values += n + (values[n] == '|');
	}
}

static void
test_types(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		try_values(types[i].type, types[i].fits, true);
		try_values(types[i].type, types[i].others, false);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_names, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_history, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
