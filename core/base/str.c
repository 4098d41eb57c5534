/* SPDX-License-Identifier: MIT */
#include "base/str.h"

#include "base/err.h"
#include "base/word.h"

#include <stdio.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define NEAREST_LEN_MAX 64u

struct weir_str
str_of(const char *s)
{
	return (struct weir_str){s, s != NULL ? strlen(s) : 0};
}

bool
str_eq(struct weir_str a, struct weir_str b)
{
	return a.len == b.len &&
	       (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool
str_is(struct weir_str a, const char *s)
{
	return str_eq(a, str_of(s));
}

int
str_cmp(struct weir_str a, struct weir_str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int d = n > 0 ? memcmp(a.data, b.data, n) : 0;

	return d != 0 ? d : (a.len > b.len) - (a.len < b.len);
}

/* ---- UTF-8 -------------------------------------------------------------- */

static bool
is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

size_t
str_utf8_one(const char *p, size_t n)
{
	const unsigned char *s = (const unsigned char *)p;

	if (n == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2)
		return 0;
	if (s[0] < 0xe0)
		return n >= 2 && is_tail(s[1]) ? 2 : 0;
	if (s[0] < 0xf0) {
		if (n < 3 || !is_tail(s[1]) || !is_tail(s[2]))
			return 0;
		if (s[0] == 0xe0 && s[1] < 0xa0)
			return 0; /* overlong */
		if (s[0] == 0xed && s[1] >= 0xa0)
			return 0; /* surrogate */
		return 3;
	}
	if (s[0] > 0xf4 || n < 4)
		return 0;
	if (!is_tail(s[1]) || !is_tail(s[2]) || !is_tail(s[3]))
		return 0;
	if (s[0] == 0xf0 && s[1] < 0x90)
		return 0; /* overlong */
	if (s[0] == 0xf4 && s[1] >= 0x90)
		return 0; /* above U+10FFFF */
	return 4;
}

size_t
str_utf8_valid(struct weir_str s)
{
	size_t at = 0;

	while (at < s.len) {
		while (s.len - at >= 8 &&
		       (word_load(s.data + at) & WORD_TOPS) == 0)
			at += 8;
		size_t n = str_utf8_one(s.data + at, s.len - at);
		if (n == 0)
			return at;
		at += n;
	}
	return at;
}

uint32_t
str_utf8_next(struct weir_str s, size_t *at)
{
	const unsigned char *p = (const unsigned char *)s.data + *at;

	if (p[0] < 0x80) {
		*at += 1;
		return p[0];
	}
	if (p[0] < 0xe0) {
		*at += 2;
		return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
	}
	if (p[0] < 0xf0) {
		*at += 3;
		return (uint32_t)(p[0] & 0x0f) << 12 |
		       (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
	}
	*at += 4;
	return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
	       (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
}

size_t
str_utf8_put(char out[4], uint32_t cp)
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

/* ---- names -------------------------------------------------------------- */

static bool
is_control(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0);
}

/* Unicode's White_Space property. */
static bool
is_white(uint32_t cp)
{
	return (cp >= 0x09 && cp <= 0x0d) || cp == 0x20 || cp == 0x85 ||
	       cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) ||
	       cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f ||
	       cp == 0x3000;
}

static int
bad_byte(struct weir_err *err, const char *what, const char *why, size_t at)
{
	err_set(err, WEIR_EINPUT, "%s holds %s at byte %zu", what, why, at);
	if (err != NULL)
		err->offset = at;
	return WEIR_EINPUT;
}

/* Nothing but ASCII that can be seen, and spaces: almost every name. */
static bool
is_plain(struct weir_str s)
{
	size_t at = 0;

	for (; s.len - at >= 8; at += 8) {
		uint64_t word = word_load(s.data + at);

		if ((word & WORD_TOPS) != 0 || word_below(word, 0x20) != 0 ||
		    word_has(word, 0x7f) != 0)
			return false;
	}
	for (; at < s.len; at++)
		if (s.data[at] < 0x20 || s.data[at] > 0x7e)
			return false;
	return true;
}

int
str_check_name(struct weir_str s, const char *what, size_t max,
	       bool refuse_dollar, struct weir_err *err)
{
	char why[48];

	if (s.len == 0)
		return err_set(err, WEIR_EINPUT,
			       "%s is empty; give 1 to %zu bytes", what, max);
	if (s.len > max)
		return err_set(err, WEIR_EINPUT,
			       "%s has %zu bytes; at most %zu are allowed",
			       what, s.len, max);
	bool plain = is_plain(s);
	size_t valid = plain ? s.len : str_utf8_valid(s);
	if (valid != s.len)
		return bad_byte(err, what, "invalid UTF-8", valid);
	for (size_t at = 0; !plain && at < s.len;) {
		size_t was = at;
		uint32_t cp = str_utf8_next(s, &at);
		if (!is_control(cp))
			continue;
		snprintf(why, sizeof why, "the control character U+%04X",
			 (unsigned)cp);
		return bad_byte(err, what, why, was);
	}
	if (refuse_dollar && s.data[0] == '$')
		return err_set(err, WEIR_EDENIED,
			       "%s %.*s begins with '$', which is reserved",
			       what, (int)s.len, s.data);
	return 0;
}

int
str_check_tag(struct weir_str s, struct weir_err *err)
{
	int rc = str_check_name(s, "tag", WEIR_NAME_MAX, false, err);

	if (rc != 0)
		return rc;
	for (size_t at = 0; at < s.len;) {
		size_t was = at;
		if (is_white(str_utf8_next(s, &at)))
			return bad_byte(err, "tag", "white space", was);
	}
	return 0;
}

/* ---- hex, base64, numbers ----------------------------------------------- */

#ifdef __SSE2__
/* Nibbles to digits. */
static __m128i
hex_digits(__m128i v)
{
	__m128i letter = _mm_cmpgt_epi8(v, _mm_set1_epi8(9));

	return _mm_add_epi8(
		_mm_add_epi8(v, _mm_set1_epi8('0')),
		_mm_and_si128(letter, _mm_set1_epi8('a' - '9' - 1)));
}

static void
hex_sixteen(char *out, const unsigned char *s)
{
	__m128i v = _mm_loadu_si128((const void *)s), low = _mm_set1_epi8(15);
	__m128i h = hex_digits(_mm_and_si128(_mm_srli_epi16(v, 4), low));
	__m128i l = hex_digits(_mm_and_si128(v, low));

	_mm_storeu_si128((void *)out, _mm_unpacklo_epi8(h, l));
	_mm_storeu_si128((void *)(out + 16), _mm_unpackhi_epi8(h, l));
}
#endif

size_t
str_decimal(char out[20], uint64_t v)
{
	char digits[20];
	size_t n = sizeof(digits);

	do
		digits[--n] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	memcpy(out, digits + n, sizeof(digits) - n);
	return sizeof(digits) - n;
}

void
str_hex(char *out, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *s = p;
	size_t i = 0;

#ifdef __SSE2__
	for (; i + 16 <= n; i += 16)
		hex_sixteen(out + 2 * i, s + i);
#endif
	for (; i < n; i++) {
		out[2 * i] = digits[s[i] >> 4];
		out[2 * i + 1] = digits[s[i] & 15];
	}
	out[2 * n] = '\0';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
str_unhex(void *out, struct weir_str hex, size_t n)
{
	unsigned char *p = out;

	if (hex.len / 2 != n || hex.len % 2 != 0)
		return -1;
	for (size_t i = 0; i < hex.len; i++)
		if (hex_digit(hex.data[i]) < 0)
			return -1;
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(hex_digit(hex.data[2 * i]) << 4 |
				       hex_digit(hex.data[2 * i + 1]));
	return 0;
}

size_t
str_base64_len(size_t n)
{
	return (n + 2) / 3 * 4;
}

void
str_base64(char *out, const void *p, size_t n)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		"+/";
	const unsigned char *s = p;

	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)s[i] << 16;
		if (left > 1)
			v |= (uint32_t)s[i + 1] << 8;
		if (left > 2)
			v |= s[i + 2];
		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = left > 1 ? digits[v >> 6 & 63] : '=';
		*out++ = left > 2 ? digits[v & 63] : '=';
	}
}

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int64_t
str_unbase64(void *out, struct weir_str s)
{
	unsigned char *p = out;
	size_t pad = 0;

	if (s.len % 4 != 0)
		return -1;
	if (s.len > 0 && s.data[s.len - 1] == '=')
		pad = s.data[s.len - 2] == '=' ? 2 : 1;
	for (size_t i = 0; i < s.len - pad; i++)
		if (base64_digit(s.data[i]) < 0)
			return -1;
	/* The bits that padding leaves over must be zero: one text a value. */
	if (pad > 0) {
		int last = base64_digit(s.data[s.len - pad - 1]);
		if (last & (pad == 1 ? 3 : 15))
			return -1;
	}
	for (size_t i = 0; i < s.len; i += 4) {
		uint32_t v = 0;
		size_t n = i + 4 == s.len ? 3 - pad : 3;
		for (size_t j = 0; j < 4; j++)
			v = v << 6 |
			    (j <= n ? (uint32_t)base64_digit(s.data[i + j])
				    : 0);
		for (size_t j = 0; j < n; j++)
			*p++ = (unsigned char)(v >> (16 - 8 * j));
	}
	return (int64_t)(s.len / 4 * 3 - pad);
}

int
str_u64(uint64_t *out, struct weir_str s)
{
	uint64_t v = 0;

	if (s.len == 0)
		return -1;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return -1;
		uint64_t d = (uint64_t)(s.data[i] - '0');
		if (v > (UINT64_MAX - d) / 10)
			return -1;
		v = v * 10 + d;
	}
	*out = v;
	return 0;
}

/* ---- patterns, neighbours, show ----------------------------------------- */

bool
str_match(struct weir_str pattern, struct weir_str s)
{
	size_t p = 0, i = 0;
	size_t star = SIZE_MAX, from = 0; /* the last *, what it began at */

	while (i < s.len) {
		if (p < pattern.len && pattern.data[p] == '*') {
			star = p++;
			from = i;
		} else if (p < pattern.len && (pattern.data[p] == '?' ||
					       pattern.data[p] == s.data[i])) {
			p++;
			i++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			i = ++from;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.data[p] == '*')
		p++;
	return p == pattern.len;
}

static size_t
least(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Insert, delete, replace, swap of neighbours: one each. */
static size_t
distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t rows[3][NEAREST_LEN_MAX + 1];

	for (size_t j = 0; j <= nb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *now = rows[i % 3];
		const size_t *up = rows[(i + 2) % 3];
		const size_t *up2 = rows[(i + 1) % 3];
		now[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			now[j] = least(up[j] + 1, now[j - 1] + 1,
				       up[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && up2[j - 2] + 1 < now[j])
				now[j] = up2[j - 2] + 1;
		}
	}
	return rows[na % 3][nb];
}

const char *
str_nearest(const char *s, const char *const *words)
{
	size_t n = strlen(s);
	size_t best = n < 6 ? 2 : n / 3 + 1; /* the first that is too far */
	const char *found = NULL;

	if (n > NEAREST_LEN_MAX)
		return NULL;
	for (; *words != NULL; words++) {
		size_t m = strlen(*words);
		if (m > NEAREST_LEN_MAX)
			continue;
		size_t d = distance(s, n, *words, m);
		if (d < best && d < n) {
			best = d;
			found = *words;
		}
	}
	return found;
}

/* The shown form of the sequence at p, which has len bytes (0: an invalid
 * byte). Returns how many characters were written, at most 8. */
static size_t
show_one(char out[9], const char *p, size_t len)
{
	size_t n = 0;
	size_t at = 0;

	if (len == 0) {
		snprintf(out, 9, "\\x%02X", (unsigned char)p[0]);
		return 4;
	}
	uint32_t cp = str_utf8_next((struct weir_str){p, len}, &at);
	if (cp == '\n' || cp == '\t' || cp == '\r') {
		out[n++] = '\\';
		out[n++] = cp == '\n' ? 'n' : cp == '\t' ? 't' : 'r';
	} else if (is_control(cp)) {
		for (size_t i = 0; i < len; i++, n += 4)
			snprintf(out + n, 5, "\\x%02X", (unsigned char)p[i]);
	} else {
		memcpy(out, p, len);
		n = len;
	}
	return n;
}

const char *
str_show(char *out, size_t cap, struct weir_str s)
{
	size_t len = 0;
	size_t safe = 0; /* up to here there is room for "..." behind */
	char one[9];

	if (cap == 0)
		return "";
	for (size_t at = 0; at < s.len;) {
		size_t n = str_utf8_one(s.data + at, s.len - at);
		size_t m = show_one(one, s.data + at, n);
		if (len + m >= cap) {
			size_t dots = cap - 1 - safe < 3 ? cap - 1 - safe : 3;
			memcpy(out + safe, "...", dots);
			len = safe + dots;
			break;
		}
		memcpy(out + len, one, m);
		len += m;
		if (len + 4 <= cap)
			safe = len;
		at += n > 0 ? n : 1;
	}
	out[len] = '\0';
	return out;
}
