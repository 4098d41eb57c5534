/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include "base/buf.h"
#include "base/os.h"
#include "base_test.h"

#define CHECK(text, value, err) json_check(STR(text), value, "payload", err)

static struct weir_str
checked(const char *text)
{
	struct weir_str value;
	struct weir_err err = {0};

	int rc = json_check(str_of(text), &value, "payload", &err);
	if (rc != 0)
		fail_msg("%s: %s", text, err.msg);
	return value;
}

static void
test_valid(void **state)
{
	static const char *const rows[] = {
		"null",
		"true",
		"false",
		"0",
		"-0",
		"1",
		"-1",
		"10",
		"0.0",
		"1.5e3",
		"1E+3",
		"1e-3",
		"-0.10",
		"1e400",
		"-1E-400",
		"12345678901234567890123",
		"9007199254740993",
		"0.1000000000000000055511151231257827",
		"\"\"",
		"\"a\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
		"\"\\u0000\"",
		"\"\\uD834\\uDD1E\"",
		"\"\\ud7ff\\ue000\"",
		"\"\x7f\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x8a\"",
		"[]",
		"{}",
		"[[]]",
		"[1,2]",
		"{\"\":1}",
		"{\"a\":{\"a\":1}}",
		"[{\"a\":1},{\"a\":1}]",
		"{\"a\":1,\"A\":1,\"a \":1}",
		"{\"a\":[{\"b\":1},{\"b\":2}],\"b\":1}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_str(checked(rows[i]), rows[i]);
	/* white space around is left out, inside it stays */
	assert_str(checked(" \t\r\n[ 1 , 2 ]\n"), "[ 1 , 2 ]");
	assert_str(checked("\n{ \"a\" : 1 } "), "{ \"a\" : 1 }");
	assert_str(checked(" 1 "), "1");
}

static void
test_invalid(void **state)
{
	static const struct {
		const char *text;
		unsigned offset;
		const char *why;
	} rows[] = {
		{"", 0, "unexpected end"},
		{"  ", 2, "unexpected end"},
		{"nul", 3, "unexpected end"},
		{"nulL", 3, "expected a value"},
		{"True", 0, "expected a value"},
		{"NaN", 0, "expected a value"},
		{"+1", 0, "expected a value"},
		{".5", 0, "expected a value"},
		{"-", 1, "unexpected end"},
		{"-a", 1, "expected a digit"},
		{"-Infinity", 1, "expected a digit"},
		{"01", 1, "number with a leading zero"},
		{"-012", 2, "number with a leading zero"},
		{"1.", 2, "unexpected end"},
		{"1.e5", 2, "expected a digit"},
		{"1e", 2, "unexpected end"},
		{"1e+", 3, "unexpected end"},
		{"[1e+,", 4, "expected a digit"},
		{"0x10", 1, "unexpected text behind the value"},
		{"1 2", 2, "unexpected text behind the value"},
		{"{}}", 2, "unexpected text behind the value"},
		{"[", 1, "unexpected end"},
		{"[1", 2, "unexpected end"},
		{"[1,", 3, "unexpected end"},
		{"[1,]", 3, "expected a value"},
		{"[,1]", 1, "expected a value"},
		{"[1 2]", 3, "expected , or ]"},
		{"[1}", 2, "expected , or ]"},
		{"]", 0, "expected a value"},
		{"{", 1, "unexpected end"},
		{"{1:2}", 1, "expected a key in quotes"},
		{"{a:2}", 1, "expected a key in quotes"},
		{"{\"a\"}", 4, "expected :"},
		{"{\"a\" 1}", 5, "expected :"},
		{"{\"a\":}", 5, "expected a value"},
		{"{\"a\":1,}", 7, "expected a key in quotes"},
		{"{\"a\":1]", 6, "expected , or }"},
		{"{\"a\":1 \"b\":2}", 7, "expected , or }"},
		{"'a'", 0, "expected a value"},
		{"\"", 1, "unexpected end"},
		{"\"abc", 4, "unexpected end"},
		{"\"abc\\", 5, "unexpected end"},
		{"\"abc\\\"", 6, "unexpected end"},
		{"\"a\\x\"", 2, "unknown escape"},
		{"\"a\\U0041\"", 2, "unknown escape"},
		{"\"\\u12\"", 1, "\\u without four hex digits"},
		{"\"\\u12G4\"", 1, "\\u without four hex digits"},
		{"\"\\ud800\"", 1, "lone surrogate"},
		{"\"\\udc00\"", 1, "lone surrogate"},
		{"\"\\udc00\\udc00\"", 1, "lone surrogate"},
		{"\"\\ud800\\u0041\"", 1, "lone surrogate"},
		{"\"\\ud800\\ud800\"", 1, "lone surrogate"},
		{"\"ab\\udbff\\n12345\"", 3, "lone surrogate"},
		{"\"a\nb\"", 2, "control character in a string"},
		{"\"12345678\t\"", 9, "control character in a string"},
		{"\"a\xff\"", 2, "invalid UTF-8"},
		{"\"12345678\xed\xa0\x80\"", 9, "invalid UTF-8"},
		{"\"\xc0\x80\"", 1, "invalid UTF-8"},
		{"\xef\xbb\xbf{}", 0, "expected a value"},
		{"\x0b"
		 "1",
		 0, "expected a value"},
		{"1\xc2\xa0", 1, "unexpected text behind the value"},
		{"{\"a\":1}//x", 7, "unexpected text behind the value"},
		{"{\"a\":1,\"a\":2}", 7, "duplicate key \"a\""},
		{"{\"a\":1,\"\\u0061\":2}", 7, "duplicate key \"\\u0061\""},
		{"{\"\\u00e9\":1,\"b\":2,\"\xc3\xa9\":3}", 18,
		 "duplicate key \"\xc3\xa9\""},
		{"{\"\\ud83c\\udf0a\":1,\"\xf0\x9f\x8c\x8a\":2}", 18,
		 "duplicate key \"\xf0\x9f\x8c\x8a\""},
		{"{\"a/b\":1,\"a\\/b\":2}", 9, "duplicate key \"a\\/b\""},
		{"{\"\":1,\"\":2}", 6, "duplicate key \"\""},
		{"{\"x\":{\"a\":1},\"x\":2}", 13, "duplicate key \"x\""},
		{"[{\"k\":[{\"k\":1,\"k\":1}]}]", 14, "duplicate key \"k\""},
	};
	struct weir_str value = STR("before");
	struct weir_err err;
	char want[200];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		memset(&err, 0, sizeof err);
		int rc = json_check(str_of(rows[i].text), &value, "payload",
				    &err);
		snprintf(want, sizeof want, "payload: %s at byte %u",
			 rows[i].why, rows[i].offset);
		assert_int_equal(rc, WEIR_EINPUT);
		assert_string_equal(err.msg, want);
		assert_int_equal(err.offset, rows[i].offset);
	}
	assert_str(value, "before");
	assert_int_equal(CHECK("[", &value, NULL), WEIR_EINPUT);
	/* every control character, at every place of a word and its rest */
	for (size_t at = 1; at <= 12; at++) {
		char text[] = "\"abcdefghijkl\"";
		for (int c = 0; c < 0x20; c++) {
			text[at] = (char)c;
			struct weir_str s = {text, sizeof text - 1};
			assert_int_equal(json_check(s, &value, "x", &err),
					 WEIR_EINPUT);
			assert_int_equal(err.offset, at);
		}
	}
	/* a NUL is no white space and ends nothing */
	assert_int_equal(CHECK("1\0", &value, &err), WEIR_EINPUT);
	assert_int_equal(CHECK("\"a\0b\"", &value, &err), WEIR_EINPUT);
	assert_int_equal(CHECK("\"\\\0\"", &value, &err), WEIR_EINPUT);
	assert_int_equal(
		json_check((struct weir_str){NULL, 0}, &value, "x", &err),
		WEIR_EINPUT);
}

static char *
nested(unsigned levels, const char *open, const char *inner, const char *close)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	for (unsigned i = 0; i < levels; i++)
		buf_puts(&b, open);
	buf_puts(&b, inner);
	for (unsigned i = 0; i < levels; i++)
		buf_puts(&b, close);
	assert_true(buf_cstr(&b) == b.data);
	return b.data;
}

static void
test_depth(void **state)
{
	struct weir_str value;
	struct weir_err err = {0};
	char *text;

	(void)state;
	text = nested(64, "[", "", "]");
	checked(text);
	mem_free(text);
	text = nested(64, "{\"a\":", "1", "}");
	checked(text);
	mem_free(text);
	text = nested(65, "[", "", "]");
	assert_int_equal(json_check(str_of(text), &value, "payload", &err),
			 WEIR_EINPUT);
	assert_string_equal(err.msg, "payload: nested too deep, at most 64 levels at byte 64");
	mem_free(text);
	text = nested(65, "{\"a\":", "1", "}");
	assert_int_equal(json_check(str_of(text), &value, "payload", &err),
			 WEIR_EINPUT);
	assert_int_equal(err.offset, 64 * 5);
	mem_free(text);
	/* an object that holds a payload may have one level more */
	text = nested(65, "[", "", "]");
	assert_int_equal(
		json_check_depth(str_of(text), &value, 65, "record", &err), 0);
	mem_free(text);
	text = nested(66, "[", "", "]");
	assert_int_equal(
		json_check_depth(str_of(text), &value, 65, "record", &err),
		WEIR_EINPUT);
	assert_int_equal(err.offset, 65);
	mem_free(text);
	/* depth goes down again: wide is no deep */
	text = nested(1, "[[[]],[[]],{\"a\":[]},", "[]", "]");
	checked(text);
	mem_free(text);
	text = nested(1 << 17, "[", "", "]");
	assert_int_equal(json_check(str_of(text), &value, "payload", &err),
			 WEIR_EINPUT);
	mem_free(text);
}

/* Many keys, nested objects between them; the last key is the odd one. */
static void
many_keys(struct buf *b, unsigned n, const char *last)
{
	buf_clear(b);
	buf_putc(b, '{');
	for (unsigned i = 0; i < n; i++)
		buf_printf(b, "\"k%u\":{\"k%u\":1,\"\\u006b%u\":2},", i, i,
			   i + 1);
	buf_printf(b, "\"%s\":0}", last);
}

/* Every byte at every place of strings of many lengths, as the first of two
 * values: the large steps end where they must. Memory is as long as the text. */
static void
test_string_bytes(void **state)
{
	(void)state;
	for (size_t n = 1; n <= 40; n += n < 20 ? 1 : 5) {
		size_t len = n + 6; /* ["...",1] less the text */
		char *text = malloc(len);
		assert_non_null(text);
		for (size_t at = 0; at < n; at++) {
			for (unsigned b = 0; b < 256; b++) {
				struct weir_str value, key, first;
				struct json_iter it;
				memset(text + 2, 'a', n);
				memcpy(text, "[\"", 2);
				memcpy(text + 2 + n, "\",1]", 4);
				text[2 + at] = (char)b;
				int rc = json_check(
					(struct weir_str){text, len}, &value,
					"payload", NULL);
				bool good = b >= 0x20 && b < 0x80 &&
					    b != '"' && b != '\\';
				assert_int_equal(rc == 0, good);
				if (!good)
					continue;
				json_iter_init(&it, value);
				assert_true(json_iter_next(&it, &key, &first));
				assert_int_equal(first.len, n + 2);
			}
		}
		free(text);
	}
}

static void
test_many_keys(void **state)
{
	static const unsigned counts[] = {14, 15, 16, 17, 18, 127, 128, 5000};
	struct weir_str value;
	struct weir_err err;
	struct buf b;
	char key[32];

	(void)state;
	buf_init(&b, 8 << 20);
	for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		unsigned n = counts[i];
		many_keys(&b, n, "new");
		assert_int_equal(json_check(buf_str(&b), &value, "p", &err), 0);
		for (unsigned k = 0; k < n; k += n / 7 + 1) {
			snprintf(key, sizeof key, "k%u", k);
			many_keys(&b, n, key);
			assert_int_equal(
				json_check(buf_str(&b), &value, "p", &err),
				WEIR_EINPUT);
			snprintf(key, sizeof key, "\\u006B%u", k);
			many_keys(&b, n, key);
			assert_int_equal(
				json_check(buf_str(&b), &value, "p", &err),
				WEIR_EINPUT);
			assert_non_null(strstr(err.msg, "duplicate key"));
		}
	}
	/* quadratic work would take minutes here */
	buf_clear(&b);
	buf_putc(&b, '{');
	for (unsigned i = 0; i < 300000; i++)
		buf_printf(&b, "\"%x\":1,", i);
	buf_puts(&b, "\"\":2}");
	assert_int_equal(json_check(buf_str(&b), &value, "p", &err), 0);
	buf_fini(&b);
}

/* Two big objects side by side may share keys; long keys are compared whole. */
static void
test_key_sets(void **state)
{
	struct weir_str value;
	struct weir_err err;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_putc(&b, '[');
	for (unsigned obj = 0; obj < 40; obj++) {
		buf_puts(&b, obj > 0 ? ",{" : "{");
		for (unsigned i = 0; i < 40; i++)
			buf_printf(&b, "%s\"a long key that goes on %u\":1",
				   i > 0 ? "," : "", i);
		buf_putc(&b, '}');
	}
	buf_putc(&b, ']');
	assert_int_equal(json_check(buf_str(&b), &value, "p", &err), 0);
	buf_fini(&b);
}

static void *
no_memory(void *p, size_t n)
{
	(void)p;
	(void)n;
	return NULL;
}

static void
test_no_memory(void **state)
{
	struct os table = *os_real();
	struct weir_str value;
	struct weir_err err;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	many_keys(&b, 100, "x");
	table.realloc = no_memory;
	os_set(&table);
	assert_int_equal(json_check(buf_str(&b), &value, "p", &err),
			 WEIR_ENOMEM);
	/* small objects ask for none */
	assert_int_equal(CHECK("{\"a\":1,\"b\":[2]}", &value, &err), 0);
	os_set(NULL);
	buf_fini(&b);
}

static void
test_kind(void **state)
{
	(void)state;
	assert_int_equal(json_kind(STR("null")), WEIR_NULL);
	assert_int_equal(json_kind(STR("true")), WEIR_BOOL);
	assert_int_equal(json_kind(STR("false")), WEIR_BOOL);
	assert_int_equal(json_kind(STR("-1")), WEIR_NUMBER);
	assert_int_equal(json_kind(STR("1")), WEIR_NUMBER);
	assert_int_equal(json_kind(STR("\"\"")), WEIR_STRING);
	assert_int_equal(json_kind(STR("[]")), WEIR_ARRAY);
	assert_int_equal(json_kind(STR("{}")), WEIR_OBJECT);
}

static void
test_iter(void **state)
{
	static const char *const want[][2] = {
		{"\"a\"", "12345678901234567890123"},
		{"\"b}\"", "\"x,]}\\\"\\\\\""},
		{"\"c\"", "{ \"d\" : [ 1 , {} ] }"},
		{"\"e\"", "[[],[\"]\"]]"},
		{"\"f\"", "true"},
		{"\"\\u0067\"", "-0.10"},
	};
	struct weir_str key, value;
	struct json_iter it;
	size_t n = 0;

	(void)state;
	json_iter_init(
		&it,
		checked(" {\"a\":12345678901234567890123 ,\n"
			"\"b}\" : \"x,]}\\\"\\\\\",\"c\":{ \"d\" : [ 1 , {} ] }"
			",\"e\":[[],[\"]\"]],\"f\":true,\"\\u0067\":-0.10\t}"));
	while (json_iter_next(&it, &key, &value)) {
		assert_true(n < 6);
		assert_str(key, want[n][0]);
		assert_str(value, want[n][1]);
		n++;
	}
	assert_int_equal(n, 6);
	assert_false(json_iter_next(&it, &key, &value));

	n = 0;
	json_iter_init(&it, checked("[ 1 ,\"a\", null,[2,3] , {\"x\":[]} ]"));
	while (json_iter_next(&it, &key, &value)) {
		assert_null(key.data);
		n++;
	}
	assert_int_equal(n, 5);
	assert_str(value, "{\"x\":[]}");
	json_iter_init(&it, checked("{ }"));
	assert_false(json_iter_next(&it, &key, &value));
	json_iter_init(&it, checked("[\n]"));
	assert_false(json_iter_next(&it, &key, &value));
}

static void
test_get_values(void **state)
{
	struct weir_str object = checked(
		"{\"s\":\"a\\u00e9\",\"n\":18446744073709551615,\"f\":1.5,"
		"\"null\":null}");
	char text[8];

	(void)state;
	json_get_text(text, sizeof(text), object, "s");
	assert_string_equal(text, "a\xc3\xa9");
	json_get_text(text, 8, object, "n");
	assert_string_equal(text, "");
	memcpy(text, "before", 7);
	json_get_text(text, 7, object, "s"); /* written with 7 bytes */
	assert_string_equal(text, "");
	json_get_text(text, sizeof(text), object, "none");
	assert_string_equal(text, "");
	assert_int_equal(json_get_u64(object, "n"), UINT64_MAX);
	assert_int_equal(json_get_u64(object, "f"), 0);
	assert_int_equal(json_get_u64(object, "s"), 0);
	assert_int_equal(json_get_u64(object, "null"), 0);
	assert_int_equal(json_get_u64(object, "none"), 0);
}

static void
test_get(void **state)
{
	struct weir_str object = checked(
		"{\"a\":1,\"b\":{\"c\":2},\"\\u00e9\":3,\"\":4,\"n\":null}");
	struct weir_str value = STR("before");

	(void)state;
	assert_false(json_get(object, "c", &value));
	assert_false(json_get(object, "aa", &value));
	assert_str(value, "before");
	assert_true(json_get(object, "a", &value));
	assert_str(value, "1");
	assert_true(json_get(object, "b", &value));
	assert_str(value, "{\"c\":2}");
	assert_true(json_get(object, "\xc3\xa9", &value));
	assert_str(value, "3");
	assert_true(json_get(object, "", &value));
	assert_str(value, "4");
	assert_true(json_get(object, "n", &value));
	assert_str(value, "null");
}

static void
test_decode(void **state)
{
	static const struct {
		const char *raw, *text;
		size_t len;
	} rows[] = {
		{"\"\"", "", 0},
		{"\"abc\"", "abc", 3},
		{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
		{"\"a\\u0000b\"", "a\0b", 3},
		{"\"\\u00e9\\u20AC\"", "\xc3\xa9\xe2\x82\xac", 5},
		{"\"x\\ud83c\\udf0ay\"", "x\xf0\x9f\x8c\x8ay", 6},
		{"\"\\uD800\\uDC00\"", "\xf0\x90\x80\x80", 4},
		{"\"\\uDBFF\\uDFFF\"", "\xf4\x8f\xbf\xbf", 4},
	};
	struct buf b;
	char out[64];

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct weir_str raw = checked(rows[i].raw);
		assert_int_equal(json_decode(out, raw), rows[i].len);
		assert_memory_equal(out, rows[i].text, rows[i].len);
		buf_clear(&b);
		buf_putc(&b, '>');
		assert_int_equal(json_decode_buf(&b, raw), 0);
		assert_int_equal(b.len, 1 + rows[i].len);
		assert_memory_equal(b.data + 1, rows[i].text, rows[i].len);
	}
	buf_fini(&b);
	assert_true(json_string_is(STR("\"a\\u0062c\""), "abc"));
	assert_false(json_string_is(STR("\"a\\u0062c\""), "ab"));
	assert_false(json_string_is(STR("\"ab\""), "abc"));
	assert_false(json_string_is(STR("\"a\\u0000\""), "a"));
}

static void
test_integers(void **state)
{
	uint64_t u = 5;
	int64_t i = 5;

	(void)state;
	assert_int_equal(json_u64(&u, STR("18446744073709551615")), 0);
	assert_true(u == UINT64_MAX);
	assert_int_equal(json_u64(&u, STR("18446744073709551616")), -1);
	assert_int_equal(json_u64(&u, STR("-1")), -1);
	assert_int_equal(json_u64(&u, STR("1.0")), -1);
	assert_int_equal(json_u64(&u, STR("1e2")), -1);
	assert_int_equal(json_u64(&u, STR("\"1\"")), -1);
	assert_int_equal(json_i64(&i, STR("-9223372036854775808")), 0);
	assert_true(i == INT64_MIN);
	assert_int_equal(json_i64(&i, STR("9223372036854775807")), 0);
	assert_true(i == INT64_MAX);
	assert_int_equal(json_i64(&i, STR("9223372036854775808")), -1);
	assert_int_equal(json_i64(&i, STR("-9223372036854775809")), -1);
	assert_int_equal(json_i64(&i, STR("-0")), 0);
	assert_int_equal(i, 0);
	assert_int_equal(json_i64(&i, STR("null")), -1);
	assert_int_equal(json_i64(&i, STR("1.5")), -1);
}

static void
test_put_string(void **state)
{
	struct weir_str raw;
	struct buf b;
	char all[256];
	char back[256];

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(json_put_string(&b, STR("a\"b\\c\n\x01\x1f\x7f/")), 0);
	assert_str(buf_str(&b), "\"a\\\"b\\\\c\\n\\u0001\\u001f\x7f/\"");
	buf_clear(&b);
	json_put_string(&b, (struct weir_str){NULL, 0});
	assert_str(buf_str(&b), "\"\"");
	/* every ASCII byte there and back */
	for (int i = 0; i < 128; i++)
		all[i] = (char)i;
	buf_clear(&b);
	json_put_string(&b, (struct weir_str){all, 128});
	assert_int_equal(json_check(buf_str(&b), &raw, "x", NULL), 0);
	assert_true(raw.len - 2 <= sizeof back * 3);
	char wide[1024];
	assert_int_equal(json_decode(wide, raw), 128);
	assert_memory_equal(wide, all, 128);
	buf_fini(&b);

	buf_init(&b, 5);
	buf_putc(&b, 'x');
	assert_int_equal(json_put_string(&b, STR("abc")), WEIR_ENOMEM);
	assert_int_equal(b.len, 1);
	assert_true(b.failed);
	buf_fini(&b);
}

static void
test_layout(void **state)
{
	static const char text[] =
		"{ \"a\" : [ 1.10 , { } , [\n] ] ,\t\"b c\":\"x \\\" y\" , "
		"\"d\":{\"e\":null}}";
	struct weir_str value = checked(text);
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(json_put_compact(&b, value), 0);
	assert_str(buf_str(&b), "{\"a\":[1.10,{},[]],\"b c\":\"x \\\" y\","
				"\"d\":{\"e\":null}}");
	buf_clear(&b);
	assert_int_equal(json_put_pretty(&b, value, 0), 0);
	assert_str(buf_str(&b), "{\n"
				"  \"a\": [\n"
				"    1.10,\n"
				"    {},\n"
				"    []\n"
				"  ],\n"
				"  \"b c\": \"x \\\" y\",\n"
				"  \"d\": {\n"
				"    \"e\": null\n"
				"  }\n"
				"}");
	buf_clear(&b);
	json_put_pretty(&b, STR("[1]"), 2);
	assert_str(buf_str(&b), "[\n      1\n    ]");
	buf_clear(&b);
	json_put_pretty(&b, STR("1e400"), 3);
	assert_str(buf_str(&b), "1e400");
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_string_bytes),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_key_sets),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_kind),
		cmocka_unit_test(test_iter),
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_get_values),
		cmocka_unit_test(test_put_string),
		cmocka_unit_test(test_layout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
