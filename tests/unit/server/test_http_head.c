/* SPDX-License-Identifier: MIT */
/* Heads of requests: what is taken, what is refused, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "server/http_head.h"

/* As libmicrohttpd leaves it. */
#define HEAD(text) "GET\0/health\0HTTP/1.1" text

static bool
lines(const char *text, size_t n)
{
	struct http_head h = {0};

	return http_head_lines(&h, text, text + sizeof("GET\0/health"), n);
}
#define LINES(text) lines(HEAD(text), sizeof(HEAD(text)) - 1)

static void
test_lines(void **state)
{
	(void)state;
	assert_true(LINES("\0\0\0\0"));
	assert_true(LINES("\0\0Host\0 a\0\0\0\0"));
	assert_true(LINES("\0\0Host\0a\0\0B\0\0\0C\0 \t\0\0\0\0"));
	assert_false(LINES(""));
	assert_false(LINES("\0"));
	assert_false(LINES("\0\0"));
	assert_false(LINES("\0\0\0"));
	assert_false(LINES("\0Host\0 a\0\0\0\0")); /* bare LF */
	assert_false(LINES("\0\0Host\0 a\0B\0 c\0\0\0\0"));
	assert_false(LINES("\0\0Host\0 a\0\0\0"));
	assert_false(LINES("\0\0Host\0 a\0\0\0\0x"));
	assert_false(LINES("\0\0Host \0 a\0\0\0\0"));
	assert_false(LINES("\0\0\0 a\0\0\0\0")); /* no name */
	assert_false(LINES("\0\0A\0 b\rC\0\0\0\0"));
	assert_false(LINES("\0\0A\0 b\x01\0\0\0\0"));
	assert_false(LINES("\0\0A\0 b\0c\0\0\0\0")); /* NUL in a value */
	assert_false(LINES("\0\0A\0\0\0\0 b\0\0  c\0\0\0\0")); /* folded */
}

/* Cut or changed at any place it is refused, or still whole lines; and nothing
 * behind its end is looked at. */
static void
test_any_byte(void **state)
{
	static const char whole[] =
		HEAD("\0\0Host\0 a\0\0Accept\0 */*\0\0\0\0");
	char copy[sizeof(whole)];
	size_t n = sizeof(whole) - 1;

	(void)state;
	/* from the version on: without it nothing can be said */
	for (size_t i = sizeof("GET\0/health"); i++ < n - 1;) {
		memcpy(copy, whole, i);
		assert_false(lines(copy, i));
	}
	for (size_t i = sizeof("GET\0/health\0HTTP/1.1") - 1; i < n; i++)
		for (int byte = 0; byte < 32; byte++) {
			memcpy(copy, whole, sizeof(whole));
			copy[i] = (char)byte;
			if (byte != whole[i] && !(byte == '\t' && i > 24))
				assert_false(lines(copy, n));
		}
}

static void
test_long_values(void **state)
{
	static const char whole[] =
		HEAD("\0\0Some\0 a value of more than two words\0\0\0\0");
	char copy[sizeof(whole)];
	size_t from = sizeof(HEAD("\0\0Some\0")) - 1;
	size_t n = sizeof(whole) - 1;

	(void)state;
	for (size_t i = from; i < n - 4; i++)
		for (int byte = 1; byte < 256; byte++) {
			bool control =
				(byte < ' ' && byte != '\t') || byte == 0x7f;

			memcpy(copy, whole, sizeof(whole));
			copy[i] = (char)byte;
			assert_int_equal(lines(copy, n), !control);
		}
}

static struct http_fault
check(struct http_head *h, const char *target, const char *method,
      const char *version)
{
	struct weir_str path;

	return http_head_check(h, &path, method, str_of(target), version);
}

static void
field(struct http_head *h, const char *name, const char *value)
{
	http_head_field(h, str_of(name), str_of(value));
}

static void
test_fields(void **state)
{
	struct http_head h = {0};

	(void)state;
	field(&h, "host", "a \t");
	field(&h, "Content-Length", "12");
	assert_int_equal(check(&h, "/", "POST", "HTTP/1.1").status, 0);
	assert_true(str_is(h.host, "a"));
	assert_int_equal(h.length, 12);
	field(&h, "CONTENT-LENGTH", "12");
	assert_int_equal(check(&h, "/", "POST", "HTTP/1.1").status, 400);

	memset(&h, 0, sizeof(h));
	field(&h, "Host", "a");
	field(&h, "Transfer-Encoding", "Chunked");
	assert_true(h.chunked);
	assert_int_equal(check(&h, "/", "POST", "HTTP/1.1").status, 0);
	assert_int_equal(check(&h, "/", "POST", "HTTP/1.0").status, 400);

	memset(&h, 0, sizeof(h));
	assert_int_equal(check(&h, "/", "GET", "HTTP/1.0").status, 0);
	assert_int_equal(check(&h, "/", "GET", "HTTP/1.1").status, 400);
}

static void
test_targets(void **state)
{
	static const struct {
		const char *target, *path, *host;
	} good[] = {{"/a?b", "/a?b", "x"},
		    {"http://y/a", "/a", "y"},
		    {"HTTPS://y:1/", "/", "y:1"},
		    {"http://y", "/", "y"},
		    {"*", "*", "x"}};
	static const char *const bad[] = {"",	     "a",      "http:///a",
					  "http://", "//\x01", "/a#b",
					  "/ ",	     "/\xc3",  "http://y?a"};
	struct weir_str path;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct http_head h = {0};

		field(&h, "Host", "x");
		assert_int_equal(http_head_check(&h, &path, "GET",
						 str_of(good[i].target),
						 "HTTP/1.1")
					 .status,
				 0);
		assert_true(str_is(path, good[i].path));
		assert_true(str_is(h.host, good[i].host));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct http_head h = {0};

		field(&h, "Host", "x");
		assert_int_equal(check(&h, bad[i], "GET", "HTTP/1.1").status,
				 400);
	}
}

static void
test_hosts(void **state)
{
	(void)state;
	assert_true(http_head_host_is_ours(STR("localhost"), NULL));
	assert_true(http_head_host_is_ours(STR("LocalHost.:80"), NULL));
	assert_true(http_head_host_is_ours(STR("127.1.2.3:7070"), NULL));
	assert_true(http_head_host_is_ours(STR("[::1]"), NULL));
	assert_true(http_head_host_is_ours(STR("b.c:1"), "a, b.c"));
	assert_true(http_head_host_is_ours(STR("a"), "a,b.c"));
	assert_false(http_head_host_is_ours(STR(""), "a"));
	assert_false(http_head_host_is_ours(STR(":80"), "a"));
	assert_false(http_head_host_is_ours(STR("b"), "a,b.c"));
	assert_false(http_head_host_is_ours(STR("128.0.0.1"), NULL));
	assert_false(http_head_host_is_ours(STR("127.1"), NULL));
	assert_false(http_head_host_is_ours(STR("[::1"), NULL));
	assert_false(http_head_host_is_ours(STR("[::1]x"), NULL));
	assert_false(http_head_host_is_ours(STR("localhost:8a"), NULL));

	assert_true(http_head_origin_is_ours(STR("http://A:1"), STR("a:1")));
	assert_false(http_head_origin_is_ours(STR("http://a"), STR("a:1")));
	assert_false(http_head_origin_is_ours(STR("null"), STR("null")));
	assert_false(http_head_origin_is_ours(STR(""), STR("a")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_any_byte),
		cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
