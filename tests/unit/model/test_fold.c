/* SPDX-License-Identifier: MIT */
#include "model/fold.h"

#include "model_test.h"

static struct record_view
event(uint64_t version, const char *payload)
{
	return (struct record_view){.version = version,
				    .sequence = version,
				    .created_at = (int64_t)version * 1000,
				    .user = version == 1 ? str_of("ann")
							 : str_of("bob"),
				    .group = str_of("staff"),
				    .payload = str_of(payload)};
}

static void
apply(struct fold *f, const char *payload)
{
	struct record_view v = event(fold_version(f) + 1, payload);
	struct weir_err err = {0};

	if (fold_apply(f, &v, &err) != 0)
		fail_msg("%s: %s", payload, err.msg);
}

static void
assert_json(const struct fold *f, const char *expected)
{
	struct buf b;

	buf_init(&b, 1 << 24);
	assert_int_equal(fold_json(&b, f), 0);
	assert_string_equal(buf_cstr(&b), expected);
	buf_fini(&b);
}

static void
test_merge(void **state)
{
	struct fold *f = fold_new();
	const struct weir_sink_member *m;
	size_t n;

	(void)state;
	assert_non_null(f);
	assert_json(f, "{}");
	apply(f, "{\"b\":1,\"a\":{\"x\":1,\"y\":2}}");
	apply(f, "{\"a\":{\"x\":3},\"c\":null}");
	apply(f, "{}");
	apply(f, "{ \"b\" : [ 1,2 ] }");
	assert_json(f, "{\"b\":[ 1,2 ],\"a\":{\"x\":3},\"c\":null}");
	assert_int_equal(fold_version(f), 4);
	assert_int_equal(fold_first_at(f), 1000);
	assert_true(str_is(fold_first_user(f), "ann"));
	m = fold_members(f, &n);
	assert_int_equal(n, 3);
	assert_true(str_is(m[0].name, "b"));
	assert_int_equal(m[0].kind, WEIR_ARRAY);
	assert_int_equal(m[1].kind, WEIR_OBJECT);
	assert_int_equal(m[2].kind, WEIR_NULL);
	assert_true(str_is(m[2].raw, "null"));
	fold_free(f);
}

/* A key is compared decoded and printed as it first came. */
static void
test_key_spellings(void **state)
{
	struct fold *f = fold_new();
	const struct weir_sink_member *m;
	size_t n;

	(void)state;
	apply(f, "{\"caf\\u00e9\":1,\"\":2,\"a\\\"b\":3}");
	apply(f, "{\"caf\xc3\xa9\":4,\"\":5,\"\\u0061\\\"b\":6}");
	assert_json(f, "{\"caf\\u00e9\":4,\"\":5,\"a\\\"b\":6}");
	m = fold_members(f, &n);
	assert_int_equal(n, 3);
	assert_true(str_is(m[0].name, "caf\xc3\xa9"));
	assert_int_equal(m[1].name.len, 0);
	assert_true(str_is(m[2].name, "a\"b"));
	fold_free(f);
}

static void
test_bytes_kept(void **state)
{
	static const char numbers[] =
		"{\"a\":12345678901234567890123,\"b\":0.10,\"c\":1e400,"
		"\"d\":9007199254740993,\"e\":-0,\"f\":\"\\u0000\\/\"}";
	struct fold *f = fold_new();

	(void)state;
	apply(f, numbers);
	assert_json(f, numbers);
	apply(f, "{\"a\":[1,\n\r\n 2],\"b\":{\"k\":\n1}}");
	assert_json(f, "{\"a\":[1,    2],\"b\":{\"k\": 1},\"c\":1e400,"
		       "\"d\":9007199254740993,\"e\":-0,\"f\":\"\\u0000\\/\"}");
	fold_free(f);
}

static void
test_no_object(void **state)
{
	struct fold *f = fold_new();
	struct record_view v;

	(void)state;
	apply(f, "[1, 2]");
	assert_json(f, "{\"_value\":[1, 2]}");
	apply(f, "{\"x\":1}");
	v = event(3, "say \"hi\"\n");
	v.content = WEIR_CONTENT_TEXT;
	assert_int_equal(fold_apply(f, &v, NULL), 0);
	assert_json(f, "{\"_value\":\"say \\\"hi\\\"\\n\",\"x\":1}");
	v = event(4, "");
	v.content = WEIR_CONTENT_BYTES;
	v.payload = (struct weir_str){"\0\xff\x01", 3};
	assert_int_equal(fold_apply(f, &v, NULL), 0);
	assert_json(f, "{\"_value\":{\"$base64\":\"AP8B\"},\"x\":1}");
	v = event(5, "");
	v.content = WEIR_CONTENT_TEXT;
	assert_int_equal(fold_apply(f, &v, NULL), 0);
	assert_json(f, "{\"_value\":\"\",\"x\":1}");
	fold_free(f);
}

static void
test_versions_and_ops(void **state)
{
	struct fold *f = fold_new();
	struct record_view v = event(2, "{\"a\":1}");
	struct weir_err err = {0};

	(void)state;
	assert_int_equal(fold_apply(f, &v, &err), WEIR_EDAMAGE);
	assert_non_null(strstr(err.msg, "version 2"));
	apply(f, "{\"a\":1}");
	v = event(2, "{\"comment\":\"done\"}");
	v.op = WEIR_OP_ARCHIVED;
	assert_int_equal(fold_apply(f, &v, NULL), 0);
	assert_json(f, "{\"a\":1}");
	assert_int_equal(fold_version(f), 2);
	fold_free(f);
}

/* First-seen order and the newest values, also past the index's threshold. */
static void
test_many_members(void **state)
{
	enum {
		MEMBERS = 3000,
		ROUNDS = 3
	};
	struct fold *f = fold_new();
	const struct weir_sink_member *m;
	struct buf b;
	size_t n;

	(void)state;
	buf_init(&b, 1 << 24);
	for (unsigned round = 0; round < ROUNDS; round++) {
		buf_clear(&b);
		for (unsigned i = 0; i < MEMBERS; i++)
			buf_printf(&b, "%c\"k%u\":%u", i == 0 ? '{' : ',',
				   round == 0 ? i : MEMBERS - 1 - i, i + round);
		buf_putc(&b, '}');
		apply(f, buf_cstr(&b));
	}
	m = fold_members(f, &n);
	assert_int_equal(n, MEMBERS);
	for (unsigned i = 0; i < MEMBERS; i++) {
		char name[16], value[16];

		snprintf(name, sizeof(name), "k%u", i);
		snprintf(value, sizeof(value), "%u", MEMBERS - 1 - i + 2);
		assert_true(str_is(m[i].name, name));
		assert_true(str_is(m[i].raw, value));
	}
	assert_true(fold_bytes(f) > MEMBERS * 20);
	buf_fini(&b);
	fold_free(f);
}

/* Payloads of any members in any order against the plainest fold there is. */
static void
test_any_order(void **state)
{
	enum {
		NAMES = 20,
		ROUNDS = 400
	};
	static const char *const odd[] = {"caf\\u00e9", "a\\\"b", "\\n"};
	static const char *const shown[] = {"caf\xc3\xa9", "a\"b", "\n"};
	char names[NAMES][16], values[NAMES][40] = {{0}};
	const struct weir_sink_member *m;
	struct weir_sink_member copied[NAMES];
	size_t order[NAMES], seen = 0, n;
	struct fold *f = fold_new();
	struct buf b, all;
	uint32_t r = 1;
	char *copy;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_init(&all, 1 << 20);
	for (unsigned i = 0; i < NAMES; i++)
		snprintf(names[i], sizeof(names[i]), "%s",
			 i < 3 ? odd[i] : "name");
	for (unsigned i = 3; i < NAMES; i++)
		snprintf(names[i], sizeof(names[i]), "name%u", i);
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned first = round % NAMES, step = 7;

		buf_clear(&b);
		for (unsigned k = 0; k < NAMES; k++) {
			unsigned i = (first + k * step) % NAMES;

			r = r * 1103515245u + 12345u;
			if ((r >> 16) % 4 != 0 || (round < 5 && i > 3))
				continue;
			if (values[i][0] == '\0')
				order[seen++] = i;
			snprintf(values[i], sizeof(values[i]), "%.*s%u",
				 (int)((r >> 20) % 9), "123456789",
				 (r >> 18) % 7);
			buf_printf(&b, "%c\"%s\":%s", b.len == 0 ? '{' : ',',
				   names[i], values[i]);
		}
		buf_puts(&b, b.len == 0 ? "{}" : "}");
		apply(f, buf_cstr(&b));
		buf_clear(&all);
		buf_putc(&all, '{');
		for (size_t k = 0; k < seen; k++)
			buf_printf(&all, "%s\"%s\":%s", k == 0 ? "" : ",",
				   names[order[k]], values[order[k]]);
		buf_putc(&all, '}');
		assert_json(f, buf_cstr(&all));
		m = fold_members(f, &n);
		assert_int_equal(n, seen);
		assert_int_equal(fold_count(f), seen);
		copy = malloc(fold_size(f));
		assert_true(str_eq(fold_copy(f, copy, copied), buf_str(&all)));
		for (size_t k = 0; k < seen; k++) {
			assert_true(str_is(m[k].raw, values[order[k]]));
			assert_true(str_is(m[k].name, order[k] < 3
							      ? shown[order[k]]
							      : names[order[k]]));
			assert_true(str_eq(m[k].name, copied[k].name));
			assert_true(str_eq(m[k].raw, copied[k].raw));
		}
		free(copy);
	}
	assert_int_equal(seen, NAMES);
	buf_fini(&all);
	buf_fini(&b);
	fold_free(f);
}

/* A failed application changes no version, and once more makes it whole. */
static void
test_no_memory(void **state)
{
	static const char payload[] =
		"{\"a\":1,\"b\\u0062\":[1],\"c\":{},\"d\":4,\"e\":5,\"f\":6,"
		"\"g\":7,\"h\":8,\"i\":9,\"j\":10,\"k\":11,\"l\":12,\"m\":13,"
		"\"n\":14}";
	unsigned long failed = 0;

	(void)state;
	for (unsigned long n = 1;; n++) {
		struct fold *f = fold_new();
		struct record_view v = event(1, payload);
		struct weir_err err = {0};
		int rc;

		fail_allocation(n);
		rc = fold_apply(f, &v, &err);
		fail_allocation(0);
		if (rc != 0) {
			failed++;
			assert_int_equal(rc, WEIR_ENOMEM);
			assert_int_equal(err.code, WEIR_ENOMEM);
			assert_int_equal(fold_version(f), 0);
			assert_int_equal(fold_apply(f, &v, NULL), 0);
		}
		assert_json(f, payload);
		fold_free(f);
		if (rc == 0)
			break;
	}
	assert_true(failed >= 4);
}

static void
test_aggregate_json(void **state)
{
	uint8_t root[32] = {0xab};
	struct fold *f = fold_new();
	struct buf b;

	(void)state;
	apply(f, "{\"a\":0.10}");
	buf_init(&b, 4096);
	assert_int_equal(fold_aggregate_json(&b, f, str_of("or\"der"),
					     str_of("7"), root, true),
			 0);
	assert_string_equal(
		buf_cstr(&b),
		"{\"aggregate_type\":\"or\\\"der\",\"aggregate_id\":\"7\","
		"\"version\":1,\"state\":{\"a\":0.10},\"merkle_root\":\"ab0000"
		"0000000000000000000000000000000000000000000000000000000000\","
		"\"archived\":true}");
	buf_fini(&b);
	fold_free(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_key_spellings),
		cmocka_unit_test(test_bytes_kept),
		cmocka_unit_test(test_no_object),
		cmocka_unit_test(test_versions_and_ops),
		cmocka_unit_test(test_many_members),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_aggregate_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
