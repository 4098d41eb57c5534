/* SPDX-License-Identifier: MIT */
#include "model/draft.h"

#include "base/clock.h"
#include "base/uuid.h"
#include "model_test.h"

#define NAMES                                                                  \
	"\"aggregate_type\":\"order\",\"aggregate_id\":\"7\","                 \
	"\"event_type\":\"placed\","

static const char body_members[] = NAMES "\"payload\":";

static void
parse(struct draft *d, const char *text)
{
	struct weir_err err = {0};

	draft_clear(d);
	if (draft_parse(d, str_of(text), &err) != 0)
		fail_msg("%s: %s", text, err.msg);
}

static void
refuse(struct draft *d, const char *text, const char *said)
{
	struct weir_err err = {0};

	draft_clear(d);
	if (draft_parse(d, str_of(text), &err) != WEIR_EINPUT)
		fail_msg("not refused: %s", text);
	if (strstr(err.msg, said) == NULL)
		fail_msg("%s: %s", text, err.msg);
}

static void
test_smallest(void **state)
{
	struct draft *d = draft_new();
	struct record_draft *r = draft_record(d);

	(void)state;
	parse(d, " {" NAMES "\"payload\": {\"a\": 0.10} } ");
	assert_true(str_is(r->aggregate_type, "order"));
	assert_true(str_is(r->aggregate_id, "7"));
	assert_true(str_is(r->event_type, "placed"));
	assert_true(str_is(r->payload, "{\"a\": 0.10}"));
	assert_int_equal(r->content, WEIR_CONTENT_JSON);
	assert_true(r->expected == EXPECT_ANY);
	assert_false(r->has_event_id);
	assert_false(r->has_created_at);
	assert_int_equal(r->ntags, 0);
	assert_false(draft_has_actor(d));
	assert_null(draft_hash(d));
	assert_int_equal(draft_check_hash(d, NULL), 0);
	draft_free(d);
}

static void
test_all_of_a_body(void **state)
{
	struct draft *d = draft_new();
	struct record_draft *r = draft_record(d);
	char id[37];

	(void)state;
	parse(d, "{" NAMES "\"payload\":1,\"tags\":[\"a\",\"caf\\u00e9\"],"
		 "\"event_id\":\"0190A6F5-0000-7000-8000-000000000001\","
		 "\"created_at\":\"2026-01-31T12:00:00.5Z\","
		 "\"expected_version\":12,\"correlation_id\":\"c\\n\","
		 "\"causation_id\":\"d\",\"traceparent\":\"t\"}");
	assert_int_equal(r->ntags, 2);
	assert_true(str_is(r->tags[0], "a"));
	assert_true(str_is(r->tags[1], "caf\xc3\xa9"));
	uuid_text(id, r->event_id);
	assert_string_equal(id, "0190a6f5-0000-7000-8000-000000000001");
	assert_true(r->has_event_id && r->has_created_at);
	assert_int_equal(r->created_at, 1769860800500000);
	assert_int_equal(r->expected, 12);
	assert_true(str_is(r->correlation_id, "c\n"));
	assert_true(str_is(r->causation_id, "d"));
	assert_true(str_is(r->traceparent, "t"));
	parse(d, "{" NAMES "\"payload\":1,\"expected_version\":\"none\","
		 "\"event_id\":null,\"tags\":null,\"created_at\":null}");
	assert_int_equal(r->expected, 0);
	assert_false(r->has_event_id);
	assert_int_equal(r->ntags, 0);
	parse(d, "{" NAMES "\"payload\":1,\"expected_version\":\"exists\"}");
	assert_true(r->expected == EXPECT_EXISTS);
	parse(d, "{" NAMES "\"payload\":1,\"expected_version\":0}");
	assert_int_equal(r->expected, 0);
	draft_free(d);
}

static void
test_content(void **state)
{
	struct draft *d = draft_new();
	struct record_draft *r = draft_record(d);

	(void)state;
	parse(d, "{" NAMES "\"payload\":\"a\\tb\",\"content\":\"text\"}");
	assert_int_equal(r->content, WEIR_CONTENT_TEXT);
	assert_true(str_is(r->payload, "a\tb"));
	parse(d, "{" NAMES "\"payload\":\"\",\"content\":\"text\"}");
	assert_non_null(r->payload.data);
	assert_int_equal(r->payload.len, 0);
	parse(d, "{" NAMES "\"content\":\"bytes\","
		 "\"payload\":{\"$base64\":\"AP8B\"}}");
	assert_int_equal(r->content, WEIR_CONTENT_BYTES);
	assert_int_equal(r->payload.len, 3);
	assert_memory_equal(r->payload.data, "\0\xff\x01", 3);
	refuse(d, "{" NAMES "\"payload\":{},\"content\":\"text\"}", "a string");
	refuse(d, "{" NAMES "\"payload\":\"\",\"content\":\"bytes\"}",
	       "$base64");
	refuse(d,
	       "{" NAMES "\"content\":\"bytes\","
	       "\"payload\":{\"$base64\":\"A\"}}",
	       "base64");
	refuse(d,
	       "{" NAMES "\"content\":\"bytes\","
	       "\"payload\":{\"$base64\":\"\",\"x\":1}}",
	       "$base64");
	refuse(d, "{" NAMES "\"payload\":1,\"content\":\"xml\"}",
	       "json, text or bytes");
	draft_free(d);
}

static void
test_refused(void **state)
{
	static const struct {
		const char *text, *said;
	} rows[] = {
		{"[]", "a JSON object"},
		{"", "record: "},
		{"{", "at byte 1"},
		{"{\"a\":1} x", "record: "},
		{"{\"payload\":1,\"payload\":2}", "duplicate key"},
		{"{" NAMES "\"x\":1}", "unknown member \"x\""},
		{"{" NAMES "\"paylod\":1}", "did you mean \"payload\""},
		{"{" NAMES "\"version\":1}", "belongs to an EventRecord"},
		{"{" NAMES "\"metadata\":{},\"event_id\":null}",
		 "does not belong there"},
		{"{" NAMES "\"metadata\":{\"x\":1}}", "unknown member \"x\""},
		{"{" NAMES "\"metadata\":1}", "metadata must be an object"},
		{"{\"event_type\":\"a\",\"aggregate_id\":\"a\","
		 "\"payload\":1}",
		 "aggregate_type is missing"},
		{"{" NAMES "\"tags\":[]}", "payload is missing"},
		{"{\"aggregate_type\":1}", "aggregate_type must be a string"},
		{"{\"tags\":\"a\"}", "tags must be an array"},
		{"{\"tags\":[1]}", "a tag must be a string"},
		{"{\"event_id\":\"x\"}", "event_id must be a UUID"},
		{"{\"created_at\":\"yesterday\"}", "created_at: "},
		{"{\"created_at\":1}", "created_at must be a string"},
		{"{\"expected_version\":-1}", "expected_version must be"},
		{"{\"expected_version\":1.0}", "expected_version must be"},
		{"{\"expected_version\":\"1\"}", "expected_version must be"},
		{"{\"expected_version\":18446744073709551615}",
		 "expected_version must be"},
		{"{\"metadata\":{},\"version\":0}", "version must be 1"},
		{"{\"metadata\":{},\"hash\":\"ab\"}", "64 hexadecimal"},
		{"{\"metadata\":{\"issued_by\":1}}", "issued_by must be"},
		{"{" NAMES "\"payload\":1,"
		 "\"metadata\":{\"issued_by\":{\"user\":\"a\"}}}",
		 "both group and user"},
	};
	struct draft *d = draft_new();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refuse(d, rows[i].text, rows[i].said);
	draft_free(d);
}

/* A payload may be nested 64 levels, the object around it not counted. */
static void
test_depth(void **state)
{
	struct draft *d = draft_new();
	struct weir_err err = {0};
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	for (unsigned levels = 64; levels <= 65; levels++) {
		buf_clear(&b);
		buf_printf(&b, "{%s", body_members);
		for (unsigned i = 0; i < levels; i++)
			buf_putc(&b, '[');
		for (unsigned i = 0; i < levels; i++)
			buf_putc(&b, ']');
		buf_putc(&b, '}');
		draft_clear(d);
		assert_int_equal(draft_parse(d, buf_str(&b), &err),
				 levels == 64 ? 0 : WEIR_EINPUT);
	}
	assert_non_null(strstr(err.msg, "deep"));
	buf_fini(&b);
	draft_free(d);
}

/* Many tags with escapes, and a clear that gives the memory back to use. */
static void
test_memory(void **state)
{
	struct draft *d = draft_new();
	struct record_draft *r = draft_record(d);
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	for (unsigned round = 0; round < 3; round++) {
		buf_clear(&b);
		buf_printf(&b, "{%s1,\"tags\":[", body_members);
		for (unsigned i = 0; i < WEIR_TAGS_MAX; i++)
			buf_printf(&b, "%s\"\\u0041%0120u\"", i > 0 ? "," : "",
				   i);
		buf_puts(&b, "]}");
		parse(d, buf_cstr(&b));
		assert_int_equal(r->ntags, WEIR_TAGS_MAX);
		for (unsigned i = 0; i < WEIR_TAGS_MAX; i++) {
			assert_int_equal(r->tags[i].len, 121);
			assert_int_equal(r->tags[i].data[0], 'A');
			assert_int_equal(r->tags[i].data[120], '0' + i % 10);
		}
	}
	b.len -= 2;
	buf_puts(&b, ",\"one more\"]}");
	refuse(d, buf_cstr(&b), "more than 32 tags");
	for (unsigned long n = 1; n < 50; n++) {
		struct weir_err err = {0};
		int rc;

		draft_clear(d);
		b.len = 0;
		buf_printf(&b, "{%s\"\\n\",\"content\":\"text\"}",
			   body_members);
		fail_allocation(n);
		rc = draft_parse(d, buf_str(&b), &err);
		fail_allocation(0);
		assert_true(rc == 0 || rc == WEIR_ENOMEM);
	}
	buf_fini(&b);
	draft_free(d);
}

static void
test_os_actor(void **state)
{
	struct draft *d = draft_new();
	struct weir_str kept;

	(void)state;
	assert_int_equal(draft_set_os_actor(d, NULL), 0);
	assert_true(draft_has_actor(d));
	assert_true(draft_record(d)->user.len > 0);
	assert_true(draft_record(d)->group.len > 0);
	kept = draft_keep(d, str_of("kept"));
	assert_true(str_is(kept, "kept"));
	assert_null(draft_keep(d, str_of(NULL)).data);
	draft_free(d);
}

/* ---- EventRecords ---------------------------------------------------------
 */

static struct record_view
some_record(void)
{
	struct record_view v = {
		.sequence = 41,
		.version = 3,
		.aggregate_type = str_of("order"),
		.aggregate_id = str_of("7 \"x\""),
		.event_type = str_of("placed"),
		.payload = str_of("{\"a\":12345678901234567890123}"),
		.group = str_of("staff"),
		.user = str_of("ann"),
		.ntags = 2,
		.correlation_id = str_of("corr"),
		.causation_id = str_of("caus"),
		.traceparent = str_of("00-1-2-3"),
		.created_at = 1769860800500000,
		.committed_at = 1769860800600001,
	};

	v.tags[0] = str_of("red");
	v.tags[1] = str_of("blue");
	memset(v.event_id, 0x5a, sizeof(v.event_id));
	return v;
}

static void
print(struct buf *b, struct record_view *v, const char *more)
{
	static const uint8_t root[RECORD_DIGEST] = {1, 2, 3};

	record_hash(v->hash, v);
	buf_clear(b);
	assert_int_equal(record_json(b, v, root), 0);
	b->len--;
	buf_puts(b, more);
	buf_putc(b, '}');
}

static void
test_record(void **state)
{
	struct draft *d = draft_new();
	struct record_draft *r = draft_record(d);
	struct record_view v = some_record();
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 16);
	print(&b, &v, "");
	parse(d, buf_cstr(&b));
	assert_int_equal(r->expected, 2);
	assert_true(str_is(r->aggregate_id, "7 \"x\""));
	assert_true(str_is(r->user, "ann"));
	assert_true(str_is(r->group, "staff"));
	assert_true(draft_has_actor(d));
	assert_int_equal(r->created_at, 1769860800500000);
	assert_memory_equal(r->event_id, v.event_id, 16);
	assert_memory_equal(draft_hash(d), v.hash, RECORD_DIGEST);
	assert_int_equal(draft_check_hash(d, NULL), 0);

	v.group = v.user = str_of(NULL);
	print(&b, &v, "");
	parse(d, buf_cstr(&b));
	assert_true(draft_has_actor(d));
	assert_null(r->user.data);
	assert_int_equal(draft_check_hash(d, NULL), 0);
	buf_fini(&b);
	draft_free(d);
}

static void
test_record_kinds(void **state)
{
	struct draft *d = draft_new();
	struct record_view v = some_record();
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 16);
	v.content = WEIR_CONTENT_TEXT;
	print(&b, &v, "");
	parse(d, buf_cstr(&b));
	assert_int_equal(draft_check_hash(d, NULL), 0);
	v.content = WEIR_CONTENT_BYTES;
	v.payload = (struct weir_str){"\0\xff", 2};
	v.token = 9; /* hashed, but not shown */
	print(&b, &v, ",\"token\":9");
	parse(d, buf_cstr(&b));
	assert_int_equal(draft_record(d)->token, 9);
	assert_int_equal(draft_check_hash(d, NULL), 0);
	v = some_record();
	v.op = WEIR_OP_ARCHIVED;
	print(&b, &v, "");
	parse(d, buf_cstr(&b));
	assert_int_equal(draft_record(d)->op, WEIR_OP_ARCHIVED);
	assert_int_equal(draft_check_hash(d, NULL), 0);
	v = some_record();
	v.salt = (struct weir_str){"0123456789abcdef", 16};
	print(&b, &v, ",\"salt\":\"30313233343536373839616263646566\"");
	parse(d, buf_cstr(&b));
	assert_int_equal(draft_check_hash(d, NULL), 0);
	buf_fini(&b);
	draft_free(d);
}

/* A payload with line breaks is printed without; its own bytes come along. */
static void
test_record_line_breaks(void **state)
{
	static const char payload[] = "{\n\"a\":\r\n1}";
	struct draft *d = draft_new();
	struct record_view v = some_record();
	struct weir_err err = {0};
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 16);
	v.payload = str_of(payload);
	print(&b, &v, "");
	parse(d, buf_cstr(&b));
	assert_int_equal(draft_check_hash(d, &err), WEIR_EINPUT);
	print(&b, &v, ",\"payload_base64\":\"ewoiYSI6DQoxfQ==\"");
	parse(d, buf_cstr(&b));
	assert_true(str_is(draft_record(d)->payload, payload));
	assert_int_equal(draft_check_hash(d, NULL), 0);
	print(&b, &v, ",\"payload_base64\":\"ewoiYSI6DQoyfQ==\"");
	refuse(d, buf_cstr(&b), "differ");
	print(&b, &v, ",\"payload_base64\":\"ew==\"");
	refuse(d, buf_cstr(&b), "differ");
	buf_fini(&b);
	draft_free(d);
}

/* Each member that the hash covers: change it, and the hash does not agree. */
static void
test_record_changed(void **state)
{
	static const char *const swaps[][2] = {
		{"\"order\"", "\"ordes\""},
		{"\"7 \\\"x", "\"8 \\\"x"},
		{"\"placed\"", "\"placee\""},
		{"0123}", "0124}"},
		{"\"ann\"", "\"anm\""},
		{"\"staff\"", "\"stafg\""},
		{"\"red\"", "\"rec\""},
		{"\"corr\"", "\"cors\""},
		{"\"caus\"", "\"cauS\""},
		{"00-1-2-3", "00-1-2-4"},
		{":00.500000Z", ":00.500001Z"},
		{":00.600001Z", ":00.600002Z"},
		{"5a5a5a5a-", "5a5a5a5b-"},
		{"\"version\":3", "\"version\":4"},
		{"\"sequence\":41", "\"sequence\":42"},
	};
	struct draft *d = draft_new();
	struct record_view v = some_record();
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 16);
	for (size_t i = 0; i < sizeof(swaps) / sizeof(swaps[0]); i++) {
		struct weir_err err = {0};
		char *at;

		print(&b, &v, "");
		at = strstr(buf_cstr(&b), swaps[i][0]);
		assert_non_null(at);
		memcpy(at, swaps[i][1], strlen(swaps[i][1]));
		parse(d, buf_cstr(&b));
		if (draft_check_hash(d, &err) != WEIR_EINPUT)
			fail_msg("not noticed: %s", swaps[i][0]);
		assert_non_null(strstr(err.msg, "hash does not agree"));
	}
	parse(d, "{" NAMES "\"payload\":1,\"metadata\":{},\"hash\":\""
		 "00000000000000000000000000000000"
		 "00000000000000000000000000000000\"}");
	assert_int_equal(draft_check_hash(d, NULL), WEIR_EINPUT);
	buf_fini(&b);
	draft_free(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smallest),
		cmocka_unit_test(test_all_of_a_body),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_os_actor),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_record_kinds),
		cmocka_unit_test(test_record_line_breaks),
		cmocka_unit_test(test_record_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
