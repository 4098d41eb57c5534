/* SPDX-License-Identifier: MIT */
/*
 * Random texts from a fixed seed, made by a generator and then damaged:
 * json_check and cJSON must agree wherever both have the same rules. cJSON is
 * laxer in some places (control characters, UTF-8, numbers such as 01, text
 * behind the value, duplicate keys), so the rule is: what json_check takes
 * cJSON takes, and what is undamaged both take. What json_check takes is also
 * walked, printed and checked again, which a sanitizer build watches.
 */
#include "base/json.h"

#include "base/buf.h"
#include "base_test.h"

#include <cjson/cJSON.h>

#define ROUNDS 20000

static uint64_t seed = 0x7765697220726976u;

static unsigned
random_below(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 32) % n;
}

static void
put_space(struct buf *b)
{
	while (random_below(5) == 0)
		buf_putc(b, " \t\r\n"[random_below(4)]);
}

static void
put_string(struct buf *b)
{
	static const char *const parts[] = {
		"a",
		"key",
		"\\n",
		"\\\"",
		"\\\\",
		"\\u0041",
		"\\ud83c\\udf0a",
		"\xc3\xa9",
		"\xe2\x82\xac",
		"\xf0\x9f\x8c\x8a",
		" ",
		"}",
		"]",
		"a longer run of letters",
		"\\/",
		"\x7f",
		",",
		":",
	};
	unsigned n = random_below(5);

	buf_putc(b, '"');
	while (n-- > 0)
		buf_puts(b,
			 parts[random_below(sizeof parts / sizeof parts[0])]);
	buf_putc(b, '"');
}

static void
put_number(struct buf *b)
{
	if (random_below(3) == 0)
		buf_putc(b, '-');
	buf_printf(b, "%u", random_below(1000));
	if (random_below(3) == 0)
		buf_printf(b, ".%03u", random_below(1000));
	if (random_below(4) == 0)
		buf_printf(b, "%s%u", random_below(2) ? "e-" : "E+",
			   random_below(30));
}

static void put_value(struct buf *b, unsigned depth);

static void
put_container(struct buf *b, unsigned depth, bool object)
{
	unsigned n = random_below(depth > 4 ? 1 : 5);

	if (random_below(60) == 0)
		n = 40;
	buf_putc(b, object ? '{' : '[');
	put_space(b);
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(b, ',');
		put_space(b);
		if (object) {
			/* a number of its own keeps keys apart */
			put_string(b);
			b->len--;
			buf_printf(b, "%u\"", i);
			put_space(b);
			buf_putc(b, ':');
			put_space(b);
		}
		put_value(b, depth + 1);
		put_space(b);
	}
	buf_putc(b, object ? '}' : ']');
}

static void
put_value(struct buf *b, unsigned depth)
{
	static const char *const words[] = {"null", "true", "false"};

	switch (random_below(depth > 5 ? 3 : 6)) {
	case 0:
		buf_puts(b, words[random_below(3)]);
		break;
	case 1:
		put_number(b);
		break;
	case 2:
		put_string(b);
		break;
	default:
		put_container(b, depth, random_below(2) == 0);
		break;
	}
}

static void
damage(struct buf *b)
{
	static const char bytes[] = "{}[]\",:\\0-.eEtnu \xff\x80\x01";
	unsigned times = 1 + random_below(3);

	while (times-- > 0 && b->len > 0) {
		size_t at = random_below((unsigned)b->len);
		switch (random_below(4)) {
		case 0: /* cut */
			b->len = at;
			break;
		case 1: /* leave out one */
			memmove(b->data + at, b->data + at + 1,
				b->len - at - 1);
			b->len--;
			break;
		default:
			b->data[at] = bytes[random_below(sizeof bytes - 1)];
			break;
		}
	}
}

/* Walks all of a checked value; returns how many values it holds. */
static size_t
walk(struct weir_str value)
{
	struct json_iter it;
	struct weir_str key, member, again;
	struct buf b;
	size_t n = 1;

	if (json_kind(value) == WEIR_STRING) {
		buf_init(&b, 1 << 20);
		assert_int_equal(json_decode_buf(&b, value), 0);
		assert_int_equal(str_utf8_valid(buf_str(&b)), b.len);
		buf_fini(&b);
	}
	if (json_kind(value) < WEIR_ARRAY)
		return n;
	json_iter_init(&it, value);
	while (json_iter_next(&it, &key, &member)) {
		assert_int_equal(json_check(member, &again, "part", NULL), 0);
		assert_int_equal(again.len, member.len);
		assert_int_equal(key.data != NULL,
				 json_kind(value) == WEIR_OBJECT);
		n += walk(member);
	}
	return n;
}

static size_t
count_nodes(const cJSON *node)
{
	size_t n = 1;

	for (const cJSON *c = node->child; c != NULL; c = c->next)
		n += count_nodes(c);
	return n;
}

static void
agree_on_taken(struct weir_str text, struct weir_str value)
{
	struct weir_str again;
	struct buf b;
	cJSON *tree = cJSON_ParseWithLength(text.data, text.len);

	if (tree == NULL)
		fail_msg("cJSON refuses: %.*s", (int)text.len, text.data);
	size_t n = walk(value);
	assert_int_equal(n, count_nodes(tree));
	cJSON_Delete(tree);

	buf_init(&b, 16 << 20);
	assert_int_equal(json_put_pretty(&b, value, 0), 0);
	assert_int_equal(json_check(buf_str(&b), &again, "pretty", NULL), 0);
	assert_int_equal(walk(again), n);
	struct buf c;
	buf_init(&c, 16 << 20);
	assert_int_equal(json_put_compact(&c, again), 0);
	buf_clear(&b);
	assert_int_equal(json_put_compact(&b, value), 0);
	assert_true(str_eq(buf_str(&b), buf_str(&c)));
	buf_fini(&b);
	buf_fini(&c);
}

static void
test_random(void **state)
{
	struct weir_str value;
	struct weir_err err;
	struct buf b;
	unsigned taken = 0, refused = 0;

	(void)state;
	buf_init(&b, 16 << 20);
	for (int i = 0; i < ROUNDS; i++) {
		buf_clear(&b);
		put_space(&b);
		put_value(&b, 0);
		put_space(&b);
		assert_false(b.failed);
		int rc = json_check(buf_str(&b), &value, "whole", &err);
		if (rc != 0)
			fail_msg("%s: %s", err.msg, buf_cstr(&b));
		agree_on_taken(buf_str(&b), value);

		damage(&b);
		/* exactly as long as the memory: reading behind it shows */
		char *copy = malloc(b.len > 0 ? b.len : 1);
		assert_non_null(copy);
		if (b.len > 0)
			memcpy(copy, b.data, b.len);
		struct weir_str text = {copy, b.len};
		if (json_check(text, &value, "damaged", &err) == 0) {
			agree_on_taken(text, value);
			taken++;
		} else {
			assert_int_equal(err.code, WEIR_EINPUT);
			assert_true(err.offset <= text.len);
			refused++;
		}
		free(copy);
	}
	buf_fini(&b);
	assert_true(taken > ROUNDS / 20);
	assert_true(refused > ROUNDS / 4);
}

/* Where the rules are the same, cJSON's refusal must be ours too: damage that
 * only takes away brackets, quotes, commas or colons. */
static void
test_structure(void **state)
{
	struct weir_str value;
	struct buf b;
	unsigned both = 0;

	(void)state;
	buf_init(&b, 16 << 20);
	for (int i = 0; i < ROUNDS; i++) {
		buf_clear(&b);
		put_container(&b, 0, i % 2 == 0);
		size_t at = random_below((unsigned)b.len);
		if (strchr("{}[]\",:", b.data[at]) == NULL)
			continue;
		memmove(b.data + at, b.data + at + 1, b.len - at - 1);
		b.len--;
		cJSON *tree = cJSON_ParseWithLength(b.data, b.len);
		int rc = json_check(buf_str(&b), &value, "x", NULL);
		if (tree == NULL) {
			assert_int_equal(rc, WEIR_EINPUT);
			both++;
		}
		cJSON_Delete(tree);
	}
	buf_fini(&b);
	assert_true(both > 1000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_structure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
