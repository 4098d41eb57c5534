/* SPDX-License-Identifier: MIT */
/* JSON text as jsonb and as an array literal. The text was checked before. */
#include "common/sqltypes.h"
#include "common/text.h"

#include <string.h>

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_number_char(char c)
{
	return is_digit(c) || c == '.' || c == 'e' || c == 'E' || c == '+' ||
	       c == '-';
}

bool
sqltype_jsonb_takes(struct weir_str raw)
{
	const char *s = raw.data, *end = s + raw.len;
	static const struct sqltype numeric = {
		.family = SQL_NUMERIC, .n = -1, .m = -1};
	struct sqlvalue v;
	char why[128];

	while (s < end) {
		if (*s == '"') {
			for (s++; *s != '"'; s++) {
				if (*s != '\\')
					continue;
				if (end - s > 5 && memcmp(s, "\\u0000", 6) == 0)
					return false;
				s++;
			}
			s++;
		} else if (*s == '-' || is_digit(*s)) {
			struct weir_str n = {s, 0};
			while (s < end && is_number_char(*s))
				s++;
			n.len = (size_t)(s - n.data);
			if (!sqltype_fits(&v, &numeric, WEIR_NUMBER, n, why))
				return false;
		} else {
			s++;
		}
	}
	return true;
}

/* One scalar of an array as an element of a literal. */
static size_t
put_element(char *out, const struct weir_sink_host *host, struct weir_str raw)
{
	size_t at = 0, n;

	if (raw.data[0] == 'n') {
		memcpy(out, "NULL", 4);
		return 4;
	}
	if (raw.data[0] != '"') {
		memcpy(out, raw.data, raw.len);
		return raw.len;
	}
	/* Decoded into the far half, then copied with escapes. */
	char *text = out + raw.len * 2;
	n = host->json_string(host->cookie, raw, text);
	out[at++] = '"';
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '"' || text[i] == '\\')
			out[at++] = '\\';
		out[at++] = text[i];
	}
	out[at++] = '"';
	return at;
}

static const char *
scalar_end(const char *s, const char *end)
{
	if (*s == '"') {
		for (s++; *s != '"'; s++) {
			if (*s == '\\')
				s++;
		}
		return s + 1;
	}
	while (s < end && memchr(",] \t\r\n", *s, 6) == NULL)
		s++;
	return s;
}

struct weir_str
sqltype_array_literal(struct arena *a, struct weir_str raw)
{
	struct weir_str out = {NULL, 0};
	const char *s = raw.data, *end = s + raw.len;

	if (raw.len < 2 || *s != '[')
		return out;
	/* An element takes at most 4 times its raw length. */
	char *p = arena_alloc(a, raw.len * 4 + 8);
	size_t at = 0;
	while (p != NULL && s < end) {
		if (*s == '{')
			return out;
		if (*s == '[' || *s == ']') {
			p[at++] = *s++ == '[' ? '{' : '}';
		} else if (memchr(", \t\r\n", *s, 5) != NULL) {
			if (*s == ',')
				p[at++] = ',';
			s++;
		} else {
			struct weir_str e = {s, 0};
			s = scalar_end(s, end);
			e.len = (size_t)(s - e.data);
			at += put_element(p + at, a->host, e);
		}
	}
	if (p != NULL) {
		out.data = p;
		out.len = at;
	}
	return out;
}
