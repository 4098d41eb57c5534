/* SPDX-License-Identifier: MIT */
#include "base/str.h"

#include "base_test.h"

static void
test_compare(void **state)
{
	struct weir_str none = str_of(NULL);

	(void)state;
	assert_null(none.data);
	assert_true(str_eq(none, STR("")));
	assert_true(str_is(STR("ab"), "ab"));
	assert_false(str_is(STR("ab"), "abc"));
	assert_true(str_cmp(STR("a"), STR("b")) < 0);
	assert_true(str_cmp(STR("a"), STR("ab")) < 0);
	assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
	assert_int_equal(str_cmp(none, STR("")), 0);
}

static void
test_utf8(void **state)
{
	static const struct {
		const char *text;
		size_t valid;
	} rows[] = {
		{"", 0},
		{"plain ascii that is long enough", 31},
		{"\xc3\xa9", 2},
		{"12345678\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x8a", 17},
		{"\x80", 0},		  /* a tail alone */
		{"a\xc3", 1},		  /* cut */
		{"a\xe2\x82", 1},	  /* cut */
		{"a\xf0\x9f\x8c", 1},	  /* cut */
		{"a\xc0\xaf", 1},	  /* overlong */
		{"a\xc1\xbf", 1},	  /* overlong */
		{"a\xe0\x9f\xbf", 1},	  /* overlong */
		{"a\xf0\x8f\xbf\xbf", 1}, /* overlong */
		{"a\xed\xa0\x80", 1},	  /* surrogate */
		{"a\xed\xbf\xbf", 1},	  /* surrogate */
		{"a\xed\x9f\xbf", 4},	  /* U+D7FF */
		{"a\xee\x80\x80", 4},	  /* U+E000 */
		{"a\xf4\x8f\xbf\xbf", 5}, /* U+10FFFF */
		{"a\xf4\x90\x80\x80", 1}, /* above */
		{"a\xf5\x80\x80\x80", 1}, /* above */
		{"\xe2\x82(", 0},	  /* no tail */
		{"12345678\xff", 8},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(str_utf8_valid(str_of(rows[i].text)),
				 rows[i].valid);
	assert_int_equal(str_utf8_valid((struct weir_str){"a\0b", 3}), 3);
}

/* Every code point there and back. */
static void
test_utf8_all(void **state)
{
	char text[4];

	(void)state;
	for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
		size_t n = str_utf8_put(text, cp);
		bool surrogate = cp >= 0xd800 && cp <= 0xdfff;
		assert_int_equal(str_utf8_one(text, n), surrogate ? 0 : n);
		if (surrogate)
			continue;
		assert_int_equal(str_utf8_one(text, n - 1), 0);
		size_t at = 0;
		assert_int_equal(str_utf8_next((struct weir_str){text, n}, &at),
				 cp);
		assert_int_equal(at, n);
	}
}

static void
test_names(void **state)
{
	struct weir_err err = {0};
	char longest[129];

	(void)state;
	memset(longest, 'x', sizeof longest);
	struct weir_str s = {longest, 128};
	assert_int_equal(str_check_name(s, "event", 128, true, &err), 0);
	s.len = 129;
	assert_int_equal(str_check_name(s, "event", 128, true, &err),
			 WEIR_EINPUT);
	assert_string_equal(err.msg,
			    "event has 129 bytes; at most 128 are allowed");
	assert_int_equal(str_check_name(STR(""), "event", 128, true, &err),
			 WEIR_EINPUT);
	assert_int_equal(str_check_name(STR("a\tb"), "field", 128, true, &err),
			 WEIR_EINPUT);
	assert_string_equal(
		err.msg, "field holds the control character U+0009 at byte 1");
	assert_int_equal(err.offset, 1);
	assert_int_equal(str_check_name(STR("a\x7f"), "f", 128, true, &err),
			 WEIR_EINPUT);
	assert_int_equal(str_check_name(STR("\xc2\x85"), "f", 128, true, &err),
			 WEIR_EINPUT);
	assert_int_equal(str_check_name(STR("\xc2\xa0"), "f", 128, true, &err),
			 0);
	assert_int_equal(str_check_name(STR("ab\xff"), "f", 128, true, &err),
			 WEIR_EINPUT);
	assert_string_equal(err.msg, "f holds invalid UTF-8 at byte 2");
	assert_int_equal(str_check_name((struct weir_str){"a\0", 2}, "f", 128,
					true, &err),
			 WEIR_EINPUT);
	assert_int_equal(str_check_name(STR("$x"), "f", 128, true, &err),
			 WEIR_EDENIED);
	assert_int_equal(str_check_name(STR("$x"), "f", 128, false, &err), 0);
	assert_int_equal(str_check_name(STR("x$"), "f", 128, true, &err), 0);
	assert_int_equal(str_check_name(STR(""), "f", 128, true, NULL),
			 WEIR_EINPUT);
}

/* Every byte at every place of short names. */
static void
test_names_bytes(void **state)
{
	(void)state;
	for (size_t n = 1; n <= 18; n++) {
		for (size_t at = 0; at < n; at++) {
			for (unsigned b = 0; b < 256; b++) {
				char name[18];
				memset(name, 'a', n);
				name[at] = (char)b;
				int rc = str_check_name(
					(struct weir_str){name, n}, "f", 128,
					false, NULL);
				assert_int_equal(rc == 0,
						 b >= 0x20 && b < 0x7f);
			}
		}
	}
}

static void
test_tags(void **state)
{
	static const char *const white[] = {
		" ",
		"a b",
		"\xc2\xa0",
		"\xe1\x9a\x80",
		"\xe2\x80\x80",
		"\xe2\x80\x8a",
		"\xe2\x80\xa8",
		"\xe2\x80\xa9",
		"\xe2\x80\xaf",
		"\xe2\x81\x9f",
		"\xe3\x80\x80",
		"a\tb",
	};
	struct weir_err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof white / sizeof white[0]; i++)
		assert_int_equal(str_check_tag(str_of(white[i]), &err),
				 WEIR_EINPUT);
	/* U+200B and U+FEFF are no White_Space */
	assert_int_equal(str_check_tag(STR("a\xe2\x80\x8b"), &err), 0);
	assert_int_equal(str_check_tag(STR("\xc3\xa9t\xc3\xa9:1"), &err), 0);
}

static void
test_hex_any(void **state)
{
	unsigned char raw[256];
	char text[2 * 64 + 1], want[3];

	(void)state;
	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (unsigned char)i;
	for (size_t n = 0; n <= 64; n++)
		for (size_t from = 0; from + n <= sizeof(raw); from++) {
			str_hex(text, raw + from, n);
			assert_int_equal(strlen(text), 2 * n);
			for (size_t i = 0; i < n; i++) {
				snprintf(want, sizeof(want), "%02x",
					 raw[from + i]);
				assert_memory_equal(text + 2 * i, want, 2);
			}
		}
}

static void
test_hex(void **state)
{
	unsigned char raw[4] = {0, 0, 0, 0x55};
	char text[9];

	(void)state;
	str_hex(text, "\x00\x9f\xab\xff", 4);
	assert_string_equal(text, "009fabff");
	assert_int_equal(str_unhex(raw, STR("9fAB01"), 3), 0);
	assert_memory_equal(raw, "\x9f\xab\x01\x55", 4);
	assert_int_equal(str_unhex(raw, STR("9fAB0"), 2), -1);
	assert_int_equal(str_unhex(raw, STR("9fAB0g"), 3), -1);
	assert_int_equal(str_unhex(raw, STR("9fAB00"), 2), -1);
	assert_int_equal(raw[2], 1);
}

static void
test_base64(void **state)
{
	/* RFC 4648, section 10 */
	static const char *const rows[][2] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
	};
	static const char *const bad[] = {
		"Z",	"Zg",	    "Zg=",    "Zh==", "Zm9=", "Z===",
		"====", "Zg==Zg==", "Zm9v\n", "Zm-_", "=AAA"};
	char text[16];
	unsigned char raw[16];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		size_t n = strlen(rows[i][0]);
		assert_int_equal(str_base64_len(n), strlen(rows[i][1]));
		str_base64(text, rows[i][0], n);
		assert_memory_equal(text, rows[i][1], strlen(rows[i][1]));
		assert_int_equal(str_unbase64(raw, str_of(rows[i][1])), n);
		assert_memory_equal(raw, rows[i][0], n);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(str_unbase64(raw, str_of(bad[i])), -1);
	str_base64(text, "\xfb\xff\xfe", 3);
	assert_memory_equal(text, "+//+", 4);
}

static void
test_numbers(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_int_equal(str_u64(&v, STR("0")), 0);
	assert_int_equal(v, 0);
	assert_int_equal(str_u64(&v, STR("18446744073709551615")), 0);
	assert_true(v == UINT64_MAX);
	v = 7;
	assert_int_equal(str_u64(&v, STR("18446744073709551616")), -1);
	assert_int_equal(str_u64(&v, STR("99999999999999999999")), -1);
	assert_int_equal(str_u64(&v, STR("")), -1);
	assert_int_equal(str_u64(&v, STR("-1")), -1);
	assert_int_equal(str_u64(&v, STR("+1")), -1);
	assert_int_equal(str_u64(&v, STR(" 1")), -1);
	assert_int_equal(str_u64(&v, STR("1x")), -1);
	assert_int_equal(v, 7);
}

static void
test_match(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool match;
	} rows[] = {
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "abc", true},
		{"a*", "abc", true},
		{"*c", "abc", true},
		{"a*c", "abc", true},
		{"a*c", "abcd", false},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"*a*b*", "xxaxxbxx", true},
		{"*ab", "aab", true},
		{"a*b*c", "abbbc", true},
		{"a**c", "ac", true},
		{"order", "order", true},
		{"order", "orders", false},
		{"*aaaaaaaab", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(str_match(str_of(rows[i].pattern),
					   str_of(rows[i].text)),
				 rows[i].match);
}

static void
test_nearest(void **state)
{
	static const char *const words[] = {"apply",  "list",	"get",
					    "replay", "verify", "dead-letters",
					    NULL};

	(void)state;
	assert_string_equal(str_nearest("aply", words), "apply");
	assert_string_equal(str_nearest("lsit", words), "list");
	assert_string_equal(str_nearest("verfy", words), "verify");
	assert_string_equal(str_nearest("dead-leters", words), "dead-letters");
	assert_string_equal(str_nearest("gte", words), "get");
	assert_null(str_nearest("x", words));
	assert_null(str_nearest("", words));
	assert_null(str_nearest("frobnicate", words));
}

static void
test_show(void **state)
{
	char out[32];
	char little[6];

	(void)state;
	assert_string_equal(str_show(out, sizeof out, STR("a\nb\tc\rd")),
			    "a\\nb\\tc\\rd");
	assert_string_equal(str_show(out, sizeof out, STR("\x1b[1m\x7f")),
			    "\\x1B[1m\\x7F");
	assert_string_equal(str_show(out, sizeof out, STR("\xc2\x85\xff")),
			    "\\xC2\\x85\\xFF");
	assert_string_equal(str_show(out, sizeof out, STR("\xc3\xa9")),
			    "\xc3\xa9");
	assert_string_equal(str_show(little, sizeof little, STR("12345")),
			    "12345");
	assert_string_equal(str_show(little, sizeof little, STR("123456")),
			    "12...");
	assert_string_equal(str_show(little, sizeof little,
				     STR("1\xc3\xa9\xc3\xa9\xc3\xa9")),
			    "1...");
	assert_string_equal(str_show(little, 3, STR("123456")), "..");
	assert_string_equal(str_show(little, 1, STR("123456")), "");
	assert_string_equal(str_show(little, sizeof little, str_of(NULL)), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_utf8_all),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_names_bytes),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_hex_any),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
